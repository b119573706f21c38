"""Three ways to carry a mask through a video that know nothing; a tracker must beat them."""

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from kit.data import synthetic

LabelMaps = NDArray[np.uint8]  # [T, H, W]
BINS = 8  # of a colour histogram, per channel


def copy(clip: synthetic.Clip) -> LabelMaps:
    """The first masks, on every frame."""
    return np.repeat(clip.labels[:1], len(clip.labels), axis=0)


def optical_flow(clip: synthetic.Clip) -> LabelMaps:
    """The first masks, warped from frame to frame by dense optical flow (DIS, medium preset)."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.frames]
    height, width = greys[0].shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
    maps = [clip.labels[0]]
    for before, now in pairwise(greys):
        places = grid + flow.calc(now, before, None)  # where each pixel was
        maps.append(cv2.remap(maps[-1], places, None, cv2.INTER_NEAREST))
    return np.stack(maps)


def colour_histogram(clip: synthetic.Clip) -> LabelMaps:
    """Per object the largest region of colours that are more frequent in it than elsewhere."""
    codes = _codes(clip.frames)
    maps = np.zeros_like(clip.labels)
    maps[0] = clip.labels[0]
    for ident in (int(i) for i in np.unique(clip.labels[0]) if i):
        inside = _shares(codes[0][clip.labels[0] == ident])
        outside = _shares(codes[0][clip.labels[0] != ident])
        likely = inside > outside
        for t in range(1, len(codes)):
            maps[t][_largest(likely[codes[t]])] = ident
    return maps


def _codes(frames: NDArray[np.uint8]) -> NDArray[np.intp]:
    levels = (frames // (256 // BINS)).astype(np.intp)
    return (levels[..., 0] * BINS + levels[..., 1]) * BINS + levels[..., 2]


def _shares(codes: NDArray[np.intp]) -> NDArray[np.float64]:
    counts = np.bincount(codes, minlength=BINS**3)
    return counts / max(counts.sum(), 1)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if len(stats) < 2:
        return np.zeros_like(mask)
    return np.asarray(parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax())
