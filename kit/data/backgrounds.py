"""Textured backgrounds of the drawn videos, in the colours of a ramp.

Each pattern is a picture of tones, 0 = first colour of the ramp, 1 = last.
"""

import numpy as np
import numpy.typing as npt

from kit.data import raster

Floats = npt.NDArray[np.float32]


def _clouds(rng: np.random.Generator, height: int, width: int, cell: float) -> Floats:
    """Fractal noise in 0..1, its largest blobs `cell` pixels wide."""
    total = np.zeros((height, width))
    for octave in range(4):
        shape = (int(height / cell * 2**octave) + 2, int(width / cell * 2**octave) + 2)
        grid = rng.random(shape, np.float32)
        total += raster.enlarged(grid, height, width) / 2**octave
    low, high = total.min(), total.max()
    return np.asarray((total - low) / (high - low), np.float32)


def _mist(rng: np.random.Generator, height: int, width: int) -> Floats:
    return _clouds(rng, height, width, width / 4)


def _hills(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Ridge behind ridge, each lit along its crest."""
    x = np.arange(width) / width
    y = np.arange(height)[:, None] / height
    tone = 0.25 * y + np.zeros((1, width))
    ridges = int(rng.integers(4, 7))
    for ridge in range(1, ridges + 1):
        crest = np.sin(x * rng.uniform(4, 10) + rng.uniform(0, 6.3))
        crest += 0.4 * np.sin(x * rng.uniform(12, 25) + rng.uniform(0, 6.3))
        depth = y - ridge / (ridges + 1) - 0.05 * crest
        lit = ridge / ridges - 0.3 * np.exp(-np.maximum(depth, 0) / 0.06)
        tone = np.where(depth > 0, lit, tone)
    return np.asarray(0.85 * tone + 0.15 * _clouds(rng, height, width, width / 8), np.float32)


def _tiles(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A wall of bricks, each of its own tone."""
    cell = width / rng.uniform(9, 14)
    y = np.arange(height, dtype=np.float32)[:, None] / (0.6 * cell) + np.zeros((1, width))
    x = np.arange(width, dtype=np.float32)[None] / cell + 0.5 * (y.astype(np.intp) % 2)
    bricks = rng.random((int(y.max()) + 1, int(x.max()) + 1), np.float32)
    tone = 0.15 + 0.45 * bricks[y.astype(np.intp), x.astype(np.intp)]
    joint = np.maximum(np.abs(x % 1 - 0.5), np.abs(y % 1 - 0.5) * 0.94 + 0.02) > 0.46
    tone += 0.3 * raster.spread(joint.astype(float), np.array([0.25, 0.5, 0.25]))
    return np.asarray(0.8 * tone + 0.2 * _clouds(rng, height, width, width / 4), np.float32)


def _bokeh(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Discs of light, out of focus."""
    tone = 0.25 + 0.6 * _clouds(rng, height, width, width / 2)
    for _ in range(30):
        x, y = int(rng.integers(width)), int(rng.integers(height))
        disc = raster.disc(height, width, x, y, int(width * rng.uniform(0.015, 0.07)))
        tone += (disc * rng.uniform(-0.25, 0.15)).astype(np.float32)
    return tone


PATTERNS = (_mist, _hills, _tiles, _bokeh)


def draw(rng: np.random.Generator, height: int, width: int, ramp: Floats) -> Floats:
    """One background.

    Args:
        rng: draws the pattern and its details.
        height: of the picture, pixels.
        width: of the picture, pixels.
        ramp: float32[3, 3], RGB in 0..255.

    Returns:
        float32[H, W, 3], about 0..255.
    """
    tone = PATTERNS[rng.integers(len(PATTERNS))](rng, height, width)
    steps = np.linspace(0, 2, 256)
    shades = np.stack([np.interp(steps, [0, 1, 2], channel) for channel in ramp.T], axis=1)
    picture = shades.astype(np.float32)[(255 * tone.clip(0, 1)).astype(np.uint8)]
    picture += 2.5 * rng.standard_normal((height, width, 1), np.float32)
    return np.asarray(picture)
