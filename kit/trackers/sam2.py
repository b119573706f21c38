"""SAM 2 and 2.1 through the parts of the `sam2` package (1.1.0, facebookresearch/sam2 2b90b9f).

With one row per call the numbers are bit-equal to `SAM2VideoPredictor.propagate_in_video` on the
CPU in float32; on CUDA the float32 weights run under bfloat16 autocast.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from kit.core.errors import ConfigError
from kit.core.limits import Positive
from kit.core.masks import Mask
from kit.core.types import Image
from kit.trackers.attention import MemoryReader, weighted_keys
from kit.trackers.base import Context, Encoded, Hypothesis, Span
from kit.trackers.device import running
from kit.trackers.recorded import Recorded
from kit.trackers.rows import RowWise, no_prompt
from kit.trackers.square import IMAGENET, Entrance, Resample, square_mask

VERSION = 1
MODEL = "sam2"
OBJECTS_INTERACT = "rows_share_calls"

HIERA_L = 144  # channels of its first stage; base+ has 112, small and tiny 96 (the package's yamls)


@dataclass(frozen=True)
class Config:
    """Defaults are the library's behaviour."""

    rows: Positive = 1  # rows of one call; 1 is bit-equal to the library, more is faster on a GPU
    older_attention: bool = False  # only the attention kernels that SAM2Long's base allows
    resample: Literal["bicubic", "bilinear"] = "bicubic"  # of frames; bilinear: as DAM4SAM does

    @property
    def rows_share_calls(self) -> bool:
        """Rows of one call are rounded together."""
        return self.rows > 1


class Sam2Tracker(RowWise):
    """The four verbs on a `SAM2Base` (or its subclass `SAM2VideoPredictor`)."""

    def __init__(self, model: Any, config: Config) -> None:
        device = next(model.parameters()).device
        super().__init__(
            device, config.rows, model.image_size, model.obj_ptr_proj, model.no_obj_ptr
        )
        self._model = model
        self._config = config
        resample: Resample = "bicubic" if config.resample == "bicubic" else "bilinear float"
        self._entrance = Entrance(model.image_size, IMAGENET, resample, self._device)
        self.large = model.image_encoder.trunk.channel_list[-1] >= HIERA_L
        self._encode = Recorded(lambda pixels: _encoded(model.forward_image(pixels)))
        self._grid = model.sam_image_embedding_size
        cap = model.max_cond_frames_in_attn
        self.span = Span(
            recent=model.num_maskmem - 1,
            pointers=model.max_obj_ptrs_in_encoder,
            anchors=None if cap == -1 else cap,
            past_pointers=model.only_obj_ptrs_in_the_past_for_eval,
            far_pointers=False,
        )
        with torch.inference_mode():
            blank = torch.zeros(1, model.mem_dim, self._grid, self._grid, device=self._device)
            code = model.memory_encoder.position_encoding(blank).flatten(2).permute(2, 0, 1)
            pointer_code = model.obj_ptr_tpos_proj if model.add_tpos_enc_to_obj_ptrs else None
            self._reader = MemoryReader(code, model.maskmem_tpos_enc, pointer_code)
        with running(device):  # the same for all frames and rows
            prompts = model.sam_prompt_encoder
            self._places = prompts.get_dense_pe()
            self._sparse, self._dense = prompts(no_prompt(device), boxes=None, masks=None)

    def encode(self, image: Image) -> Encoded:
        """Features of a frame, uint8 [H, W, 3] RGB."""
        with running(self._device):
            return self._encode(self._entrance(image))

    def condition(self, encoded: Encoded, mask: Mask) -> Hypothesis:
        """A prompt as a hypothesis (`SAM2Base._use_mask_as_output`).

        The memory encoder sees the mask after its way through the low resolution, as in
        `SAM2VideoPredictor.propagate_in_video_preflight`.

        Raises:
            DataError: The mask is empty.
        """
        square = square_mask(mask, self._model.image_size, self._device)
        with running(self._device), self._kernels():
            low, _, iou, _, _, pointer, presence = self._model._use_mask_as_output(
                self._map(encoded.tokens), list(encoded.fine), square
            )
            return Hypothesis(
                low[:, 0],
                self._enlarged(low)[:, 0],
                iou[0],
                presence[0, 0],
                pointer.float(),
                prompted=True,
            )

    def _attend(self, encoded: Encoded, contexts: Sequence[Context]) -> Tensor:
        memory, position, pointer_tokens = self._reader.read(contexts)
        attention, rows = self._model.memory_attention, len(contexts)
        with weighted_keys(attention.layers, "k", self._reader.weights(contexts)):
            fused: Tensor = attention(
                curr=[encoded.tokens.expand(-1, rows, -1)],
                curr_pos=[encoded.position.expand(-1, rows, -1)],
                memory=memory,
                memory_pos=position,
                num_obj_ptr_tokens=pointer_tokens,
            )
        return self._map(fused)

    def _masks(self, encoded: Encoded, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rows = len(features)
        low, iou, tokens, presence = self._model.sam_mask_decoder(
            image_embeddings=features,
            image_pe=self._places,
            sparse_prompt_embeddings=self._sparse.expand(rows, -1, -1),
            dense_prompt_embeddings=self._dense.expand(rows, -1, -1, -1),
            multimask_output=True,
            repeat_image=False,
            high_res_features=[level.expand(rows, -1, -1, -1) for level in encoded.fine],
        )
        return low, iou, tokens, presence

    def _fuse(self, encoded: Encoded, masks: Tensor, presence: Tensor, prompted: bool) -> Tensor:
        features, _ = self._model._encode_new_memory(
            current_vision_feats=[encoded.tokens.expand(-1, len(masks), -1)],
            feat_sizes=[(self._grid, self._grid)],
            pred_masks_high_res=masks,
            object_score_logits=presence,
            is_mask_from_pts=prompted,
        )
        return _tokens(features)

    def _map(self, tokens: Tensor) -> Tensor:
        """[h*w, B, C] as [B, C, h, w]."""
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, self._grid, self._grid)

    def _kernels(self) -> AbstractContextManager[None]:
        """Attention kernels: torch's choice, or the two that were allowed in October 2024."""
        older = [SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION]
        return sdpa_kernel(older) if self._config.older_attention else nullcontext()


