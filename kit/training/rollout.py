"""A clip tracked with gradients: prompts first, then frame after frame through memory.

What a frame recalls is decided by the code of the `greedy` propagator, so that a model is trained
on what it will be run with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from kit.propagators.recall import Course, by_distance, closest
from kit.trackers.base import Context, Encoded, Memory
from kit.training.batch import Batch
from kit.training.steps import ABSENT, Answer, Steps, rows_of


@dataclass(frozen=True)
class Teacher:
    """How often memory is made of the truth in place of the prediction; 0 from scratch up.

    A model that starts from nothing forgets its object at the second frame, and could not learn
    from the third one what memory is for. Published training needs none of it.
    """

    mask: float = 0.0  # probability, per row and frame
    presence: float = 0.0


@dataclass(frozen=True)
class Spoken:
    """Answers of some rows in one frame.

    Attributes:
        frame: Number of the frame.
        rows: Numbers of the rows.
        answer: Of these rows, in that order.
        prompt: A mask was given; only its presence is asked for.
    """

    frame: int
    rows: tuple[int, ...]
    answer: Answer
    prompt: bool = False


@dataclass
class Row:
    """One object on its way: what it can recall."""

    anchors: dict[int, Memory] = field(default_factory=dict)
    tracked: dict[int, Memory] = field(default_factory=dict)


def rollout(steps: Steps, batch: Batch, teacher: Teacher, corrections: int = 0) -> list[Spoken]:
    """Track all objects of a batch.

    Args:
        steps: The model.
        batch: The clips.
        teacher: How often memory is made of the truth.
        corrections: Clicks into the errors of each answer to a click or box.

    Returns:
        The decoder's answers, those to clicks on frame 0 and to given masks included.
    """
    steps.begin()
    seen = steps.see(batch.pixels)
    run = _Run(steps, batch, seen, teacher)
    run.take_masks()
    run.take_clicks(corrections)
    for frame in range(1, batch.length):
        run.track(frame)
    return run.spoken


class _Run:
    """One rollout under way."""

    def __init__(self, steps: Steps, batch: Batch, seen: Encoded, teacher: Teacher) -> None:
        self._steps, self._batch, self._seen = steps, batch, seen
        self._teacher = teacher
        self._course = Course(batch.length, steps.span)
        self._rows = [Row() for _ in batch.clip]
        self.spoken: list[Spoken] = []

    def take_masks(self) -> None:
        """Make memories of all given masks, on whichever frames they are."""
        given = [
            (row, frame)
            for row, (first, later) in enumerate(
                zip(self._batch.first, self._batch.later, strict=True)
            )
            for frame in (*([0] if first == "mask" else []), *later)
        ]
        if not given:
            return
        encoded = self._encoded(given)
        squares = torch.stack([self._batch.masks[row, frame] for row, frame in given])[:, None]
        full, answer = self._steps.condition(encoded, squares)
        present = squares.flatten(1).any(1)
        # As in the libraries the decoder's own word counts too: a prompt that it takes for absent
        # has no pointer.
        pointers = self._steps.pointers(answer.tokens[:, 0], present & (answer.presence > 0))
        spatial = self._steps.remember(encoded, full, present, prompted=True)
        for index, (row, frame) in enumerate(given):
            memory = Memory(spatial[:, index : index + 1], pointers[index : index + 1])
            self._rows[row].anchors[frame] = memory
        for frame in sorted({frame for _, frame in given}):
            chosen = [i for i, (_, at) in enumerate(given) if at == frame]
            some = _some(answer, chosen)
            self.spoken.append(Spoken(frame, tuple(given[i][0] for i in chosen), some, prompt=True))

    def take_clicks(self, corrections: int) -> None:
        """Decode frame 0 of the objects that are shown by a click or a box, and correct it."""
        for kind in ("point", "box"):
            rows = [row for row, first in enumerate(self._batch.first) if first == kind]
            if not rows:
                continue
            masks, chance = self._batch.masks[rows, 0], self._batch.chance[rows, 0]
            points, labels = clicks(kind, masks, chance)
            encoded = self._encoded([(row, 0) for row in rows])
            answer = self._steps.prompt(encoded, points, labels)
            for number in range(corrections):
                self.spoken.append(Spoken(0, tuple(rows), answer))
                low, _ = answer.best()
                more = corrected(low[:, 0].detach(), masks, chance[:, 3] * (number + 1) * 97 % 1)
                points = torch.cat([points, more[0]], 1)
                labels = torch.cat([labels, more[1]], 1)
                answer = self._steps.prompt(encoded, points, labels, low)
            self._keep(0, rows, encoded, answer, prompted=True)

    def track(self, frame: int) -> None:
        """Decode one frame of all objects that are not given on it."""
        rows = [row for row, item in enumerate(self._rows) if frame not in item.anchors]
        if not rows:
            return
        encoded = self._encoded([(row, frame) for row in rows])
        contexts = [self._context(self._rows[row], frame) for row in rows]
        answer = self._steps.decode(encoded, contexts)
        self._keep(frame, rows, encoded, answer, prompted=False)

    def _context(self, row: Row, frame: int) -> Context:
        anchors = dict(sorted(row.anchors.items()))
        chosen = closest(anchors, frame, self._course.span.anchors)
        return by_distance(anchors, row.tracked, frame, self._course, chosen)

    def _keep(
        self, frame: int, rows: Sequence[int], encoded: Encoded, answer: Answer, prompted: bool
    ) -> None:
        """Note an answer and make memories of it, or of the truth where the teacher steps in."""
        self.spoken.append(Spoken(frame, tuple(rows), answer))
        truth = self._batch.masks[list(rows), frame][:, None]
        low, token = answer.best()
        size = (self._steps.size,) * 2
        full = functional.interpolate(low, size, mode="bilinear", align_corners=False)
        drawn = self._batch.chance[list(rows), frame].to(full.device)
        taught = drawn[:, 0] < self._teacher.mask
        full = torch.where(taught[:, None, None, None], truth * 20 - 10, full)
        exists = truth.flatten(1).any(1)
        taught = drawn[:, 1] < self._teacher.presence
        present = torch.where(taught, exists, answer.presence > 0)
        full = torch.where(present[:, None, None, None], full, ABSENT)
        spatial = self._steps.remember(encoded, full, present, prompted)
        pointers = self._steps.pointers(token, present)
        for index, row in enumerate(rows):
            memory = Memory(spatial[:, index : index + 1], pointers[index : index + 1])
            home = self._rows[row].anchors if prompted else self._rows[row].tracked
            home[frame] = memory

    def _encoded(self, places: Sequence[tuple[int, int]]) -> Encoded:
        """Features of (row, frame) pairs."""
        where = [self._batch.frame_rows(frame, [row])[0] for row, frame in places]
        return rows_of(self._seen, where)


def clicks(kind: str, masks: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """Prompts for masks: a point anywhere on each object, or its box.

    Boxes are shaken by up to a tenth of their sides, at most 20 pixels, as in SAM's training.

    Args:
        kind: "point" or "box".
        masks: float [R, S, S], none empty.
        chance: float [R, 4] in [0, 1).

    Returns:
        (points float [R, P, 2], labels int32 [R, P]).
    """
    draw = _point if kind == "point" else _box
    drawn = [draw(mask, luck) for mask, luck in zip(masks, chance, strict=True)]
    labels = torch.tensor([[1] if kind == "point" else [2, 3]], dtype=torch.int32)
    return torch.stack(drawn).to(masks.device), labels.expand(len(masks), -1).to(masks.device)


def corrected(low: Tensor, masks: Tensor, chance: Tensor) -> tuple[Tensor, Tensor]:
    """A click anywhere into what is wrong: 1 where the object was missed, 0 where it is not.

    Where nothing is wrong, on the object. SAM 2 draws it so in nine of ten cases; the tenth is a
    click into the object or beside it.

    Args:
        low: float [R, 4h, 4w], logits to be corrected.
        masks: float [R, S, S], none empty.
        chance: float [R] in [0, 1).

    Returns:
        (points float [R, 1, 2], labels int32 [R, 1]).
    """
    size = masks.shape[-2:]
    full = functional.interpolate(low[:, None], size, mode="bilinear", align_corners=False)
    wrong = ((full[:, 0] > 0) != (masks > 0.5)).float()
    nothing = ~wrong.flatten(1).any(1)
    wrong = torch.where(nothing[:, None, None], masks, wrong)
    points = torch.stack([_point(w, c[None]) for w, c in zip(wrong, chance, strict=True)])
    x, y = points[:, 0].long().unbind(-1)
    labels = masks[torch.arange(len(masks)), y, x] > 0.5
    return points, labels[:, None].int()


def _point(mask: Tensor, chance: Tensor) -> Tensor:
    places = torch.nonzero(mask > 0.5)
    return places[int(chance[0] * len(places))].flip(0).float()[None]


def _box(mask: Tensor, chance: Tensor) -> Tensor:
    places = torch.nonzero(mask > 0.5).flip(1).float().cpu()
    corners = torch.stack([places.amin(0), places.amax(0) + 1])
    shake = (0.1 * (corners[1] - corners[0])).clamp(max=20)
    shaken = corners + (2 * chance.view(2, 2).float() - 1) * shake
    return shaken.clamp(0, mask.shape[-1] - 1)


def _some(answer: Answer, rows: Sequence[int]) -> Answer:
    index = list(rows)
    return Answer(
        answer.logits[index], answer.iou[index], answer.presence[index], answer.tokens[index]
    )
