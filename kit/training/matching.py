"""Which query of a detector answers for which target: the cheapest assignment (Hungarian).

Costs are those of SAM 3's training (`sam3/train/configs/roboflow_v100/
roboflow_v100_full_ft_100_images.yaml` of facebookresearch/sam3: class 2, box 5, GIoU 2, focal 0.25
and 2), with the dice loss of masks as an option.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_convert


@dataclass(frozen=True)
class Costs:
    """What each kind of error counts in the choice of a query."""

    score: float = 2.0
    box: float = 5.0
    giou: float = 2.0
    mask: float = 0.0  # dice of the mask, on the last layer


@dataclass(frozen=True)
class Targets:
    """What is to be found in N frames, K places each, of which some are empty.

    Attributes:
        boxes: float32 [N, K, 4], normalised (centre x, centre y, width, height).
        masks: float32 [N, K, h, w] of zeros and ones.
        valid: bool [N, K], places that hold a target.
        exhaustive: bool [N], whether all that the prompt means is a target, so that whatever else
            is found is wrong.
    """

    boxes: Tensor
    masks: Tensor
    valid: Tensor
    exhaustive: Tensor


@dataclass(frozen=True)
class Pairs:
    """M pairs of a query and the target it answers for.

    Attributes:
        layer, row, query, target: int64 [M].
    """

    layer: Tensor
    row: Tensor
    query: Tensor
    target: Tensor


def match(
    logits: Tensor, boxes: Tensor, masks: Tensor | None, targets: Targets, costs: Costs, many: int
) -> Pairs:
    """Assign queries to targets, on each layer and in each frame for itself.

    Args:
        logits: float [L, N, Q].
        boxes: float [L, N, Q, 4], normalised (centre x, centre y, width, height).
        masks: float [N, Q, h, w], logits of the last layer; None where none are made.
        targets: Of the N frames.
        costs: See there.
        many: Queries that answer for a target: one, or several to learn from while there is little
            to choose between them.
    """
    with torch.no_grad():
        matrix = cost_matrix(logits, boxes, masks, targets, costs).cpu().numpy()
    valid = targets.valid.cpu().numpy()
    found = []
    for layer in range(len(matrix)):
        for row, places in enumerate(valid):
            (columns,) = np.nonzero(places)
            queries, chosen = assign(matrix[layer, row][:, columns], many)
            pairs = [np.full_like(queries, layer), np.full_like(queries, row)]
            found.append(np.stack([*pairs, queries, columns[chosen]]))
    return Pairs(*torch.from_numpy(np.concatenate(found, 1)).to(logits.device))


def assign(cost: NDArray[np.float32], many: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cheapest assignment in which every target has `many` queries of its own.

    Args:
        cost: float32 [Q, K]. Where Q is less than `many * K` some targets have fewer.
        many: At least 1.

    Returns:
        (queries int64 [M], targets int64 [M]).
    """
    queries, columns = linear_sum_assignment(np.tile(cost, (1, many)))
    return queries.astype(np.int64), (columns % max(cost.shape[1], 1)).astype(np.int64)


def cost_matrix(
    logits: Tensor, boxes: Tensor, masks: Tensor | None, targets: Targets, costs: Costs
) -> Tensor:
    """What it costs that a query answers for a target, float [L, N, Q, K]; shapes as in `match`."""
    aims = targets.boxes[None, :, None]
    found = boxes[..., None, :]
    cost = costs.score * focal_cost(logits)[..., None]
    cost = cost + costs.box * (found - aims).abs().sum(-1)
    cost = cost - costs.giou * giou(found, aims)
    if masks is not None and costs.mask:
        extra = torch.zeros_like(cost)
        extra[-1] = costs.mask * dice_matrix(masks, targets.masks)
        cost = cost + extra
    return cost


def focal_cost(logits: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """By how much the focal loss (arXiv 1708.02002) rises if a query stands for a target."""
    probability = logits.sigmoid()
    yes = alpha * (1 - probability) ** gamma * functional.softplus(-logits)
    no = (1 - alpha) * probability**gamma * functional.softplus(logits)
    return yes - no


def giou(found: Tensor, aims: Tensor) -> Tensor:
    """Generalised IoU (arXiv 1902.09630) of boxes (centre, size) [..., 4], which broadcast."""
    a, b = (box_convert(boxes, "cxcywh", "xyxy") for boxes in (found, aims))
    shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(
        0
    )
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    inner = shared.prod(-1)
    both = found[..., 2:].prod(-1) + aims[..., 2:].prod(-1) - inner
    whole = hull.prod(-1)
    return inner / both.clamp(min=1e-9) - (whole - both) / whole.clamp(min=1e-9)


def dice_matrix(logits: Tensor, masks: Tensor) -> Tensor:
    """Dice loss of each mask [N, Q, h, w] with each target [N, K, h, w]: float [N, Q, K]."""
    probability, aims = logits.sigmoid().flatten(2), masks.flatten(2)
    shared = 2 * probability @ aims.transpose(1, 2)
    both = probability.sum(-1)[..., None] + aims.sum(-1)[:, None]
    return 1 - (shared + 1) / (both + 1)
