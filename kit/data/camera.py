"""A camera over a picture: how it moves, and what it does to what it sees."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Config:
    """How much of everything; shares are probabilities, 0..1."""

    pan: float = 0.12  # swing sideways and up, as a share of the view
    zoom: float = 0.15  # swing of the focal length, as a share
    roll: float = 6.0  # swing, degrees
    tilt: float = 0.08  # swing of perspective
    light: float = 0.2  # swing of brightness
    tint: float = 0.06  # of each channel
    ramp: float = 0.3  # of the light from one side of the picture to the other, at most
    blurred: float = 0.3  # share of the clips with motion blur ...
    reach: float = 7.0  # ... of so many pixels, at most
    defocused: float = 0.25  # share of the clips out of focus, by up to 1.8 px
    noise: float = 6.0  # standard deviation, grey levels, at most
    compressed: float = 0.5  # share of the clips as JPEG of quality 25 to 90


def course(rng: np.random.Generator, frames: int, swing: float) -> Reals:
    """A smooth curve about zero, within about -swing..swing: float64[T]."""
    t = np.arange(frames)
    slow, fast = rng.uniform(20, 90), rng.uniform(6, 20)
    curve = np.sin(2 * np.pi * (t / slow + rng.random()))
    curve = curve + 0.3 * np.sin(2 * np.pi * (t / fast + rng.random()))
    return np.asarray(swing * rng.uniform(0, 1) * curve)


def view(
    rng: np.random.Generator,
    picture: tuple[int, ...],
    shape: tuple[int, int],
    frames: int,
    config: Config,
) -> Reals:
    """Where the camera looks: homographies from the picture to the frame, float64[T, 3, 3].

    Args:
        rng: draws the way.
        picture: height and width of what is filmed.
        shape: height and width of the frames.
        frames: T.
        config: how far it moves.
    """
    height, width = shape
    fit = max(height / picture[0], width / picture[1])
    scale = fit * rng.uniform(1.0, 1.3) * np.exp(course(rng, frames, config.zoom))
    angle = np.radians(course(rng, frames, config.roll))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrices = np.zeros((frames, 3, 3))
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 0, 2] = cos, -sin, width / 2
    matrices[:, 1, 0], matrices[:, 1, 1], matrices[:, 1, 2] = sin, cos, height / 2
    matrices[:, 0, 2] += width * course(rng, frames, config.pan)
    matrices[:, 1, 2] += height * course(rng, frames, config.pan)
    matrices[:, 2, 0] = course(rng, frames, config.tilt) / picture[1]
    matrices[:, 2, 1] = course(rng, frames, config.tilt) / picture[0]
    matrices[:, 2, 2] = 1
    middle = np.array([[1, 0, -(picture[1] - 1) / 2], [0, 1, -(picture[0] - 1) / 2], [0, 0, 1]])
    return np.asarray(matrices @ middle)


def seen(
    image: Bytes, labels: Bytes, matrix: Reals, shape: tuple[int, int]
) -> tuple[Floats, Bytes]:
    """A frame of a picture and of its label map: float32[H, W, 3], uint8[H, W].

    Beyond the picture's border it goes on mirrored, without labels.
    """
    size = (shape[1], shape[0])
    frame = cv2.warpPerspective(image, matrix, size, borderMode=cv2.BORDER_REFLECT_101)
    ids = cv2.warpPerspective(labels, matrix, size, flags=cv2.INTER_NEAREST)
    return frame.astype(np.float32), ids


def developed(
    rng: np.random.Generator, frames: Bytes, view: Reals, times: Sequence[int], config: Config
) -> Bytes:
    """Frames as a camera leaves them: lit, blurred, noisy, compressed. uint8[T, H, W, 3]."""
    levels = _levels(rng, len(view), config)[list(times)]
    ramp = _ramp(rng, frames.shape[1:3], config.ramp)
    blur = _kernel(rng, config)
    noise = config.noise * rng.uniform(0, 1) ** 2
    quality = int(rng.integers(25, 91)) if rng.random() < config.compressed else 0
    result = np.empty_like(frames)
    for frame, gain, into in zip(frames, levels, result, strict=True):
        lit = frame * (ramp * gain)
        if blur is not None:
            lit = cv2.filter2D(lit, -1, blur, borderType=cv2.BORDER_REFLECT_101)
        if noise > 0.5:
            lit += np.float32(noise) * rng.standard_normal(lit.shape, np.float32)
        into[:] = _compressed(lit.clip(0, 255).astype(np.uint8), quality)
    return result


def _levels(rng: np.random.Generator, frames: int, config: Config) -> Floats:
    """Light on each channel, float32[T, 3]."""
    light = rng.uniform(-1, 1) * config.light + course(rng, frames, config.light / 2)
    tint = rng.uniform(-1, 1, 3) * config.tint
    return np.exp(light[:, None] + tint).astype(np.float32)


def _ramp(rng: np.random.Generator, shape: tuple[int, ...], most: float) -> Floats:
    """Light that comes from one side, float32[H, W, 1] about 1."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, most)
    x, y = np.linspace(-1, 1, shape[1])[None], np.linspace(-1, 1, shape[0])[:, None]
    along = 1 + depth / 2 * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(along[..., None], np.float32)


def _kernel(rng: np.random.Generator, config: Config) -> Floats | None:
    """What a point becomes: a streak, a spot, both or itself (None)."""
    side = 2 * int(config.reach) + 5
    kernel = np.zeros((side, side), np.float32)
    kernel[side // 2, side // 2] = 1
    streak, spot = rng.random() < config.blurred, rng.random() < config.defocused
    if streak:
        angle, half = rng.uniform(0, np.pi), rng.uniform(0.5, config.reach / 2)
        steps = np.linspace(-half, half, 2 * int(config.reach) + 1)
        places = np.rint(side // 2 + steps[:, None] * (np.sin(angle), np.cos(angle))).astype(int)
        kernel[tuple(places.T)] = 1
    if spot:
        kernel = cv2.GaussianBlur(kernel, (0, 0), rng.uniform(0.5, 1.8))
    return np.asarray(kernel / kernel.sum(), np.float32) if streak or spot else None


def _compressed(frame: Bytes, quality: int) -> Bytes:
    if not quality:
        return frame
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
