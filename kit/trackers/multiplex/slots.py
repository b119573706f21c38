"""What is known of objects, put into the slots of their bucket; empty slots are zeros.

Formulas: `MultiplexState.mux` and `_encode_new_memory` of facebookresearch/sam3 @96914d2,
model/multiplex_utils.py and model/video_tracking_multiplex.py.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kit.trackers.base import Bucket, Hypothesis
from kit.trackers.multiplex.layers import resized

_BELOW = -10.0  # highest logit of an object where another one's is larger


def seen(buckets: Sequence[Bucket], parted: bool) -> list[Mapping[int, Tensor]]:
    """Mask logits by slot as the memory encoder sees them, [s, s].

    Args:
        buckets: All that are remembered of a frame.
        parted: Where a mask was given in this frame, only the largest logit of each pixel, over all
            objects of all buckets, may be above -10.
    """
    known = [_known(bucket) for bucket in buckets]
    own = [{slot: one.full[0] for slot, one in some.items()} for some in known]
    given = any(one.prompted for some in known for one in some.values())
    if not (parted and given):
        return list(own)
    stacked = torch.stack([logits for masks in own for logits in masks.values()])
    number = torch.arange(len(stacked), device=stacked.device)[:, None, None]
    largest = stacked.argmax(0) == number
    cut = iter(torch.where(largest, stacked, stacked.clamp(max=_BELOW)))
    return [{slot: next(cut) for slot in masks} for masks in own]


def maps(masks: Mapping[int, Tensor], bucket: Bucket, slots: int, side: int) -> Tensor:
    """Masks in -1..1, then planes of 1 where a mask was given, [2M, side, side].

    Args:
        masks: Logits by slot, of any size.
        bucket: The hypotheses.
        slots: M.
        side: 16g.
    """
    known = _known(bucket)
    planes = next(iter(masks.values())).new_zeros(2 * slots, side, side)
    for slot, logits in masks.items():
        plane = 2 * logits.sigmoid() - 1
        planes[slot] = resized(plane[None, None], side, antialias=True)[0, 0]
        if known[slot].prompted:
            planes[slots + slot] = 1
    return planes


def absent(bucket: Bucket, slots: int) -> Tensor:
    """1 where a slot is empty or its object is thought absent, float32 [M]."""
    known = _known(bucket)
    missing = next(iter(known.values())).presence.new_ones(slots)
    for slot, one in known.items():
        missing[slot] = (one.presence <= 0).float()
    return missing


def pointers(bucket: Bucket, slots: int, width: int) -> Tensor:
    """Pointers of all slots, float32 [M, C]."""
    known = _known(bucket)
    found = next(iter(known.values())).pointers.new_zeros(slots, width)
    for slot, one in known.items():
        found[slot] = one.pointers[0]
    return found


def _known(bucket: Bucket) -> dict[int, Hypothesis]:
    return {slot: one for slot, one in enumerate(bucket) if one is not None}
