"""Masks carried from frame to frame without a model: what every tracker has to beat."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from kit.core.masks import Mask
from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.prompts import by_object

SURE = 10.0  # logit of a pixel or an object that is there; as libraries have it on prompted frames
Masks = Mapping[int, Mask]  # by object id, bool [H, W]


def carried(
    frames: FrameSource, prompts: Sequence[Prompt], carry: Callable[[int, Masks], Masks]
) -> Iterator[FrameResult]:
    """From each object's first prompt on; a later prompt takes the place of what was carried.

    Args:
        frames: The video.
        prompts: In any order; at least one.
        carry: Masks on a frame, of its index and the masks on the frame before.

    Yields:
        One result per frame, ascending, from the earliest prompt to the end. Presence says whether
        anything is left of an object. Predicted IoU is 0 but on prompted frames: nobody judges.

    Raises:
        DataError: Prompts that cannot be used; see `by_object`.
    """
    plan = by_object(prompts, len(frames))
    masks: dict[int, Mask] = {}
    for frame in range(min(prompt.frame for prompt in prompts), len(frames)):
        masks = dict(carry(frame, masks)) if masks else {}
        given = {id_: own[frame].mask for id_, own in plan.items() if frame in own}
        masks = dict(sorted({**masks, **given}.items()))
        yield _result(frame, masks, given)


def _result(frame: int, masks: Masks, given: Masks) -> FrameResult:
    logits = np.where(np.stack(list(masks.values())), np.float32(SURE), np.float32(-SURE))
    there = np.array([mask.any() for mask in masks.values()])
    presence = np.where(there, np.float32(SURE), np.float32(-SURE))
    iou = np.array([float(id_ in given) for id_ in masks], np.float32)
    return FrameResult(frame, tuple(masks), logits, presence, iou, low=logits)
