"""Filling, blurring and sampling whose results are ours: no version of a library changes a pixel.

OpenCV's `warpAffine`, `resize` and anti-aliased drawing give other bytes from one release to the
next. What is here uses sums, products and roots of IEEE numbers, which are the same everywhere;
sines and exponentials are taken in double precision and rounded to 8 bits before they meet a frame.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=Callable[..., Any])
jit: Callable[[F], F] = numba.njit(cache=True, nogil=True)  # no "fast math": IEEE operations

HALF = 127.5  # opacity from which on a pixel is the object's

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


def polygon(corners: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The pixels whose centres lie inside a closed polygon, by the even-odd rule, and its outline.

    The outline keeps what is thinner than a pixel.

    Args:
        corners: float[N, 2], x and y in pixels; the centre of the first pixel is (0, 0).
        height: of the picture.
        width: of the picture.

    Returns:
        bool[height, width].
    """
    start = np.asarray(corners, np.float64)
    end = np.roll(start, -1, axis=0)
    rows = np.arange(height)[:, None]
    crosses = (start[:, 1] <= rows) != (end[:, 1] <= rows)  # [height, N]
    row, edge = np.nonzero(crosses)
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    x = x0 + (row - y0) * (x1 - x0) / (y1 - y0)
    column = np.clip(np.ceil(x), 0, width).astype(np.intp)
    toggles = np.bincount(row * (width + 1) + column, minlength=height * (width + 1))
    inside = toggles.reshape(height, -1)[:, :width].cumsum(1) % 2 == 1
    steps = int(np.ceil(np.abs(end - start).max())) + 1
    shares = np.arange(steps)[:, None, None] / steps
    outline = np.rint(start + shares * (end - start)).astype(np.intp).reshape(-1, 2)
    x, y = outline[((outline >= 0) & (outline < (width, height))).all(1)].T
    inside[y, x] = True
    return np.asarray(inside)


def disc(height: int, width: int, x: float, y: float, radius: float) -> Reals:
    """A disc with a soft rim one pixel wide: float64[height, width] in 0..1."""
    rows, columns = np.arange(height)[:, None] - y, np.arange(width)[None] - x
    distance = np.sqrt(rows * rows + columns * columns)
    return np.asarray(np.clip(radius + 0.5 - distance, 0, 1), np.float64)


def depth(inside: npt.NDArray[np.bool_], limit: float) -> Reals:
    """How far each pixel is from the nearest one outside, up to `limit`: float64, 0 outside."""
    from scipy.ndimage import distance_transform_edt  # exact: a root of whole numbers

    padded = np.pad(inside, 1)  # what lies beyond the picture is outside
    away = distance_transform_edt(padded)[1:-1, 1:-1]
    return np.asarray(np.minimum(away, limit), np.float64)


def blurred(picture: npt.NDArray[np.floating], sigma: float) -> Reals:
    """A Gaussian blur, [H, W] or [H, W, C]; beyond the border the nearest pixel goes on."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return spread(picture, np.asarray(weights / weights.sum(), np.float64))


def spread(picture: npt.NDArray[np.floating], weights: Reals) -> Reals:
    """A picture averaged along its columns, then its rows, with symmetric weights, float64[2r + 1].

    Beyond the border the nearest pixel goes on.
    """
    result = np.asarray(picture, np.float64)
    reach = len(weights) // 2
    for axis in (0, 1):
        margins = [(reach, reach) if a == axis else (0, 0) for a in range(result.ndim)]
        padded, length = np.pad(result, margins, mode="edge"), result.shape[axis]
        result = sum(
            (
                weight * padded[(slice(None),) * axis + (slice(k, k + length),)]
                for k, weight in enumerate(weights)
            ),
            start=np.zeros_like(result),
        )
    return result


def enlarged(grid: npt.NDArray[np.floating], height: int, width: int) -> Reals:
    """A small grid of values blown up smoothly (cubic convolution, a = -0.75): float64[H, W]."""
    lines = _cubic(np.asarray(grid, np.float64), height)
    return _cubic(lines.T, width).T


def _cubic(grid: Reals, large: int) -> Reals:
    """A grid with `large` rows, each a sum of four: float64[large, N]."""
    small = len(grid)
    place = (np.arange(large) + 0.5) * small / large - 0.5
    first = np.floor(place).astype(np.intp) - 1
    total = np.zeros((large, grid.shape[1]))
    for k in range(4):
        t = np.abs(place - (first + k))
        near = (1.25 * t - 2.25) * t * t + 1
        far = -0.75 * (((t - 5) * t + 8) * t - 4)
        weight = np.where(t <= 1, near, far)
        total += weight[:, None] * grid[np.clip(first + k, 0, small - 1)]
    return total


def window(picture: Floats, height: int, width: int, x: float, y: float) -> Floats:
    """A part of a picture, its first pixel at (x, y), sampled bilinearly.

    Args:
        picture: float32[H, W, 3].
        height: of the part.
        width: of the part.
        x: of the part's left border, 0..W - width.
        y: of its upper border, 0..H - height.

    Returns:
        float32[height, width, 3], a copy.
    """
    part = np.empty((height, width, 3), np.float32)
    _window(picture, part, x, y)
    return part


def stamp(
    canvas: Floats,
    ids: Bytes,
    rgba: Bytes,
    shadow: Bytes,
    matrix: Reals,
    drop: float,
    gain: Floats,
    ident: int,
) -> None:
    """Draw a sprite over its shadow, and its id where it is at least half opaque.

    Args:
        canvas: float32[H, W, 3] in 0..255, drawn on.
        ids: uint8[H, W], drawn on.
        rgba: uint8[S, S, 4], sampled bilinearly.
        shadow: uint8[S, S], its opacity.
        matrix: float64[2, 3], from pixels of the sprite to pixels of the picture.
        drop: pixels by which the shadow falls to the right and down.
        gain: float32[3], light on each channel.
        ident: id written into `ids`.
    """
    box = _box(matrix, len(shadow), ids.shape, drop)
    _stamp(canvas, ids, rgba, shadow, _inverse(matrix), box, drop, gain, ident)


def cover(ids: Bytes, rgba: Bytes, matrix: Reals, ident: int) -> None:
    """Write an id where `stamp` would, and nothing else."""
    _cover(ids, rgba, _inverse(matrix), _box(matrix, len(rgba), ids.shape, 0), ident)


def _inverse(matrix: Reals) -> tuple[float, ...]:
    """From pixels of the picture to pixels of the sprite, row by row."""
    (a, b, e), (c, d, f) = matrix.tolist()
    scale = a * d - b * c
    return (
        *(d / scale, -b / scale, (b * f - d * e) / scale),
        *(-c / scale, a / scale, (c * e - a * f) / scale),
    )


def _box(
    matrix: Reals, side: int, shape: tuple[int, ...], drop: float
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what a sprite and its shadow can reach; the last two excluded."""
    last = side - 1
    corners = matrix @ np.array([[0, last, 0, last], [0, 0, last, last], [1, 1, 1, 1]])
    (left, top), (right, bottom) = corners.min(1), corners.max(1) + drop
    return (
        max(int(np.ceil(left)), 0),
        max(int(np.ceil(top)), 0),
        min(int(np.floor(right)) + 1, shape[1]),
        min(int(np.floor(bottom)) + 1, shape[0]),
    )


