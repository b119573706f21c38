"""Dense optical flow carries each mask to the next frame. No model: a second floor.

Flow is DIS (Kroeger et al., ECCV 2016, arXiv 1603.03590) of OpenCV, from the new frame back to the
old one, so that each pixel looks where it came from. What is hidden once is lost for good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from kit.core.masks import Mask
from kit.core.types import FloatArray, FrameResult, FrameSource, Image, Prompt
from kit.propagators.unaided import Masks, carried

VERSION = 1
NEEDS = ()  # no tracker
PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


@dataclass(frozen=True)
class Config:
    """How fine the flow is."""

    preset: Literal["ultrafast", "fast", "medium"] = "medium"


def propagate(
    tracker: None, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Every mask moves with the pixels under it; see `carried`."""
    flow = cv2.DISOpticalFlow.create(PRESETS[config.preset])
    before: dict[int, Image] = {}  # the last frame, grey

    def carry(frame: int, masks: Masks) -> Masks:
        old = before.pop(frame - 1, None)
        now = before[frame] = _grey(frames[frame])
        moved = flow.calc(now, _grey(frames[frame - 1]) if old is None else old, None)
        height, width = now.shape
        grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
        return {id_: _looked_up(mask, grid + moved) for id_, mask in masks.items()}

    return carried(frames, prompts, carry)


def _looked_up(mask: Mask, places: FloatArray) -> Mask:
    """Each pixel of the mask nearest to its place, float32 [H, W, 2] of x and y."""
    found = cv2.remap(mask.astype(np.uint8), places, None, cv2.INTER_NEAREST)
    return np.asarray(found > 0)


def _grey(image: Image) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
