"""Masks for regions that were found coarsely: SAM's picture predictor, told where to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as nnf

from kit.core.masks import Mask, box_of
from kit.core.types import Image
from kit.trackers.clicks import Clicks, View


@dataclass(frozen=True)
class Region:
    """Part of a frame that may be the target.

    Attributes:
        score: 0..1.
        mask: `bool[H, W]`, not empty.
        peak: (x, y) of its most similar place, pixels.
    """

    score: float
    mask: Mask
    peak: tuple[float, float]


@dataclass(frozen=True)
class Window:
    """Part of a frame that is shown to SAM: left, top, width, height in pixels."""

    x: int
    y: int
    width: int
    height: int


class Picture:
    """A frame on which regions are drawn; encoded as a whole at most once."""

    def __init__(self, clicks: Clicks, image: Image) -> None:
        self._clicks, self._image = clicks, image

    def draw(self, regions: Sequence[Region], prompts: str, zoom: int) -> list[Region]:
        """The regions with SAM's masks; those of which it draws nothing are left out.

        Args:
            regions: Coarse ones.
            prompts: What it is told: "both", "box" or "point".
            zoom: 1: it sees the whole frame; else a part of it around each region, the frame's
                sides divided by this, and twice the region at least.
        """
        if zoom == 1 and regions:
            height, width = self._image.shape[:2]
            return self._drawn(self._whole, Window(0, 0, width, height), regions, prompts)
        drawn = []
        for region in regions:
            window = window_of(region.mask, zoom)
            rows = slice(window.y, window.y + window.height)
            view = self._clicks.look(self._image[rows, window.x : window.x + window.width])
            drawn += self._drawn(view, window, [region], prompts)
        return drawn

    @cached_property
    def _whole(self) -> View:
        return self._clicks.look(self._image)

    def _drawn(
        self, view: View, window: Window, regions: Sequence[Region], prompts: str
    ) -> list[Region]:
        origin, size = [window.x, window.y], [window.width, window.height]
        boxes = np.stack([box_of(region.mask) for region in regions])
        boxes = (boxes - np.tile(origin, 2)) / np.tile(size, 2)
        points = (np.array([region.peak for region in regions]) - origin) / size
        logits = self._clicks.masks(
            view,
            None if prompts == "box" else torch.from_numpy(points).float(),
            None if prompts == "point" else torch.from_numpy(boxes).float(),
        )
        shape = (window.height, window.width)
        inside = (nnf.interpolate(logits[None], shape, mode="bilinear")[0] > 0).cpu().numpy()
        drawn = []
        for region, found in zip(regions, inside, strict=True):
            mask = np.zeros(self._image.shape[:2], bool)
            mask[window.y : window.y + window.height, window.x : window.x + window.width] = found
            if found.any():
                drawn.append(Region(region.score, mask, region.peak))
        return drawn


def window_of(mask: Mask, zoom: int) -> Window:
    """The frame's sides divided by `zoom` around a region, shifted into the frame."""
    left, top, right, bottom = box_of(mask).tolist()
    sides, starts = [], []
    for low, high, length in ((left, right, mask.shape[1]), (top, bottom, mask.shape[0])):
        side = min(length, round(max(length / zoom, 2 * (high - low))))
        sides.append(side)
        starts.append(min(max(round((low + high - side) / 2), 0), length - side))
    return Window(*starts, *sides)
