"""The mask decoder: a presence token, an IoU token and mask tokens for every slot of a bucket.

The interactive head of the same checkpoint is the decoder of a single slot with four masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kit.trackers.multiplex.layers import ChannelNorm, Mlp
from kit.trackers.multiplex.sizes import Sizes
from kit.trackers.multiplex.two_way import TwoWayTransformer


@dataclass(frozen=True, eq=False)
class Decoded:
    """Answers for all slots, used or not; K masks a slot. Of a single row there is no B.

    Attributes:
        masks: [B, M, K, 4g, 4g], logits, whatever the presence.
        iou: [B, M, K], predicted IoU, raw: it can leave 0..1.
        presence: [B, M], logit.
        tokens: [B, M, K, C], from which pointers are made.
    """

    masks: Tensor
    iou: Tensor
    presence: Tensor
    tokens: Tensor

    def of(self, row: int, slots: Sequence[int]) -> "Decoded":
        """Some slots of one row; nothing waits for the device to learn which."""
        parts = (self.masks[row], self.iou[row], self.presence[row], self.tokens[row])
        if tuple(slots) == tuple(range(len(slots))):
            return Decoded(*(part[: len(slots)] for part in parts))
        return Decoded(*(torch.stack([part[slot] for slot in slots]) for part in parts))


class MaskDecoder(nn.Module):
    """Tokens of `slots` objects with `masks` masks each."""

    def __init__(self, sizes: Sizes, slots: int, masks: int) -> None:
        super().__init__()
        width = sizes.width
        self._slots, self._masks = slots, masks
        self.transformer = TwoWayTransformer(sizes)
        self.obj_score_token = nn.Embedding(slots, width)
        self.iou_token = nn.Embedding(slots, width)
        self.mask_tokens = nn.Embedding(slots * masks, width)
        self.conv_s0 = nn.Conv2d(width, width // 8, 1)
        self.conv_s1 = nn.Conv2d(width, width // 4, 1)
        self.output_upscaling = nn.ModuleList([
            nn.ConvTranspose2d(width, width // 4, 2, 2),
            ChannelNorm(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, 2),
        ])  # fmt: skip
        self.output_hypernetworks_mlps = nn.ModuleList(
            Mlp([width, width, width, width // 8]) for _ in range(masks)
        )
        self.iou_prediction_head = Mlp([width, sizes.iou_hidden, sizes.iou_hidden, masks])
        self.pred_obj_score_head = Mlp([width, width, width, 1])

    def tokens(self, marks: Tensor | None = None) -> Tensor:
        """What is asked, [1 or B, (2 + K) M, C]: presence, IoU, then the masks slot by slot.

        Args:
            marks: [B, M, C], added to the mask tokens of each slot.
        """
        first = torch.cat([self.obj_score_token.weight, self.iou_token.weight])[None]
        masks = self.mask_tokens.weight[None]
        if marks is None:
            return torch.cat([first, masks], 1)
        masks = masks + marks.repeat_interleave(self._masks, 1)
        return torch.cat([first.expand(len(masks), -1, -1), masks], 1)

    def fine(self, quadruple: Tensor, double: Tensor) -> tuple[Tensor, Tensor]:
        """The two finer levels of a pyramid as the decoder reads them, C/8 and C/4 channels."""
        return self.conv_s0(quadruple), self.conv_s1(double)

    def forward(
        self, image: Tensor, code: Tensor, fine: tuple[Tensor, Tensor], marks: Tensor
    ) -> Decoded:
        """Find the objects of all slots.

        Args:
            image: Features that memory has been read into, [B, C, g, g].
            code: Position code, [C, g, g].
            fine: [1, C/8, 4g, 4g] and [1, C/4, 2g, 2g].
            marks: Which slots are used, [B, M, C].
        """
        slots, count = self._slots, self._masks
        tokens, image = self.transformer(self.tokens(marks), image, code)
        first, norm, active, second = self.output_upscaling
        image = active(norm(first(image) + fine[1]))
        image = functional.gelu(second(image) + fine[0])  # [B, C/8, 4g, 4g]
        own = torch.unflatten(tokens[:, 2 * slots :], 1, (slots, count))
        mlps = self.output_hypernetworks_mlps
        weights = torch.stack([mlp(own[:, :, k]) for k, mlp in enumerate(mlps)], 2)
        masks = weights.flatten(1, 2) @ image.flatten(2)  # [B, M K, 4g 4g]
        return Decoded(
            masks.reshape(*own.shape[:3], *image.shape[-2:]),
            self.iou_prediction_head(tokens[:, slots : 2 * slots]),
            self.pred_obj_score_head(tokens[:, :slots])[..., 0],
            own,
        )
