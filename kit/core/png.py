"""PNG bytes to labels, as the organisers' scorer reads them.

What `PIL.Image.open(...).convert("P")` returns is the truth, odd conversions and errors included.
The files in which masks normally come take a faster way to the same labels; whatever is unusual or
damaged in any respect goes to Pillow.
"""

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kit.core import palettes
from kit.core.compiled import jit


def _inflate_slowly(data: memoryview, size: int) -> bytearray:
    """Inflate to at most `size` bytes; zlib.error for damaged or too much data."""
    content = zlib.decompressobj().decompress(data, size + 1)
    if len(content) > size:
        raise zlib.error("more data than declared")
    return bytearray(content)


try:  # many times as fast as zlib
    from deflate import DeflateError, zlib_decompress
except ImportError:
    DeflateError, zlib_decompress = zlib.error, _inflate_slowly

START = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
END = b"\0\0\0\0IEND\xaeB`\x82"
GREY, PALETTE = 0, 3
# glibc hands freed blocks as large as a frame back to the system and fetches every page of the next
# one again, until it has seen a larger block freed; at 1080p that would cost more than inflating.
np.empty(30 << 20, dtype=np.uint8)
MAX_PIXELS = 1 << 26  # more is left to Pillow, which guards against bombs


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode one mask.

    Args:
        data: a whole file; normally an 8-bit palette or grey PNG.

    Returns:
        uint8[H, W] labels, not to be written to; rows are contiguous.

    Raises:
        OSError: damaged or truncated data (`PIL.UnidentifiedImageError` if it is no image).
    """
    labels = decode_plain(data)
    if labels is not None:
        return labels
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("P"))


def trouble(data: bytes, labels: NDArray[np.uint8]) -> str | None:
    """Say what goes wrong when the organisers read a file's ids, None if they are those meant.

    Args:
        data: the file.
        labels: what `decode` makes of it.
    """
    if not data.startswith(START) or len(data) < 26:
        return "not a PNG"
    depth, colour = data[24], data[25]
    if colour == PALETTE:
        return disorder(data, labels)
    if colour in (GREY, 4) and depth == 8:
        return None
    if colour in (2, 6):
        return "colour image, its ids become indices of the web palette"
    if depth == 16:
        return "16-bit image, its values above 255 become 255"
    return f"{depth}-bit grey image, its values are stretched to 0..255"


def disorder(data: bytes, labels: NDArray[np.uint8]) -> str | None:
    """What speaks against the order of a palette, None if its indices are ids.

    Args:
        data: a palette PNG.
        labels: its indices.
    """
    try:
        ids = ids_by_colour(data, labels)
    except palettes.Unclear as why:
        return f"palette image, its entries are taken for ids, but {why}"
    if ids:
        return "palette image with the DAVIS colours in another order, not its colours are scored"
    return None


def ids_by_colour(data: bytes, labels: NDArray[np.uint8]) -> Mapping[int, int]:
    """See `palettes.ids_meant`; empty where a palette's indices are ids."""
    at = data.find(b"PLTE", 29, 1 << 16)
    palette = data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at])] if at > 0 else b""
    if palettes.beyond_doubt(palette[:768]):
        return {}
    used = np.flatnonzero(np.bincount(labels.ravel()))
    return palettes.ids_meant(palette[:768], used.tolist())


def decode_plain(data: bytes) -> NDArray[np.uint8] | None:
    """The fast way: labels of an intact palette or 8-bit grey PNG, None for every other file."""
    if len(data) < 45 or not data.startswith(START):
        return None
    width, height, depth, colour, *methods = struct.unpack_from(">IIBBBBB", data, 16)
    kept = depth == 8 if colour == GREY else colour == PALETTE and depth in (1, 2, 4, 8)
    if not kept or any(methods) or not 0 < width * height <= MAX_PIXELS:
        return None
    packed = _image_data(data, colour)
    if packed is None or zlib.crc32(data[12:29]) != int.from_bytes(data[29:33]):
        return None
    stride = (width * depth + 7) // 8 + 1
    try:
        raw = zlib_decompress(packed, stride * height)
    except DeflateError:
        return None
    if len(raw) != stride * height:
        return None
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(height, stride)
    if rows[:, 0].any() and not _unfilter(rows):
        return None
    return rows[:, 1:] if depth == 8 else _unpack(rows[:, 1:], depth, width)


def _image_data(data: bytes, colour: int) -> memoryview | None:
    """The compressed pixels, None unless the chunks are IHDR, PLTE if due, IDAT..., IEND."""
    position, parts, view = 33, [], memoryview(data)
    if colour == PALETTE:
        size = int.from_bytes(data[33:37])
        position = 45 + size
        if data[37:41] != b"PLTE" or size % 3 or not 0 < size <= 768:
            return None
        if zlib.crc32(data[37 : 41 + size]) != int.from_bytes(data[41 + size : position]):
            return None
    while data[position + 4 : position + 8] == b"IDAT":
        size = int.from_bytes(data[position : position + 4])
        parts.append(view[position + 8 : position + 8 + size])
        position += 12 + size
    if not parts or data[position : position + 12] != END:
        return None
    return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))


@jit
def _unfilter(rows: NDArray[np.uint8]) -> bool:
    """Undo the row filters of one-byte pixels in place; False for an unknown filter."""
    height, stride = rows.shape
    for y in range(height):
        kind = rows[y, 0]
        if kind > 4:
            return False
        for x in range(1, stride):
            left = int(rows[y, x - 1]) if x > 1 else 0
            up = int(rows[y - 1, x]) if y else 0
            corner = int(rows[y - 1, x - 1]) if y and x > 1 else 0
            guess = 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = up
            elif kind == 3:
                guess = (left + up) >> 1
            elif kind == 4:
                a, b, c = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
                guess = left if a <= b and a <= c else up if b <= c else corner
            rows[y, x] = (int(rows[y, x]) + guess) & 255
    return True


def _unpack(rows: NDArray[np.uint8], depth: int, width: int) -> NDArray[np.uint8]:
    """Labels of 1, 2 or 4 bits, the first pixel in the highest bits of a byte."""
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    labels = (rows[:, :, None] >> shifts) & np.uint8((1 << depth) - 1)
    return labels.reshape(len(rows), -1)[:, :width]
