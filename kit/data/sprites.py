"""Sprites of the drawn videos: shapes, textures, shading, and pasting them into a picture.

Knows nothing about time: a sprite is rendered once and pasted at a pose. Colours are RGB.
"""

import colorsys
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kit.data import raster

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

CONTENT = 0.8  # radius of a shape in its sprite of half-width 1; the rest is room for the shadow
SUPERSAMPLING = 3  # shapes and textures are rendered so many times larger, then averaged
COLOUR_SHARES = (0.5, 0.8)  # a texture covers 50 % with its first colour, 30 % second, 20 % third


@dataclass(frozen=True)
class Theme:
    """Colours that go together: a background ramp and trios, one trio per category."""

    background: tuple[str, str, str]
    trios: tuple[str, ...]


THEMES = (
    Theme(  # meadow
        ("#e9efd2", "#bcd1a0", "#8db07f"),
        ("#e4572e #fbd9a0 #6b2436", "#2e7fa8 #d7ecf2 #17384d", "#7d52a8 #ecd9f7 #3a2159"),
    ),
    Theme(  # lagoon
        ("#d8eff0", "#93cbd6", "#5a9db8"),
        ("#ff6f59 #ffe6d6 #8f2d3a", "#f4bd3a #fff6d8 #7d4f12", "#f4efe4 #35558a #14223d"),
    ),
    Theme(  # dusk
        ("#f7dfca", "#dcaaa8", "#8f76a3"),
        ("#2f6f7e #cdeae5 #143640", "#d8973c #fff0cf #6b3a1c", "#a63d57 #f9d4d6 #4a1530"),
    ),
    Theme(  # dunes
        ("#f5e8cd", "#e0c69a", "#c09d6c"),
        ("#3f7d6e #dcefe2 #1b3d3a", "#c8553d #ffe0c2 #5e1f24", "#4b5fa5 #d9e0f6 #1f2850"),
    ),
    Theme(  # night
        ("#1d2743", "#324669", "#55709a"),
        ("#ffb347 #fff1cf #a4502a", "#6fd6c2 #e6fbf3 #22706e", "#f28fb1 #ffe3ec #8e3a67"),
    ),
    Theme(  # forest
        ("#25402f", "#44694a", "#7d9c69"),
        ("#f2c14e #fff3cd #93611d", "#ef7a5a #ffe1d0 #8a2f2b", "#b7a3e3 #f0eafc #57458c"),
    ),
)


@dataclass(frozen=True)
class Palette:
    """The colours of one video.

    Attributes:
        background: float32[3, 3], RGB in 0..255, from light to dark or back.
        trios: float32[K, 3, 3], colours of one category each.
    """

    background: Floats
    trios: Floats


def palette(theme: Theme, turn: float) -> Palette:
    """The colours of a theme, all hues turned by `turn` degrees, so that they still go together."""
    codes = " ".join((*theme.background, *theme.trios)).split()
    turned = np.array([_turned(code, turn) for code in codes], np.float32).reshape(-1, 3, 3)
    return Palette(turned[0], turned[1:])


def _turned(code: str, turn: float) -> list[float]:
    """A colour "#rrggbb" with its hue turned by degrees, RGB in 0..255."""
    hue, saturation, value = colorsys.rgb_to_hsv(*bytes.fromhex(code[1:]))
    return list(colorsys.hsv_to_rgb((hue + turn / 360) % 1, saturation, value))


# --- shapes: closed curves, one family per category -----------------------------------------------

Reals = npt.NDArray[np.floating]
Curve = Callable[[np.random.Generator, Reals], tuple[Reals, Reals]]


def _polar(radius: Reals, t: Reals) -> tuple[Reals, Reals]:
    return radius * np.cos(t), radius * np.sin(t)


