"""SAM 3's tracker (transformers) with gradients, through the parts of its inference-only model."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kit.core.types import Image
from kit.trackers.attention import MemoryReader, batches
from kit.trackers.base import Context, Encoded, Span
from kit.trackers.square import HALF, Entrance
from kit.training.steps import Answer, joined, rows_of


class Sam3Steps:
    """The steps on a `Sam3TrackerVideoModel`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = model.image_size
        self._device = model.no_memory_embedding.device
        self._grid = tuple(model.backbone_feature_sizes[-1])
        self._entrance = Entrance(self.size, HALF, "bilinear", self._device)
        cap = model.config.max_cond_frame_num
        self.span = Span(
            recent=model.num_maskmem - 1,
            pointers=model.config.max_object_pointers_in_encoder,
            anchors=None if cap == -1 else cap,
            past_pointers=True,
            far_pointers=True,
        )
        shape = torch.Size((1, model.mem_dim, *self._grid))
        code = model.memory_encoder.position_encoding(shape, self._device, torch.float32)
        self._code = code.flatten(2).permute(2, 0, 1)

    def pixels(self, image: Image) -> Tensor:
        """See `Steps`."""
        return self._entrance(image)

    def begin(self) -> None:
        """See `Steps`."""
        model = self.model
        timed = model.config.enable_temporal_pos_encoding_for_object_pointers
        code = model.temporal_positional_encoding_projection_layer if timed else None
        self._reader = MemoryReader(self._code, model.memory_temporal_positional_encoding, code)

    def see(self, pixels: Tensor) -> Encoded:
        """See `Steps`."""
        vision = self.model.get_image_features(pixels, return_dict=True)
        fine, middle, coarse = vision.fpn_hidden_states
        position = vision.fpn_position_encoding[-1].expand(-1, len(pixels), -1)
        return Encoded(coarse, position, (_square(fine), _square(middle)))

    def condition(self, encoded: Encoded, squares: Tensor) -> tuple[Tensor, Answer]:
        """See `Steps`."""
        small = self.model.mask_downsample(squares)
        features = self._map(encoded.tokens)
        # The library makes a prompt's pointer from the best of three masks (`multimask_output` is
        # true by default), where sam2 takes the single-mask token.
        answer = self._heads(encoded, features, masks=small)
        low, token = answer.best()
        best = Answer(low, answer.iou.amax(1, keepdim=True), answer.presence, token[:, None])
        return squares * 20 - 10, best

    def prompt(
        self, encoded: Encoded, points: Tensor, labels: Tensor, before: Tensor | None = None
    ) -> Answer:
        """See `Steps`."""
        features = self._map(encoded.tokens + self.model.no_memory_embedding)
        several = labels.shape[1] <= self.model.config.multimask_max_pt_num
        return self._heads(encoded, features, points, labels, before, several)

    def decode(self, encoded: Encoded, contexts: Sequence[Context]) -> Answer:
        """See `Steps`; rows that recall equally many memories go together."""
        answers = []
        for indices in batches(contexts, len(contexts)):
            rows = rows_of(encoded, indices)
            memory, position, pointers = self._reader.read([contexts[i] for i in indices])
            fused = self.model.memory_attention(
                current_vision_features=rows.tokens,
                current_vision_position_embeddings=rows.position,
                memory=memory,
                memory_posision_embeddings=position,  # the library's spelling
                num_object_pointer_tokens=pointers,
            )  # [1, R, h*w, C]: two axes are swapped in the library's own layout
            channels = fused.view(len(indices), -1, fused.shape[-1]).transpose(1, 2)
            features = channels.reshape(len(indices), -1, *self._grid)
            answers.append((indices, self._heads(rows, features)))
        return joined(answers)

    def pointers(self, tokens: Tensor, present: Tensor) -> Tensor:
        """See `Steps`."""
        shown = present[:, None].to(tokens.dtype)
        pointers: Tensor = (
            shown * self.model.object_pointer_proj(tokens)
            + (1 - shown) * self.model.no_object_pointer
        )
        return pointers

    def remember(self, encoded: Encoded, full: Tensor, present: Tensor, prompted: bool) -> Tensor:
        """See `Steps`; the library stores memory features as bfloat16."""
        spatial, _ = self.model._encode_new_memory(
            current_vision_feats=encoded.tokens,
            pred_masks_high_res=full,
            object_score_logits=torch.where(present, 10.0, -10.0)[:, None, None],
            is_mask_from_pts=prompted,
        )
        remembered: Tensor = spatial
        return remembered

    def _heads(
        self,
        encoded: Encoded,
        features: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        masks: Tensor | None = None,
        several: bool = True,
    ) -> Answer:
        """Prompt encoder and mask decoder (`_single_frame_forward` up to its gate)."""
        rows, model = len(features), self.model
        if points is None or labels is None:
            points = features.new_zeros(rows, 1, 2)
            labels = -torch.ones(rows, 1, dtype=torch.int32, device=features.device)
        if masks is not None:
            masks = functional.interpolate(
                masks.float(),
                model.prompt_encoder.mask_input_size,
                mode="bilinear",
                align_corners=False,
                antialias=True,
            ).to(masks.dtype)
        sparse, dense = model.prompt_encoder(points[:, None], labels[:, None], None, masks)
        position = model.get_image_wide_positional_embeddings().expand(rows, -1, -1, -1)
        low, iou, tokens, presence = model.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=position,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            high_resolution_features=list(encoded.fine),
        )
        return Answer(low[:, 0].float(), iou[:, 0].float(), presence[:, 0, 0].float(), tokens[:, 0])

    def _map(self, tokens: Tensor) -> Tensor:
        """[h*w, R, C] as [R, C, h, w]."""
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, *self._grid)


def _square(tokens: Tensor) -> Tensor:
    """[side*side, N, C] as [N, C, side, side]."""
    side = int(len(tokens) ** 0.5 + 0.5)
    return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, side, side)