def build(model: Any, config: Config) -> Sam2Tracker:
    """Wrap a loaded `SAM2Base`; it is put into evaluation mode.

    Raises:
        ConfigError: The model's yaml asks for what the engine does not do.
    """
    multimask = model.multimask_output_in_sam and model.multimask_output_for_tracking
    wanted = {
        "memory_temporal_stride_for_eval": (model.memory_temporal_stride_for_eval, 1),
        "multimask output while tracking": (multimask and model.multimask_min_pt_num == 0, True),
        "use_multimask_token_for_obj_ptr": (model.use_multimask_token_for_obj_ptr, True),
        "use_obj_ptrs_in_encoder": (model.use_obj_ptrs_in_encoder, True),
        "pred_obj_scores": (model.pred_obj_scores, True),
        "fixed_no_obj_ptr": (model.fixed_no_obj_ptr, True),
        "soft_no_obj_ptr": (model.soft_no_obj_ptr, False),
        "use_high_res_features_in_sam": (model.use_high_res_features_in_sam, True),
    }
    for name, (found, needed) in wanted.items():
        if found != needed:
            raise ConfigError(
                f"trackers.sam2: {name} is {found!r}, the engine needs {needed!r}. "
                "All configurations shipped with sam2 and sam2.1 have it; is the yaml altered?"
            )
    return Sam2Tracker(model.eval(), config)


def _encoded(features: Any) -> Encoded:
    """The library's pyramid as ours."""
    fine, middle, coarse = features["backbone_fpn"]
    position = features["vision_pos_enc"][-1]
    return Encoded(_tokens(coarse), _tokens(position), (fine, middle))


def _tokens(feature_map: Tensor) -> Tensor:
    """[B, C, h, w] as [h*w, B, C]."""
    return feature_map.flatten(2).permute(2, 0, 1)
