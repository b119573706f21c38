"""The MOSEv2 organisers' baseline: what was seen well before a disappearance is held on to.

Source: henghuiding/MOSE-api 241977a, MOSEv2/sam2_rcms/sam2/sam2_video_predictor.py lines 621-639
(`propagate_in_video`) and 820-829 (quality): when an object is first thought absent, its last
frames of good quality become conditioning memory beside the given mask, so that later frames keep
recalling it as it looked. `promoted` is 4 and `min_quality` 0.6 by sam2/build_sam.py, the command
line and the README (the predictor's own 3 for the former is not reached through them).

With `every` the same happens at each disappearance: frames are looked for back to the last one, and
the newest `most` of those promoted are kept. That is ours; upstream does it once per object.
Everything else is `greedy`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.core.limits import Count, Positive, Share
from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.objects import Choice, Way, follow
from kit.propagators.prompts import Prompted
from kit.propagators.recall import Course, by_distance, closest, forget
from kit.propagators.seen import fetched
from kit.propagators.stream import emit
from kit.trackers.base import Context, Hypothesis, Memory, Tracker

VERSION = 3


@dataclass(frozen=True)
class Config:
    """Defaults are upstream's where it has them."""

    promoted: Count = 4  # frames promoted at a disappearance
    min_quality: Share = 0.6  # ... of more than this `quality`
    every: bool = False  # promote at every disappearance, not at the first alone
    most: Positive = 8  # promoted frames kept then, the newest
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
        self._settled = False  # promotes no more

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
        if self._settled:
            return
        if seen.presence <= 0:
            self._promote()
            self._settled = not self._config.every
        elif seen.quality > self._config.min_quality:
            newest = [*self._good.items(), (frame, memory)]
            self._good = dict(newest[-self._config.promoted :])

    def pass_prompt(self, frame: int, answer: Hypothesis) -> None:
        """Leave a prompted frame behind; nothing changes."""

    def _promote(self) -> None:
        """Good frames become anchors; the oldest promoted ones make room."""
        anchors = self.prompted.memories | self._good
        self._tracked = {f: m for f, m in self._tracked.items() if f not in self._good}
        self._promoted += self._good
        surplus = max(len(self._promoted) - self._config.most, 0) if self._config.every else 0
        for frame in self._promoted[:surplus]:
            del anchors[frame]
        self._promoted = self._promoted[surplus:]
        self.prompted.memories = dict(sorted(anchors.items()))
        self._good = {}
