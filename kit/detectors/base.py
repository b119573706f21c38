"""What every candidate source is given, and how candidates on the given frame are to be read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import cv2
import numpy as np

from kit.core.limits import Positive, Range, Share
from kit.core.masks import Mask, box_of, ious
from kit.core.types import Candidate, FirstPass, FrameSource, Image, Video


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


@dataclass(frozen=True)
class Search:
    """All that a source is given.

    Attributes:
        video: Names and sizes.
        frames: Its pictures.
        exemplars: Its targets.
        model: What `MODEL` of the source names, or the tracker of its settings.
        decoder: The SAM that draws masks of prompts, where the settings name one.
        batch: Frames per forward.
        first: What a first pass left, for sources that go on from one.
    """

    video: Video
    frames: FrameSource
    exemplars: Sequence[Exemplar]
    model: Any
    decoder: Any = None
    batch: int = 4
    first: FirstPass | None = None

    def groups(self, indices: Iterable[int]) -> Iterable[Sequence[int]]:
        """Frames as they go through a model together, in order."""
        order = sorted(indices)
        return [order[start : start + self.batch] for start in range(0, len(order), self.batch)]


@dataclass(frozen=True)
class Limits:
    """Which answers become candidates; defaults are those of SAM 3 (transformers: 0.3, no NMS)."""

    threshold: Share = 0.3  # score that they must reach, 0..1
    nms_iou: Share = 0.7  # masks that overlap more are one candidate
    max_per_frame: Annotated[int, Range(1, 200)] = 10  # the best that are kept, per object
    stride: Positive = 1  # every n-th later frame is searched
    look_alikes: bool = False  # search the first frame too, for what is not the target (`margin`)


def searched(search: Search, limits: Limits) -> list[tuple[Exemplar, frozenset[int]]]:
    """The indices of the frames on which each target is sought.

    Every `stride`-th frame that follows the first exemplar's, as far as it follows the target's
    own; with `look_alikes` its own as well. What is found there beside the target is known not to
    be it, and selectors use it as that.
    """
    first = min((e.frame for e in search.exemplars), default=len(search.frames))
    later = range(first + 1, len(search.frames), limits.stride)
    return [
        (e, frozenset([i for i in later if i > e.frame] + [e.frame] * limits.look_alikes))
        for e in search.exemplars
    ]


def accepted(search: Search, exemplar: Exemplar) -> list[Exemplar]:
    """The anchors of a first pass as further exemplars of an object, in temporal order."""
    assert search.first is not None  # stages see to it
    shown = search.first.accepted(search.video, exemplar.object_id)
    return [Exemplar(exemplar.object_id, frame, mask) for frame, mask in shown]


def distinct(found: Sequence[Candidate], limit: float) -> list[Candidate]:
    """Greedy mask-NMS among candidates of one frame, in their order.

    Args:
        found: The candidates, the best first.
        limit: Of two that overlap by a greater IoU the first stays, and is told who else found it.
    """
    if not found:
        return []
    rles = [c.rle for c in found]
    overlap = ious(rles, rles, found[0].shape)
    kept: dict[int, list[str]] = {}  # row of the survivor to the sources that found it
    for row, candidate in enumerate(found):
        same = max(kept, key=lambda other: overlap[row, other], default=None)
        if same is None or overlap[row, same] <= limit:
            kept[row] = [candidate.source]
        else:
            kept[same].append(candidate.source)
    return [replace(found[row], source="+".join(dict.fromkeys(n))) for row, n in kept.items()]


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
