"""SAM 3's tracker, and SAM 2.1, through the parts of transformers 5.23's video models.

With one row per call the numbers are bit-equal to `propagate_in_video_iterator` of
`Sam3TrackerVideoModel` (and of `Sam2VideoModel`, the same code) with one inference session per
object, on the CPU in float32; on CUDA the float32 weights run under bfloat16 autocast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kit.core.limits import Positive
from kit.core.masks import Mask
from kit.core.types import Image
from kit.trackers.attention import MemoryReader, weighted_keys
from kit.trackers.base import Context, Encoded, Hypothesis, Span
from kit.trackers.device import running
from kit.trackers.recorded import Recorded
from kit.trackers.rows import RowWise, no_prompt
from kit.trackers.sam2 import HIERA_L
from kit.trackers.square import HALF, IMAGENET, Entrance, square_mask

VERSION = 1
MODEL = "sam3"
OBJECTS_INTERACT = "rows_share_calls"


@dataclass(frozen=True)
class Config:
    """Defaults are the library's behaviour."""

    rows: Positive = 1  # rows of one call; 1 is bit-equal to the library, more is faster on a GPU
    resample: Literal["bilinear", "bicubic"] = "bilinear"  # of frames; upstream SAM 3: bicubic
    single_mask_pointer: bool = False  # a prompt's pointer from the single-mask token, as upstream

    @property
    def rows_share_calls(self) -> bool:
        """Rows of one call are rounded together."""
        return self.rows > 1


