"""Which query answers for which target: against brute force and hand-worked boxes."""

import itertools

import numpy as np
import pytest
import torch
from torchvision.ops import box_convert, generalized_box_iou

from kit.training import losses, matching
from kit.training.matching import Costs, Targets


def cheapest(cost: np.ndarray, many: int) -> float:
    """Of all ways to give every target `many` queries, the lowest total."""
    queries, count = cost.shape
    places = [k for k in range(count) for _ in range(many)]
    ways = itertools.permutations(range(queries), len(places))
    return min(sum(cost[q, k] for q, k in zip(way, places, strict=True)) for way in ways)


@pytest.mark.parametrize(("queries", "count", "many"), [(5, 3, 1), (6, 2, 2), (6, 2, 3), (4, 4, 1)])
def test_the_assignment_is_the_cheapest(queries: int, count: int, many: int) -> None:
    rng = np.random.default_rng(queries * 10 + count)
    for _ in range(20):
        cost = rng.normal(size=(queries, count)).astype(np.float32)
        chosen, targets = matching.assign(cost, many)
        assert len(set(chosen.tolist())) == len(chosen)
        assert np.bincount(targets, minlength=count).tolist() == [many] * count
        assert cost[chosen, targets].sum() == pytest.approx(cheapest(cost, many), abs=1e-5)


def test_without_targets_nothing_is_assigned() -> None:
    chosen, targets = matching.assign(np.zeros((4, 0), np.float32), 2)
    assert len(chosen) == len(targets) == 0


def test_giou_of_hand_worked_boxes() -> None:
    """Beside each other with a gap of their own width: no overlap, a third of the hull is empty."""
    left, right = torch.tensor([0.1, 0.5, 0.2, 1.0]), torch.tensor([0.5, 0.5, 0.2, 1.0])
    assert matching.giou(left, left) == pytest.approx(1)
    assert matching.giou(left, right) == pytest.approx(-1 / 3)
    half = torch.tensor([0.15, 0.5, 0.1, 1.0])  # the right half of the left one
    assert matching.giou(left, half) == pytest.approx(0.5)


def test_giou_is_torchvisions() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.rand(7, 4, generator=generator) + 0.01 for _ in range(2))
    ours = matching.giou(a[:, None], b[None])
    corners = [box_convert(x, "cxcywh", "xyxy") for x in (a, b)]
    torch.testing.assert_close(ours, generalized_box_iou(*corners))


def test_costs_are_the_losses_they_stand_for() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(1, 2, 5, generator=generator)
    dot = logits.reshape(-1, 1, 1)
    rise = losses.focal(dot, torch.ones_like(dot)) - losses.focal(dot, torch.zeros_like(dot))
    torch.testing.assert_close(matching.focal_cost(logits).flatten(), rise)
    drawn = torch.randn(2, 5, 6, 6, generator=generator)
    masks = (torch.rand(2, 3, 6, 6, generator=generator) > 0.5).float()
    table = matching.dice_matrix(drawn, masks)
    for n, q, k in itertools.product(range(2), range(5), range(3)):
        torch.testing.assert_close(table[n, q, k], losses.dice(drawn[n, q], masks[n, k]))


def two_rows() -> tuple[torch.Tensor, Targets]:
    """Two frames with four queries in a row; one shows targets under 3 and 0, one at 1."""
    x = torch.tensor([0.125, 0.375, 0.625, 0.875])
    boxes = torch.stack([x, torch.full((4,), 0.5), torch.full((4,), 0.2), torch.full((4,), 0.2)], 1)
    aims = torch.stack([boxes[[3, 0]], boxes[[1, 2]]])
    valid = torch.tensor([[True, True], [True, False]])
    masks = torch.zeros(2, 2, 4, 8)
    return boxes.expand(3, 2, 4, 4), Targets(aims, masks, valid, torch.ones(2, dtype=torch.bool))


def test_every_layer_and_frame_is_matched_for_itself_and_empty_places_are_left_out() -> None:
    boxes, targets = two_rows()
    moved = boxes.clone()
    moved[1, 0] = moved[1, 0].flip(0)  # on the middle layer the queries of frame 0 stand reversed
    pairs = matching.match(torch.zeros(3, 2, 4), moved, None, targets, Costs(), 1)
    told = set(zip(*(x.tolist() for x in vars(pairs).values()), strict=True))
    assert told == {
        (0, 0, 3, 0), (0, 0, 0, 1), (0, 1, 1, 0),
        (1, 0, 0, 0), (1, 0, 3, 1), (1, 1, 1, 0),
        (2, 0, 3, 0), (2, 0, 0, 1), (2, 1, 1, 0),
    }  # fmt: skip


def test_masks_decide_on_the_last_layer_where_boxes_cannot() -> None:
    """Two queries with one box: the one that draws the target answers for it, masks counting."""
    box = torch.tensor([0.5, 0.5, 0.5, 0.5])
    boxes = box.expand(2, 1, 2, 4)
    masks = torch.zeros(1, 1, 4, 4)
    masks[..., :2, :] = 1
    drawn = torch.full((1, 2, 4, 4), -9.0)
    drawn[0, 1, :2] = 9.0
    targets = Targets(
        box.expand(1, 1, 4), masks, torch.ones(1, 1, dtype=torch.bool), torch.tensor([True])
    )
    logits = torch.zeros(2, 1, 2)
    logits[:, :, 0] = 0.1  # the other one is a little surer
    blind = matching.match(logits, boxes, drawn, targets, Costs(), 1)
    seeing = matching.match(logits, boxes, drawn, targets, Costs(mask=5.0), 1)
    assert blind.query.tolist() == [0, 0]
    assert seeing.query.tolist() == [0, 1]
