"""Masks in memory and as bytes: run lengths, label maps, palette PNGs.

A mask is `bool[H, W]`; a label map is `uint8[H, W]`, 0 the background, 1..254 object ids, and in
what annotators wrote 255 where they did not decide ("void").
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from kit.core.errors import ArtifactError

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]
Box = NDArray[np.float32]

MAX_ID = 254
VOID = 255  # in DAVIS, VOST and LVOS pixels that nobody decided; no server accepts it as an object


def _davis_palette() -> list[int]:
    """The 256 colours of DAVIS: bit i of the id feeds channel i % 3, high bits first."""
    colours = np.zeros((256, 3), np.uint8)
    ids = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return [int(value) for value in colours.ravel()]


PALETTE = _davis_palette()


def encode_rle(mask: Mask) -> str:
    """COCO compressed run lengths of a mask, as text; the size travels beside it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return encode_part(mask[:0, :0], (0, 0), mask.shape)
    top, left = int(rows[0]), int(columns[0])
    return encode_part(mask[top : rows[-1] + 1, left : columns[-1] + 1], (top, left), mask.shape)


def encode_part(part: Mask, corner: tuple[int, int], shape: tuple[int, ...]) -> str:
    """The same of a mask that is empty outside a part of the frame.

    Args:
        part: `bool[h, w]`.
        corner: (row, column) of its first pixel.
        shape: (height, width) of the frame.
    """
    height, width = shape
    columns = np.zeros((part.shape[1], height), bool)
    columns[:, corner[0] : corner[0] + part.shape[0]] = part.T
    turns = np.flatnonzero(np.diff(columns.ravel(), prepend=False, append=False))
    runs = np.diff(turns + corner[1] * height, prepend=0, append=height * width)
    if not runs[-1]:  # pycocotools ends with the last pixel's run
        runs = runs[:-1]
    found = coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return str(found["counts"].decode("ascii"))


def encode_logits(logits: NDArray[np.float32], shape: tuple[int, int]) -> str | None:
    """Run lengths of where logits, enlarged to a frame, exceed 0; None if nowhere.

    Bilinear between the centres of pixels, as `torch.nn.functional.interpolate` does it, but only
    around what is positive, which of most objects is a small part of the frame.

    Args:
        logits: `float32[h, w]` over the whole frame.
        shape: (height, width) of the frame.
    """
    positive = logits > 0
    if not positive.any():
        return None
    rows = _around(np.flatnonzero(positive.any(1)), logits.shape[0], shape[0])
    columns = _around(np.flatnonzero(positive.any(0)), logits.shape[1], shape[1])
    near = logits[:, columns.low[0] : columns.high[-1] + 1]
    tall = near[rows.low] + (near[rows.high] - near[rows.low]) * rows.share[:, None]
    low, high = (side - columns.low[0] for side in (columns.low, columns.high))
    part = tall[:, low] + (tall[:, high] - tall[:, low]) * columns.share > 0
    return encode_part(part, (rows.start, columns.start), shape) if part.any() else None


@dataclass(frozen=True)
class _Side:
    """Pixels of a frame along one side, and between which two of the smaller picture each lies.

    Attributes:
        start: The first of them.
        low: Index of the one before, per pixel.
        high: Of the one after.
        share: `float32`, of the one after.
    """

    start: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: NDArray[np.float32]


def _around(positive: NDArray[np.int64], small: int, large: int) -> _Side:
    """Where along a side of `large` pixels there may be something, if it is there in `small`."""
    place = np.maximum((np.arange(large) + 0.5) * (small / large) - 0.5, 0)
    low = place.astype(np.int64)
    reached = np.flatnonzero((low >= positive[0] - 1) & (low <= positive[-1]))
    start, low = int(reached[0]), low[reached]
    share = (place[reached] - low).astype(np.float32)
    return _Side(start, low, np.minimum(low + 1, small - 1), share)


def decode_rle(rle: str, height: int, width: int) -> Mask:
    """Inverse of `encode_rle`.

    Raises:
        ArtifactError: The runs do not fill the frame exactly.
    """
    runs = runs_of(rle, height, width)
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # background first, column by column
    return columns.reshape(width, height).T


