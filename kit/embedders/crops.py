"""Objects cut out of frames: square crops that may cross the border, and turned copies of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.core.masks import Mask, box_of
from kit.core.types import Image


@dataclass(frozen=True)
class Crop:
    """A square view of an object.

    Attributes:
        pixels: `uint8[S, S, 3]` RGB.
        weights: `float32[S, S]` in 0..1, the object's share of each pixel.
    """

    pixels: Image
    weights: NDArray[np.float32]


def cut(image: Image, mask: Mask, size: int, padding: float, fill_background: bool) -> Crop:
    """Cut the square around a mask, whatever of it lies outside the frame filled with its mean.

    Args:
        image: `uint8[H, W, 3]`.
        mask: `bool[H, W]`, not empty.
        size: Side of the result in pixels.
        padding: Margin on each side, as a share of the longer side of the box.
        fill_background: Replace what is not the object by the frame's mean colour as well.
    """
    left, top, right, bottom = box_of(mask)
    half = max(right - left, bottom - top) * (0.5 + padding)
    x, y = (left + right) / 2 - half, (top + bottom) / 2 - half
    side = max(1, round(2 * half))
    mean = image.reshape(-1, 3).mean(0)
    pixels = np.empty((side, side, 3), np.uint8)
    pixels[:] = mean.round().astype(np.uint8)
    inside = np.zeros((side, side), np.float32)
    source, target = _overlap(round(float(x)), round(float(y)), side, mask.shape)
    region = mask[source]
    inside[target] = region
    if fill_background:
        pixels[target][region] = image[source][region]
    else:
        pixels[target] = image[source]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return Crop(
        cv2.resize(pixels, (size, size), interpolation=how).astype(np.uint8),
        cv2.resize(inside, (size, size), interpolation=how).astype(np.float32),
    )


def views(crop: Crop, flips: bool, rotations: bool) -> Iterator[Crop]:
    """The crop, then its quarter turns and mirror images: up to eight, without resampling."""
    turns = range(4) if rotations else range(1)
    for mirrored in (False, True) if flips else (False,):
        for turn in turns:
            pixels, weights = np.rot90(crop.pixels, turn), np.rot90(crop.weights, turn)
            if mirrored:
                pixels, weights = pixels[:, ::-1], weights[:, ::-1]
            yield Crop(np.ascontiguousarray(pixels), np.ascontiguousarray(weights))


def scaled(
    image: Image, mask: Mask, size: int, padding: float, fill_background: bool
) -> Iterator[Crop]:
    """The object smaller and larger in its crop, as a candidate with a poor mask would show it."""
    for factor in (0.7, 1.4):
        yield cut(image, mask, size, (0.5 + padding) / factor - 0.5, fill_background)


def blurred(crop: Crop) -> Crop:
    """As if out of focus: a Gaussian of 1/64 of the side (3.5 pixels of 224)."""
    sigma = crop.pixels.shape[0] / 64
    return Crop(cv2.GaussianBlur(crop.pixels, (0, 0), sigma).astype(np.uint8), crop.weights)


def relit(crop: Crop) -> Iterator[Crop]:
    """In brighter and in dimmer light: gamma 0.5 and 2, black and white stay."""
    for gamma in (0.5, 2.0):
        table = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
        yield Crop(table[crop.pixels], crop.weights)


def greyed(crop: Crop) -> Crop:
    """Without colour: luma after ITU-R BT.601, in all three channels."""
    grey = cv2.cvtColor(crop.pixels, cv2.COLOR_RGB2GRAY)
    return Crop(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8), crop.weights)


def _overlap(
    x: int, y: int, side: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a square at (x, y) meets the frame, in frame and in square coordinates."""
    height, width = shape
    x0, x1 = max(0, x), min(width, x + side)
    y0, y1 = max(0, y), min(height, y + side)
    frame = (slice(y0, y1), slice(x0, x1))
    square = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
    return frame, square
