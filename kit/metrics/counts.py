"""Nine integers per object and frame, from which every measure of every protocol follows.

Knows nothing of files, videos or scores: two label maps in, counts out. Masks are bit planes of 64
pixels a word (pixel x is bit x % 64 of word x // 64), and after the one pass over the labels only
words that hold something are touched, so that stray pixels far from an object cost nothing.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from kit.core.compiled import jit
from kit.metrics.disks import Tolerances
from kit.metrics.words import ALL, ONE, ZERO, block, lowest, next_used, popcount, spread

AREA_GT, AREA_PRED, INTERSECTION = 0, 1, 2
BOUNDARY_GT, BOUNDARY_PRED = 3, 4
MATCHED_GT, MATCHED_PRED = 5, 6  # at the standard tolerance
MATCHED_GT_NEW, MATCHED_PRED_NEW = 7, 8  # at the tolerance that follows the object's area

Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

NOWHERE = 1 << 40, -1  # first and last word of an empty row, or row of an empty plane


class Counter:
    """Counts frames of one size; keeps its memory from frame to frame, so it is for one thread.

    Args:
        shape: height and width of the frames.
        objects: ids; one outside 0..255 has no pixels.
        tolerances: of the boundaries.
    """

    def __init__(
        self, shape: tuple[int, ...], objects: Sequence[int], tolerances: Tolerances
    ) -> None:
        self.shape = shape
        height, width = shape
        known = sorted({label for label in objects if 0 <= label <= 255})
        self._row = [known.index(label) if label in known else len(known) for label in objects]
        self._index = np.full(256, -1, dtype=np.int64)
        self._index[known] = range(len(known))
        self._n = len(known)
        disks, rows = tolerances.table()
        self._tolerances = disks, rows, tolerances.choice
        pad = int(np.abs(disks).max()) // 64 + 1
        words = (width + 63) // 64
        self._planes = np.zeros((2, self._n, height + 1, words + 1), dtype=np.uint64)
        self._spans = np.tile(np.array(NOWHERE), (2, self._n, height + 2, 1))
        self._buffers = (
            np.zeros((2, height, words + 2 * pad), dtype=np.uint64),  # boundaries of one object
            np.zeros((2, height // 32 + 3, words + 2 * pad), dtype=np.uint8),  # where any is
            np.zeros((2, height * words, 2), dtype=np.int64),  # its words that hold any
        )
        self.strays = 0

    def count(self, gt: NDArray[np.uint8], pred: NDArray[np.uint8]) -> Ints:
        """Count one frame for all objects.

        Args:
            gt: ground truth labels, uint8[H, W].
            pred: predicted labels, uint8[H, W].

        Returns:
            int64[objects, 9], columns as named at the top of this module; `strays` then holds the
            number of predicted pixels whose label is neither 0 nor any of the objects.
        """
        if gt.shape != self.shape or pred.shape != self.shape:
            raise ValueError(f"label maps {gt.shape} and {pred.shape}, expected {self.shape}")
        counts = np.zeros((self._n + 1, 9), dtype=np.int64)
        self.strays = _kernel()(
            _rows_contiguous(gt),
            _rows_contiguous(pred),
            self._index,
            self._tolerances,
            self._planes,
            self._spans,
            self._buffers,
            counts,
        )
        return counts[self._row]


def count(
    gt: NDArray[np.uint8], pred: NDArray[np.uint8], objects: Sequence[int], tolerances: Tolerances
) -> Ints:
    """Count a single frame, see `Counter.count`."""
    return Counter(gt.shape, objects, tolerances).count(gt, pred)


def _rows_contiguous(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return labels if labels.strides[1] == 1 else np.ascontiguousarray(labels)


@jit
def _pack(
    labels: NDArray[np.uint8], index: Ints, planes: Words, spans: Ints, counts: Ints, column: int
) -> int:
    """Fill a bit plane per object, its spans and its area; count stray pixels.

    `index[label]` is the row of that label's object, -1 for labels that are no object. The spans
    are the first and last word of each row that has pixels, at the end the first and last row.
    """
    height, width = labels.shape
    strays = 0
    for y in range(height):
        x = 0
        while True:
            if index[0] < 0:
                x = next_used(labels, y, x)
            if x >= width:
                break
            rest = ALL if x + 64 <= width else (ONE << np.uint64(width - x)) - ONE
            if index[0] < 0:
                rest &= ~block(labels, y, x, 0)
            while rest != ZERO:
                label = labels[y, x + lowest(rest)]
                word = block(labels, y, x, label) & rest
                rest ^= word
                k, w = index[label], x >> 6
                if k >= 0:
                    planes[k, y, w] = word
                    spans[k, y, 0], spans[k, y, 1] = min(spans[k, y, 0], w), w
                    spans[k, -1, 0], spans[k, -1, 1] = min(spans[k, -1, 0], y), y
                    counts[k, column] += popcount(word)
                elif label > 0:
                    strays += popcount(word)
            x += 64
    return strays


@jit
def _boundary(
    plane: Words,
    spans: Ints,
    width: int,
    pad: int,
    edges: Words,
    blocks: NDArray[np.uint8],
    found: Ints,
) -> tuple[int, int]:
    """Boundary words of a plane, also listed as (row, word); returns lengths of list and boundary.

    A pixel counts if it differs from its east, south or south-east neighbour; in the last column
    only south counts, in the last row only east, and the last pixel never.

    Source: `_seg2bmap` of davis2017-evaluation @ac7c43f.
    """
    height = plane.shape[0] - 1
    last_word, last_bit = (width - 1) >> 6, ONE << np.uint64((width - 1) & 63)
    listed, pixels = 0, 0
    top, bottom = spans[-1]
    for y in range(max(top - 1, 0), bottom + 1):
        start = max(min(spans[y, 0], spans[y + 1, 0]) - 1, 0)
        for w in range(start, max(spans[y, 1], spans[y + 1, 1]) + 1):
            here, south = plane[y, w], plane[y + 1, w]
            east = here >> ONE | plane[y, w + 1] << np.uint64(63)
            south_east = south >> ONE | plane[y + 1, w + 1] << np.uint64(63)
            edge = here ^ east
            if y < height - 1:
                edge |= (here ^ south) | (here ^ south_east)
            if w == last_word:
                edge &= ~last_bit
                if y < height - 1:
                    edge |= (here ^ south) & last_bit
            if edge != ZERO:
                edges[y, w + pad] = edge
                blocks[y // 32 + 1, w + pad] = 1
                found[listed, 0], found[listed, 1] = y, w + pad
                listed += 1
                pixels += popcount(edge)
    return listed, pixels


@jit
def _reached(bits: Any, edges: Words, y: int, w: int, disk: Ints, rows: int) -> Any:
    """Those pixels of a word that have a pixel of `edges` within the disk."""
    rest = bits
    for i in range(rows):
        row = y + disk[i, 0]
        if row < 0 or row >= edges.shape[0]:
            continue
        first, last = disk[i, 1], disk[i, 2]
        for k in range(first >> 6, (last >> 6) + 1):
            near, far = edges[row, w + k], edges[row, w + k + 1]
            if near | far != ZERO:
                rest &= ~spread(near, far, max(first - 64 * k, 0), min(last - 64 * k, 63))
        if rest == ZERO:
            break
    return bits & ~rest


@jit
def _near(blocks: NDArray[np.uint8], y: int, w: int, rows: int) -> bool:
    """Whether blocks of 32 rows by one word around a word hold any boundary: a quick no."""
    reach, words = rows // 2 + 1, rows // 128 + 1
    for row in range(max(y - reach, 0) // 32 + 1, min((y + reach) // 32 + 2, len(blocks))):
        for column in range(w - words, w + words + 1):
            if blocks[row, column]:
                return True
    return False


@jit
def _match(
    found: Ints,
    edges: Words,
    other: Words,
    blocks: NDArray[np.uint8],
    disks: Ints,
    rows: Ints,
    chosen: Ints,
) -> tuple[int, int]:
    """Boundary pixels that have one of the other mask within the standard and the small disk."""
    standard, adaptive = chosen
    wide, narrow = 0, 0
    for i in range(len(found)):
        y, w = found[i]
        if not _near(blocks, y, w, rows[standard]):
            continue
        bits = edges[y, w]
        near = _reached(bits, other, y, w, disks[adaptive], rows[adaptive])
        narrow += popcount(near)
        if adaptive != standard:  # the small disk lies within the standard one
            near |= _reached(bits & ~near, other, y, w, disks[standard], rows[standard])
        wide += popcount(near)
    return wide, narrow


@jit
def _intersection(planes: Words, spans: Ints) -> int:
    total = 0
    for y in range(
        max(spans[0, -1, 0], spans[1, -1, 0]), min(spans[0, -1, 1], spans[1, -1, 1]) + 1
    ):
        start = max(spans[0, y, 0], spans[1, y, 0])
        for w in range(start, min(spans[0, y, 1], spans[1, y, 1]) + 1):
            total += popcount(planes[0, y, w] & planes[1, y, w])
    return total


@jit
def _clear(plane: Words, spans: Ints) -> None:
    """Empty a plane and its spans."""
    top, bottom = spans[-1]
    for y in range(top, bottom + 1):
        for w in range(spans[y, 0], spans[y, 1] + 1):
            plane[y, w] = ZERO
        spans[y] = NOWHERE
    spans[-1] = NOWHERE


@jit
def _count_object(
    width: int, tolerances: Any, planes: Words, spans: Ints, buffers: Any, counts: Ints
) -> None:
    """Count an object whose planes and areas are there already; leaves all memory empty."""
    disks, rows, choice = tolerances
    edges, blocks, lists = buffers
    pad = (edges.shape[2] - (planes.shape[2] - 1)) >> 1
    n_gt, counts[3] = _boundary(planes[0], spans[0], width, pad, edges[0], blocks[0], lists[0])
    n_pred, counts[4] = _boundary(planes[1], spans[1], width, pad, edges[1], blocks[1], lists[1])
    counts[2] = _intersection(planes, spans)
    if n_gt > 0 and n_pred > 0:
        chosen = choice[min(int(np.ceil(0.1 * np.sqrt(counts[0]))), len(choice) - 1)]
        found = lists[0, :n_gt]
        counts[5], counts[7] = _match(found, edges[0], edges[1], blocks[1], disks, rows, chosen)
        found = lists[1, :n_pred]
        counts[6], counts[8] = _match(found, edges[1], edges[0], blocks[0], disks, rows, chosen)
    for side, n in ((0, n_gt), (1, n_pred)):
        for i in range(n):
            y, w = lists[side, i]
            edges[side, y, w] = ZERO
            blocks[side, y // 32 + 1, w] = 0
        _clear(planes[side], spans[side])


def _count_frame(
    gt: NDArray[np.uint8],
    pred: NDArray[np.uint8],
    index: Ints,
    tolerances: Any,
    planes: Words,
    spans: Ints,
    buffers: Any,
    counts: Ints,
) -> int:
    """Count all objects of a frame; returns the stray pixels of the prediction."""
    _pack(gt, index, planes[0], spans[0], counts, 0)
    strays = _pack(pred, index, planes[1], spans[1], counts, 1)
    for k in range(planes.shape[1]):
        _count_object(gt.shape[1], tolerances, planes[:, k], spans[:, k], buffers, counts[k])
    return strays


@functools.cache
def _kernel() -> Any:
    """`_count_frame`, compiled once for label maps of any layout."""
    labels = types.Array(types.uint8, 2, "A", readonly=True)
    int1, int2, int3, int4 = (types.Array(types.int64, n, "C") for n in (1, 2, 3, 4))
    word3, word4 = (types.Array(types.uint64, n, "C") for n in (3, 4))
    tolerances = types.Tuple((int3, int1, int2))
    buffers = types.Tuple((word3, types.Array(types.uint8, 3, "C"), int3))
    given = labels, labels, int1, tolerances, word4, int4, buffers, int2
    return jit(_count_frame, types.int64(*given))
