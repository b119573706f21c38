"""Changes of real footage that leave its masks true: mirrored, cropped, in other light.

A few dozen clips are soon known by heart. What is drawn here is drawn once for a clip, so that
time stays smooth: the motion that a tracker learns from is the clip's own.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from kit.core.limits import Range, Share


@dataclass(frozen=True)
class Config:
    """How much of each; at the defaults footage stays as it is."""

    mirror: Share = 0.0  # probability that left and right change places
    crop: Annotated[float, Range(0, 0.9)] = 0.0  # of each side's length is cut off at most
    # brightness is multiplied by 1 - light to 1 + light
    light: Annotated[float, Range(0, 0.9)] = 0.0
    tint: Annotated[float, Range(0, 0.9)] = 0.0  # and each channel by 1 - tint to 1 + tint


def apply(
    rng: np.random.Generator,
    frames: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    config: Config,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A changed copy of a clip.

    Args:
        rng: Draws what changes.
        frames: `uint8[T, H, W, 3]`, RGB.
        labels: `uint8[T, H, W]`.
        config: How much.

    Returns:
        Frames and label maps of one size, not larger than before.
    """
    rows, columns = (_kept(rng, side, config.crop) for side in labels.shape[1:])
    frames, labels = frames[:, rows, columns], labels[:, rows, columns]
    if rng.random() < config.mirror:
        frames, labels = frames[:, :, ::-1], labels[:, :, ::-1]
    gain = 1 + config.light * rng.uniform(-1, 1) + config.tint * rng.uniform(-1, 1, 3)
    levels = np.clip(np.arange(256)[:, None] * gain, 0, 255).astype(np.uint8)  # [256, 3]
    return levels[frames, np.arange(3)], labels


def _kept(rng: np.random.Generator, side: int, crop: float) -> slice:
    length = max(1, round(side * (1 - crop * rng.random())))
    start = int(rng.integers(side - length + 1))
    return slice(start, start + length)
