"""Boundary tolerances: which disk an object gets, and the exact pixels of that disk."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@functools.cache
def disk(radius: float) -> tuple[tuple[int, int, int], ...]:
    """Pixels of the structuring element of the organisers' dilation, as row intervals.

    Args:
        radius: in pixels, at least 0; fractions give an asymmetric element.

    Returns:
        `(dy, first dx, last dx)` per row that has pixels, the rows near the centre first: a pixel q
        matches if some boundary pixel lies at q + (dy, dx).

    Source: `disk` of scikit-image (`x*x + y*y <= r*r` on `arange(-r, r + 1)`), the anchor n // 2 of
    OpenCV's `dilate`, which takes an element without any pixel as its upper left corner.
    """
    line = np.arange(-radius, radius + 1)
    inside = line[:, None] ** 2 + line[None, :] ** 2 <= radius**2
    if not inside.any():
        inside[0, 0] = True
    anchor = len(line) // 2
    rows = [
        (row - anchor, int(found[0]) - anchor, int(found[-1]) - anchor)
        for row, pixels in enumerate(inside)
        if len(found := np.flatnonzero(pixels))
    ]
    return tuple(sorted(rows, key=lambda row: abs(row[0])))


TOO_SMALL = (
    "frames of up to 73 pixels of diagonal are too small for the official boundary measure: no "
    "pixel lies within its tolerance, and equal masks get an F near 0. J is not touched"
)


def too_small(shape: tuple[int, ...]) -> bool:
    """Whether the disk of most objects in frames of this height and width has no pixels.

    `disk` then is a shift by one pixel. Of radius r the pixel next to the centre lies at
    (1 - r, 1 - r): within r from 2 - sqrt(2) on.
    """
    return bool(0.008 * np.linalg.norm(shape) < 2 - np.sqrt(2))


@dataclass(frozen=True)
class Tolerances:
    """Radii of the standard and the area-following tolerance for objects of any area.

    Attributes:
        radii: all that occur, in pixels; an entry after the first one, if it is chosen as the
            area-following tolerance, lies within the standard one.
        choice: int64[k, 2], indices into `radii` (standard, area-following) for
            `ceil(0.1 * sqrt(area))` = 0 .. k-1; the last row holds from k-1 on.
    """

    radii: tuple[float, ...]
    choice: NDArray[np.int64]

    def of(self, area: int) -> tuple[float, float]:
        """Radii for an object of so many pixels in the ground truth, in pixels."""
        row = min(int(np.ceil(0.1 * np.sqrt(area))), len(self.choice) - 1)
        standard, adaptive = self.choice[row]
        return self.radii[standard], self.radii[adaptive]

    def table(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The disks for the kernel: int64[radii, rows, 3] padded with 0, and int64[radii] rows."""
        disks = [disk(radius) for radius in self.radii]
        rows = np.array([len(one) for one in disks], dtype=np.int64)
        table = np.zeros((len(disks), int(rows.max()), 3), dtype=np.int64)
        for target, one in zip(table, disks, strict=True):
            target[: len(one)] = one
        return table, rows


def standard(shape: tuple[int, ...], fraction: float = 0.008) -> Tolerances:
    """The same whole radius for every object: `ceil(fraction * diagonal)`.

    Args:
        shape: height and width of the frame.
        fraction: of the diagonal.

    Source: `f_measure` of davis2017-evaluation @ac7c43f.
    """
    radius = float(np.ceil(fraction * np.linalg.norm(shape)))
    return Tolerances((radius,), np.zeros((1, 2), dtype=np.int64))


def adaptive(shape: tuple[int, ...]) -> Tolerances:
    """Smaller radii for small objects, and the unrounded cap 0.008 * diagonal for all others.

    An absent object gets the cap. Where the cap binds, the standard tolerance is the unrounded cap
    too, so that "F" of large objects is not the F of DAVIS.

    Args:
        shape: height and width of the frame.

    Source: `f_measure_adaptive` in MOSEv2/sam2_rcms/tools/metricsv2.py of
    henghuiding/MOSE-api @241977a, called with `bound_th=0.1` and `bound_mode='area'`.
    """
    cap = float(0.008 * np.linalg.norm(shape))
    small = np.arange(1, np.ceil(cap))
    choice = [(0, 0), *((1, 2 + k) for k in range(len(small))), (0, 0)]
    radii = (cap, float(np.ceil(cap)), *small.tolist())
    return Tolerances(radii, np.array(choice, dtype=np.int64))
