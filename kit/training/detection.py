"""The losses of a detector that answers with a set: scores, boxes, masks, presence.

After SAM 3's training (`loss/loss_fns.py` and `configs/roboflow_v100/
roboflow_v100_full_ft_100_images.yaml` in `sam3/train` of facebookresearch/sam3), with one
difference: sums over queries where it takes means over 200, so that a detector with few queries
learns at the same weights.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as entropy
from torchvision.ops import box_convert, box_iou

from kit.training import losses
from kit.training.matching import Pairs, Targets, giou
from kit.training.seeker import Found


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts.

    SAM 3's training: score 1, silence 0.1 (20 times the mean over 200 queries, targets ten times
    as much as the rest), box 5, giou 2, focal 200, dice 10, presence 20, area_focal 20, area_dice
    30.
    """

    score: float = 1.0  # of queries that answer for a target, to say so
    silence: float = 0.1  # of the others, to say nothing
    box: float = 5.0
    giou: float = 2.0
    focal: float = 200.0  # of masks
    dice: float = 10.0
    presence: float = 20.0
    area_focal: float = 20.0  # of the region of all targets together
    area_dice: float = 30.0
    # Of silence and absence where nobody knows better: in videos that name the exemplar alone.
    unknown: float = 0.0


def detection_loss(
    found: Found, targets: Targets, pairs: Pairs, weights: Weights
) -> dict[str, Tensor]:
    """Sums over all layers and targets, weighted; divide by the number of targets.

    Args:
        found: What L layers say of N searches.
        targets: Of the searches.
        pairs: Who answers for what; a target with several queries counts once.
        weights: Of the parts.
    """
    several = _share(pairs, targets)
    spoken = found.boxes[pairs.layer, pairs.row, pairs.query]
    aims = targets.boxes[pairs.row, pairs.target]
    parts = {
        "score": _score_loss(found, targets, pairs, several, weights),
        "box": weights.box * ((spoken - aims).abs().sum(-1) * several).sum(),
        "giou": weights.giou * ((1 - giou(spoken, aims)) * several).sum(),
        "presence": weights.presence * _presence_loss(found, targets, weights),
    }
    if found.masks is not None and found.area is not None:
        last = pairs.layer == len(found.logits) - 1
        row, query, target = pairs.row[last], pairs.query[last], pairs.target[last]
        drawn, masks = found.masks[row, query], targets.masks[row, target]
        loss = weights.focal * losses.focal(drawn, masks) + weights.dice * losses.dice(drawn, masks)
        parts["mask"] = (loss * several[last]).sum()
        parts["area"] = _area_loss(found.area, targets, weights)
    return parts


def _share(pairs: Pairs, targets: Targets) -> Tensor:
    """Of each pair, one over the number of queries of its target on its layer."""
    rows, places = targets.valid.shape
    key = (pairs.layer * rows + pairs.row) * places + pairs.target
    counts = torch.bincount(key, minlength=int(key.max()) + 1 if len(key) else 0)
    return 1 / counts[key]


def _score_loss(
    found: Found, targets: Targets, pairs: Pairs, several: Tensor, weights: Weights
) -> Tensor:
    """IoU-aware cross entropy: an answer should be as sure as its box is good.

    Where no target is seen, presence alone has to say so.
    """
    logits = found.logits
    place = (pairs.layer, pairs.row, pairs.query)
    silent = torch.ones_like(logits)
    silent[place] = 0
    seen = targets.valid.any(1).float()[None, :, None]
    silent = silent * _known(found, targets, weights.unknown) * seen
    probability = logits.sigmoid().detach()
    none = entropy(logits, torch.zeros_like(logits), reduction="none") * probability**2
    with torch.no_grad():
        aims = targets.boxes[pairs.row, pairs.target]
        overlap = _paired_iou(found.boxes[place], aims)
        sure = (probability[place] ** 0.25 * overlap**0.75).clamp(min=0.01)
    some = entropy(logits[place], sure, reduction="none") * several
    return weights.score * some.sum() + weights.silence * (none * silent).sum()


def _known(found: Found, targets: Targets, unknown: float) -> Tensor:
    """How much it is known that a query that answers for no target is wrong, [L, N, Q].

    Where other things of the kind may be unlabelled, only that a target is not to be found twice.
    """
    with torch.no_grad():
        corners = box_convert(found.boxes, "cxcywh", "xyxy")
        known = torch.ones_like(found.logits)
        for row in torch.nonzero(~targets.exhaustive).flatten().tolist():
            aims = box_convert(targets.boxes[row][targets.valid[row]], "cxcywh", "xyxy")
            overlap = box_iou(corners[:, row].flatten(0, 1), aims)
            twice = (overlap > 0.5).any(1).view(known[:, row].shape)
            known[:, row] = torch.where(twice, 1.0, unknown)
    return known


def _presence_loss(found: Found, targets: Targets, weights: Weights) -> Tensor:
    """Whether any target is seen; per search, the sum over layers."""
    seen = targets.valid.any(1)
    known = torch.where(seen | targets.exhaustive, 1.0, weights.unknown)
    loss = entropy(found.presence, seen.float().expand_as(found.presence), reduction="none")
    return (loss * known).sum()


def _area_loss(area: Tensor, targets: Targets, weights: Weights) -> Tensor:
    """The region of all targets together, where it is known."""
    union = (targets.masks * targets.valid[..., None, None]).amax(1)
    loss = weights.area_focal * losses.focal(area, union, alpha=0.6)
    loss = loss + weights.area_dice * losses.dice(area, union)
    return (loss * targets.exhaustive).sum()


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes (centre, size) [M, 4], one by one."""
    shared = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    shared = shared - torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    inner = shared.clamp(min=0).prod(1)
    return inner / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - inner).clamp(min=1e-9)
