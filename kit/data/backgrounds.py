"""Textured backgrounds of the drawn videos, in the colours of a ramp."""

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def _clouds(rng: np.random.Generator, height: int, width: int, cell: float) -> Floats:
    """Fractal noise in 0..1, its largest blobs `cell` pixels wide."""
    total = np.zeros((height, width), np.float32)
    for octave in range(4):
        shape = (int(height / cell * 2**octave) + 2, int(width / cell * 2**octave) + 2)
        grid = rng.random(shape, np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return np.asarray(cv2.normalize(total, None, 0, 1, cv2.NORM_MINMAX), np.float32)


def _mist(rng: np.random.Generator, height: int, width: int) -> Floats:
    return _clouds(rng, height, width, width / 3)


def _hills(rng: np.random.Generator, height: int, width: int) -> Floats:
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    tone = 0.15 * y / height + np.zeros((1, width), np.float32)
    for ridge in range(1, 6):
        waves = np.sin(x * rng.uniform(3, 9) / width + rng.uniform(0, 6.3)) + 0.4 * np.sin(
            x * rng.uniform(12, 25) / width + rng.uniform(0, 6.3)
        )
        depth = y - height * (ridge / 6 + 0.05 * waves)
        tone = np.where(depth > 0, ridge / 5 - 0.25 * np.exp(-depth / (0.07 * height)), tone)
    return np.asarray(0.85 * tone + 0.15 * _clouds(rng, height, width, width / 8), np.float32)


def _tiles(rng: np.random.Generator, height: int, width: int) -> Floats:
    cell = width / rng.uniform(7, 11)
    rows, columns = int(height / cell) + 2, int(width / cell) + 2
    x = np.arange(width)[None] / cell + 0.5 * (np.arange(height)[:, None] // cell % 2)
    y = np.arange(height)[:, None] / cell + np.zeros((1, width))
    tone = rng.random((rows, columns + 1))[y.astype(int), x.astype(int)]
    seam = np.minimum(np.abs(x % 1 - 0.5), np.abs(y % 1 - 0.5))  # unused corner of a tile
    edge = np.maximum(np.abs(x % 1 - 0.5), np.abs(y % 1 - 0.5)) > 0.46
    tone = 0.25 + 0.4 * tone + 0.1 * seam + 0.25 * edge
    return np.asarray(0.7 * tone + 0.3 * _clouds(rng, height, width, width / 4), np.float32)


def _bokeh(rng: np.random.Generator, height: int, width: int) -> Floats:
    tone = 0.7 * _clouds(rng, height, width, width / 2)
    for _ in range(26):
        disc = np.zeros_like(tone)
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(disc, centre, int(width * rng.uniform(0.015, 0.06)), 1.0, -1, cv2.LINE_AA)
        tone += disc * rng.uniform(-0.12, 0.2)
    return tone


GROUNDS = (_mist, _hills, _tiles, _bokeh)


def draw(rng: np.random.Generator, height: int, width: int, ramp: Floats) -> Floats:
    """A textured picture in the colours of `ramp` (float32[3, 3]); float32[H, W, 3] in 0..255."""
    tone = GROUNDS[rng.integers(len(GROUNDS))](rng, height, width).clip(0, 1)
    light = np.interp(tone, [0, 0.5, 1], [0, 1, 2]).astype(np.float32)
    low = np.minimum(light.astype(np.intp), 1)
    part = (light - low)[..., None]
    picture = ramp[low] * (1 - part) + ramp[low + 1] * part
    grain = rng.standard_normal((height, width, 1), np.float32)
    return np.asarray(picture + 2.5 * grain, np.float32)
