"""Prompts checked and put in order."""

from collections.abc import Sequence

from kit.core.errors import DataError
from kit.trackers.base import Prompt


def by_object(prompts: Sequence[Prompt], frames: int) -> dict[int, dict[int, Prompt]]:
    """Prompts of each object by frame, both ascending.

    On a frame that has a given mask an anchor of the same object is left out: what the user drew
    is never overwritten.

    Args:
        prompts: In any order.
        frames: Length of the video.

    Raises:
        DataError: There is no prompt, one lies outside the video or is empty, or an object has
            two of the same kind on one frame.
    """
    if not prompts:
        raise DataError("prompts: there are none, so there is nothing to propagate.")
    plan: dict[int, dict[int, Prompt]] = {}
    for prompt in sorted(prompts, key=lambda p: (p.object_id, p.frame, not p.given)):
        _check(prompt, frames)
        known = plan.setdefault(prompt.object_id, {}).setdefault(prompt.frame, prompt)
        if known is not prompt and known.given == prompt.given:
            raise DataError(
                f"prompts: object {prompt.object_id} has two masks on frame {prompt.frame}."
            )
    return plan


def _check(prompt: Prompt, frames: int) -> None:
    where = f"prompts: object {prompt.object_id}, frame {prompt.frame}"
    if not 0 <= prompt.frame < frames:
        raise DataError(f"{where}: the video has frames 0 to {frames - 1}.")
    if not prompt.mask.any():
        raise DataError(
            f"{where}: the mask is empty. An object must be prompted on a frame that shows it."
        )
