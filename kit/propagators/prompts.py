"""Prompts checked, put in order and into buckets, and turned into memories."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kit.core.errors import DataError
from kit.core.types import Prompt
from kit.propagators.stream import EncodedFrames
from kit.trackers.base import Bucket, Hypothesis, Memory, Tracker


@dataclass
class Prompted:
    """The prompts of a bucket: of one object, or of several that share their memories.

    Attributes:
        prompts: By object id, in the order of the slots, and by frame, ascending.
        answers: The same as hypotheses, by frame and object id; a frame's are let go when it has
            had its turn.
        memories: Of the prompted frames, by frame, ascending; kept to the end.
    """

    prompts: Mapping[int, Mapping[int, Prompt]]
    answers: dict[int, dict[int, Hypothesis]] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The frame on which the bucket starts."""
        return min(self._first(id_) for id_ in self.prompts)

    def on(self, frame: int) -> dict[int, Prompt]:
        """The prompts of a frame, by object id."""
        return {id_: own[frame] for id_, own in self.prompts.items() if frame in own}

    def started(self, frame: int) -> list[int]:
        """Objects that have started, those that start on this frame included."""
        return [id_ for id_ in self.prompts if self._first(id_) <= frame]

    def asked(self, frame: int) -> list[int]:
        """Objects that a frame is decoded for: those of before; where the bucket starts, all."""
        before = [id_ for id_ in self.prompts if self._first(id_) < frame]
        return before or self.started(frame)

    def unprompted(self, frame: int) -> list[int]:
        """Objects that have to be found on a frame."""
        given = self.on(frame)
        return [id_ for id_ in self.started(frame) if id_ not in given]

    def is_whole(self, frame: int) -> bool:
        """Whether the prompts of a frame say all that there is to remember of it, at any time.

        Not where other objects are tracked, nor where some start that frames before do not know.
        """
        given = self.on(frame)
        new = [id_ for id_ in given if self._first(id_) == frame]
        return list(given) == self.started(frame) and len(new) in (0, len(given))

    def slots(self, ids: Iterable[int]) -> tuple[int, ...]:
        """Slots of objects, ascending."""
        return tuple(slot for slot, id_ in enumerate(self.prompts) if id_ in set(ids))

    def bucket(self, known: Mapping[int, Hypothesis]) -> Bucket:
        """What is known of each object in a frame, slot by slot."""
        return [known.get(id_) for id_ in self.prompts]

    def keep(self, frame: int, memory: Memory) -> None:
        """Put the memory of a prompted frame where it belongs."""
        self.memories = dict(sorted({**self.memories, frame: memory}.items()))

    def acting(self, frame: int, reach: Literal["both", "past"]) -> dict[int, Memory]:
        """Memories that act on a frame: all, or those of prompts up to it."""
        if reach == "both":
            return self.memories
        return {a: memory for a, memory in self.memories.items() if a <= frame}

    def _first(self, object_id: int) -> int:
        return next(iter(self.prompts[object_id]))


def condition(
    tracker: Tracker,
    source: EncodedFrames,
    prompts: Sequence[Prompt],
    frames: int,
    shared: bool = False,
    ahead: bool = True,
) -> list[Prompted]:
    """Check prompts and make memories of them, before anything is tracked.

    Where several objects share a bucket, a memory of prompts ahead knows the objects that are shown
    on its frame and have started before; the other slots are empty. When the frame has its turn, a
    memory of all takes its place.

    Args:
        tracker: Whose memories they become.
        source: Keeps the encodings of the prompted frames for their turn.
        prompts: In any order.
        frames: Length of the video.
        shared: Objects share buckets, as many as the tracker has slots, in the order in which they
            start; else each has its own.
        ahead: Make memories of prompts whose bucket has other objects too; False where prompts
            act on later frames alone.

    Returns:
        The buckets.

    Raises:
        DataError: See `by_object`.
    """
    buckets = _buckets(by_object(prompts, frames), tracker.span.slots if shared else 1)
    for frame in sorted({prompt.frame for prompt in prompts}):
        encoded = source.early(frame)
        known: list[tuple[Prompted, dict[int, Hypothesis]]] = []
        for own in buckets:
            if not (here := own.on(frame)):
                continue
            given = {id_: tracker.condition(encoded, item.mask) for id_, item in here.items()}
            own.answers[frame] = given
            early = {i: answer for i, answer in given.items() if i in own.asked(frame)}
            if early and (own.is_whole(frame) or (ahead and own.first < frame)):
                known.append((own, early))
        memories = tracker.remember(encoded, [own.bucket(early) for own, early in known])
        for (own, _), memory in zip(known, memories, strict=True):
            own.keep(frame, memory)
    return buckets


def _buckets(plan: Mapping[int, dict[int, Prompt]], slots: int) -> list[Prompted]:
    """Objects in buckets; where they share one, in the order in which they start."""
    order = list(plan) if slots == 1 else sorted(plan, key=lambda id_: (min(plan[id_]), id_))
    groups = (order[start : start + slots] for start in range(0, len(order), slots))
    return [Prompted({id_: plan[id_] for id_ in ids}) for ids in groups]


def by_object(prompts: Sequence[Prompt], frames: int) -> dict[int, dict[int, Prompt]]:
    """Prompts of each object by frame, both ascending.

    On a frame that has a given mask an anchor of the same object is left out: what the user drew
    is never overwritten.

    Raises:
        DataError: There is no prompt, one lies outside the video or is empty, sizes differ, or an
            object has two of the same kind on one frame.
    """
    if not prompts:
        raise DataError("prompts: there are none, so there is nothing to propagate.")
    plan: dict[int, dict[int, Prompt]] = {}
    for prompt in sorted(prompts, key=lambda p: (p.object_id, p.frame, not p.given)):
        _check(prompt, frames, prompts[0].mask.shape)
        known = plan.setdefault(prompt.object_id, {}).setdefault(prompt.frame, prompt)
        if known is not prompt and known.given == prompt.given:
            raise DataError(
                f"prompts: object {prompt.object_id} has two masks on frame {prompt.frame}. "
                "One object can be shown only once in a frame; are two object ids mixed up?"
            )
    return plan


def _check(prompt: Prompt, frames: int, shape: tuple[int, ...]) -> None:
    where = f"prompts: object {prompt.object_id}, frame {prompt.frame}"
    if not 0 <= prompt.frame < frames:
        raise DataError(f"{where}: the video has frames 0 to {frames - 1}.")
    if prompt.mask.shape != shape:
        raise DataError(
            f"{where}: the mask is {prompt.mask.shape}, another one {shape} (height, width). "
            "All masks must have the size of the video."
        )
    if not prompt.mask.any():
        raise DataError(
            f"{where}: the mask is empty. An object must be prompted on a frame that shows it."
        )