# --- the loops over pixels ------------------------------------------------------------------------


@jit
def _window(picture: Floats, part: Floats, x: float, y: float) -> None:
    height, width = part.shape[:2]
    left, top = int(x), int(y)
    right, down = x - left, y - top
    for row in range(height):
        upper = min(top + row, picture.shape[0] - 1)
        lower = min(top + row + 1, picture.shape[0] - 1)
        for column in range(width):
            here = min(left + column, picture.shape[1] - 1)
            beside = min(left + column + 1, picture.shape[1] - 1)
            for k in range(3):
                above = picture[upper, here, k] * (1 - right) + picture[upper, beside, k] * right
                below = picture[lower, here, k] * (1 - right) + picture[lower, beside, k] * right
                part[row, column, k] = above * (1 - down) + below * down


@jit
def _at(channel: Bytes, x: float, y: float) -> float:
    """A square channel at a place, bilinear; 0 beyond its pixels' centres."""
    last = channel.shape[0] - 1
    if x < 0 or y < 0 or x > last or y > last:
        return 0.0
    left, top = min(int(x), last - 1), min(int(y), last - 1)
    right, down = x - left, y - top
    above = channel[top, left] * (1 - right) + channel[top, left + 1] * right
    below = channel[top + 1, left] * (1 - right) + channel[top + 1, left + 1] * right
    return float(above * (1 - down) + below * down)


@jit
def _stamp(
    canvas: Floats,
    ids: Bytes,
    rgba: Bytes,
    shadow: Bytes,
    inverse: tuple[float, ...],
    box: tuple[int, int, int, int],
    drop: float,
    gain: Floats,
    ident: int,
) -> None:
    a, b, e, c, d, f = inverse
    left, top, right, bottom = box
    for row in range(top, bottom):
        for column in range(left, right):
            x, y = column - drop, row - drop
            dark = 1 - _at(shadow, a * x + b * y + e, c * x + d * y + f) * (0.35 / 255)
            x, y = a * column + b * row + e, c * column + d * row + f
            alpha = _at(rgba[..., 3], x, y)
            for k in range(3):
                behind = canvas[row, column, k] * dark
                if alpha > 0:
                    behind += alpha / 255 * (_at(rgba[..., k], x, y) * gain[k] - behind)
                canvas[row, column, k] = behind
            if alpha >= HALF:
                ids[row, column] = ident


@jit
def _cover(
    ids: Bytes,
    rgba: Bytes,
    inverse: tuple[float, ...],
    box: tuple[int, int, int, int],
    ident: int,
) -> None:
    a, b, e, c, d, f = inverse
    left, top, right, bottom = box
    for row in range(top, bottom):
        for column in range(left, right):
            x, y = a * column + b * row + e, c * column + d * row + f
            if _at(rgba[..., 3], x, y) >= HALF:
                ids[row, column] = ident
