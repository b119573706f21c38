"""The way through a video for policies in which every object goes a single way.

Knows no policy: an object says what it recalls, which hypothesis lives on, and what becomes of its
memory. On the device nothing waits for the host but what a policy asks to see.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from kit.core.types import FrameSource, Prompt
from kit.propagators.prompts import Prompted, condition
from kit.propagators.recall import Course
from kit.propagators.stream import EncodedFrames
from kit.trackers.base import Context, Encoded, Hypothesis, Memory, Tracker

Seen = TypeVar("Seen")
Told = TypeVar("Told", contravariant=True)
Answers = dict[int, Hypothesis]  # by object id


@dataclass(frozen=True)
class Choice:
    """Which hypothesis lives on.

    Attributes:
        index: Its number.
        trusted: Its memory is worth being recalled.
        held: Its memory is to be held on to, as if the frame had been prompted.
    """

    index: int = 0
    trusted: bool = True
    held: bool = False


class Object(Protocol[Told]):
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

    def choose(self, frame: int, answer: Hypothesis, seen: Told) -> Choice:
        """Decide among the hypotheses of a frame."""
        ...

    def remember(
        self, frame: int, memory: Memory, seen: Told, choice: Choice, course: Course
    ) -> None:
        """Take in a tracked frame, forget what is out of reach."""
        ...

    def pass_prompt(self, frame: int) -> Hypothesis:
        """Leave a prompted frame behind; its prompt as answer."""
        ...


@dataclass(frozen=True)
class Way(Generic[Seen]):
    """How a policy goes.

    Attributes:
        make: An object of its prompts.
        see: What objects are told of their hypotheses, of all in one transfer to the host.
        every: Decode all three hypotheses, not the one of highest predicted IoU alone.
        redecode_anchors: Emit the decoder's mask on anchor frames, not the anchor's.
    """

    make: Callable[[Prompted], Object[Seen]]
    see: Callable[[Sequence[Hypothesis]], Sequence[Seen]]
    every: bool = False
    redecode_anchors: bool = False


def blind(answers: Sequence[Hypothesis]) -> list[None]:
    """See nothing: what lives on and what is remembered does not depend on the numbers."""
    return [None] * len(answers)


def follow(
    tracker: Tracker, frames: FrameSource, prompts: Sequence[Prompt], way: Way[Seen]
) -> Iterator[tuple[int, Answers]]:
    """Answers frame by frame, from the earliest prompt to the end of the video.

    Args:
        tracker: Any tracker.
        frames: The video.
        prompts: In any order; at least one.
        way: The policy.
    """
    source = EncodedFrames(tracker, frames)
    prompted = condition(tracker, source, prompts, len(frames))
    objects = {id_: way.make(own) for id_, own in prompted.items()}
    course = Course(len(frames), tracker.span)
    for frame, encoded in source.walk(range(min(p.frame for p in prompts), len(frames))):
        started = {i: item for i, item in objects.items() if item.prompted.first <= frame}
        given = {i: item for i, item in started.items() if frame in item.prompted.prompts}
        going = {i: item for i, item in started.items() if i not in given}
        found = _at_prompts(tracker, frame, encoded, given, course, way.redecode_anchors)
        found |= _track(tracker, frame, encoded, going, course, way)
        yield frame, {id_: found[id_] for id_ in started}


def _at_prompts(
    tracker: Tracker,
    frame: int,
    encoded: Encoded,
    objects: Mapping[int, Object[Seen]],
    course: Course,
    redecode: bool,
) -> Answers:
    """Answers of objects that have a mask of their own; the user's own one always stands."""
    anchored = {
        id_: item
        for id_, item in objects.items()
        if redecode and not item.prompted.prompts[frame].given
    }
    contexts = [item.context(frame, course) for item in anchored.values()]
    decoded = dict(zip(anchored, tracker.decode(encoded, contexts), strict=True))
    return {id_: item.pass_prompt(frame) for id_, item in objects.items()} | decoded


def _track(
    tracker: Tracker,
    frame: int,
    encoded: Encoded,
    objects: Mapping[int, Object[Seen]],
    course: Course,
    way: Way[Seen],
) -> Answers:
    """Answers of objects that have to be found, and remembered."""
    items = list(objects.values())
    answers = tracker.decode(encoded, [item.context(frame, course) for item in items], way.every)
    told = list(zip(items, answers, way.see(answers), strict=True))
    choices = [item.choose(frame, answer, seen) for item, answer, seen in told]
    chosen = [a.pick(choice.index) for a, choice in zip(answers, choices, strict=True)]
    memories = tracker.remember(encoded, chosen)
    for (item, _, seen), memory, choice in zip(told, memories, choices, strict=True):
        item.remember(frame, memory, seen, choice, course)
    return dict(zip(objects, chosen, strict=True))
