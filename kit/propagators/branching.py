"""The rules of SAM2Long's tree: which candidates live on, and how loud their memories are.

Ding et al., arXiv 2410.16268, as published code behaves where paper and code differ.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch

from kit.propagators.recall import Kept
from kit.trackers.base import Context, Recall

ANCHOR_PRESENCE = 10.0  # object score logit of prompted frames
EPSILON = 1e-5  # keeps the logarithm of an IoU of 0 finite


@dataclass(frozen=True)
class Pick:
    """A candidate that lives on: mask `mask` of pathway `parent`, and its accumulated score."""

    parent: int
    mask: int
    score: float


def choose(
    scores: Sequence[float],
    ious: Sequence[Sequence[float]],
    presences: Sequence[float],
    pathways: int,
    uncertainty: float,
) -> list[Pick]:
    """The P candidates that live on (paper section 3.2; the published code for the fill).

    Where some pathway is sure whether the object is there, the P best accumulated scores. Else the
    best of each distinct IoU, rounded to 2 decimals and signed by presence; if those are fewer
    than P, then the best candidate of each pathway that has none yet.

    Args:
        scores: Accumulated log IoU of P pathways.
        ious: Of each pathway the predicted IoU of its K masks, 0..1.
        presences: Of each pathway the object score logit.
        pathways: P.
        uncertainty: delta_conf; certain where some |object score logit| is above.

    Returns:
        P picks, best first among those of one rule.
    """
    candidates = sorted(
        (
            Pick(parent, mask, score + float(np.log(iou + EPSILON)))
            for parent, score in enumerate(scores)
            for mask, iou in enumerate(ious[parent])
        ),
        key=lambda pick: -pick.score,
    )
    if max(map(abs, presences)) > uncertainty:
        return candidates[:pathways]
    distinct: dict[float, Pick] = {}
    for pick in candidates:
        iou = ious[pick.parent][pick.mask]
        signed = iou if presences[pick.parent] > 0 else -iou
        distinct.setdefault(round(signed, 2), pick)
    picks = list(distinct.values())[:pathways]
    for parent in range(len(scores)):
        if len(picks) < pathways and parent not in {pick.parent for pick in picks}:
            picks.append(next(pick for pick in candidates if pick.parent == parent))
    return picks


def modulated(context: Context, recalled: Sequence[Kept], lowest: float, highest: float) -> Context:
    """Louder keys for memories of higher object score (paper section 3.3).

    The weights run evenly from the lowest to the highest over the ranks of the scores; spatial
    memories and pointers are ranked apart. Anchors score 10.

    Args:
        context: Of `by_rank` for the same memories.
        recalled: The tracked memories in it.
        lowest: Weight of the memory of lowest object score.
        highest: Of the highest.
    """
    score = {id(kept.memory): kept.presence for kept in recalled}

    def weighted(recalls: Sequence[Recall]) -> tuple[Recall, ...]:
        scores = [score.get(id(recall.memory), ANCHOR_PRESENCE) for recall in recalls]
        ranks = sorted(range(len(scores)), key=scores.__getitem__)
        # Upstream keeps the anchors' constant 10 in bfloat16 and computes weights in the type of
        # the scores: rounded where no tracked score (float32) is among them.
        alone = all(id(recall.memory) not in score for recall in recalls)
        dtype = torch.bfloat16 if alone else torch.float32
        weights = ramp(lowest, highest, len(scores), dtype)
        weight_of = dict(zip(ranks, weights, strict=True))
        return tuple(replace(recall, weight=weight_of[i]) for i, recall in enumerate(recalls))

    return replace(context, spatial=weighted(context.spatial), pointers=weighted(context.pointers))


@cache
def ramp(lowest: float, highest: float, count: int, dtype: torch.dtype) -> tuple[float, ...]:
    """Even steps from the lowest to the highest, with the last bits that torch gives them."""
    return tuple(torch.linspace(lowest, highest, count, dtype=dtype).tolist())
