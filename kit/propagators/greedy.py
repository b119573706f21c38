"""The libraries' own way: one pathway, the mask of highest predicted IoU, the recent past.

The algorithm of `SAM2VideoPredictor.propagate_in_video` and of transformers'
`propagate_in_video_iterator`, with one session per object that starts at its own first prompt.
Every prompt becomes a memory before propagation, so that anchors act on the frames before them too.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kit.core.types import FrameSource
from kit.propagators.prompts import Prompted, by_object, condition
from kit.propagators.recall import (
    Course,
    History,
    Kept,
    by_distance,
    by_rank,
    closest,
    forget,
)
from kit.propagators.stream import EncodedFrames, Reversed, emit
from kit.trackers.base import (
    Context,
    Encoded,
    FrameResult,
    Hypothesis,
    Memory,
    Prompt,
    Tracker,
)

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Defaults are the libraries' behaviour."""

    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    keep_first_prompt: bool = False  # the first mask always is among the anchors attended to
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's
    min_effective_iou: float | None = None  # upstream SAM 3: 0.01; recall only frames above it
    direction: Literal["forward", "backward", "both"] = "forward"  # see `propagate`
    clear_around_anchors: int = 0  # upstream SAM 3: 7; forget this many frames before an anchor


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object forward, backward, or from each prompt both ways.

    Forward goes from an object's first prompt to the end of the video, backward from its last one
    to the beginning; both is forward, but on frames that are nearer to the next prompt than to the
    one before it is backward from there. What runs backward keeps its low-resolution masks in host
    memory (0.25 MB a frame and object at 1024 pixels) till all are known.

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


def follow(
    tracker: Tracker,
    frames: FrameSource,
    prompts: Sequence[Prompt],
    make: "Callable[[Prompted], Object]",
) -> Iterator[tuple[int, dict[int, Hypothesis]]]:
    """Answers by object id, frame by frame; what an object recalls is its own business.

    Args:
        tracker: Any tracker.
        frames: The video.
        prompts: In any order; at least one.
        make: Makes an object of its prompts.
    """
    source = EncodedFrames(tracker, frames)
    prompted = condition(tracker, source, prompts, len(frames))
    objects = {id_: make(own) for id_, own in prompted.items()}
    course = Course(len(frames), tracker.span)
    for frame, encoded in source.walk(range(min(p.frame for p in prompts), len(frames))):
        started = {id_: item for id_, item in objects.items() if item.first <= frame}
        answers = _step(tracker, frame, encoded, list(started.values()), course)
        yield frame, dict(zip(started, answers, strict=True))


def _forward(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, dict[int, Hypothesis]]]:
    """From each object's first prompt on."""
    return follow(tracker, frames, prompts, lambda prompted: Object(prompted, config))


def _backward(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, dict[int, Hypothesis]]]:
    """Forward through the reversed video, told in the order of the video."""
    last = len(frames) - 1
    mirrored = [replace(prompt, frame=last - prompt.frame) for prompt in prompts]
    found = [
        (last - frame, {id_: answer.for_output() for id_, answer in answers.items()})
        for frame, answers in _forward(tracker, Reversed(frames), mirrored, config)
    ]
    return reversed(found)


def _both(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[tuple[int, dict[int, Hypothesis]]]:
    """Forward, and backward where the next prompt is the nearer one."""
    plan = by_object(prompts, len(frames))
    behind = dict(_backward(tracker, frames, prompts, config))
    for frame, ahead in _forward(tracker, frames, prompts, config):
        back = behind.pop(frame, {})
        yield (
            frame,
            {
                id_: back[id_] if _next_is_nearer(frame, plan[id_]) else answer
                for id_, answer in ahead.items()
            },
        )


_DIRECTIONS = {"forward": _forward, "backward": _backward, "both": _both}


def _next_is_nearer(frame: int, prompted: Iterable[int]) -> bool:
    before = max(p for p in prompted if p <= frame)
    after = min((p for p in prompted if p > frame), default=math.inf)
    return after - frame < frame - before


class Object:
    """One object under way.

    Invariant: its anchors are complete before its first frame is tracked; of the tracked frames it
    holds memories that a later frame can recall, no others.
    """

    def __init__(self, prompted: Prompted, config: Config) -> None:
        self.first = prompted.first
        self._prompted = prompted
        self._config = config
        self._tracked: dict[int, Memory] = {}  # recalled by distance
        self._history = History()  # recalled by rank, under memory selection

    def is_prompted(self, frame: int) -> bool:
        """Whether the object has a mask of its own in a frame."""
        return frame in self._prompted.prompts

    def needs_decoding(self, frame: int) -> bool:
        """Whether the decoder has to answer; the user's own mask always stands."""
        prompt = self._prompted.prompts.get(frame)
        return prompt is None or (self._config.redecode_anchors and not prompt.given)

    def context(self, frame: int, course: Course) -> Context:
        """What the object recalls in a frame."""
        anchors = self._prompted.memories
        if self._config.anchors == "past":
            anchors = {a: memory for a, memory in anchors.items() if a <= frame}
        chosen = closest(anchors, frame, course.span.anchors, self._config.keep_first_prompt)
        if self._config.min_effective_iou is None:
            return by_distance(anchors, self._tracked, frame, course, chosen)
        return by_rank(anchors, self._history.recalled, frame, course, chosen)

    def pass_prompt(self, frame: int) -> Hypothesis:
        """Leave a prompted frame behind; its prompt as answer."""
        near = self._config.clear_around_anchors
        self._tracked = {f: m for f, m in self._tracked.items() if abs(frame - f) > near}
        trusted = tuple(k for k in self._history.trusted if abs(frame - k.frame) > near)
        self._history = History(trusted)
        return self._prompted.answers.pop(frame)

    def remember(self, frame: int, memory: Memory, answer: Hypothesis, course: Course) -> None:
        """Take in a tracked frame, forget what is out of reach."""
        least = self._config.min_effective_iou
        if least is None:
            self._tracked = forget({**self._tracked, frame: memory}, frame, course)
            return
        presence, iou = float(answer.presence), float(answer.iou)
        passed = effective_iou(presence, iou) > least
        self._history = self._history.then(Kept(frame, memory, presence), passed, course)


def effective_iou(presence: float, iou: float) -> float:
    """`(2 sigmoid(presence) - 1) * iou` (facebookresearch/sam3 99d02f2, sam3_tracker_base.py).

    Args:
        presence: Object score logit.
        iou: Predicted IoU, 0..1.

    Returns:
        In [-1, 1]; negative where the object is thought absent.
    """
    return math.tanh(presence / 2) * iou  # 2 sigmoid(x) - 1 = tanh(x / 2)


def _step(
    tracker: Tracker, frame: int, encoded: Encoded, objects: Sequence[Object], course: Course
) -> list[Hypothesis]:
    """Answers of all objects in one frame; what was tracked is remembered."""
    decoding = [item for item in objects if item.needs_decoding(frame)]
    contexts = [item.context(frame, course) for item in decoding]
    decoded = dict(zip(decoding, tracker.decode(encoded, contexts), strict=True))
    answers = {o: o.pass_prompt(frame) for o in objects if o.is_prompted(frame)} | decoded
    tracked = [item for item in decoding if not item.is_prompted(frame)]
    memories = tracker.remember(encoded, [decoded[item] for item in tracked])
    for item, memory in zip(tracked, memories, strict=True):
        item.remember(frame, memory, decoded[item], course)
    return [answers[item] for item in objects]
