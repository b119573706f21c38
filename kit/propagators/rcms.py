"""The MOSEv2 organisers' baseline: what was seen well before a disappearance is held on to.

Source: henghuiding/MOSE-api b9afc7d, MOSEv2/sam2_rcms/sam2/sam2_video_predictor.py,
`propagate_in_video`: when an object is first thought absent, its last frames of good quality become
conditioning memory beside the given mask, so that later frames keep recalling it as it looked.
Departures: upstream does so once per object, we at every disappearance; upstream looks back to the
beginning, we as far as the last disappearance, and keep a bounded number of promoted frames.
Everything else is `greedy`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.objects import Choice, Way, follow
from kit.propagators.prompts import Prompted
from kit.propagators.recall import Course, by_distance, closest, forget
from kit.propagators.seen import fetched
from kit.propagators.stream import emit
from kit.trackers.base import Context, Hypothesis, Memory, Tracker

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Defaults are upstream's where it has them."""

    promoted: int = 4  # frames promoted at a disappearance
    min_quality: float = 0.7  # see `quality`; a choice of ours
    most: int = 8  # promoted frames kept, the newest; upstream promotes only once
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object from its first prompt to the end of the video.

    Arguments, results and errors are those of `greedy.propagate`, forward.
    """
    way = Way(lambda own: _Object(own, config), see, redecode_anchors=config.redecode_anchors)
    yield from emit(follow(tracker, frames, prompts, way), prompts)


@dataclass(frozen=True)
class Look:
    """How an object looks in a frame: its object score logit, and `quality`."""

    presence: float
    quality: float


def see(answers: Sequence[Hypothesis]) -> list[Look]:
    """Of each answer (K = 1), in one transfer."""
    rows = fetched([torch.stack([a.presence, quality(a)]) for a in answers])
    return [Look(presence, good) for presence, good in rows]


def quality(answer: Hypothesis) -> Tensor:
    """`sigmoid(presence) * IoU * mean sigmoid(logits) inside the mask`, 0..1, float32 [].

    `_run_single_frame_inference` of the source; 0 for an empty mask, where upstream has NaN, which
    promotes neither.
    """
    inside = answer.logits > 0
    sure = (answer.logits.sigmoid() * inside).sum() / inside.sum().clamp(min=1)
    return answer.presence.sigmoid() * answer.iou.max() * sure


class _Object:
    """An object that remembers how it looked before it went.

    Invariant: `_good` holds the newest frames of good quality since the last disappearance; those
    promoted are among the memories of the prompts.
    """

    def __init__(self, prompted: Prompted, config: Config) -> None:
        self.prompted = prompted
        self._config = config
        self._tracked: dict[int, Memory] = {}
        self._good: dict[int, Memory] = {}
        self._promoted: list[int] = []

    def context(self, frame: int, course: Course) -> Context:
        """Prompts and promoted frames, then the recent past."""
        anchors = self.prompted.memories
        chosen = closest(anchors, frame, course.span.anchors)
        return by_distance(anchors, self._tracked, frame, course, chosen)

    def choose(self, frame: int, answer: Hypothesis, seen: Look) -> Choice:
        """The only hypothesis."""
        return Choice()

    def remember(
        self, frame: int, memory: Memory, seen: Look, choice: Choice, course: Course
    ) -> None:
        """Take in a tracked frame; promote the good ones before it where the object goes."""
        self._tracked = forget({**self._tracked, frame: memory}, frame, course)
        if seen.presence <= 0:
            self._promote()
        elif seen.quality > self._config.min_quality:
            newest = [*self._good.items(), (frame, memory)]
            self._good = dict(newest[-self._config.promoted :])

    def pass_prompt(self, frame: int) -> Hypothesis:
        """Leave a prompted frame behind; its prompt as answer."""
        return self.prompted.answers.pop(frame)

    def _promote(self) -> None:
        """Good frames become anchors; the oldest promoted ones make room."""
        anchors = self.prompted.memories | self._good
        self._tracked = {f: m for f, m in self._tracked.items() if f not in self._good}
        self._promoted += self._good
        surplus = max(len(self._promoted) - self._config.most, 0)
        for frame in self._promoted[:surplus]:
            del anchors[frame]
        self._promoted = self._promoted[surplus:]
        self.prompted.memories = dict(sorted(anchors.items()))
        self._good = {}
