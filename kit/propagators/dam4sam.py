"""DAM4SAM: a few recent frames for how the object looks, and those that tell it from its doubles.

Source: Videnovic et al., "A Distractor-Aware Memory for Visual Object Tracking with SAM2" (arXiv
2411.17576), section 3, as published code behaves where paper and code differ:
jovanavidenovic/DAM4SAM 9c95450, dam4sam_tracker.py lines 211-258 (what enters the DRM),
sam2/modeling/sam2_base.py lines 546-612 (RAM) and 655-662 (pointers), and
`select_closest_cond_frames` of sam2/modeling/sam2_utils.py. That repository carries no licence:
what it does is described here, none of its code is used.

Recent appearances (RAM): of the tracked frames in which the mask is not empty, the last one and
those before it whose number is a multiple of `stride`, the newest first. Temporal positions are
ranks. With R spatial memories beside the first mask there is room for R + 1 minus the DRM.

Distractor-resolving memory (DRM): the prompts, and the newest `distractors` frames held on to; at
temporal position 0. The mask M of highest predicted IoU s, of A pixels, is held on to if
- s > `min_iou`;
- |A / median(A) - 1| <= `max_change`, over the last 10 sizes that are not 0, this one included;
- the last frame held on to is more than `gap` frames back;
- for one of the other masks, with D the largest 8-connected part of it outside M,
  |box(M)| / |box(M or D)| <= `max_ratio`. The boxes end before their last row and column, as those
  of the vot-toolkit 0.7.1 do that the source asks for (vot/region/shapes.py lines 422-425: width is
  right - left); `whole_boxes` has them whole. That matters to small objects: 4 columns of 5 are
  3 / 4 the one way and 4 / 5 the other.
On the next frame it still counts as a recent one.

Pointers are recalled by distance, as in `greedy`, of frames in which the mask is not empty. The
distance is divided by the number of frames before this one, 15 at most: the source gets them one by
one (dam4sam_tracker.py line 194) and does not know how many will come. `online` false divides by 15
from the beginning, or by the length of a shorter video, as SAM 2 does; only the first 15 frames of
an object differ.

Frames are resized by the tracker: the source does it with torchvision's antialiased bilinear, SAM 2
with Pillow's bicubic. `resample: bilinear` of `sam2` has the former; no propagator can choose it.

With `stride` 1, no `distractors` and `online` false this is `greedy` of one prompt, as long as the
object is seen, but for the last bits: three object pointers are projected at once.

Departures:
- Any number of objects, each on its own; any tracker; and anchors. An anchor is in the DRM for good
  and makes no held frame leave it, its size is not among the sizes, and where the prompts
  attended to are limited (`Span.anchors`) the first one always is among them, as upstream. However
  many prompts, at least `recent` frames are recalled.
- Areas and boxes are measured at the model's input size and not at that of the video.
- The memory of a held frame stays as it was made; upstream makes it again, as of a prompt's mask.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import cv2
import numpy as np

from kit.core.limits import Count, Positive, Share
from kit.core.masks import Mask
from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.objects import Choice, Way, follow
from kit.propagators.prompts import Prompted
from kit.propagators.recall import Course, by_distance, closest, forget
from kit.propagators.seen import Shapes, shapes
from kit.propagators.stream import emit
from kit.trackers.base import Context, Hypothesis, Memory, Recall, Tracker

VERSION = 2

_SIZES = 10  # the median is over this many
_FAR = 300  # frames; sizes that lie further back do not count


@dataclass(frozen=True)
class Config:
    """Defaults are those of paper and published code."""

    stride: Positive = 5  # Delta: of frames before the last one, every so many is recalled
    recent: Positive = 3  # frames recalled at least, however full the DRM
    distractors: Count = 3  # frames held on to beside the prompts, the newest
    min_iou: Share = 0.8  # theta_IoU: held on to if the predicted IoU is above
    max_change: Share = 0.2  # theta_area: ... and the area is no further from the median
    max_ratio: Share = 0.7  # theta_anc: ... and the ratio of the boxes is no higher
    gap: Count = 5  # ... and the last one is more than so many frames back
    whole_boxes: bool = False  # ... which take in their last row and column
    online: bool = True  # pointers do not know how long the video is
    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object from its first prompt to the end of the video.

    Arguments, results and errors are those of `greedy.propagate`, forward.
    """
    way = Way(lambda own: _Object(own, config), shapes, True, config.redecode_anchors)
    yield from emit(follow(tracker, frames, prompts, way), prompts)


def recent(frames: Iterable[int], stride: int, most: int) -> list[int]:
    """The newest frame and the multiples of `stride` before it, the `most` newest, ascending."""
    ordered = sorted(frames)
    spaced = [frame for frame in ordered[:-1] if frame % stride == 0]
    return [*spaced, *ordered[-1:]][-most:]