def decode_part(rle: str, height: int, width: int) -> tuple[Mask, tuple[int, int]]:
    """The part of a mask that is not empty, `bool[h, w]`, and (row, column) of its first pixel.

    Raises:
        ArtifactError: The runs do not fill the frame exactly.
        ValueError: The mask is empty.
    """
    runs = runs_of(rle, height, width)
    ends = np.cumsum(runs)
    shown = np.flatnonzero(runs[1::2]) * 2 + 1
    if not shown.size:
        raise ValueError("an empty mask has no part that is not")
    left = int(ends[shown[0] - 1]) // height
    right = (int(ends[shown[-1]]) - 1) // height + 1
    bounds = np.clip(ends, left * height, right * height)
    inside = np.diff(bounds, prepend=left * height)
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, inside).reshape(right - left, height)
    rows = np.flatnonzero(columns.any(0))
    return columns[:, rows[0] : rows[-1] + 1].T, (int(rows[0]), left)


def runs_of(rle: str, height: int, width: int) -> NDArray[np.int64]:
    """Lengths of the runs of a mask, background first, column by column.

    Raises:
        ArtifactError: They do not fill the frame exactly.
    """
    try:
        runs = _runs(rle)
        if runs.sum() != height * width:
            raise ValueError(f"runs cover {runs.sum()} of {height * width} pixels")
    except ValueError as error:
        raise ArtifactError(
            f"run-length mask does not fit {width}x{height}: {error}. "
            "The file is damaged or was edited by hand."
        ) from None
    return runs


def _runs(rle: str) -> NDArray[np.int64]:
    """Run lengths of COCO's text form (pycocotools maskApi.c, rleFrString): 5 bits a character."""
    codes = np.frombuffer(rle.encode("latin-1"), np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    last = codes & 0x20 == 0  # of a number
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    place = np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    strange = (codes < 0) | (codes > 63) | (place > 6)  # no run is longer than 2**35 pixels
    if strange.any() or not last[-1]:
        where = int(strange.argmax()) if strange.any() else len(rle) - 1
        raise ValueError(f"unexpected character {rle[where]!r}")
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    ends = np.flatnonzero(last)
    values -= np.where(codes[ends] & 0x10, 1 << (5 * (place[ends] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])  # each but the first three counts from the last but one
    values[2::2] = np.cumsum(values[2::2])
    if (values < 0).any():
        raise ValueError("negative run")
    return values


def box_of(mask: Mask) -> Box:
    """Tight box of a non-empty mask: `float32[4]` xyxy, pixels, right and bottom exclusive.

    Raises:
        ValueError: The mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        raise ValueError("an empty mask has no box")
    corners = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    return np.asarray(corners, dtype=np.float32)


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union in [0, 1]; two empty masks agree (1.0)."""
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 1.0


def ious(
    first: Sequence[str], second: Sequence[str], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """IoU of each of N run-length masks with each of M others, `float64[N, M]`; nothing is painted.

    Raises:
        ArtifactError: The runs of one do not fill the frame exactly.
    """
    shared, areas, others = _overlaps(first, second, shape)
    return shared / np.maximum(areas[:, None] + others - shared, 1)


def nested(
    first: Sequence[str], second: Sequence[str], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Whether each of N run-length masks shares more than half of the smaller one with each of M.

    That is, whether they are the same thing, or one is part of the other: `bool[N, M]`.
    """
    shared, areas, others = _overlaps(first, second, shape)
    return 2 * shared > np.minimum(areas[:, None], others)


def _overlaps(
    first: Sequence[str], second: Sequence[str], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Pixels shared `[N, M]`, of the first ones `[N]` and of the second ones `[M]`, all whole."""
    rows, columns = ([_checked(rle, shape) for rle in rles] for rles in (first, second))
    areas, others = (np.array([coco.area(m) for m in some], np.float64) for some in (rows, columns))
    if not rows or not columns:
        return np.zeros((len(rows), len(columns))), areas, others
    within = np.asarray(coco.iou(rows, columns, [1] * len(columns)))  # a "crowd": share of the row
    return np.rint(within * areas[:, None]), areas, others


def _checked(rle: str, shape: tuple[int, int]) -> dict[str, Any]:
    """A mask as pycocotools takes it, which itself believes any runs."""
    runs_of(rle, *shape)
    return {"size": list(shape), "counts": rle.encode()}


def encode_png(labels: LabelMap) -> bytes:
    """A palette PNG in the DAVIS colours; the same labels give the same bytes."""
    image = Image.fromarray(labels)
    image.putpalette(PALETTE)  # turns mode L into P
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()
