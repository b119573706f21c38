"""The `tiny` family: the real classes, shrunken, with weights trained by the kit on drawn videos.

A few megabytes beside the code (`kit/weights`). They make real masks of the videos that the kit
draws, in seconds and on any machine, and are not meant for anything else. Sizes respect what the
classes hard-code (transformers 5.23: tracker memory of 64 channels, hidden size a larger multiple
of it; the windows of SAM 3's ViT tile the pretraining grid).
"""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import torch
from torch import nn

from kit.core import weights

SEED = 20261120
WEIGHTS = weights.TINY
FOLDERS = {"sam2": "sam2", "sam3": "sam3", "sam3_detector": "sam3", "dinov3": "dinov3"}

SAM2_SIZE = 160
SAM2_YAML = "configs/sam2.1/sam2.1_hiera_t.yaml"
SAM2_OVERRIDES = (
    "++model.image_encoder.trunk.embed_dim=20",
    "++model.image_encoder.trunk.stages=[1,1,3,1]",
    "++model.image_encoder.trunk.global_att_blocks=[4]",
    "++model.image_encoder.neck.backbone_channel_list=[160,80,40,20]",
    "++model.image_encoder.neck.d_model=64",
    "++model.image_encoder.neck.position_encoding.num_pos_feats=64",
    "++model.memory_attention.d_model=64",
    "++model.memory_attention.num_layers=2",
    "++model.memory_attention.layer.d_model=64",
    "++model.memory_attention.layer.dim_feedforward=192",
    "++model.memory_attention.layer.dropout=0.0",
    "++model.memory_attention.layer.self_attention.embedding_dim=64",
    "++model.memory_attention.layer.self_attention.dropout=0.0",
    "++model.memory_attention.layer.cross_attention.embedding_dim=64",
    "++model.memory_attention.layer.cross_attention.kv_in_dim=32",
    "++model.memory_attention.layer.cross_attention.dropout=0.0",
    "++model.memory_encoder.out_dim=32",
    "++model.memory_encoder.in_dim=64",
    "++model.memory_encoder.position_encoding.num_pos_feats=32",
    "++model.memory_encoder.mask_downsampler.embed_dim=64",
    "++model.memory_encoder.fuser.layer.dim=64",
    "++model.memory_encoder.fuser.layer.layer_scale_init_value=0.2",
    f"++model.image_size={SAM2_SIZE}",
)

SAM3_SIZE, SAM3_PATCH, SAM3_WIDTH = 144, 12, 128
_SIDE = SAM3_SIZE // SAM3_PATCH
_VISION = {
    "model_type": "sam3_vision_model",
    "backbone_config": {
        "model_type": "sam3_vit_model", "image_size": SAM3_SIZE, "pretrain_image_size": SAM3_SIZE,
        "patch_size": SAM3_PATCH, "hidden_size": 96, "intermediate_size": 192,
        "num_hidden_layers": 4, "num_attention_heads": 3, "global_attn_indexes": [1, 3],
        "window_size": 6,
    },
    "fpn_hidden_size": SAM3_WIDTH,
    "backbone_feature_sizes": [[4 * _SIDE] * 2, [2 * _SIDE] * 2, [_SIDE] * 2],
    "scale_factors": [4.0, 2.0, 1.0, 0.5],
}  # fmt: skip
# The detector has a neck of its own on the trunk that it shares with the tracker, so it may be
# narrower: the tracker's width would take twice the megabytes and four times the time.
SEEKER_WIDTH = 64
_HEADS = {
    "hidden_size": SEEKER_WIDTH, "intermediate_size": 128, "num_attention_heads": 4, "dropout": 0.0
}  # fmt: skip
DINOV3_SIZE = 64  # side of the crops that the tiny DINOv3 is trained on