def is_steady(sizes: Sequence[int], most: float) -> bool:
    """Whether the last of an object's sizes (pixels, frame by frame) is like those before it.

    Args:
        sizes: Oldest first; 0 where it was not seen.
        most: Change against the median that is still alike, 0..1.
    """
    if len(sizes) < 2 or not sizes[-1]:
        return False
    ratio = sizes[-1] / median([size for size in sizes if size][-_SIZES:])
    return 1 - most <= ratio <= 1 + most


def box_ratio(chosen: Mask, other: Mask, whole: bool = True) -> float:
    """`|box(M)| / |box(M or D)|`, 0..1, with D the largest part of the other mask outside M.

    Args:
        chosen: M, bool [H, W], not empty.
        other: bool [H, W]; where nothing of it is outside M, the ratio is 1.
        whole: Boxes take in their last row and column; without, two empty boxes are alike.
    """
    outside = (other & ~chosen).astype(np.uint8)
    if not outside.any():
        return 1.0
    _, parts, table, _ = cv2.connectedComponentsWithStats(outside, connectivity=8)
    largest = 1 + int(table[1:, cv2.CC_STAT_AREA].argmax())
    around = _box_area(chosen | (parts == largest), whole)
    return _box_area(chosen, whole) / around if around else 1.0


class _Object:
    """One object under way.

    Invariant: `_recent` holds frames that `recent` can still name, `_held` the newest frames held
    on to, one more than the DRM takes; no frame is in both.
    """

    def __init__(self, prompted: Prompted, config: Config) -> None:
        self.prompted = prompted
        self._config = config
        self._recent: dict[int, Memory] = {}
        self._held: dict[int, Memory] = {}
        self._last_held: int | None = None
        self._pointers: dict[int, Memory] = {}
        self._sizes: deque[int] = deque(maxlen=_FAR)

    def context(self, frame: int, course: Course) -> Context:
        """The DRM, then the RAM; pointers of both and of all frames that showed the object."""
        prompts = self.prompted.acting(frame, self._config.anchors)
        settled = [f for f in self._held if f < frame - 1]
        settled = settled[-self._config.distractors :]
        chosen = [*closest(prompts, frame, course.span.anchors, keep_first=True), *settled]
        anchors = prompts | {f: self._held[f] for f in settled}
        nearby = self._recent | {f: m for f, m in self._held.items() if f == frame - 1}
        most = course.span.recent
        room = min(max(most + 1 - len(chosen), self._config.recent), most)
        near = recent(nearby, self._config.stride, room)
        spatial = [Recall(anchors[a], frame - a, prompted=True) for a in chosen]
        spatial += [Recall(nearby[f], len(near) - i) for i, f in enumerate(near)]
        pointers = {f: memory for f, memory in self._pointers.items() if f not in settled}
        timed = by_distance(anchors, pointers, frame, course, chosen)
        horizon = course.horizon
        if self._config.online:
            horizon = max(min(frame - self.prompted.first, horizon), 1)
        return Context(tuple(spatial), timed.pointers, horizon)

    def choose(self, frame: int, answer: Hypothesis, seen: Shapes) -> Choice:
        """The mask of highest predicted IoU; the others tell whether it has doubles."""
        index = seen.best
        self._sizes.append(seen.areas[index])
        held = self._could_hold(frame, seen.ious[index]) and self._diverges(answer, index)
        return Choice(index, seen.areas[index] > 0, held)

    def remember(
        self, frame: int, memory: Memory, seen: Shapes, choice: Choice, course: Course
    ) -> None:
        """Take in a tracked frame if it shows the object, forget what is out of reach."""
        if choice.held:
            self._last_held = frame
            newest = [*self._held.items(), (frame, memory)]
            self._held = dict(newest[-self._config.distractors - 1 :])
        elif choice.trusted:
            known = {**self._recent, frame: memory}
            self._recent = {
                f: known[f] for f in recent(known, self._config.stride, course.span.recent)
            }
        pointer = {frame: memory.without_place()} if choice.trusted else {}
        self._pointers = forget(self._pointers | pointer, frame, course)

    def pass_prompt(self, frame: int, answer: Hypothesis) -> None:
        """Leave a prompted frame behind; nothing changes."""

    def _could_hold(self, frame: int, iou: float) -> bool:
        """All conditions but the last, which asks for the masks on the host."""
        config = self._config
        rested = self._last_held is None or frame - self._last_held > config.gap
        return (
            config.distractors > 0
            and iou > config.min_iou
            and rested
            and is_steady(self._sizes, config.max_change)
        )

    def _diverges(self, answer: Hypothesis, index: int) -> bool:
        masks = (answer.full > 0).cpu().numpy()
        return any(
            box_ratio(masks[index], mask, self._config.whole_boxes) <= self._config.max_ratio
            for k, mask in enumerate(masks)
            if k != index
        )


def _box_area(mask: Mask, whole: bool) -> int:
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return int((rows[-1] - rows[0] + whole) * (columns[-1] - columns[0] + whole))
