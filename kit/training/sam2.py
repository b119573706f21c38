"""SAM 2 and 2.1 (`sam2` package) with gradients."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kit.core.types import Image
from kit.trackers.attention import MemoryReader, batches
from kit.trackers.base import Context, Encoded, Span
from kit.trackers.square import IMAGENET, Entrance
from kit.training.steps import Answer, joined, rows_of


class Sam2Steps:
    """The steps on a `SAM2Base`."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.size = model.image_size
        self._device = next(model.parameters()).device
        self._grid = model.sam_image_embedding_size
        self._entrance = Entrance(self.size, IMAGENET, "bicubic", self._device)
        cap = model.max_cond_frames_in_attn
        self.span = Span(
            recent=model.num_maskmem - 1,
            pointers=model.max_obj_ptrs_in_encoder,
            anchors=None if cap == -1 else cap,
            past_pointers=model.only_obj_ptrs_in_the_past_for_eval,
            far_pointers=False,
        )
        blank = torch.zeros(1, model.mem_dim, self._grid, self._grid, device=self._device)
        self._code = _tokens(model.memory_encoder.position_encoding(blank))

    def pixels(self, image: Image) -> Tensor:
        """See `Steps`."""
        return self._entrance(image)

    def begin(self) -> None:
        """See `Steps`."""
        model = self.model
        timed = model.obj_ptr_tpos_proj if model.add_tpos_enc_to_obj_ptrs else None
        self._reader = MemoryReader(self._code, model.maskmem_tpos_enc, timed)

    def see(self, pixels: Tensor) -> Encoded:
        """See `Steps`."""
        features = self.model.forward_image(pixels)
        fine, middle, coarse = features["backbone_fpn"]
        return Encoded(_tokens(coarse), _tokens(features["vision_pos_enc"][-1]), (fine, middle))

    def condition(self, encoded: Encoded, squares: Tensor) -> tuple[Tensor, Answer]:
        """See `Steps`; the mask goes through the low resolution, as in the video predictor."""
        shape = (squares.shape[-1] // 4,) * 2
        low = functional.interpolate(
            squares * 20 - 10, shape, mode="bilinear", align_corners=False, antialias=True
        )
        full = functional.interpolate(low, squares.shape[-2:], mode="bilinear", align_corners=False)
        small = self.model.mask_downsample(squares)
        low_size = self.model.sam_prompt_encoder.mask_input_size
        if small.shape[-2:] != low_size:
            small = functional.interpolate(
                small, low_size, mode="bilinear", align_corners=False, antialias=True
            )
        answer = self._heads(encoded, self._map(encoded.tokens), masks=small, several=False)
        return full, answer

    def prompt(
        self, encoded: Encoded, points: Tensor, labels: Tensor, before: Tensor | None = None
    ) -> Answer:
        """See `Steps`."""
        features = self._map(encoded.tokens + self.model.no_mem_embed)
        several = self.model._use_multimask(True, {"point_labels": labels})
        return self._heads(encoded, features, points, labels, before, several)

    def decode(self, encoded: Encoded, contexts: Sequence[Context]) -> Answer:
        """See `Steps`; rows that recall equally many memories go together."""
        answers = []
        for indices in batches(contexts, len(contexts)):
            rows = rows_of(encoded, indices)
            memory, position, pointers = self._reader.read([contexts[i] for i in indices])
            fused = self.model.memory_attention(
                curr=[rows.tokens],
                curr_pos=[rows.position],
                memory=memory,
                memory_pos=position,
                num_obj_ptr_tokens=pointers,
            )
            answers.append((indices, self._heads(rows, self._map(fused))))
        return joined(answers)

    def pointers(self, tokens: Tensor, present: Tensor) -> Tensor:
        """See `Steps`."""
        shown = present[:, None].float()
        pointers: Tensor = (
            shown * self.model.obj_ptr_proj(tokens) + (1 - shown) * self.model.no_obj_ptr
        )
        return pointers

    def remember(self, encoded: Encoded, full: Tensor, present: Tensor, prompted: bool) -> Tensor:
        """See `Steps`."""
        features, _ = self.model._encode_new_memory(
            current_vision_feats=[encoded.tokens],
            feat_sizes=[(self._grid, self._grid)],
            pred_masks_high_res=full,
            object_score_logits=torch.where(present, 10.0, -10.0)[:, None],
            is_mask_from_pts=prompted,
        )
        return _tokens(features)

    def _heads(
        self,
        encoded: Encoded,
        features: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        masks: Tensor | None = None,
        several: bool = True,
    ) -> Answer:
        """Prompt encoder and mask decoder (`SAM2Base._forward_sam_heads` up to its gate)."""
        rows, model = len(features), self.model
        if points is None or labels is None:
            points = features.new_zeros(rows, 1, 2, dtype=torch.float32)
            labels = -torch.ones(rows, 1, dtype=torch.int32, device=features.device)
        sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=masks)
        low, iou, tokens, presence = model.sam_mask_decoder(
            image_embeddings=features,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
            repeat_image=False,
            high_res_features=list(encoded.fine),
        )
        return Answer(low.float(), iou.float(), presence[:, 0].float(), tokens)

    def _map(self, tokens: Tensor) -> Tensor:
        """[h*w, R, C] as [R, C, h, w]."""
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, self._grid, self._grid)


def _tokens(feature_map: Tensor) -> Tensor:
    """[R, C, h, w] as [h*w, R, C]."""
    return feature_map.flatten(2).permute(2, 0, 1)
