"""Tiny random models and a moving clip for tests of logic; no weights, no accuracy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

from kit.runtime.models import Detector
from kit.trackers.multiplex import names
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.sizes import Sizes

TINY_SAM2 = (
    "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictor",
    "++model.image_encoder.trunk.embed_dim=16",
    "++model.image_encoder.trunk.stages=[1,1,2,1]",
    "++model.image_encoder.trunk.global_att_blocks=[3]",
    "++model.image_encoder.neck.backbone_channel_list=[128,64,32,16]",
    "++model.image_encoder.neck.d_model=64",
    "++model.image_encoder.neck.position_encoding.num_pos_feats=64",
    "++model.memory_attention.d_model=64",
    "++model.memory_attention.num_layers=1",
    "++model.memory_attention.layer.d_model=64",
    "++model.memory_attention.layer.dim_feedforward=64",
    "++model.memory_attention.layer.self_attention.embedding_dim=64",
    "++model.memory_attention.layer.cross_attention.embedding_dim=64",
    "++model.memory_attention.layer.cross_attention.kv_in_dim=16",
    "++model.memory_encoder.out_dim=16",
    "++model.memory_encoder.in_dim=64",
    "++model.memory_encoder.position_encoding.num_pos_feats=16",
    "++model.memory_encoder.mask_downsampler.embed_dim=64",
    "++model.memory_encoder.fuser.layer.dim=64",
    "++model.image_size=128",
)


def tiny_sam2(yaml: str = "configs/sam2.1/sam2.1_hiera_t.yaml", *overrides: str) -> Any:
    """A `SAM2VideoPredictor` at 128 px."""
    import sam2  # noqa: F401  (initialises hydra's configuration module)
    from hydra import compose
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = compose(config_name=yaml, overrides=[*TINY_SAM2, *overrides])
    OmegaConf.resolve(config)
    return randomised(lambda: instantiate(config.model, _recursive_=True))


def _decoder_and_memory(size: int, patch: int, grid: int) -> dict[str, Any]:
    """What the two transformers configurations have in common; memory width 64 is hard-coded."""
    return {
        "image_size": size,
        "memory_attention_hidden_size": 128,
        "memory_attention_feed_forward_hidden_size": 64,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [grid, grid],
        "memory_encoder_hidden_size": 128,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 64,
        "prompt_encoder_config": {
            "hidden_size": 128,
            "image_size": size,
            "patch_size": patch,
            "mask_input_channels": 8,
        },
        "mask_decoder_config": {
            "hidden_size": 128,
            "num_attention_heads": 4,
            "mlp_dim": 64,
            "iou_head_hidden_dim": 64,
        },
    }


def _sam3_vision() -> dict[str, Any]:
    return {
        "model_type": "sam3_vision_model",
        "fpn_hidden_size": 128,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "global_attn_indexes": [1],
            "image_size": 112,
            "pretrain_image_size": 56,
            "patch_size": 14,
            "window_size": 4,
        },
    }


def tiny_sam3(**changes: Any) -> Any:
    """A `Sam3TrackerVideoModel` at 112 px."""
    parts = _decoder_and_memory(112, 14, 8) | changes
    config = transformers.Sam3TrackerVideoConfig(vision_config=_sam3_vision(), **parts)
    return randomised(lambda: transformers.Sam3TrackerVideoModel(config))


def write_tiny_sam3(folder: Path) -> None:
    """A checkpoint laid out as `facebook/sam3`: detector and tracker with one trunk, 112 px."""
    block = {
        "hidden_size": 128, "intermediate_size": 64, "num_attention_heads": 4, "num_layers": 1,
    }  # fmt: skip
    text = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 64,
        "num_attention_heads": 2, "projection_dim": 128, "max_position_embeddings": 32,
        "bos_token_id": 62, "eos_token_id": 63,
    }  # fmt: skip
    detector = {
        "vision_config": _sam3_vision(),
        "text_config": text,
        "geometry_encoder_config": block,
        "detr_encoder_config": block,
        "detr_decoder_config": {**block, "num_queries": 8},
        "mask_decoder_config": {"hidden_size": 128, "num_attention_heads": 4},
    }
    tracker = {"vision_config": _sam3_vision(), **_decoder_and_memory(112, 14, 8)}
    config = transformers.Sam3VideoConfig(detector_config=detector, tracker_config=tracker)
    randomised(lambda: transformers.Sam3VideoModel(config)).save_pretrained(folder)


def tiny_detector(folder: Path) -> Detector:
    """SAM 3's detector at 112 px, with a word for each length of a phrase."""
    write_tiny_sam3(folder)
    model = transformers.Sam3Model.from_pretrained(folder)
    return Detector(model.eval(), lambda phrase: [62, len(phrase) % 60, 63])


