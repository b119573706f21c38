"""`decode` and `remember` in calls of several rows, the same for SAM 2 and SAM 3.

SAM 3's tracker is SAM 2's but for the vision encoder; the libraries name and shape its parts in
ways of their own. Formulas of `_answers`: `SAM2Base._forward_sam_heads` without prompts, and
`_single_frame_forward` of `modeling_sam3_tracker_video.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from kit.trackers.attention import batches
from kit.trackers.base import Bucket, Context, Encoded, Hypothesis, Memory
from kit.trackers.device import running

ABSENT = -1024.0  # NO_OBJ_SCORE of both libraries


class RowWise(ABC):
    """The half of a tracker that works on rows.

    Args:
        device: Where the model is.
        rows: Most rows of one call.
        size: Side S of the model's input.
        projection: From mask tokens to object pointers, C to C.
        no_pointer: Pointer of an absent object, [1, C].
    """

    def __init__(
        self, device: torch.device, rows: int, size: int, projection: nn.Module, no_pointer: Tensor
    ) -> None:
        self._device, self._rows, self._size = device, rows, size
        self._projection, self._no_pointer = projection, no_pointer

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        """Attend to the memories and decode three masks a row; keep the best, or all."""
        found: dict[int, Hypothesis] = {}
        with running(self._device), self._kernels():
            for indices in batches(contexts, self._rows):
                features = self._attend(encoded, [contexts[i] for i in indices])
                found |= zip(indices, self._answers(encoded, features, every), strict=True)
        return [found[index] for index in range(len(contexts))]

    def remember(self, encoded: Encoded, buckets: Sequence[Bucket]) -> list[Memory]:
        """Run the memory encoder; features are stored as bfloat16, as the libraries store them."""
        hypotheses = [_alone(bucket) for bucket in buckets]
        memories: dict[int, Memory] = {}
        with running(self._device):
            for prompted in (True, False):  # the encoder takes masks of one kind a call
                kind = [i for i, one in enumerate(hypotheses) if one.prompted == prompted]
                for start in range(0, len(kind), self._rows):
                    indices = kind[start : start + self._rows]
                    some = [hypotheses[i] for i in indices]
                    memories |= zip(indices, self._fused(encoded, some), strict=True)
        return [memories[index] for index in range(len(hypotheses))]

    def _fused(self, encoded: Encoded, some: Sequence[Hypothesis]) -> list[Memory]:
        masks = torch.stack([hypothesis.full for hypothesis in some])
        presence = torch.stack([hypothesis.presence for hypothesis in some])[:, None]
        places = self._fuse(encoded, masks, presence, some[0].prompted).to(torch.bfloat16)
        return [
            Memory(places[:, row : row + 1].contiguous(), hypothesis.pointers)
            for row, hypothesis in enumerate(some)
        ]

    @abstractmethod
    def _attend(self, encoded: Encoded, contexts: Sequence[Context]) -> Tensor:
        """Frame features fused with memory, [B, C, h, w]."""

    @abstractmethod
    def _masks(self, encoded: Encoded, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [B, 3, 4h, 4w], IoU [B, 3], tokens [B, 3, C], presence [B, 1]."""

    @abstractmethod
    def _fuse(self, encoded: Encoded, masks: Tensor, presence: Tensor, prompted: bool) -> Tensor:
        """Memory features, [h*w, B, M], of logits [B, 1, S, S] and presence [B, 1]."""

    def _kernels(self) -> AbstractContextManager[None]:
        """Attention kernels to decode with: torch's choice."""
        return nullcontext()

    def _answers(self, encoded: Encoded, features: Tensor, every: bool) -> list[Hypothesis]:
        low, iou, tokens, presence = self._masks(encoded, features)
        low = torch.where(presence[..., None, None] > 0, low, ABSENT).float()
        full = self._enlarged(low)
        if not every:
            row, best = torch.arange(len(iou), device=iou.device), iou.argmax(-1)
            low, full, iou, tokens = (t[row, best][:, None] for t in (low, full, iou, tokens))
        present = (presence > 0).float()[..., None]
        pointers = present * self._projection(tokens) + (1 - present) * self._no_pointer
        return [
            Hypothesis(low[i], full[i], iou[i].float(), presence[i, 0].float(), pointers[i].float())
            for i in range(len(low))
        ]

    def _enlarged(self, low: Tensor) -> Tensor:
        """Logits [B, K, 4h, 4w] at the model's size, [B, K, S, S]."""
        size = (self._size, self._size)
        return functional.interpolate(low, size=size, mode="bilinear", align_corners=False)


def _alone(bucket: Bucket) -> Hypothesis:
    """The object of a bucket that has one slot."""
    (hypothesis,) = bucket
    assert hypothesis is not None  # nobody remembers an empty bucket
    return hypothesis


def no_prompt(device: torch.device) -> tuple[Tensor, Tensor]:
    """What stands for no prompt: a padding point, float32 [1, 1, 2], and its label, [1, 1]."""
    point = torch.zeros(1, 1, 2, device=device)
    return point, -torch.ones(1, 1, dtype=torch.int32, device=device)
