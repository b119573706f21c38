"""Which object has a pixel that several claim: by logits, or by the strength of whole claims."""

from collections.abc import Mapping, Sequence

import numpy as np

from kit.core.masks import LabelMap, Mask
from kit.core.types import FloatArray


def resolve_overlaps(
    logits: FloatArray, object_ids: Sequence[int], threshold: float = 0.0
) -> LabelMap:
    """Give each pixel to the object with the highest logit above the threshold.

    Args:
        logits: `float32[N, H, W]`, one plane per object.
        object_ids: The N ids; they do not decide anything (the published scripts let the lowest
            id win: sam2 tools/vos_inference.py:46), except between exactly equal logits.
        threshold: Logits at or below it are background.
    """
    height, width = logits.shape[1:]
    if not object_ids:
        return np.zeros((height, width), np.uint8)
    winner = logits.argmax(0)
    labels: LabelMap = np.asarray(object_ids, dtype=np.uint8)[winner]
    labels[logits.max(0) <= threshold] = 0
    return labels


def settle(labels: LabelMap, claims: Mapping[int, Mask], strength: Mapping[int, float]) -> None:
    """Give each pixel to its strongest claimant, in place.

    Among equally strong ones it stays whose it is, and is the first one's if it is nobody's.

    Args:
        labels: The label map so far, `uint8[H, W]`.
        claims: What each object covers, `bool[H, W]` by id.
        strength: Of each claim.
    """
    held = np.full(labels.shape, -np.inf)
    for object_id in claims:
        held[labels == object_id] = strength[object_id]
    for object_id in sorted(claims, key=lambda i: -strength[i]):  # the order of `claims` if equal
        won = claims[object_id] & ((strength[object_id] > held) | (labels == 0))
        labels[won], held[won] = object_id, strength[object_id]
