"""The losses beside those of the sam2 package's own training code, and by hand."""

import importlib
import sys
import types
from typing import Any

import pytest
import torch

from kit.training import losses
from kit.training.steps import Answer


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`training.loss_fns` of the sam2 package, without its trainer, which needs more packages."""
    trainer = types.ModuleType("training.trainer")
    trainer.CORE_LOSS_KEY = "core_loss"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "training.trainer", trainer)
    return importlib.import_module("training.loss_fns")


def answer(rows: int, masks: int, size: int, seed: int = 0) -> Answer:
    torch.manual_seed(seed)
    return Answer(
        torch.randn(rows, masks, size, size) * 3,
        torch.rand(rows, masks),
        torch.randn(rows) * 3,
        torch.randn(rows, masks, 8),
    )


def targets(rows: int, size: int, empty: int) -> torch.Tensor:
    """Masks of which the last `empty` show nothing."""
    torch.manual_seed(1)
    masks = (torch.rand(rows, 1, size, size) > 0.7).float()
    masks[rows - empty :] = 0
    return masks


@pytest.mark.parametrize("masks", [1, 3])
@pytest.mark.parametrize("empty", [0, 2])
def test_published_losses(published: Any, masks: int, empty: int) -> None:
    ours, truth = answer(5, masks, 12), targets(5, 12, empty)
    weights = {"loss_mask": 20, "loss_dice": 1, "loss_iou": 1, "loss_class": 1}
    theirs = published.MultiStepMultiMasksAndIous(
        weights, supervise_all_iou=True, iou_use_l1_loss=True, pred_obj_scores=True
    )
    told = theirs._forward(
        {
            "multistep_pred_multimasks_high_res": [ours.logits],
            "multistep_pred_ious": [ours.iou],
            "multistep_object_score_logits": [ours.presence[:, None]],
        },
        truth[:, 0],
        num_objects=1.0,
    )
    parts = losses.track_loss(ours, truth, losses.Weights())
    for name, key in (("focal", "mask"), ("dice", "dice"), ("iou", "iou"), ("presence", "class")):
        torch.testing.assert_close(getattr(parts, name), told[f"loss_{key}"])
    torch.testing.assert_close(parts.total, told["core_loss"])


def test_only_the_best_mask_learns_its_shape() -> None:
    ours, truth = answer(1, 3, 8), targets(1, 8, 0)
    ours.logits[0, 1] = truth[0, 0] * 8 - 4  # all but right
    ours.logits.requires_grad_(True)
    losses.track_loss(ours, truth, losses.Weights(iou=0, presence=0)).total.backward()
    gradient = ours.logits.grad
    assert gradient is not None
    assert gradient[0, 1].abs().sum() > 0
    assert not gradient[0, [0, 2]].any()


def test_an_absent_object_teaches_presence_alone() -> None:
    ours, truth = answer(1, 3, 8), targets(1, 8, 1)
    parts = losses.track_loss(ours, truth, losses.Weights())
    assert parts.focal == parts.dice == parts.iou == 0
    torch.testing.assert_close(parts.presence, torch.nn.functional.softplus(ours.presence)[0])


def test_logits_are_enlarged_to_the_targets() -> None:
    ours, truth = answer(2, 3, 4), targets(2, 8, 0)
    large = torch.nn.functional.interpolate(ours.logits, (8, 8), mode="bilinear")
    same = Answer(large, ours.iou, ours.presence, ours.tokens)
    weights = losses.Weights()
    one, other = (losses.track_loss(a, truth, weights).total for a in (ours, same))
    torch.testing.assert_close(one, other)


# target 1 1 0 0, logits > 0 at 1 0 1 0: one shared of three
def test_iou_by_hand() -> None:
    logits = torch.tensor([[[[1.0, -1.0, 1.0, -1.0]]]])
    truth = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
    assert losses.iou(logits, truth).item() == pytest.approx(1 / 3)
    assert losses.iou(logits * 0 - 1, truth * 0).item() == 0
