"""What hypotheses say, on the host; however many they are, in one transfer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kit.propagators.kalman import Box
from kit.trackers.base import Hypothesis


@dataclass(frozen=True)
class Scores:
    """Numbers of an object's K hypotheses.

    Attributes:
        ious: Predicted IoU of each, 0..1.
        presence: Object score logit.
    """

    ious: tuple[float, ...]
    presence: float

    @property
    def best(self) -> int:
        """The hypothesis of highest predicted IoU, the first of equals."""
        return max(range(len(self.ious)), key=self.ious.__getitem__)


@dataclass(frozen=True)
class Shapes(Scores):
    """Scores, and where the masks are.

    Attributes:
        areas: Pixels of each mask, at the model's input size.
        boxes: Of each mask, in the same pixels; None of an empty one.
    """

    areas: tuple[int, ...]
    boxes: tuple[Box | None, ...]


def fetched(rows: Sequence[Tensor]) -> list[list[float]]:
    """Rows of numbers, each float32 [n] on the device, n may differ, in one transfer."""
    if not rows:
        return []
    values = iter(torch.cat(list(rows)).tolist())
    return [[next(values) for _ in range(len(row))] for row in rows]


def scores(answers: Sequence[Hypothesis]) -> list[Scores]:
    """Predicted IoUs and presence of each answer."""
    rows = fetched([torch.cat([answer.iou, answer.presence[None]]) for answer in answers])
    return [Scores(tuple(row[:-1]), row[-1]) for row in rows]


def shapes(answers: Sequence[Hypothesis]) -> list[Shapes]:
    """The same with areas and boxes."""
    return [_shapes(row) for row in fetched([_numbers(answer) for answer in answers])]


def _numbers(answer: Hypothesis) -> Tensor:
    """float32 [K * 6 + 1]: IoUs, presence, areas, boxes."""
    masks = answer.full > 0
    parts = (answer.iou, answer.presence[None], masks.sum((-2, -1)), _boxes(masks).flatten())
    return torch.cat([part.float() for part in parts])


def _boxes(masks: Tensor) -> Tensor:
    """int64 [K, 4] of bool [K, H, W]; of no meaning where a mask is empty."""
    edges = []
    for line in (masks.any(-2), masks.any(-1)):  # columns, then rows
        first, last = line.int().argmax(-1), line.shape[-1] - line.flip(-1).int().argmax(-1)
        edges.append((first, last))
    (left, right), (top, bottom) = edges
    return torch.stack([left, top, right, bottom], -1)


def _shapes(row: Sequence[float]) -> Shapes:
    count = (len(row) - 1) // 6
    areas = tuple(int(area) for area in row[count + 1 : 2 * count + 1])
    edges = row[2 * count + 1 :]
    boxes = tuple(
        (edges[4 * k], edges[4 * k + 1], edges[4 * k + 2], edges[4 * k + 3]) if area else None
        for k, area in enumerate(areas)
    )
    return Shapes(tuple(row[:count]), row[count], areas, boxes)
