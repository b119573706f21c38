"""What a mask file holds, seen as the scorer sees it: `Image.open(...).convert("P")`.

Pillow is the judge of every odd file; the ordinary ones go the evaluator's fast way.
Knows nothing of videos.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from kit.core import palettes
from kit.core.png import PALETTE, decode_plain, disorder, ids_by_colour
from kit.submission import rules

Bytes = NDArray[np.uint8]
_FORMATS = ("PNG", "JPEG", "BMP", "GIF")  # what people rename to .png
# What Pillow's readers are known to raise on damaged files.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, IndexError,
               TypeError, OverflowError, Image.DecompressionBombError)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One mask file.

    `size` is (height, width) in pixels; `mode` is Pillow's; `strangers` are the labels found that
    are not allowed, and none when the size was wrong, since the pixels are then not looked at.
    `is_empty`: they were looked at, and all are 0. `disorder` says why entries of the palette are
    no ids, and is empty where they are.
    """

    size: tuple[int, int]
    mode: str
    format: str
    strangers: frozenset[int]
    is_empty: bool = False
    disorder: str = ""


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
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if not _fits((height, width), size):  # before anything is inflated
        return None
    labels = decode_plain(data)
    if labels is None:
        return None
    mode = "P" if data[25] == PALETTE else "L"
    contents = _contents(labels, allowed)
    odd = _disorder(data, labels, allowed) if mode == "P" else ""
    return Picture((height, width), mode, "PNG", *contents, odd)


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
        if image.mode == "P" and image.format == "PNG" and _is_sorted(data, np.asarray(image)):
            values = image.convert("RGB")  # its colours say more than its indices
        return np.asarray(values).astype(np.uint8), "RGB" if values.mode == "RGB" else image.mode


def _look_pillow(data: bytes, size: tuple[int, int] | None, allowed: frozenset[int]) -> Picture:
    with _opened(data) as image:
        found, mode = (image.height, image.width), image.mode
        if not _fits(found, size):
            return Picture(found, mode, str(image.format), frozenset(), False)
        labels = np.asarray(image.convert("P"))
        is_palette = mode == "P" and image.format == "PNG"
        odd = _disorder(data, labels, allowed) if is_palette else ""
        return Picture(found, mode, str(image.format), *_contents(labels, allowed), odd)


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


def _is_sorted(data: bytes, labels: Bytes) -> bool:
    try:
        return bool(ids_by_colour(data, labels))
    except palettes.Unclear:
        return False


def _disorder(data: bytes, labels: Bytes, allowed: frozenset[int]) -> str:
    """Why the entries of a palette are no ids, empty where they are or may well be.

    Colours of DAVIS in an order of the writer's own are no harm while the indices are right: they
    are taken for sorted only if their own ids are among those of the video.
    """
    try:
        ids = ids_by_colour(data, labels)
        sorted_by_use = bool(ids) and allowed.issuperset(ids.values())
    except palettes.Unclear as why:
        sorted_by_use = isinstance(why, palettes.Misplaced)
    return (disorder(data, labels) or "") if sorted_by_use else ""


def _contents(values: Bytes, allowed: frozenset[int]) -> tuple[frozenset[int], bool]:
    """The labels that are not allowed, and whether there is nothing but background."""
    # The largest value is found at memory speed, and mostly answers both questions already.
    largest = int(values.max(initial=0))
    if all(label in allowed for label in range(largest + 1)):
        return frozenset(), largest == 0
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    return frozenset(present.tolist()) - allowed, largest == 0
