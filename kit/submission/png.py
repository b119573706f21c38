"""What a mask file holds, seen as the scorer sees it: `Image.open(...).convert("P")`.

Pillow is the judge of every odd file. The ordinary one, 8-bit palette or grey without filters, is
inflated directly, which is twenty times faster and keeps checking an archive near disk speed.
Knows nothing of videos.
"""

import importlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from kit.submission import rules

try:  # libdeflate inflates long runs 25 times faster than zlib
    _libdeflate: Any = importlib.import_module("deflate")
except ImportError:  # pragma: no cover - depends on the installation
    _libdeflate = None

Bytes = NDArray[np.uint8]
_MAGIC = b"\x89PNG\r\n\x1a\n"
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")  # what people rename to .png
# What Pillow's readers are known to raise on damaged files.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError,
               TypeError, OverflowError, Image.DecompressionBombError)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One mask file.

    `size` is (height, width) in pixels; `mode` is Pillow's; `strangers` are the labels found that
    are not allowed, and empty when the size was wrong, since the pixels are then not looked at.
    """

    size: tuple[int, int]
    mode: str
    format: str
    strangers: frozenset[int]


class NotAPicture(Exception):
    """Bytes that Pillow cannot decode."""


@lru_cache(maxsize=4)  # while an object is out of sight, frame after frame has the same bytes
def look(data: bytes, size: tuple[int, int] | None, allowed: frozenset[int]) -> Picture:
    """Decode one file and compare its labels with those allowed.

    Args:
        data: the file.
        size: expected (height, width); a picture of another size is not decoded.
        allowed: labels a mask may have.

    Raises:
        NotAPicture: if Pillow cannot read it.
    """
    return _look_fast(data, size, allowed) or _look_pillow(data, size, allowed)


def _look_fast(
    data: bytes, size: tuple[int, int] | None, allowed: frozenset[int]
) -> Picture | None:
    """The ordinary case, or None: then Pillow decides."""
    if data[:8] != _MAGIC or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if depth != 8 or colour not in {0, 3} or interlace or width * height > rules.MAX_PIXELS:
        return None
    if size is not None and size != (height, width):
        return None
    stream = _stream(data)
    raw = None if stream is None else _inflate(stream, height * (width + 1))
    if raw is None:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(height, width + 1)
    if rows[:, 0].any():  # filtered rows
        return None
    mode = "P" if colour == 3 else "L"
    return Picture((height, width), mode, "PNG", _strangers(rows, allowed))


def _stream(data: bytes) -> bytes | None:
    """The compressed pixels, or None where another chunk is damaged."""
    parts, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        end = at + 8 + length
        if kind == b"IDAT":
            parts.append(data[at + 8 : end])
        elif kind == b"IEND":
            return b"".join(parts)
        elif zlib.crc32(data[at + 4 : end]).to_bytes(4) != data[end : end + 4]:
            return None
        at = end + 4
    return None


def _inflate(stream: bytes, length: int) -> bytes | bytearray | None:
    """Exactly `length` bytes, or None."""
    try:
        if _libdeflate is not None:
            raw: bytes | bytearray = _libdeflate.zlib_decompress(stream, length)
        else:
            raw = zlib.decompressobj().decompress(stream, length + 1)
    except Exception:  # whatever the library dislikes: Pillow has the last word
        return None
    return raw if len(raw) == length else None


def decode(data: bytes, size: tuple[int, int] | None) -> tuple[Bytes, str]:
    """All values of a file as they are stored, and Pillow's mode.

    Args:
        data: the file.
        size: expected (height, width); None for any.

    Returns:
        `uint8[H, W]`, or `uint8[H, W, C]` for colour modes; 0 and 255 for 1-bit pictures.

    Raises:
        NotAPicture: if Pillow cannot read it, or it has another size.
    """
    with _opened(data) as image:
        found = (image.height, image.width)
        if not _fits(found, size):
            raise NotAPicture(f"{found[1]}x{found[0]} pixels")
        values = image.convert("L") if image.mode == "1" else image
        return np.asarray(values).astype(np.uint8), image.mode


def _look_pillow(data: bytes, size: tuple[int, int] | None, allowed: frozenset[int]) -> Picture:
    with _opened(data) as image:
        found, mode = (image.height, image.width), image.mode
        labels: frozenset[int] = frozenset()
        if _fits(found, size):
            labels = _strangers(np.asarray(image.convert("P")), allowed)
        return Picture(found, mode, str(image.format), labels)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=_FORMATS) as image,
        ):
            yield image
    except UnidentifiedImageError as error:  # its text holds an address in memory
        raise NotAPicture(type(error).__name__) from error
    except _UNREADABLE as error:
        raise NotAPicture(f"{type(error).__name__}: {error}") from error


def _fits(found: tuple[int, int], size: tuple[int, int] | None) -> bool:
    return found == size or (size is None and found[0] * found[1] <= rules.MAX_PIXELS)


def _strangers(values: Bytes, allowed: frozenset[int]) -> frozenset[int]:
    # The largest value is found at memory speed, and mostly answers the question already.
    if all(label in allowed for label in range(int(values.max(initial=0)) + 1)):
        return frozenset()
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    return frozenset(present.tolist()) - allowed
