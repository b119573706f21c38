"""Objects cut out of frames: square crops that may cross the border, and turned copies of them."""

import math
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


def cut(
    image: Image,
    mask: Mask,
    size: int,
    padding: float,
    fill_background: bool,
    corner: tuple[int, int] = (0, 0),
) -> Crop:
    """Cut the square around a mask, whatever of it lies outside the frame filled with its mean.

    Args:
        image: `uint8[H, W, 3]`.
        mask: `bool[h, w]`, not empty.
        size: Side of the result in pixels.
        padding: Margin on each side, as a share of the longer side of the box.
        fill_background: Replace what is not the object by the frame's mean colour as well.
        corner: (row, column) of the mask's first pixel, if it is of a part of the frame.
    """
    left, top, right, bottom = box_of(mask) + np.asarray(corner[::-1] * 2, np.float32)
    half = max(right - left, bottom - top) * (0.5 + padding)
    x, y = (left + right) / 2 - half, (top + bottom) / 2 - half
    side = max(1, round(2 * half))
    place = Place(round(float(x)), round(float(y)), side)
    inside = np.zeros((side, side), bool)
    source, target = place.meets((0, 0), image.shape[:2])
    part, where = place.meets(corner, mask.shape)
    inside[where] = mask[part]
    if fill_background or not place.lies_in(image.shape[:2]):
        pixels = np.empty((side, side, 3), np.uint8)
        pixels[:] = image.reshape(-1, 3).mean(0).round().astype(np.uint8)
        shown = inside[target][..., None] if fill_background else True
        np.copyto(pixels[target], image[source], where=shown)
    else:
        pixels = image[source]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return Crop(
        cv2.resize(pixels, (size, size), interpolation=how).astype(np.uint8),
        cv2.resize(inside.astype(np.float32), (size, size), interpolation=how),
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


def turned(
    image: Image, mask: Mask, size: int, padding: float, fill_background: bool, degrees: float
) -> Crop:
    """The object turned counter-clockwise by any angle.

    Turned in a crop larger by the square root of 2, so that no corner of the result is unseen.
    """
    grown = math.ceil(size * math.sqrt(2))
    wide = cut(image, mask, grown, (0.5 + padding) * grown / size - 0.5, fill_background)
    middle, start = (grown - 1) / 2, (grown - size) // 2
    turn = cv2.getRotationMatrix2D((middle, middle), degrees, 1.0)
    inner = np.s_[start : start + size, start : start + size]
    pixels, weights = (
        cv2.warpAffine(plane, turn, (grown, grown), borderMode=cv2.BORDER_REPLICATE)
        for plane in (wide.pixels, wide.weights)
    )
    return Crop(
        np.ascontiguousarray(pixels[inner], np.uint8),
        np.ascontiguousarray(weights[inner], np.float32),
    )


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


@dataclass(frozen=True)
class Place:
    """A square in a frame, of which it may lie outside in part."""

    x: int
    y: int
    side: int

    def lies_in(self, shape: tuple[int, ...]) -> bool:
        """Whether all of it is in the frame."""
        height, width = shape
        inside = self.x + self.side <= width and self.y + self.side <= height
        return inside and min(self.x, self.y) >= 0

    def meets(
        self, corner: tuple[int, int], shape: tuple[int, ...]
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where it meets a rectangle at (row, column), in that one's and in its own coordinates."""
        theirs, own = [], []
        for start, other, length in zip((self.y, self.x), corner, shape, strict=True):
            low = max(start, other)
            high = max(low, min(start + self.side, other + length))
            theirs.append(slice(low - other, high - other))
            own.append(slice(low - start, high - start))
        return (theirs[0], theirs[1]), (own[0], own[1])
