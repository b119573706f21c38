"""Picture files of every odd kind, written from the same pixels."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kit.core.masks import PALETTE

Pixels = NDArray[Any]
DAVIS = [tuple(PALETTE[3 * i : 3 * i + 3]) for i in range(256)]
GREY, RGB, INDEXED, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def raw_png(values: Pixels, depth: int, colour: int, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of any depth and colour type, which Pillow cannot write; `more` chunks before data."""
    height, width = values.shape[:2]
    flat = values.reshape(height, -1)
    if depth == 16:
        rows = [row.astype(">u2").tobytes() for row in flat]
    elif depth == 8:
        rows = [row.astype(np.uint8).tobytes() for row in flat]
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = [np.packbits(row.ravel()).tobytes() for row in bits.astype(np.uint8)]
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", head), *more, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in chunks)


def palette_png(
    indices: Pixels, colours: list[tuple[int, ...]], depth: int = 8, alpha: bytes = b""
) -> bytes:
    """An indexed PNG with exactly these colours, and the opacity of the first of them."""
    more = [(b"PLTE", bytes(v for c in colours for v in c))] + [(b"tRNS", alpha)] * bool(alpha)
    return raw_png(indices, depth, INDEXED, *more)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def turned_back(pixels: Pixels, orientation: int) -> Pixels:
    """As a sensor stores pixels that the EXIF orientation brings upright (Exif 2.32, figure 1)."""
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, 1),
        7: np.rot90(pixels[::-1, ::-1].swapaxes(0, 1), 0),
        8: np.rot90(pixels, -1),
    }
    return np.ascontiguousarray(stored[orientation])


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def without_adobe(jpeg: bytes) -> bytes:
    """A CMYK JPEG as written by programs that do not invert inks: no APP14 segment."""
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4]) :]


def several(pictures: list[Pixels], form: str, **options: Any) -> bytes:
    first, *rest = [Image.fromarray(p) for p in pictures]
    return saved(first, form, save_all=True, append_images=rest, duration=100, **options)


def put(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)
