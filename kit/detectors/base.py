"""What every candidate source is given, and how candidates on the given frame are to be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from kit.core.masks import Mask, box_of
from kit.core.types import Image


@dataclass(frozen=True)
class Exemplar:
    """The target as the user drew it.

    Attributes:
        object_id: Of the target.
        frame: Index of the frame of its first mask; candidates are sought on later frames.
        mask: `bool[H, W]`, not empty.
    """

    object_id: int
    frame: int
    mask: Mask


class Limits(Protocol):
    """Which of a detector's answers become candidates."""

    @property
    def threshold(self) -> float:
        """Score that they must reach, 0..1."""

    @property
    def nms_iou(self) -> float:
        """Masks that overlap more are one."""

    @property
    def max_per_frame(self) -> int:
        """The best that are kept, per object."""


def searched(
    exemplars: Sequence[Exemplar], count: int, stride: int, look_alikes: bool
) -> list[tuple[Exemplar, frozenset[int]]]:
    """The indices of the frames on which each target is sought.

    Every `stride`-th of the `count` frames that follow the first exemplar's, as far as they follow
    the target's own; with `look_alikes` its own as well. What is found there beside the target is
    known not to be it, and selectors use it as that.
    """
    first = min((e.frame for e in exemplars), default=count)
    later = range(first + 1, count, stride)
    return [
        (e, frozenset([i for i in later if i > e.frame] + [e.frame] * look_alikes))
        for e in exemplars
    ]


def shows_target(mask: Mask, exemplar: Exemplar) -> bool:
    """Whether a region of the exemplar's frame is the target, part of it, or holds it.

    That is, whether they share more than half of the smaller one of them.
    """
    shared = int((mask & exemplar.mask).sum())
    return 2 * shared > min(int(mask.sum()), int(exemplar.mask.sum()))


def isolated(image: Image, mask: Mask, dilation: float) -> Image:
    """The object alone: what is farther from its mask becomes the frame's mean colour.

    Args:
        image: `uint8[H, W, 3]`.
        mask: `bool[H, W]`, not empty.
        dilation: Width of the seam of background that stays, as a share of the longer side of the
            mask's box.
    """
    left, top, right, bottom = box_of(mask)
    radius = round(float(max(right - left, bottom - top)) * dilation)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    near = cv2.dilate(mask.astype(np.uint8), disk).astype(bool)
    alone = image.copy()
    alone[~near] = image.reshape(-1, 3).mean(0).round().astype(np.uint8)
    return alone
