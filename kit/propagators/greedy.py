"""The libraries' own way: one pathway, the mask of highest predicted IoU, the recent past.

The algorithm of `SAM2VideoPredictor.propagate_in_video` and of transformers'
`propagate_in_video_iterator`, with one session per object that starts at its own first prompt.
Every prompt becomes a memory before propagation, so that anchors act on the frames before them too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kit.core.limits import Count, Share
from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.backward import Reversed
from kit.propagators.objects import Answers, Choice, Way, blind, follow
from kit.propagators.prompts import Prompted, by_object
from kit.propagators.recall import (
    Course,
    History,
    Kept,
    by_distance,
    by_rank,
    closest,
    forget,
)
from kit.propagators.seen import Scores, scores
from kit.propagators.shelf import Shelf, Shelved
from kit.propagators.stream import emit
from kit.trackers.base import Context, Hypothesis, Memory, Tracker

VERSION = 1
RUNS_FORWARD = "is_forward"


@dataclass(frozen=True)
class Config:
    """Defaults are the libraries' behaviour."""

    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    keep_first_prompt: bool = False  # the first mask always is among the anchors attended to
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's
    min_effective_iou: Share | None = None  # upstream SAM 3: 0.01; recall only frames above it
    direction: Literal["forward", "backward", "both"] = "forward"  # see `propagate`
    clear_around_anchors: Count = 0  # upstream SAM 3: 7; forget this many frames before an anchor

    @property
    def is_forward(self) -> bool:
        """Whether frames are gone through in their order alone."""
        return self.direction == "forward"


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object forward, backward, or from each prompt both ways.

    Forward goes from an object's first prompt to the end of the video, backward from its last one
    to the beginning; both is forward, but on frames that are nearer to the next prompt than to the
    one before it is backward from there, and so encodes every frame twice. Masks of what runs
    backward lie on disk till all are known (see `Shelf`).

    Args:
        tracker: Any tracker.
        frames: The video.
        prompts: In any order; at least one.
        config: Settings.

    Yields:
        One result per frame, ascending: forward and both from the earliest prompt to the end,
        backward from the beginning to the latest prompt.

    Raises:
        DataError: Prompts that cannot be used; see `by_object`.
    """
    way = _DIRECTIONS[config.direction]
    yield from emit(way(tracker, frames, prompts, config), prompts)


def _forward(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, Answers]]:
    """From each object's first prompt on."""
    see: Callable[[Sequence[Hypothesis]], Sequence[Scores | None]]
    timed = config.min_effective_iou is None
    see = blind if timed else scores
    way = Way(
        lambda own: _Object(own, config),
        see,
        redecode_anchors=config.redecode_anchors,
        shared=timed,
        ahead=config.anchors == "both",
    )
    return follow(tracker, frames, prompts, way)


def _backward(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, Answers]]:
    """From each object's last prompt to the beginning, told in the order of the video."""
    for frame, answers in reversed(_turned(tracker, frames, prompts, config).items()):
        yield frame, {id_: shelved.taken() for id_, shelved in answers.items()}


def _turned(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> dict[int, dict[int, Shelved]]:
    """Answers of the way forward through the reversed video, by frame of the video, descending."""
    last, shelf = len(frames) - 1, Shelf()
    mirrored = [replace(prompt, frame=last - prompt.frame) for prompt in prompts]
    return {
        last - frame: dict(zip(answers, shelf.put(list(answers.values())), strict=True))
        for frame, answers in _forward(tracker, Reversed(frames), mirrored, config)
    }


def _both(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, Answers]]:
    """Forward, and backward where the next prompt is the nearer one."""
    plan = by_object(prompts, len(frames))
    behind = _turned(tracker, frames, prompts, config)
    for frame, answers in _forward(tracker, frames, prompts, config):
        back = behind.pop(frame, {})
        near = {i: back[i].taken() for i in answers if _next_is_nearer(frame, plan[i])}
        yield frame, answers | near


_DIRECTIONS = {"forward": _forward, "backward": _backward, "both": _both}


def _next_is_nearer(frame: int, prompted: Iterable[int]) -> bool:
    before = max(p for p in prompted if p <= frame)
    after = min((p for p in prompted if p > frame), default=math.inf)
    return after - frame < frame - before


class _Object:
    """One object under way, or a bucket of several.

    Invariant: its anchors are complete before its first frame is tracked; of the tracked frames it
    holds memories that a later frame can recall, no others.
    """

    def __init__(self, prompted: Prompted, config: Config) -> None:
        self.prompted = prompted
        self._config = config
        self._tracked: dict[int, Memory] = {}  # recalled by distance
        self._history = History()  # recalled by rank, under memory selection

    def context(self, frame: int, course: Course) -> Context:
        """What the object recalls in a frame."""
        anchors = self.prompted.acting(frame, self._config.anchors)
        chosen = closest(anchors, frame, course.span.anchors, self._config.keep_first_prompt)
        if self._config.min_effective_iou is None:
            return by_distance(anchors, self._tracked, frame, course, chosen)
        return by_rank(anchors, self._history.recalled, frame, course, chosen)

    def pass_prompt(self, frame: int, answer: Hypothesis) -> None:
        """Leave a prompted frame behind."""
        near = self._config.clear_around_anchors
        self._tracked = {f: m for f, m in self._tracked.items() if abs(frame - f) > near}
        trusted = tuple(k for k in self._history.trusted if abs(frame - k.frame) > near)
        self._history = History(trusted)

    def choose(self, frame: int, answer: Hypothesis, seen: Scores | None) -> Choice:
        """The only hypothesis; under memory selection its scores say whether it is recalled."""
        least = self._config.min_effective_iou
        if seen is None or least is None:
            return Choice()
        return Choice(trusted=effective_iou(seen.presence, seen.ious[0]) > least)

    def remember(
        self, frame: int, memory: Memory, seen: Scores | None, choice: Choice, course: Course
    ) -> None:
        """Take in a tracked frame, forget what is out of reach."""
        if seen is None:
            self._tracked = forget({**self._tracked, frame: memory}, frame, course)
        else:
            kept = Kept(frame, memory, seen.presence)
            self._history = self._history.then(kept, choice.trusted, course)


def effective_iou(presence: float, iou: float) -> float:
    """`(2 sigmoid(presence) - 1) * iou` (facebookresearch/sam3 99d02f2, sam3_tracker_base.py).

    Args:
        presence: Object score logit.
        iou: Predicted IoU, 0..1.

    Returns:
        In [-1, 1]; negative where the object is thought absent.
    """
    return math.tanh(presence / 2) * iou  # 2 sigmoid(x) - 1 = tanh(x / 2)
