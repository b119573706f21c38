"""The way through a video for policies that look at all three hypotheses before one is chosen.

What `greedy.follow` is for those that take the mask of highest predicted IoU. Knows no policy: an
object says what it recalls, which hypothesis lives on, and what becomes of its memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from kit.core.types import FrameSource
from kit.propagators.kalman import Box
from kit.propagators.prompts import Prompted, condition
from kit.propagators.recall import Course
from kit.propagators.stream import EncodedFrames
from kit.trackers.base import Context, Encoded, Hypothesis, Memory, Prompt, Tracker


@dataclass(frozen=True)
class Seen:
    """What an object's K hypotheses say, on the host.

    Attributes:
        ious: Predicted IoU of each, 0..1.
        presence: Object score logit.
        areas: Pixels of each mask, at the model's input size.
        boxes: Of each mask, in the same pixels; None of an empty one.
    """

    ious: tuple[float, ...]
    presence: float
    areas: tuple[int, ...]
    boxes: tuple[Box | None, ...]

    @property
    def best(self) -> int:
        """The hypothesis of highest predicted IoU, the first of equals."""
        return max(range(len(self.ious)), key=self.ious.__getitem__)


@dataclass(frozen=True)
class Choice:
    """Which hypothesis lives on.

    Attributes:
        index: Its number.
        trusted: Its memory is worth being recalled.
        held: Its memory is to be held on to, as if the frame had been prompted.
    """

    index: int
    trusted: bool
    held: bool = False


class Chooser(Protocol):
    """One object under way.

    Invariant: `choose` and `remember` are called in turn on every tracked frame, `pass_prompt` on
    every prompted one.
    """

    @property
    def prompted(self) -> Prompted:
        """Its prompts."""
        ...

    def context(self, frame: int, course: Course) -> Context:
        """What it recalls in a frame."""
        ...

    def choose(self, frame: int, answer: Hypothesis, seen: Seen) -> Choice:
        """Decide among the K hypotheses of a frame."""
        ...

    def remember(
        self, frame: int, memory: Memory, seen: Seen, choice: Choice, course: Course
    ) -> None:
        """Take in a tracked frame, forget what is out of reach."""
        ...

    def pass_prompt(self, frame: int) -> Hypothesis:
        """Leave a prompted frame behind; its prompt as answer."""
        ...


def follow(
    tracker: Tracker,
    frames: FrameSource,
    prompts: Sequence[Prompt],
    make: Callable[[Prompted], Chooser],
) -> Iterator[tuple[int, dict[int, Hypothesis]]]:
    """Answers by object id, frame by frame, from the earliest prompt to the end of the video.

    Args:
        tracker: Any tracker.
        frames: The video.
        prompts: In any order; at least one.
        make: Makes an object of its prompts.
    """
    source = EncodedFrames(tracker, frames)
    objects = {
        id_: make(own) for id_, own in condition(tracker, source, prompts, len(frames)).items()
    }
    course = Course(len(frames), tracker.span)
    for frame, encoded in source.walk(range(min(p.frame for p in prompts), len(frames))):
        started = {id_: item for id_, item in objects.items() if item.prompted.first <= frame}
        yield frame, _step(tracker, frame, encoded, started, course)


def see(answers: Sequence[Hypothesis]) -> list[Seen]:
    """Numbers of all answers, in one transfer."""
    if not answers:
        return []
    table = torch.stack([_numbers(answer) for answer in answers]).tolist()
    return [_seen(row) for row in table]


def _step(
    tracker: Tracker, frame: int, encoded: Encoded, objects: dict[int, Chooser], course: Course
) -> dict[int, Hypothesis]:
    """Answers of all objects in one frame; what was tracked is remembered."""
    going = {id_: item for id_, item in objects.items() if frame not in item.prompted.prompts}
    contexts = [item.context(frame, course) for item in going.values()]
    answers = tracker.decode(encoded, contexts, every=True)
    numbers = see(answers)
    choices = [
        item.choose(frame, answer, seen)
        for item, answer, seen in zip(going.values(), answers, numbers, strict=True)
    ]
    chosen = [a.pick(choice.index) for a, choice in zip(answers, choices, strict=True)]
    memories = tracker.remember(encoded, chosen)
    for item, memory, seen, choice in zip(going.values(), memories, numbers, choices, strict=True):
        item.remember(frame, memory, seen, choice, course)
    found = dict(zip(going, chosen, strict=True))
    return {
        id_: found[id_] if id_ in found else item.pass_prompt(frame)
        for id_, item in objects.items()
    }


def _numbers(answer: Hypothesis) -> Tensor:
    """float32 [K * 6 + 1]: IoUs, presence, areas, boxes."""
    masks = answer.full > 0
    parts = (answer.iou, answer.presence[None], masks.sum((-2, -1)), _boxes(masks).flatten())
    return torch.cat([part.float() for part in parts])


def _boxes(masks: Tensor) -> Tensor:
    """int64 [K, 4] of bool [K, H, W]; of no meaning where a mask is empty."""
    edges = []
    for line in (masks.any(-2), masks.any(-1)):  # columns, then rows
        first, last = line.int().argmax(-1), line.shape[-1] - line.flip(-1).int().argmax(-1)
        edges.append((first, last))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], -1)


def _seen(row: Sequence[float]) -> Seen:
    count = (len(row) - 1) // 6
    areas = tuple(int(area) for area in row[count + 1 : 2 * count + 1])
    edges = row[2 * count + 1 :]
    boxes = tuple(
        (edges[4 * k], edges[4 * k + 1], edges[4 * k + 2], edges[4 * k + 3]) if area else None
        for k, area in enumerate(areas)
    )
    return Seen(tuple(row[:count]), row[count], areas, boxes)
