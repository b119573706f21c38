"""A way to find objects that knows colours alone; a tracker must beat it."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

LabelMaps = NDArray[np.uint8]  # [T, H, W]
BINS = 8  # of a colour histogram, per channel


class Labelled(Protocol):
    """A clip: frames `uint8[T, H, W, 3]`, label maps `uint8[T, H, W]`; the first is looked at."""

    @property
    def frames(self) -> NDArray[np.uint8]:
        """RGB."""
        ...

    @property
    def labels(self) -> LabelMaps:
        """Ids, 0 elsewhere."""
        ...


def colour_histogram(clip: Labelled) -> LabelMaps:
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