def tiny_dinov3() -> Any:
    """A DINOv3 of two layers."""
    config = transformers.DINOv3ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_register_tokens=1, patch_size=16, image_size=64,
    )  # fmt: skip
    return randomised(lambda: transformers.DINOv3ViTModel(config))


def tiny_sam2_hf() -> Any:
    """A `Sam2VideoModel` at 128 px."""
    vision = {
        "model_type": "sam2_vision_model",
        "fpn_hidden_size": 128,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads": 1,
            "num_attention_heads_per_stage": [1, 2, 4, 8],
            "blocks_per_stage": [1, 1, 2, 1],
            "global_attention_blocks": [3],
            "image_size": [128, 128],
        },
    }
    config = transformers.Sam2VideoConfig(vision_config=vision, **_decoder_and_memory(128, 16, 8))
    return randomised(lambda: transformers.Sam2VideoModel(config))


SAM31 = Sizes(
    image_size=112,
    pretrain_image_size=56,
    vit_width=48,
    vit_depth=2,
    vit_heads=4,
    vit_mlp=96,
    vit_window=4,
    vit_global=(1,),
    width=32,
    memory_layers=2,
    memory_mlp=64,
    mask_start_channels=1,
    decoder_mlp=64,
    iou_hidden=32,
    multiplex_count=4,
)


def tiny_sam31() -> Network:
    """SAM 3.1's tracker at 112 px, with buckets of 4."""
    model = randomised(lambda: Network(SAM31))
    assert isinstance(model, Network)
    with torch.no_grad():  # so that predicted IoUs are inside 0..1
        model.sam_mask_decoder.iou_prediction_head.layers[-1].weight.mul_(0.1)
        model.sam_mask_decoder.iou_prediction_head.layers[-1].bias.fill_(0.6)
    return with_presence(model, 20)


def write_tiny_sam31(path: Path, **changes: torch.Tensor) -> None:
    """The same as a file laid out as the public one, a detector's weight beside it."""
    tensors = names.exported(tiny_sam31().state_dict())
    tensors["detector.dot_prod_scoring.prompt_mlp.layers.0.bias"] = torch.zeros(4)
    torch.save({"model": tensors | changes, "sizes": SAM31.as_text()}, path)


def randomised(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A model with weights under which frames, objects and memories make a difference.

    Default initialisation leaves many zeros, and every frame alike. SAM's position code is a buffer
    drawn at random: without a seed the model would depend on what ran before.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            noise = torch.randn(value.shape, generator=generator)
            if value.dim() > 1:
                value.copy_(noise * (1.44 / value[0].numel()) ** 0.5)
            elif "norm" in name and name.endswith("weight"):
                value.copy_(1 + 0.1 * noise)
            elif name.endswith("bias"):
                value.copy_(0.1 * noise)
            else:
                value.copy_(0.5 + 0.1 * noise)
    return model.eval()


def with_presence(model: Any, shift: float, gain: float = 10.0) -> Any:
    """Make the object score logit lively, then add to it, so that both signs occur."""
    decoder = model.sam_mask_decoder if hasattr(model, "sam_mask_decoder") else model.mask_decoder
    layers = decoder.pred_obj_score_head.modules()
    (last,) = (m for m in layers if isinstance(m, nn.Linear) and m.out_features == 1)
    with torch.no_grad():
        last.weight.mul_(gain)
        last.bias.add_(shift)
    return model


class Clip:
    """Two discs on crossing ways over a textured ground, uint8 [height, width, 3]."""

    def __init__(self, length: int, height: int = 60, width: int = 84) -> None:
        self._shape = (height, width)
        self._ground = np.random.default_rng(0).integers(0, 90, (height, width, 3), np.uint8)
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> np.ndarray:
        image = self._ground.copy()
        for id_, colour in ((1, (230, 60, 40)), (2, (40, 90, 240))):
            image[self.mask(index, id_)] = colour
        return image

    def mask(self, index: int, object_id: int) -> np.ndarray:
        """bool [height, width] of disc 1 or 2."""
        height, width = self._shape
        y, x = np.mgrid[:height, :width]
        across = (index * 3) % width if object_id == 1 else width - (index * 3) % width
        centre = (height * (0.35 if object_id == 1 else 0.6), across)
        return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (height / 5) ** 2


def counted_passes(monkeypatch: Any) -> list[int]:
    """How many frames each call of SAM 3's vision encoder gets, from now on, in any detector."""
    seen: list[int] = []
    encode = transformers.Sam3Model.get_vision_features

    def counting(model: Any, pixel_values: torch.Tensor, **more: Any) -> Any:
        seen.append(len(pixel_values))
        return encode(model, pixel_values, **more)

    monkeypatch.setattr(transformers.Sam3Model, "get_vision_features", counting)
    return seen
