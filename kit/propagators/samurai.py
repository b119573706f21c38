"""SAMURAI: of three masks the one that is where the object was going, and memory that is gated.

Source: Yang et al., "SAMURAI: Adapting Segment Anything Model for Zero-Shot Visual Tracking with
Motion-Aware Memory" (arXiv 2411.11922), sections 4.1 and 4.2, as published code behaves where paper
and code differ: yangchris11/samurai 76ba195, sam2/sam2/modeling/sam2_base.py lines 419-498 (choice)
and 663-690 (memory), sam2/sam2/utils/kalman_filter.py (see `kalman`).

Choice. A Kalman filter follows the box of the chosen mask. In the first `warm_up` stable frames the
mask of highest predicted IoU s_k is taken; after them, with the predicted box b and the masks'
boxes b_k,

    argmax_k  motion_weight * IoU(b, b_k) + (1 - motion_weight) * s_k

The weight goes with the trunk: 0.15 for Hiera-L, 0.25 for tiny, small and base+
(sam2/sam2/configs/samurai/*.yaml, `kf_score_weight`). SAM 3, which the source does not know, has
the 0.15 of the largest, which is also what its code falls back to (sam2_base.py line 106).

Memory. Of the tracked frames those are recalled, the newest first and as many as spatial memory
takes, with s > `min_iou`, object score logit > `min_presence`, and motion score IoU(b, b_k) >
`min_motion` or none (warm-up); and in any case the last frame. Temporal positions are ranks.
Pointers are recalled by distance, as in `greedy`.

With `motion_weight` 0 and open gates this is `greedy` of one prompt, but for the last bits: three
object pointers are projected at once.

Departures:
- Any number of objects, any tracker, and anchors. An anchor is recalled as in `greedy`, and its box
  is seen by the filter with its overlap with the predicted box as IoU, so that an anchor elsewhere
  starts a new track. As in the source the first prompt is not seen by the filter.
- An empty mask ends a track; the source feeds the filter a box of height 1 at the origin.
- The frame after the prompt can be recalled; the source's loop stops one short of it.
- Whether a mask is emptied by its presence is the tracker's business (object score <= 0); the
  source does so at <= -1.
- Boxes take in their last row and column; the source's end one pixel before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kit.core.limits import Count, Share
from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators import kalman
from kit.propagators.kalman import Box, Track, box_iou
from kit.propagators.objects import Choice, Way, follow
from kit.propagators.prompts import Prompted
from kit.propagators.recall import Course, History, Kept, by_distance, by_rank, closest, forget
from kit.propagators.seen import Shapes, shapes
from kit.propagators.stream import emit
from kit.trackers.base import Context, Hypothesis, Memory, Tracker

VERSION = 2

LARGE_WEIGHT, WEIGHT = 0.15, 0.25


@dataclass(frozen=True)
class Config:
    """Defaults are those of the published configurations (configs/samurai/*.yaml)."""

    warm_up: Count = 15  # stable frames before motion has a say
    stable_iou: Share = 0.3  # a chosen mask of lower predicted IoU ends the track
    motion_weight: Share | None = None  # alpha_kf; null: the trunk's; 0: highest predicted IoU
    min_iou: Share = 0.5  # a frame is recalled if its predicted IoU is above
    min_presence: float = 0.0  # ... and its object score logit
    min_motion: Share = 0.0  # ... and its motion score, if it has one
    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    keep_first_prompt: bool = False  # the first mask always is among the anchors attended to
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's


@dataclass(frozen=True, eq=False)
class Motion:
    """How an object moves.

    Attributes:
        track: None where it is not known.
        stable: Frames in succession that the track rests on.
    """

    track: Track | None = None
    stable: int = 0

    def then(self, predicted: Track | None, box: Box | None, iou: float, least: float) -> "Motion":
        """The motion after a frame.

        Args:
            predicted: The track in this frame, before anything is seen.
            box: What is seen; None if nothing is.
            iou: How sure that is, 0..1.
            least: Below it the track ends.
        """
        if box is None:
            return Motion()
        if predicted is None:  # the source asks no IoU of the box that starts a track
            return Motion(kalman.start(box), 1)
        if iou < least:
            return Motion()
        return Motion(kalman.update(predicted, box), self.stable + 1)


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object from its first prompt to the end of the video.

    Arguments, results and errors are those of `greedy.propagate`, forward.
    """
    config = weighted(config, tracker)
    way = Way(lambda own: _Object(own, config), shapes, True, config.redecode_anchors)
    yield from emit(follow(tracker, frames, prompts, way), prompts)


def weighted(config: Config, tracker: Tracker) -> Config:
    """The settings with the motion weight of a tracker's trunk where they have none."""
    if config.motion_weight is not None:
        return config
    return replace(config, motion_weight=LARGE_WEIGHT if tracker.large else WEIGHT)


def step(motion: Motion, seen: Shapes, config: Config) -> tuple[int, float | None, Motion]:
    """Choose a mask, and follow it.

    Args:
        motion: Up to the frame before.
        seen: The hypotheses.
        config: Settings, `weighted`.

    Returns:
        The number of the chosen mask, its motion score (0..1, None in the warm-up), the motion.
    """
    predicted = kalman.predict(motion.track) if motion.track else None
    index, score = seen.best, None
    if predicted is not None and motion.stable >= config.warm_up:
        assert config.motion_weight is not None
        overlaps = [box_iou(predicted.box, box) if box else 0.0 for box in seen.boxes]
        index = choose(seen.ious, overlaps, config.motion_weight)
        score = overlaps[index]
    after = motion.then(predicted, seen.boxes[index], seen.ious[index], config.stable_iou)
    return index, score, after


def choose(ious: Sequence[float], overlaps: Sequence[float], weight: float) -> int:
    """Number of the mask of highest weighted score; the first of equals.

    Args:
        ious: Predicted IoU of each mask.
        overlaps: IoU of each mask's box with the predicted box.
        weight: Of the overlaps, 0..1.
    """
    scores = [weight * o + (1 - weight) * s for o, s in zip(overlaps, ious, strict=True)]
    return scores.index(max(scores))


def passes(iou: float, presence: float, motion: float | None, config: Config) -> bool:
    """Whether a frame may be recalled: all three scores are above their thresholds."""
    return (
        iou > config.min_iou
        and presence > config.min_presence
        and (motion is None or motion > config.min_motion)
    )


class _Object:
    """One object under way.

    Invariant: of the tracked frames it holds the memories that a later frame can recall; `_motion`
    has taken in every frame up to the last.
    """

    def __init__(self, prompted: Prompted, config: Config) -> None:
        self.prompted = prompted
        self._config = config
        self._motion = Motion()
        self._history = History()  # spatial memories, by rank
        self._pointers: dict[int, Memory] = {}  # by distance

    def context(self, frame: int, course: Course) -> Context:
        """Gated spatial memories, and pointers of all frames."""
        anchors = self.prompted.acting(frame, self._config.anchors)
        chosen = closest(anchors, frame, course.span.anchors, self._config.keep_first_prompt)
        ranked = by_rank(anchors, self._history.recalled, frame, course, chosen)
        timed = by_distance(anchors, self._pointers, frame, course, chosen)
        return Context(ranked.spatial, timed.pointers, course.horizon)

    def choose(self, frame: int, answer: Hypothesis, seen: Shapes) -> Choice:
        """By predicted IoU and motion."""
        index, score, self._motion = step(self._motion, seen, self._config)
        return Choice(index, passes(seen.ious[index], seen.presence, score, self._config))

    def remember(
        self, frame: int, memory: Memory, seen: Shapes, choice: Choice, course: Course
    ) -> None:
        """Take in a tracked frame, forget what is out of reach."""
        kept = Kept(frame, memory, seen.presence)
        trusted = (*self._history.trusted, kept) if choice.trusted else self._history.trusted
        self._history = History(trusted[-course.span.recent :], kept)
        self._pointers = forget({**self._pointers, frame: memory.without_place()}, frame, course)

    def pass_prompt(self, frame: int, answer: Hypothesis) -> None:
        """Leave a prompted frame behind; its box is seen like any other, but for the first."""
        self._history = History(self._history.trusted)
        if frame != self.prompted.first:
            predicted = kalman.predict(self._motion.track) if self._motion.track else None
            (box,) = shapes([answer])[0].boxes
            overlap = box_iou(predicted.box, box) if predicted and box else 0.0
            if overlap < self._config.stable_iou:
                predicted = None
            self._motion = self._motion.then(predicted, box, overlap, self._config.stable_iou)