def sam3_detector_config() -> Any:
    """Configuration of the tiny SAM 3's detector."""
    from transformers import Sam3Config

    return Sam3Config(
        vision_config={**_VISION, "fpn_hidden_size": SEEKER_WIDTH},
        text_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 64,
            "num_attention_heads": 2, "projection_dim": 32, "max_position_embeddings": 32,
            "bos_token_id": 62, "eos_token_id": 63,
        },
        geometry_encoder_config={**_HEADS, "num_layers": 1, "roi_size": 3},
        detr_encoder_config={**_HEADS, "num_layers": 2},
        detr_decoder_config={**_HEADS, "num_layers": 3, "num_queries": 36},
        mask_decoder_config={"hidden_size": SEEKER_WIDTH, "num_attention_heads": 4,
                             "num_upsampling_stages": 2},
    )  # fmt: skip


def sam3_tracker_config() -> Any:
    """Configuration of the tiny SAM 3's tracker."""
    from transformers import Sam3TrackerVideoConfig

    return Sam3TrackerVideoConfig(
        vision_config=_VISION,
        image_size=SAM3_SIZE,
        prompt_encoder_config={"hidden_size": SAM3_WIDTH, "image_size": SAM3_SIZE,
                               "patch_size": SAM3_PATCH, "mask_input_channels": 8},
        mask_decoder_config={"hidden_size": SAM3_WIDTH, "mlp_dim": 128, "num_attention_heads": 4,
                             "iou_head_hidden_dim": 64},
        memory_attention_hidden_size=SAM3_WIDTH, memory_attention_feed_forward_hidden_size=128,
        memory_attention_num_layers=2, memory_attention_rope_feat_sizes=[_SIDE, _SIDE],
        memory_attention_dropout=0.0, memory_attention_rope_dropout=0.0,
        memory_encoder_hidden_size=SAM3_WIDTH, memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=SAM3_WIDTH, memory_fuser_embed_dim=SAM3_WIDTH,
        memory_fuser_intermediate_dim=SAM3_WIDTH, memory_fuser_layer_scale_init_value=0.2,
    )  # fmt: skip


def dinov3_config() -> Any:
    """Configuration of the tiny DINOv3."""
    from transformers import DINOv3ViTConfig

    return DINOv3ViTConfig(
        hidden_size=96, intermediate_size=192, num_hidden_layers=4, num_attention_heads=3,
        num_register_tokens=4, patch_size=8, image_size=DINOV3_SIZE, layerscale_value=1.0,
    )  # fmt: skip


def _new_sam2() -> nn.Module:
    from sam2.build_sam import build_sam2_video_predictor

    model: nn.Module = build_sam2_video_predictor(
        SAM2_YAML,
        device="cpu",
        hydra_overrides_extra=list(SAM2_OVERRIDES),
        apply_postprocessing=False,
    )
    return model


def _new_sam3_tracker() -> nn.Module:
    from transformers import Sam3TrackerVideoModel

    model: nn.Module = Sam3TrackerVideoModel(sam3_tracker_config())
    return model


def _new_sam3_detector() -> nn.Module:
    from transformers import Sam3Model

    model: nn.Module = Sam3Model(sam3_detector_config())
    return model


def _new_dinov3() -> nn.Module:
    from transformers import DINOv3ViTModel

    model: nn.Module = DINOv3ViTModel(dinov3_config())
    return model


NEW: dict[str, Callable[[], nn.Module]] = {
    "sam2": _new_sam2,
    "sam3": _new_sam3_tracker,
    "sam3_detector": _new_sam3_detector,
    "dinov3": _new_dinov3,
}


def new(kind: str) -> nn.Module:
    """An untrained model of a kind, as its library initialises it; the same in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return NEW[kind]()


def tokenize(phrase: str) -> list[int]:
    """A phrase in a vocabulary of 64: a word is 5 ("visual") or a checksum from 6 to 61."""
    words = phrase.lower().split()
    ids = [5 if word == "visual" else 6 + crc32(word.encode()) % 56 for word in words]
    return [62, *ids, 63]