def _pebble(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    bumps = sum(
        rng.uniform(0.04, 0.2) / k * np.cos(k * t + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4)
    )
    return _polar(1 + bumps, t)


def _star(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    points, depth = rng.integers(4, 8), rng.uniform(0.35, 0.6)
    return _polar(1 - depth * np.arccos(0.97 * np.cos(points * t)) / np.pi, t)


def _flower(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    petals, depth = rng.integers(4, 9), rng.uniform(0.3, 0.5)
    return _polar(1 - depth + depth * np.sqrt(np.abs(np.cos(petals * t / 2))), t)


def _gear(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    teeth, depth = rng.integers(6, 12), rng.uniform(0.1, 0.18)
    return _polar(1 + depth * np.tanh(3 * np.cos(teeth * t)), t)


def _polygon(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    corners, power = rng.integers(3, 7), rng.uniform(6, 12)
    sides = 2 * np.pi * np.arange(corners) / corners
    across = np.maximum(np.cos(t[:, None] - sides), 0)
    return _polar(np.sum(across**power, axis=1) ** (-1 / power), t)


def _fish(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    tail, height = rng.uniform(0.5, 0.8), rng.uniform(1.3, 1.9)
    return np.cos(t) - tail * np.sin(t) ** 2, height * np.cos(t) * np.sin(t)


def _heart(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    width, notch = rng.uniform(13, 18), rng.uniform(4, 6)
    y = 13 * np.cos(t) - notch * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return width * np.sin(t) ** 3, -y


def _leaf(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    width, skew = rng.uniform(0.45, 0.7), rng.uniform(-0.25, 0.25)
    return np.cos(t), width * np.sin(t) * np.abs(np.sin(t)) ** 0.6 * (1 + skew * np.cos(t))


def _crescent(rng: np.random.Generator, t: Reals) -> tuple[Reals, Reals]:
    bite = rng.uniform(0.1, 0.4)
    back = np.where(np.cos(t) < 0, -bite, 1.0)
    return np.cos(t) * back, np.sin(t)


FAMILIES: tuple[Curve, ...] = (
    _pebble,
    _star,
    _flower,
    _gear,
    _polygon,
    _fish,
    _heart,
    _leaf,
    _crescent,
)


def silhouette(rng: np.random.Generator, family: int, side: int) -> Bytes:
    """One member of a shape family, filled.

    Args:
        rng: draws the member's details (number of points, depth, width).
        family: index into `FAMILIES`.
        side: width and height of the picture in pixels.

    Returns:
        uint8[side, side], 255 inside, 0 outside, no greys; centred, radius `CONTENT`.
    """
    t = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    curve = np.stack(FAMILIES[family](rng, t), axis=1)
    curve -= (curve.min(axis=0) + curve.max(axis=0)) / 2
    curve *= CONTENT / np.linalg.norm(curve, axis=1).max()
    inside = raster.polygon((curve + 1) / 2 * side - 0.5, side, side)
    return inside.astype(np.uint8) * 255


# --- textures: scalar fields over the sprite ------------------------------------------------------

Field = Callable[[Reals, Reals, float], Reals]  # u, v in -1..1, frequency in radians per unit


def _patches(u: Reals, v: Reals, f: float) -> Reals:
    bent = np.sin(f * v + 1.3 * np.sin(f * u / 1.6 + f))
    return np.asarray(np.sin(f * u + 1.7 * np.sin(f * v / 2)) + bent)


FIELDS: tuple[Field, ...] = (
    lambda u, v, f: np.sin(f * u),  # stripes
    lambda u, v, f: u,  # bands, like a flag
    lambda u, v, f: np.sin(f * u) * np.sin(f * v),  # checks
    lambda u, v, f: np.cos(f * u) + np.cos(f * v),  # dots
    lambda u, v, f: np.cos(f * np.hypot(u, v)),  # rings
    lambda u, v, f: np.cos(np.round(f / 2) * np.arctan2(v, u)),  # sectors
    lambda u, v, f: np.sin(f * (u + np.abs(v))),  # chevrons
    lambda u, v, f: np.sin(f * np.hypot(u, v) + 2 * np.arctan2(v, u)),  # spiral
    _patches,
)
PATCHES = len(FIELDS) - 1


def _texture(rng: np.random.Generator, field: int, inside: Bytes) -> npt.NDArray[np.intp]:
    """Which of three colours is where, by a field's quantiles *inside the shape*.

    Every texture thus shows the same colours in the same shares: a colour histogram cannot tell
    two members of a category apart, only the arrangement can.

    Returns:
        intp[side, side], 0, 1 or 2.
    """
    side = len(inside)
    axis = np.linspace(-1, 1, side) / CONTENT
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(6.5, 9.5)
    u = np.cos(angle) * axis[None] + np.sin(angle) * axis[:, None]
    v = np.cos(angle) * axis[:, None] - np.sin(angle) * axis[None]
    values = FIELDS[field](u, v, frequency)
    # Every third sample is plenty for two quantiles, and a third of the time.
    levels = np.quantile(values[inside > 0][::3], COLOUR_SHARES)
    return np.asarray((values > levels[0]).astype(np.intp) + (values > levels[1]))


# --- sprites --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sprite:
    """A shaded, textured shape, upright at scale 1.

    Attributes:
        rgba: uint8[S, S, 4]; colour also outside the shape, so that no fringe shows.
        shadow: uint8[S, S], opacity of the blurred shadow.
        area: pixels of the shape at scale 1.
    """

    rgba: Bytes
    shadow: Bytes
    area: int


def render(rng: np.random.Generator, family: int, field: int, colours: Floats, size: int) -> Sprite:
    """Render one object.

    Args:
        rng: draws the details of shape and texture.
        family: shape, index into `FAMILIES`.
        field: texture, index into `FIELDS`.
        colours: float32[3, 3], RGB in 0..255.
        size: diameter in pixels at scale 1.
    """
    side = int(np.ceil(size / CONTENT)) + 2
    large = side * SUPERSAMPLING
    inside = silhouette(rng, family, large)
    texture = _texture(rng, field, inside)
    # The mean of a pixel's samples, from how many of them have each colour.
    counts = np.stack([_averaged(texture == k) for k in range(len(colours))], axis=-1)
    painted = sum(counts[..., k, None] * colour.astype(float) for k, colour in enumerate(colours))
    alpha = _averaged(inside > 0)
    shaded = painted * _shading(alpha >= 0.5)[..., None]
    rgba = np.rint(np.dstack([shaded.clip(0, 255), 255 * alpha])).astype(np.uint8)
    shadow = np.rint(raster.blurred(rgba[..., 3], 0.035 * side + 0.3)).astype(np.uint8)
    return Sprite(rgba, shadow, int(np.count_nonzero(rgba[..., 3] >= 128)))


def _averaged(samples: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Shares of true samples in blocks of `SUPERSAMPLING` by as many."""
    side = len(samples) // SUPERSAMPLING
    blocks = samples.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING)
    return np.asarray(blocks.sum((1, 3)) / SUPERSAMPLING**2)


def _shading(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Light on a cushion: float64[S, S], about 0.6 at the dark rim, 1.15 on the lit side."""
    rim = 0.16 * len(inside)
    height = np.sqrt(raster.depth(inside, rim) / rim)
    height = raster.spread(height, np.full(3, 1 / 3))
    padded = np.pad(height, 1, mode="edge")
    # Of each pixel's slope to the right and down, over two pixels.
    across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
    return np.asarray(0.7 + 0.35 * height + (across + down) * len(inside) / 250)


@dataclass(frozen=True)
class Pose:
    """Where and how a sprite is shown on one frame.

    Attributes:
        centre: x, y in pixels.
        scale: 1 = as rendered.
        angle: radians, clockwise on the picture.
        shear: horizontal shift per vertical pixel.
        gain: float32[3], light on each channel, about 1.
    """

    centre: tuple[float, float]
    scale: float
    angle: float
    shear: float
    gain: Floats

    def matrix(self, side: int) -> npt.NDArray[np.float64]:
        """float64[2, 3], from pixels of a sprite `side` wide to pixels of the picture."""
        cos, sin = self.scale * math.cos(self.angle), self.scale * math.sin(self.angle)
        a, b, c, d = cos, cos * self.shear - sin, sin, sin * self.shear + cos
        middle, (x, y) = (side - 1) / 2, self.centre
        return np.array([[a, b, x - (a + b) * middle], [c, d, y - (c + d) * middle]])


def paste(canvas: Floats, ids: Bytes, sprite: Sprite, pose: Pose, ident: int) -> None:
    """Draw a sprite with its shadow, and its id wherever it covers at least half a pixel.

    Args:
        canvas: float32[H, W, 3] in 0..255, drawn on.
        ids: uint8[H, W], drawn on.
        sprite: what.
        pose: where.
        ident: id written into `ids`.
    """
    matrix, drop = pose.matrix(len(sprite.shadow)), 0.05 * len(sprite.shadow)
    raster.stamp(canvas, ids, sprite.rgba, sprite.shadow, matrix, drop, pose.gain, ident)


def cover(ids: Bytes, sprite: Sprite, pose: Pose, ident: int) -> None:
    """Write the id where `paste` would, and nothing else.

    Args:
        ids: uint8[H, W], drawn on.
        sprite: what.
        pose: where.
        ident: id.
    """
    raster.cover(ids, sprite.rgba, pose.matrix(len(sprite.shadow)), ident)
