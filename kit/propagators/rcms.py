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

from kit.core.types import FrameSource
from kit.propagators import greedy
from kit.propagators.prompts import Prompted
from kit.propagators.recall import Course
from kit.propagators.stream import emit
from kit.trackers.base import FrameResult, Hypothesis, Memory, Prompt, Tracker

VERSION = 1


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
    answers = greedy.follow(tracker, frames, prompts, lambda prompted: _Object(prompted, config))
    yield from emit(answers, prompts)


def quality(answer: Hypothesis) -> float:
    """`sigmoid(presence) * IoU * mean sigmoid(logits) inside the mask`, 0..1.

    `_run_single_frame_inference` of the source; 0 for an empty mask, where upstream has NaN, which
    promotes neither.
    """
    inside = answer.logits[answer.logits > 0]
    if not len(inside):
        return 0.0
    return float(answer.presence.sigmoid() * answer.iou.max() * inside.sigmoid().mean())


class _Object(greedy.Object):
    """An object that remembers how it looked before it went.

    Invariant: `_good` holds the newest frames of good quality since the last disappearance.
    """

    def __init__(self, prompted: Prompted, config: Config) -> None:
        super().__init__(prompted, greedy.Config(redecode_anchors=config.redecode_anchors))
        self._settings = config
        self._good: dict[int, Memory] = {}
        self._promoted: list[int] = []

    def remember(self, frame: int, memory: Memory, answer: Hypothesis, course: Course) -> None:
        """Take in a tracked frame; promote the good ones before it where the object goes."""
        super().remember(frame, memory, answer, course)
        if bool(answer.presence <= 0):
            self._promote()
        elif quality(answer) > self._settings.min_quality:
            newest = [*self._good.items(), (frame, memory)]
            self._good = dict(newest[-self._settings.promoted :])

    def _promote(self) -> None:
        """Good frames become anchors; the oldest promoted ones make room."""
        anchors = self._prompted.memories | self._good
        self._tracked = {f: m for f, m in self._tracked.items() if f not in self._good}
        self._promoted += self._good
        surplus = max(len(self._promoted) - self._settings.most, 0)
        for frame in self._promoted[:surplus]:
            del anchors[frame]
        self._promoted = self._promoted[surplus:]
        self._prompted.memories = dict(sorted(anchors.items()))
        self._good = {}
