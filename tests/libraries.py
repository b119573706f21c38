"""The libraries' own propagation of one object, to be run beside the engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Sam2VideoVideoProcessor, Sam3TrackerVideoProcessor
from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

Masks = Mapping[int, np.ndarray]  # prompts by frame, ascending


def write_frames(folder: Path, images: Sequence[np.ndarray]) -> Path:
    """A clip as the sam2 package reads it: lossless bytes under the one suffix it lists."""
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:05d}.jpg", format="png")
    return folder


def package(model: Any, folder: Path, id_: int, masks: Masks) -> np.ndarray:
    """Video-size logits, float32 [frames since the start, H, W], by the sam2 package."""
    state = model.init_state(str(folder))
    for frame, mask in masks.items():
        model.add_new_mask(state, frame, id_, mask)
    steps = model.propagate_in_video(state, start_frame_idx=min(masks))
    return np.stack([logits[0, 0].numpy() for _, _, logits in steps])


def session(
    model: Any, images: Sequence[np.ndarray], id_: int, masks: Masks, bicubic: bool = False
) -> np.ndarray:
    """The same by transformers.

    Args:
        bicubic: Frames are resized as the sam2 package does, not as the processor would.
    """
    process = processor(model)
    inference = process.init_video_session(
        video=list(images), inference_device="cpu", dtype=torch.float32
    )
    if bicubic:
        pixels = [resized(model, image) for image in images]
        inference.processed_frames = dict(enumerate(pixels))
    for frame, mask in masks.items():
        process.add_inputs_to_inference_session(
            inference, frame_idx=frame, obj_ids=[id_], input_masks=[mask]
        )
        model(inference, frame_idx=frame)
    size = [list(images[0].shape[:2])]
    steps = model.propagate_in_video_iterator(inference, start_frame_idx=min(masks))
    found = (process.post_process_masks([s.pred_masks], size, binarize=False)[0] for s in steps)
    return np.stack([mask[0, 0].numpy() for mask in found])


def resized(model: Any, image: np.ndarray) -> torch.Tensor:
    """float32 [3, S, S] by Pillow's bicubic filter, normalised for the model."""
    small = np.array(Image.fromarray(image).resize((model.image_size, model.image_size)))
    mean, spread = (torch.tensor(values).view(3, 1, 1) for values in _colours(model))
    return (torch.from_numpy(small).permute(2, 0, 1).float() / 255 - mean) / spread


def processor(model: Any) -> Sam3TrackerVideoProcessor:
    """What turns frames and masks into a model's input."""
    size = {"height": model.image_size, "width": model.image_size}
    mean, spread = _colours(model)
    return Sam3TrackerVideoProcessor(
        image_processor=Sam3ImageProcessor(size=size),
        video_processor=Sam2VideoVideoProcessor(size=size, image_mean=mean, image_std=spread),
        target_size=model.image_size,
    )


def _colours(model: Any) -> tuple[list[float], list[float]]:
    """Mean and spread of RGB, 0..1."""
    if model.config.model_type.startswith("sam3"):
        return [0.5] * 3, [0.5] * 3
    return [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
