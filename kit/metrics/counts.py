"""Nine integers per object and frame, from which every measure of every protocol follows.

Knows nothing of files, videos or scores: two label maps in, counts out.
"""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

AREA_GT, AREA_PRED, INTERSECTION = 0, 1, 2
BOUNDARY_GT, BOUNDARY_PRED = 3, 4
MATCHED_GT, MATCHED_PRED = 5, 6  # at the standard tolerance
MATCHED_GT_NEW, MATCHED_PRED_NEW = 7, 8  # at the tolerance that follows the object's area


@functools.cache
def disk(radius: float) -> tuple[tuple[int, int, int], ...]:
    """Pixels of the structuring element of the organisers' dilation, as row intervals.

    Args:
        radius: in pixels, at least 0; fractions give an asymmetric element.

    Returns:
        `(dy, first dx, last dx)` per row that has pixels: a pixel q matches if some boundary pixel
        lies at q + (dy, dx).

    Source: `disk` of scikit-image (`x*x + y*y <= r*r` on `arange(-r, r + 1)`), the anchor n // 2 of
    OpenCV's `dilate`, which takes an element without any pixel as its upper left corner.
    """
    line = np.arange(-radius, radius + 1)
    inside = line[:, None] ** 2 + line[None, :] ** 2 <= radius**2
    if not inside.any():
        inside[0, 0] = True
    anchor = len(line) // 2
    columns = [np.flatnonzero(row) - anchor for row in inside]
    return tuple(
        (row - anchor, int(found[0]), int(found[-1]))
        for row, found in enumerate(columns)
        if len(found)
    )


def tolerances(area: int, shape: tuple[int, int]) -> tuple[float, float]:
    """Radii of the standard and of the area-following boundary tolerance.

    Args:
        area: pixels of the object in the ground truth, 0 if absent.
        shape: height and width of the frame.

    Returns:
        `(standard, adaptive)` in pixels; both are the unrounded cap once that binds.

    Source: `f_measure_adaptive` in MOSEv2/sam2_rcms/tools/metricsv2.py of
    henghuiding/MOSE-api @241977a, with `bound_th=0.1`, `mode='area'`.
    """
    cap = 0.008 * np.linalg.norm(shape)
    radius = np.ceil(0.1 * np.sqrt(area)) if area else cap
    return (float(np.ceil(cap)), float(radius)) if radius < cap else (float(cap), float(cap))


def count(
    gt: NDArray[np.uint8], pred: NDArray[np.uint8], objects: Sequence[int]
) -> NDArray[np.int64]:
    """Count one frame for all objects.

    Args:
        gt: ground truth labels, uint8[H, W].
        pred: predicted labels, uint8[H, W].
        objects: ids; one outside 0..255 has no pixels.

    Returns:
        int64[len(objects), 9], columns as named at the top of this module.
    """
    rows = [_count_object(gt == label, pred == label) for label in objects]
    return np.array(rows, dtype=np.int64).reshape(-1, 9)


def _count_object(gt: NDArray[np.bool_], pred: NDArray[np.bool_]) -> list[int]:
    area = int(gt.sum())
    edges = _boundary(gt), _boundary(pred)
    counts = [
        area,
        int(pred.sum()),
        int((gt & pred).sum()),
        int(edges[0].sum()),
        int(edges[1].sum()),
    ]
    for radius in tolerances(area, (gt.shape[0], gt.shape[1])):
        counts += [_matches(edges[0], edges[1], radius), _matches(edges[1], edges[0], radius)]
    return counts


def _boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that differ from their east, south or south-east neighbour; edges as officially."""
    padded = np.pad(mask, ((0, 1), (0, 1)))
    east, south = mask ^ padded[:-1, 1:], mask ^ padded[1:, :-1]
    edge = east | south | (mask ^ padded[1:, 1:])
    edge[-1], edge[:, -1] = east[-1], south[:, -1]
    edge[-1, -1] = False
    return edge


def _matches(edge: NDArray[np.bool_], other: NDArray[np.bool_], radius: float) -> int:
    """Pixels of `edge` that have a pixel of `other` within the disk."""
    height, width = edge.shape
    y, x = np.nonzero(edge)
    sums = np.pad(other.cumsum(axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    found = np.zeros(len(y), dtype=bool)
    for dy, first, last in disk(radius):
        row = y + dy
        inside = (row >= 0) & (row < height)
        row = np.where(inside, row, 0)
        right, left = np.clip(x + last + 1, 0, width), np.clip(x + first, 0, width)
        found |= inside & (sums[row, right] > sums[row, left])
    return int(found.sum())