class Sam3Tracker(RowWise):
    """The four verbs on a `Sam3TrackerVideoModel` (or a `Sam2VideoModel`)."""

    def __init__(self, model: Any, config: Config) -> None:
        device = model.no_memory_embedding.device
        super().__init__(
            device,
            config.rows,
            model.image_size,
            model.object_pointer_proj,
            model.no_object_pointer,
        )
        self._model = model
        self._config = config
        self._grid = tuple(model.backbone_feature_sizes[-1])
        is_sam3 = model.config.model_type.startswith("sam3")
        colours = HALF if is_sam3 else IMAGENET
        backbone = model.config.vision_config.backbone_config
        self.large = is_sam3 or backbone.hidden_size >= HIERA_L
        self._entrance = Entrance(model.image_size, colours, config.resample, self._device)
        self._encode = Recorded(
            lambda pixels: _encoded(model.get_image_features(pixels, return_dict=True))
        )
        cap = model.config.max_cond_frame_num
        self.span = Span(
            recent=model.num_maskmem - 1,
            pointers=model.config.max_object_pointers_in_encoder,
            anchors=None if cap == -1 else cap,
            past_pointers=True,
            far_pointers=True,
        )
        with torch.inference_mode():
            shape = torch.Size((1, model.mem_dim, *self._grid))
            code = model.memory_encoder.position_encoding(shape, self._device, torch.float32)
            timed = model.config.enable_temporal_pos_encoding_for_object_pointers
            pointer_code = model.temporal_positional_encoding_projection_layer if timed else None
            self._reader = MemoryReader(
                code.flatten(2).permute(2, 0, 1),
                model.memory_temporal_positional_encoding,
                pointer_code,
            )
        with running(device):  # the same for all frames and rows
            self._places = model.get_image_wide_positional_embeddings()
            point, label = (part[:, None] for part in no_prompt(device))  # of several points
            self._sparse, self._dense = model.prompt_encoder(point, label, None, None)

    def pixels(self, image: Image) -> Tensor:
        """A frame as the vision encoder takes it, float32 [1, 3, S, S]."""
        return self._entrance(image)

    def encode(self, image: Image) -> Encoded:
        """Features of a frame, uint8 [H, W, 3] RGB."""
        with running(self._device):
            return self._encode(self.pixels(image))

    def encode_trunk(self, hidden: Tensor) -> Encoded:
        """Features from the vision trunk's output, so that a detector's pass can be shared.

        SAM 3's detector and tracker have the same trunk and necks of their own.

        Args:
            hidden: [1, h*w, width], `last_hidden_state` of the backbone for `pixels`.
        """
        with running(self._device):
            model = self._model
            grid = hidden.reshape(1, *self._grid, -1).permute(0, 3, 1, 2)
            levels, codes = model.vision_encoder.neck(grid)
            fine, middle, coarse = levels[:3]  # the fourth level is the detector's alone
            decoder = model.mask_decoder
            return Encoded(
                coarse.flatten(2).permute(2, 0, 1),
                codes[2].flatten(2).permute(2, 0, 1),
                (decoder.conv_s0(fine), decoder.conv_s1(middle)),
            )

    def condition(self, encoded: Encoded, mask: Mask) -> Hypothesis:
        """A prompt as a hypothesis (`Sam3TrackerVideoModel._use_mask_as_output`).

        Raises:
            DataError: The mask is empty.
        """
        square = square_mask(mask, self._model.image_size, self._device)
        with running(self._device):
            features = self._map(encoded.tokens)
            out = self._model._use_mask_as_output(features, list(encoded.fine), square)
            pointer = out.object_pointer
            if self._config.single_mask_pointer:
                pointer = self._single_mask_pointer(features, encoded, square)
            return Hypothesis(
                out.pred_masks[:, 0].float(),
                out.high_res_masks[:, 0].float(),
                out.iou_scores[0].float(),
                out.object_score_logits.flatten()[0].float(),
                pointer.flatten(0, -2).float(),
                prompted=True,
            )

    def _attend(self, encoded: Encoded, contexts: Sequence[Context]) -> Tensor:
        memory, position, pointer_tokens = self._reader.read(contexts)
        attention, rows = self._model.memory_attention, len(contexts)
        with weighted_keys(attention.layers, "key", self._reader.weights(contexts)):
            fused = attention(
                current_vision_features=encoded.tokens.expand(-1, rows, -1),
                current_vision_position_embeddings=encoded.position.expand(-1, rows, -1),
                memory=memory,
                memory_posision_embeddings=position,  # the library's spelling
                num_object_pointer_tokens=pointer_tokens,
            )  # [1, B, h*w, C]: two axes are swapped in the library's own layout
        channels_first: Tensor = fused.view(rows, -1, fused.shape[-1]).transpose(1, 2)
        return channels_first.reshape(rows, -1, *self._grid)

    def _masks(self, encoded: Encoded, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rows = len(features)
        low, iou, tokens, presence = self._model.mask_decoder(
            image_embeddings=features,
            image_positional_embeddings=self._places.repeat(rows, 1, 1, 1),
            sparse_prompt_embeddings=self._sparse.expand(rows, -1, -1, -1),
            dense_prompt_embeddings=self._dense.expand(rows, -1, -1, -1),
            multimask_output=True,
            high_resolution_features=[level.expand(rows, -1, -1, -1) for level in encoded.fine],
        )
        return low[:, 0], iou[:, 0], tokens[:, 0], presence[:, 0]

    def _fuse(self, encoded: Encoded, masks: Tensor, presence: Tensor, prompted: bool) -> Tensor:
        features: Tensor
        features, _ = self._model._encode_new_memory(
            current_vision_feats=encoded.tokens.expand(-1, len(masks), -1),
            pred_masks_high_res=masks,
            object_score_logits=presence[..., None],
            is_mask_from_pts=prompted,  # prompts are binarised, as the library does
        )
        return features

    def _single_mask_pointer(self, features: Tensor, encoded: Encoded, square: Tensor) -> Tensor:
        """Pointer of a prompt as facebookresearch/sam3 makes it (sam3_tracker_base.py:212, 388)."""
        out = self._model._single_frame_forward(
            input_masks=self._model.mask_downsample(square),
            image_embeddings=[*encoded.fine, features],
            multimask_output=False,
        )
        pointer: Tensor = out.object_pointer
        return pointer

    def _map(self, tokens: Tensor) -> Tensor:
        """[h*w, B, C] as [B, C, h, w]."""
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, *self._grid)


def build(model: Any, config: Config) -> Sam3Tracker:
    """Wrap a loaded `Sam3TrackerVideoModel` or `Sam2VideoModel`; it is put into evaluation mode."""
    return Sam3Tracker(model.eval(), config)


def _encoded(vision: Any) -> Encoded:
    """The library's token-major pyramid as ours; sizes follow from the coarsest level."""
    *fine, coarse = vision.fpn_hidden_states
    maps = [_square(level) for level in fine]
    return Encoded(coarse, vision.fpn_position_encoding[-1], (maps[0], maps[1]))


def _square(tokens: Tensor) -> Tensor:
    """[side*side, 1, C] as [1, C, side, side]."""
    side = int(len(tokens) ** 0.5 + 0.5)
    return tokens.permute(1, 2, 0).reshape(1, -1, side, side)
