"""The libraries' own way: one pathway, the mask of highest predicted IoU, the recent past.

The algorithm of `SAM2VideoPredictor.propagate_in_video` and of transformers'
`propagate_in_video_iterator`, with one session per object that starts at its own first prompt.
Every prompt becomes a memory before propagation, so that anchors act on the frames before them too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kit.core.types import FrameSource
from kit.propagators.prompts import by_object
from kit.propagators.recall import Bank, Course, closest
from kit.propagators.stream import EncodedFrames, Outbox
from kit.trackers.base import Context, Encoded, FrameResult, Hypothesis, Prompt, Tracker

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Defaults are the libraries' behaviour."""

    anchors: Literal["both", "past"] = "both"  # "past": an anchor does not act on earlier frames
    keep_first_prompt: bool = False  # the first mask always is among the anchors attended to
    redecode_anchors: bool = False  # emit the decoder's mask on anchor frames, not the anchor's


class _Object:
    """One object under way: its prompts as hypotheses, its memories.

    Invariant: `bank.anchors` and `prompts` are complete before the first frame is tracked.
    """

    def __init__(self, prompts: dict[int, Prompt]) -> None:
        self.prompts = prompts
        self.seen: dict[int, Hypothesis] = {}
        self.bank = Bank()
        self.first = min(prompts)

    def prompt(self, frame: int, encoded: Encoded, tracker: Tracker) -> None:
        """Turn the prompt of a frame into a memory."""
        hypothesis = tracker.condition(encoded, self.prompts[frame].mask)
        self.seen[frame] = hypothesis
        self.bank.anchors[frame] = tracker.remember(encoded, [hypothesis])[0]


def propagate(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Segment every object from its first prompt to the end of the video.

    Args:
        tracker: Any tracker.
        frames: The video.
        prompts: In any order; at least one.
        config: Settings.

    Yields:
        One result per frame, ascending, from the earliest prompt on.

    Raises:
        DataError: Prompts that cannot be used; see `by_object`.
    """
    objects = {id_: _Object(own) for id_, own in by_object(prompts, len(frames)).items()}
    course = Course(len(frames), 1, tracker.span)
    source = EncodedFrames(tracker, frames)
    for frame in sorted({prompt.frame for prompt in prompts}):
        for item in objects.values():
            if frame in item.prompts:
                item.prompt(frame, source.early(frame), tracker)
    size = prompts[0].mask.shape
    order = range(min(item.first for item in objects.values()), len(frames))
    outbox: Outbox | None = None
    for frame, encoded in source.walk(order):
        started = {id_: item for id_, item in objects.items() if item.first <= frame}
        answers = _track(tracker, frame, encoded, list(started.values()), course, config)
        if outbox is not None:
            yield outbox.open()
        outbox = Outbox(
            frame,
            started,
            [answer.logits for answer in answers],
            [answer.presence for answer in answers],
            [answer.iou for answer in answers],
            (size[0], size[1]),
        )
    if outbox is not None:
        yield outbox.open()


def _track(
    tracker: Tracker,
    frame: int,
    encoded: Encoded,
    objects: Sequence[_Object],
    course: Course,
    config: Config,
) -> list[Hypothesis]:
    """Hypotheses of all objects in one frame; decoded ones are remembered."""
    open_ = [o for o in objects if frame not in o.prompts or _again(o.prompts[frame], config)]
    contexts = [_context(o.bank, frame, course, config) for o in open_]
    decoded = dict(zip(map(id, open_), tracker.decode(encoded, contexts), strict=True))
    tracked = [o for o in open_ if frame not in o.prompts]
    memories = tracker.remember(encoded, [decoded[id(o)] for o in tracked])
    for item, memory in zip(tracked, memories, strict=True):
        item.bank.add(frame, memory, course)
    return [decoded[id(o)] if id(o) in decoded else o.seen.pop(frame) for o in objects]


def _again(prompt: Prompt, config: Config) -> bool:
    """Whether a prompted frame is decoded nevertheless; the user's mask always stands."""
    return config.redecode_anchors and not prompt.given


def _context(bank: Bank, frame: int, course: Course, config: Config) -> Context:
    anchors = bank.anchors
    if config.anchors == "past":
        anchors = {a: m for a, m in anchors.items() if a <= frame}
    chosen = closest(anchors, frame, course.span.anchors, config.keep_first_prompt)
    return Bank(anchors, bank.tracked).by_distance(frame, course, chosen)
