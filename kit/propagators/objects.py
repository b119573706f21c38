"""The way through a video for policies in which every object goes a single way.

Knows no policy: an object says what it recalls, which hypothesis lives on, and what becomes of its
memory. Objects that share their memories, a bucket, are one such object here: what it recalls is
the same for all. On the device nothing waits for the host but what a policy asks to see.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
    """One object under way, or a bucket of several.

    Invariant: `choose` (for each object of a bucket) and `remember` are called in turn on every
    tracked frame, `pass_prompt` (for each prompt) on every prompted one. Where objects share a
    bucket, nothing was seen, and what `remember` is told of one is so of all.
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

    def pass_prompt(self, frame: int, answer: Hypothesis) -> None:
        """Leave a prompted frame behind; `answer` is the prompt."""
        ...


@dataclass(frozen=True)
class Way(Generic[Seen]):
    """How a policy goes.

    Attributes:
        make: An object of its prompts.
        see: What objects are told of their hypotheses, of all in one transfer to the host.
        every: Decode all three hypotheses, not the one of highest predicted IoU alone.
        redecode_anchors: Emit the decoder's mask on anchor frames, not the anchor's.
        shared: Objects may share a bucket, for what is recalled depends on time alone. Such a way
            sees nothing.
        ahead: Prompts act on the frames before them too.
    """

    make: Callable[[Prompted], Object[Seen]]
    see: Callable[[Sequence[Hypothesis]], Sequence[Seen]]
    every: bool = False
    redecode_anchors: bool = False
    shared: bool = False
    ahead: bool = True


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
    buckets = condition(tracker, source, prompts, len(frames), way.shared, way.ahead)
    items = [way.make(own) for own in buckets]
    course = Course(len(frames), tracker.span)
    for frame, encoded in source.walk(range(min(p.frame for p in prompts), len(frames))):
        started = [item for item in items if item.prompted.first <= frame]
        found = _advance(tracker, frame, encoded, started, course, way)
        yield frame, dict(sorted(found.items()))


def _advance(
    tracker: Tracker,
    frame: int,
    encoded: Encoded,
    items: Sequence[Object[Seen]],
    course: Course,
    way: Way[Seen],
) -> Answers:
    """Answers of all objects in a frame, which is then remembered."""
    pending = [item for item in items if item.prompted.unprompted(frame)]
    again = [item for item in items if item not in pending and _shown_again(item, frame, way)]
    decoded = _decode(tracker, frame, encoded, again, course, every=False)
    decoded |= _decode(tracker, frame, encoded, pending, course, way.every)

    owner = {id_: item for item in pending for id_ in item.prompted.unprompted(frame)}
    seen = dict(zip(owner, way.see([decoded[i] for i in owner]), strict=True))
    choices = {i: item.choose(frame, decoded[i], seen[i]) for i, item in owner.items()}
    tracked = {i: decoded[i].pick(choice.index) for i, choice in choices.items()}

    given: Answers = {}
    for item in items:
        given |= item.prompted.answers.pop(frame, {})
    rows = [item for item in items if not item.prompted.is_whole(frame)]
    buckets = [item.prompted.bucket(given | tracked) for item in rows]
    for item, memory in zip(rows, tracker.remember(encoded, buckets), strict=True):
        if item.prompted.on(frame):
            item.prompted.keep(frame, memory)
        else:
            told = item.prompted.started(frame)[0]
            item.remember(frame, memory, seen[told], choices[told], course)
    for item in items:
        for id_ in item.prompted.on(frame):
            item.pass_prompt(frame, given[id_])
    shown = {id_: decoded[id_] for item in items for id_ in _shown_again(item, frame, way)}
    return given | tracked | shown


def _shown_again(item: Object[Seen], frame: int, way: Way[Seen]) -> list[int]:
    """Objects with an anchor whose decoded mask is shown; the user's own mask always stands."""
    if not way.redecode_anchors:
        return []
    asked = item.prompted.asked(frame)
    return [i for i, prompt in item.prompted.on(frame).items() if not prompt.given and i in asked]


def _decode(
    tracker: Tracker,
    frame: int,
    encoded: Encoded,
    items: Sequence[Object[Seen]],
    course: Course,
    every: bool,
) -> Answers:
    """Answers of the decoder, for all objects of the buckets that were there before."""
    asked = [item.prompted.asked(frame) for item in items]
    contexts = [
        replace(item.context(frame, course), slots=item.prompted.slots(ids))
        for item, ids in zip(items, asked, strict=True)
    ]
    answers = tracker.decode(encoded, contexts, every)
    return dict(zip([id_ for ids in asked for id_ in ids], answers, strict=True))
