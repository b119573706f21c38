"""Prompts checked, put in order, and turned into memories."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kit.core.errors import DataError
from kit.core.types import Prompt
from kit.propagators.stream import EncodedFrames
from kit.trackers.base import Hypothesis, Memory, Tracker


@dataclass
class Prompted:
    """The prompts of one object.

    Attributes:
        prompts: By frame, ascending.
        answers: The same as hypotheses; each is let go when its frame has had its turn.
        memories: The same as memories, kept to the end.
    """

    prompts: dict[int, Prompt] = field(default_factory=dict)
    answers: dict[int, Hypothesis] = field(default_factory=dict)
    memories: dict[int, Memory] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The frame on which the object starts."""
        return next(iter(self.prompts))

    def acting(self, frame: int, reach: Literal["both", "past"]) -> dict[int, Memory]:
        """Memories that act on a frame: all, or those of prompts up to it."""
        if reach == "both":
            return self.memories
        return {a: memory for a, memory in self.memories.items() if a <= frame}


def condition(
    tracker: Tracker, source: EncodedFrames, prompts: Sequence[Prompt], frames: int
) -> dict[int, Prompted]:
    """Check prompts and make memories of them, before anything is tracked.

    Args:
        tracker: Whose memories they become.
        source: Keeps the encodings of the prompted frames for their turn.
        prompts: In any order.
        frames: Length of the video.

    Returns:
        By object id, ascending.

    Raises:
        DataError: See `by_object`.
    """
    objects = {id_: Prompted(own) for id_, own in by_object(prompts, frames).items()}
    for frame in sorted({frame for item in objects.values() for frame in item.prompts}):
        encoded = source.early(frame)
        for item in _prompted_on(frame, objects):
            item.answers[frame] = tracker.condition(encoded, item.prompts[frame].mask)
            item.memories[frame] = tracker.remember(encoded, [item.answers[frame]])[0]
    return objects


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


def _prompted_on(frame: int, objects: dict[int, Prompted]) -> Iterator[Prompted]:
    return (item for item in objects.values() if frame in item.prompts)


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
