"""The `tiny` preset: the real classes, shrunken, with seeded random weights.

They make every stage run for real in seconds; until trained weights are shipped, what they draw
is meaningless. Sizes respect what the classes hard-code (transformers 5.23: tracker memory of 64
channels, hidden size a larger multiple of it; windows of SAM 3's ViT tile the pretraining grid).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

SEED = 20261120
_VIT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
    "global_attn_indexes": [1], "window_size": 4, "patch_size": 14, "pretrain_image_size": 56,
}  # fmt: skip


def _vision(image_size: int, fpn: int) -> dict[str, Any]:
    side = image_size // 14
    return {
        "backbone_config": {"model_type": "sam3_vit_model", "image_size": image_size, **_VIT},
        "fpn_hidden_size": fpn,
        "backbone_feature_sizes": [[4 * side] * 2, [2 * side] * 2, [side] * 2],
        "scale_factors": [4.0, 2.0, 1.0, 0.5],
    }


def _sam3_detector(settings: Mapping[str, Any]) -> tuple[Any, torch.Tensor, torch.Tensor]:
    from transformers import Sam3Config, Sam3Model

    block = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_layers": 2}
    config = Sam3Config(
        vision_config=_vision(112, 32),
        text_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64,
            "num_attention_heads": 2, "projection_dim": 32, "max_position_embeddings": 32,
            "bos_token_id": 62, "eos_token_id": 63,
        },
        geometry_encoder_config=block,
        detr_encoder_config=block,
        detr_decoder_config={**block, "num_queries": 20},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 4},
    )  # fmt: skip
    ids = torch.zeros(1, 32, dtype=torch.int64)
    ids[0, :3] = torch.tensor([62, 5, 63])
    mask = torch.zeros_like(ids)
    mask[0, :3] = 1
    return _randomised(Sam3Model(config)), ids, mask


def _sam3_tracker(settings: Mapping[str, Any]) -> Any:
    from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

    config = Sam3TrackerVideoConfig(
        vision_config=_vision(224, 128),
        image_size=224,
        prompt_encoder_config={"hidden_size": 128, "image_size": 224, "patch_size": 14,
                               "mask_input_channels": 8},
        mask_decoder_config={"hidden_size": 128, "mlp_dim": 64, "num_attention_heads": 4,
                             "iou_head_hidden_dim": 128},
        memory_attention_hidden_size=128, memory_attention_feed_forward_hidden_size=128,
        memory_attention_num_layers=1, memory_attention_rope_feat_sizes=[16, 16],
        memory_encoder_hidden_size=128, memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128, memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=128,
    )  # fmt: skip
    return _randomised(Sam3TrackerVideoModel(config))


def _sam2(settings: Mapping[str, Any]) -> Any:
    from sam2.build_sam import build_sam2_video_predictor

    trunk = "model.image_encoder.trunk"
    overrides = [
        f"++{trunk}.embed_dim=16", f"++{trunk}.stages=[1,1,2,1]",
        f"++{trunk}.global_att_blocks=[3]",
        "++model.image_encoder.neck.backbone_channel_list=[128,64,32,16]",
        "++model.memory_attention.num_layers=1", "++model.image_size=256",
    ]  # fmt: skip
    model = build_sam2_video_predictor(
        "configs/sam2.1/sam2.1_hiera_t.yaml",
        device="cpu",
        hydra_overrides_extra=overrides,
        apply_postprocessing=False,
    )
    return _randomised(model)


def _dinov3(settings: Mapping[str, Any]) -> Any:
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=3,
        num_register_tokens=4, patch_size=16, image_size=224,
    )  # fmt: skip
    return _randomised(DINOv3ViTModel(config))


def _randomised(model: nn.Module) -> nn.Module:
    """Fill every parameter from a seeded normal: default initialisation leaves many at zero.

    The head of the presence score leans to "present", else every mask would be empty.
    """
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.dim() > 1:
                weight.copy_(noise * (1.2 / weight[0].numel() ** 0.5))
            elif name.endswith("weight"):
                weight.copy_(1 + 0.1 * noise)
            else:
                weight.copy_(0.1 * noise)
        for name, weight in model.named_parameters():
            if "pred_obj_score_head" in name and weight.dim() == 1 and weight.numel() == 1:
                weight.fill_(3.0)
    return model


BUILDERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "sam3_detector": _sam3_detector,
    "sam3": _sam3_tracker,
    "sam2": _sam2,
    "dinov3": _dinov3,
}
