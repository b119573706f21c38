"""What a tracker must do to be trained: its verbs over many rows, with gradients and ungated.

The verbs of `kit.trackers` answer for one frame without gradients. These take a row per object, of
whichever clip and frame, and leave the presence gate to the caller: an object thought absent has
masks of -1024, which must never enter a loss. Sizes as in `kit.trackers.base`; R rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from kit.core.types import Image
from kit.trackers.base import Context, Encoded, Span

ABSENT = -1024.0  # mask logits of an object that is thought absent, in every library


@dataclass(frozen=True, eq=False)
class Answer:
    """What the decoder says of R rows, before anything is gated.

    Attributes:
        logits: float [R, K, 4h, 4w].
        iou: float [R, K], 0..1.
        presence: float [R], logit.
        tokens: float [R, K, C], from which pointers are made.
    """

    logits: Tensor
    iou: Tensor
    presence: Tensor
    tokens: Tensor

    def best(self) -> tuple[Tensor, Tensor]:
        """Logits [R, 1, 4h, 4w] and token [R, C] of the mask of highest predicted IoU."""
        row, best = torch.arange(len(self.iou), device=self.iou.device), self.iou.argmax(-1)
        return self.logits[row, best][:, None], self.tokens[row, best]


class Steps(Protocol):
    """A trainable tracker."""

    model: nn.Module
    size: int  # S, side of the model's square input
    span: Span

    def pixels(self, image: Image) -> Tensor:
        """A frame as the vision encoder takes it, float32 [1, 3, S, S]."""
        ...

    def begin(self) -> None:
        """Call before each clip: what is made of parameters and reused on every frame."""
        ...

    def see(self, pixels: Tensor) -> Encoded:
        """Features of N frames, float32 [N, 3, S, S]; N stands where `Encoded` has 1."""
        ...

    def condition(self, encoded: Encoded, squares: Tensor) -> tuple[Tensor, Answer]:
        """Take prompts, float [R, 1, S, S] of zeros and ones, as masks beyond doubt.

        Returns:
            (logits [R, 1, S, S] as the memory encoder takes them, what the decoder says of the
            prompt with K = 1: its token makes the pointer).
        """
        ...

    def prompt(
        self, encoded: Encoded, points: Tensor, labels: Tensor, before: Tensor | None = None
    ) -> Answer:
        """Decode clicks without memory.

        Args:
            encoded: R rows.
            points: float [R, P, 2], x and y in pixels of the model's input.
            labels: int32 [R, P]; 1 on the object, 0 beside it, 2 and 3 the corners of a box.
            before: float [R, 1, 4h, 4w], the logits that the last of the clicks corrects.
        """
        ...

    def decode(self, encoded: Encoded, contexts: Sequence[Context]) -> Answer:
        """Attend to what each row recalls and decode three masks."""
        ...

    def pointers(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Object pointers, [R, C], of tokens [R, C] and presence, bool [R]."""
        ...

    def remember(self, encoded: Encoded, full: Tensor, present: Tensor, prompted: bool) -> Tensor:
        """Memory features [h*w, R, M] of logits [R, 1, S, S] and presence, bool [R]."""
        ...


def rows_of(encoded: Encoded, rows: Sequence[int] | Tensor) -> Encoded:
    """A row for each index into the frames (or rows) of `encoded`."""
    index = torch.as_tensor(rows, device=encoded.tokens.device)
    fine, middle = encoded.fine
    return Encoded(
        encoded.tokens[:, index],
        encoded.position[:, index],
        (fine[index], middle[index]),
    )


def joined(answers: Sequence[tuple[Sequence[int], Answer]]) -> Answer:
    """Answers of groups of rows, each with the rows' numbers, put back in order."""
    order = [row for rows, _ in answers for row in rows]
    back = torch.tensor(sorted(range(len(order)), key=order.__getitem__))
    parts = [(a.logits, a.iou, a.presence, a.tokens) for _, a in answers]
    fields = [torch.cat(field)[back.to(field[0].device)] for field in zip(*parts, strict=True)]
    return Answer(*fields)
