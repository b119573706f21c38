"""The losses of SAM 2's training, on three masks and a presence score.

`training/loss_fns.py:MultiStepMultiMasksAndIous` of facebookresearch/sam2 (2b90b9f) with the
weights of `sam2.1_hiera_b+_MOSE_finetune.yaml`: focal 20 and dice 1 on the best of three, L1 of the
predicted IoU on all three, cross entropy of the presence score.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kit.training.steps import Answer


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts."""

    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    presence: float = 1.0


@dataclass(frozen=True)
class Parts:
    """Sums over rows, not weighted; divide by the number of objects.

    Attributes:
        focal, dice, iou, presence: float [].
        total: float [], their weighted sum.
    """

    focal: Tensor
    dice: Tensor
    iou: Tensor
    presence: Tensor
    total: Tensor


def focal(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (arXiv 1708.02002), mean over the last two axes."""
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    missed = probability + targets - 2 * probability * targets  # 1 - p_t
    share = alpha * targets + (1 - alpha) * (1 - targets)
    return (share * entropy * missed**gamma).mean((-2, -1))


def dice(logits: Tensor, targets: Tensor) -> Tensor:
    """Dice loss with +1 in numerator and denominator, over the last two axes."""
    probability = logits.sigmoid()
    shared = 2 * (probability * targets).sum((-2, -1))
    both = probability.sum((-2, -1)) + targets.sum((-2, -1))
    return 1 - (shared + 1) / (both + 1)


def iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU of `logits > 0` with binary targets over the last two axes; 0 where both are empty."""
    mask, target = logits > 0, targets > 0.5
    shared = (mask & target).sum((-2, -1)).float()
    return shared / (mask | target).sum((-2, -1)).clamp(min=1)


def track_loss(answer: Answer, targets: Tensor, weights: Weights) -> Parts:
    """Loss of one frame.

    Args:
        answer: R rows with K masks.
        targets: float [R, 1, H, W] of zeros and ones; where all are 0 the object is absent, and
            only presence is learned. Logits are enlarged to this size.
        weights: Of the parts.
    """
    logits = answer.logits
    if logits.shape[-2:] != targets.shape[-2:]:
        logits = functional.interpolate(
            logits, targets.shape[-2:], mode="bilinear", align_corners=False
        )
    present = (targets > 0.5).flatten(1).any(1).float()
    focals, dices = focal(logits, targets.expand_as(logits)), dice(logits, targets)
    row = torch.arange(len(logits), device=logits.device)
    best = (weights.focal * focals + weights.dice * dices).argmin(1)
    with torch.no_grad():
        actual = iou(logits, targets)
    parts = {
        "focal": (focals[row, best] * present).sum(),
        "dice": (dices[row, best] * present).sum(),
        "iou": ((answer.iou - actual).abs().mean(1) * present).sum(),
        "presence": functional.binary_cross_entropy_with_logits(
            answer.presence, present, reduction="sum"
        ),
    }
    total = sum((getattr(weights, name) * part for name, part in parts.items()), torch.zeros(()))
    return Parts(**parts, total=total.to(logits.device))
