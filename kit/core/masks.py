"""Masks in memory and as bytes: run lengths, label maps, palette PNGs.

A mask is `bool[H, W]`; a label map is `uint8[H, W]`, 0 the background, 1..254 object ids.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from kit.core.errors import ArtifactError

Mask = NDArray[np.bool_]
LabelMap = NDArray[np.uint8]
Box = NDArray[np.float32]

MAX_ID = 254  # 255 means "void" to other benchmarks; no server accepts it as an object


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
    counts = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return str(counts.decode("ascii"))


def decode_rle(rle: str, height: int, width: int) -> Mask:
    """Inverse of `encode_rle`.

    Raises:
        ArtifactError: The runs do not fill the frame exactly.
    """
    try:
        runs = _runs(rle)
        if sum(runs) != height * width:
            raise ValueError(f"runs cover {sum(runs)} of {height * width} pixels")
    except (ValueError, IndexError) as error:
        raise ArtifactError(
            f"run-length mask does not fit {width}x{height}: {error}. "
            "The file is damaged or was edited by hand."
        ) from None
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # background first, column by column
    return columns.reshape(width, height).T


def _runs(rle: str) -> list[int]:
    """Run lengths of COCO's text form (pycocotools maskApi.c, rleFrString): 5 bits a character."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in rle:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 30:  # no run is longer than 2**35 pixels
            raise ValueError(f"unexpected character {character!r}")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        if runs[-1] < 0:
            raise ValueError("negative run")
        value, shift = 0, 0
    return runs


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


def resolve_overlaps(
    logits: NDArray[np.float32], object_ids: Sequence[int], threshold: float = 0.0
) -> LabelMap:
    """Give each pixel to the object with the highest logit above the threshold.

    Args:
        logits: `float32[N, H, W]`, one plane per object.
        object_ids: The N ids; they do not decide anything (the published scripts let the lowest
            id win: sam2 tools/vos_inference.py:46), except between exactly equal logits.
        threshold: Logits at or below it are background.
    """
    height, width = logits.shape[1:]
    if not object_ids:
        return np.zeros((height, width), np.uint8)
    winner = logits.argmax(0)
    labels: LabelMap = np.asarray(object_ids, dtype=np.uint8)[winner]
    labels[logits.max(0) <= threshold] = 0
    return labels


def label_map(masks: Mapping[int, Mask], shape: tuple[int, int]) -> LabelMap:
    """Paint disjoint masks into one label map."""
    labels = np.zeros(shape, np.uint8)
    for object_id, mask in masks.items():
        labels[mask] = object_id
    return labels


def encode_png(labels: LabelMap) -> bytes:
    """A palette PNG in the DAVIS colours; the same labels give the same bytes."""
    image = Image.fromarray(labels)
    image.putpalette(PALETTE)  # turns mode L into P
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=6)
    return stream.getvalue()
