"""Trackers with random weights, in two ways: as the kit runs them and as their libraries do."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kit.core.images import read_image
from kit.core.types import Image, Prompt
from kit.trackers import sam2, sam3, sam31
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.sizes import PUBLIC, Sizes

SMALL_TRUNK = (  # overrides of sam2.1_hiera_t.yaml
    "++model.image_encoder.trunk.embed_dim=16",
    "++model.image_encoder.trunk.stages=[1,1,2,1]",
    "++model.image_encoder.trunk.global_att_blocks=[3]",
    "++model.image_encoder.neck.backbone_channel_list=[128,64,32,16]",
)
SAM2 = {
    "tiny": ("sam2.1_hiera_t", SMALL_TRUNK),
    "hiera_t": ("sam2.1_hiera_t", ()),
    "hiera_l": ("sam2.1_hiera_l", ()),
}
SAM31 = {  # of it there is no library to compare with
    "sam31_tiny": Sizes(
        image_size=112, pretrain_image_size=56, vit_width=48, vit_depth=2, vit_heads=4, vit_mlp=96,
        vit_window=4, vit_global=(1,), width=32, memory_layers=2, memory_mlp=64,
        mask_start_channels=1, decoder_mlp=64, iou_hidden=32, multiplex_count=16,
    ),
    "sam31": PUBLIC,
}  # fmt: skip
NAMES = (*SAM2, "sam3_tiny", "sam3", *SAM31)


class Folder:
    """JPEG frames of a folder, decoded when asked for."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Image:
        return read_image(self._paths[index])


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        name: Of the model.
        model: The library's own, on the device.
        device: "cpu" or "cuda".
    """

    name: str
    model: Any
    device: str

    @property
    def size(self) -> int:
        """Side of the model's input, pixels."""
        sizes = SAM31.get(self.name)
        return int(self.model.image_size if sizes is None else sizes.image_size)

    @property
    def has_library(self) -> bool:
        """Whether somebody else's propagation can be run beside the kit's."""
        return self.name not in SAM31

    def tracker(self, rows: int) -> Any:
        """The kit's."""
        module = sam2 if self.name in SAM2 else sam31 if self.name in SAM31 else sam3
        return module.build(self.model, module.Config(rows=rows))

    def run_library(self, frames: Folder, prompts: Sequence[Prompt]) -> None:
        """The library's own propagation of all objects, masks fetched at the video's size."""
        run = _run_sam2 if self.name in SAM2 else _run_transformers
        with torch.inference_mode(), contextlib.redirect_stderr(io.StringIO()):
            run(self.model, frames, prompts)  # its progress bars are not ours

    def run_library_apart(self, frames: Folder, prompts: Sequence[Prompt]) -> None:
        """As published scripts do it: a pass for each object, the encoder again in each."""
        for prompt in prompts:
            self.run_library(frames, [prompt])


def build(name: str, size: int, device: str) -> Subject:
    """A model with random weights.

    Args:
        name: One of `NAMES`.
        size: Side of its input, pixels; of SAM 2 alone, that of the others is fixed.
        device: "cpu" or "cuda".
    """
    torch.manual_seed(0)
    if name in SAM2:
        model = _sam2(*SAM2[name], size)
    elif name in SAM31:
        model = Network(SAM31[name])
    elif name == "sam3":
        from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

        model = Sam3TrackerVideoModel(Sam3TrackerVideoConfig())
    else:
        from kit.runtime import models

        model = models.load("sam3", {"source": "tiny"}, "cpu")
    _make_present(model)
    return Subject(name, model.eval().to(device), device)


def _sam2(yaml: str, overrides: Sequence[str], size: int) -> Any:
    import sam2 as package  # noqa: F401  (initialises hydra's configuration module)
    from hydra import compose
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    target = "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictor"
    changes = [target, f"++model.image_size={size}", *overrides]
    config = compose(config_name=f"configs/sam2.1/{yaml}.yaml", overrides=changes)
    OmegaConf.resolve(config)
    return instantiate(config.model, _recursive_=True)


def _make_present(model: Any) -> None:
    """Objects count as present, and masks differ in their predicted IoU."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "pred_obj_score_head" in name and value.shape == (1,):
                value.fill_(5)
            if "iou_prediction_head" in name and name.endswith(("layers.2.weight", "out.weight")):
                value.mul_(20)


def _run_sam2(model: Any, frames: Folder, prompts: Sequence[Prompt]) -> None:
    state = model.init_state(str(frames.path))
    for prompt in prompts:
        model.add_new_mask(state, prompt.frame, prompt.object_id, prompt.mask)
    for _, _, logits in model.propagate_in_video(state):
        logits.float().cpu().numpy()


def _run_transformers(model: Any, frames: Folder, prompts: Sequence[Prompt]) -> None:
    from transformers import Sam2VideoVideoProcessor, Sam3TrackerVideoProcessor
    from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

    square = {"height": model.image_size, "width": model.image_size}
    half = [0.5] * 3
    process = Sam3TrackerVideoProcessor(
        image_processor=Sam3ImageProcessor(size=square),
        video_processor=Sam2VideoVideoProcessor(size=square, image_mean=half, image_std=half),
        target_size=model.image_size,
    )
    session = process.init_video_session(
        video=[frames[i] for i in range(len(frames))],
        inference_device=model.device,
        dtype=torch.float32,
    )
    process.add_inputs_to_inference_session(
        session,
        frame_idx=0,
        obj_ids=[prompt.object_id for prompt in prompts],
        input_masks=[prompt.mask for prompt in prompts],
    )
    model(session, frame_idx=0)
    size = [list(frames[0].shape[:2])]
    for step in model.propagate_in_video_iterator(session, start_frame_idx=0):
        masks = process.post_process_masks([step.pred_masks], size, binarize=False)
        masks[0].float().cpu().numpy()
