"""Masks of points and boxes on a single picture: the half of SAM that video propagation leaves out.

`Clicks` runs the parts of transformers 5.23's `Sam3TrackerVideoModel` (and `Sam2VideoModel`) that
its `_single_frame_forward` runs, `Sam2Clicks` those of the `sam2` package that `SAM2ImagePredictor`
runs, on many prompts at once. A mask is drawn whatever the presence score says, as SAM's picture
predictor does: who points at something knows that it is there.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from kit.core.errors import ConfigError
from kit.core.types import Image
from kit.trackers.device import running
from kit.trackers.square import HALF, IMAGENET, Entrance


@dataclass(frozen=True, eq=False)
class View:
    """A picture as the mask decoder takes it: its three levels, [1, C, h, w], the coarsest last."""

    levels: list[Tensor]


class Pointed(Protocol):
    """A model that draws what it is shown on a picture."""

    def look(self, image: Image) -> View:
        """Features of a picture, uint8 [H, W, 3]; no memory stands for the past."""
        ...

    def masks(self, view: View, points: Tensor | None, boxes: Tensor | None) -> Tensor:
        """The mask of highest predicted IoU for each of N prompts; see `Clicks.masks`."""
        ...


def clicks_of(model: Any) -> Pointed:
    """Prompt encoder and mask decoder of a tracker's model, whichever library it is of.

    Raises:
        ConfigError: It has none that is known here.
    """
    if hasattr(model, "sam_prompt_encoder"):
        return Sam2Clicks(model)
    if hasattr(model, "prompt_encoder") and hasattr(model, "mask_decoder"):
        return Clicks(model)
    raise ConfigError(
        f"{type(model).__name__} draws no masks from boxes or points here; give a mask, or use a "
        "tracker of SAM 2.1 or SAM 3."
    )


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


class Sam2Clicks:
    """The same of a SAM 2 or 2.1 of the `sam2` package (`sam2_image_predictor.py:_predict`)."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._entrance = Entrance(model.image_size, IMAGENET, "bicubic", self._device)

    def look(self, image: Image) -> View:
        """Features of a picture, uint8 [H, W, 3]; no memory stands for the past."""
        with running(self._device):
            *fine, coarse = self._model.forward_image(self._entrance(image))["backbone_fpn"]
            past = self._model.no_mem_embed.reshape(1, -1, 1, 1)
            return View([*fine, coarse + past])

    def masks(self, view: View, points: Tensor | None, boxes: Tensor | None) -> Tensor:
        """See `Clicks.masks`; a box is two points of kinds of their own.

        One mask is asked for where the video predictor asks for one: a point may mean a part or the
        whole, a box does not.
        """
        size, model = self._model.image_size, self._model
        places, kinds = [], []
        if boxes is not None:
            places, kinds = [boxes.reshape(-1, 2, 2)], [2, 3]
        if points is not None:
            places, kinds = [*places, points[:, None]], [*kinds, 1]
        shown = (torch.cat(places, 1) * size).to(self._device)
        labels = torch.tensor(kinds, dtype=torch.int32, device=self._device)
        with running(self._device):
            sparse, dense = model.sam_prompt_encoder(
                points=(shown, labels.expand(len(shown), -1)), boxes=None, masks=None
            )
            logits, iou, *_ = model.sam_mask_decoder(
                image_embeddings=view.levels[-1],
                image_pe=model.sam_prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=model._use_multimask(True, {"point_labels": labels[None]}),
                repeat_image=True,
                high_res_features=view.levels[:-1],
            )
        best = iou.argmax(1)
        chosen: Tensor = logits[torch.arange(len(best), device=best.device), best].float()
        return chosen
