"""Masks of points and boxes on a single picture: the half of SAM that video propagation leaves out.

The parts of transformers 5.23's `Sam3TrackerVideoModel` (and `Sam2VideoModel`) that its
`_single_frame_forward` runs, on many prompts at once; but a mask is drawn whatever the presence
score says, as SAM's picture predictor does: who points at something knows that it is there.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kit.core.types import Image
from kit.trackers.square import HALF, IMAGENET, Entrance


@dataclass(frozen=True, eq=False)
class View:
    """A picture as the mask decoder takes it: its three levels, [1, C, h, w], the coarsest last."""

    levels: list[Tensor]


class Clicks:
    """Prompt encoder and mask decoder of a SAM."""

    def __init__(self, model: Any) -> None:
        self._model = model
        device = model.no_memory_embedding.device
        colours = HALF if model.config.model_type.startswith("sam3") else IMAGENET
        self._entrance = Entrance(model.image_size, colours, "bilinear", device)

    @torch.inference_mode()
    def look(self, image: Image) -> View:
        """Features of a picture, uint8 [H, W, 3]; no memory stands for the past."""
        found = self._model.get_image_features(self._entrance(image), return_dict=True)
        *fine, coarse = found.fpn_hidden_states
        sizes = self._model.backbone_feature_sizes
        levels = [*fine, coarse + self._model.no_memory_embedding]
        return View([
            level.permute(1, 2, 0).reshape(1, -1, *size)
            for level, size in zip(levels, sizes, strict=True)
        ])  # fmt: skip

    @torch.inference_mode()
    def masks(self, view: View, points: Tensor | None, boxes: Tensor | None) -> Tensor:
        """The mask of highest predicted IoU for each of N prompts.

        Args:
            view: The picture.
            points: float32 [N, 2], (x, y) inside the object as shares of width and height.
            boxes: float32 [N, 4], xyxy as shares of width and height. With points, both count.

        Returns:
            float32 [N, 4h, 4w], logits over the whole picture.
        """
        size, device = self._model.image_size, view.levels[-1].device
        places = None if points is None else (points * size)[None, :, None].to(device)
        sparse, dense = self._model.prompt_encoder(
            input_points=places,
            input_labels=None if places is None else torch.ones_like(places[..., 0]).int(),
            input_boxes=None if boxes is None else (boxes * size)[None].to(device),
            input_masks=None,
        )
        logits, iou, *_ = self._model.mask_decoder(
            image_embeddings=view.levels[-1],
            image_positional_embeddings=self._model.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=view.levels[:-1],
        )
        best = iou[0].argmax(1)
        chosen: Tensor = logits[0, torch.arange(len(best), device=device), best].float()
        return chosen
