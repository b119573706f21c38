"""Weights of one layout under the names of another: nothing is computed, tensors are only cut.

The names are facts of public code: those of the `sam2` package and of transformers 5.23, and of
transformers' own conversions (src/transformers/models: sam2_video/convert_sam2_video_to_hf.py,
sam3_video/convert_sam3_video_to_hf.py, dinov3_vit/convert_dinov3_vit_to_hf.py). Two things are more
than names: one tensor of queries, keys and values becomes three, and four point embeddings are one
table in transformers.
"""

import re
from collections.abc import Iterable, Mapping
from math import isqrt

import torch
from torch import Tensor

Rules = tuple[tuple[str, str], ...]
Weights = dict[str, Tensor]

# Applied in order, each wherever it is found.
_SAM2: Rules = (
    (r"^sam_prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
     "prompt_encoder.shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|^obj_ptr_proj)\.layers\.0\.",
     r"\1.proj_in."),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|^obj_ptr_proj)\.layers\.1\.",
     r"\1.layers.0."),
    (r"(hypernetworks_mlps\.\d+|iou_prediction_head|pred_obj_score_head|^obj_ptr_proj)\.layers\.2\.",
     r"\1.proj_out."),
    (r"\.mlp\.(layers\.0|lin1)\.", ".mlp.proj_in."),
    (r"\.mlp\.(layers\.1|lin2)\.", ".mlp.proj_out."),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"\.gamma$", ".scale"),
    (r"mask_downsampler\.encoder\.12\.", "mask_downsampler.final_conv."),
    *((rf"mask_downsampler\.encoder\.{3 * i}\.", f"mask_downsampler.layers.{i}.conv.")
      for i in range(4)),
    *((rf"mask_downsampler\.encoder\.{3 * i + 1}\.", f"mask_downsampler.layers.{i}.layer_norm.")
      for i in range(4)),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.norm(\d?)\.", r".layer_norm\1."),
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
)  # fmt: skip
# What SAM 3's tracker calls otherwise than SAM 2 does.
_TRACKER: Rules = (
    (r"^transformer\.encoder\.", "memory_attention."),
    (r"^maskmem_backbone\.", "memory_encoder."),
    *_SAM2,
)
_NECK: Rules = (
    (r"^(\d+)\.dconv_2x2_0\.", r"fpn_layers.\1.scale_layers.0."),
    (r"^(\d+)\.dconv_2x2_1\.", r"fpn_layers.\1.scale_layers.2."),
    (r"^(\d+)\.(dconv|maxpool)_2x2\.", r"fpn_layers.\1.scale_layers.0."),
    (r"^(\d+)\.conv_1x1\.", r"fpn_layers.\1.proj1."),
    (r"^(\d+)\.conv_3x3\.", r"fpn_layers.\1.proj2."),
)
# Of SAM 3 and 3.1 alike.
TRUNK: Rules = (
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^ln_pre\.", "layer_norm."),
    (r"^blocks\.(\d+)\.norm(\d)\.", r"layers.\1.layer_norm\2."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"layers.\1.attention.o_proj."),
    (r"^blocks\.(\d+)\.attn\.", r"layers.\1.attention."),
    (r"^blocks\.", "layers."),
)
_TEXT: Rules = (
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^text_projection$", "text_projection.weight"),
    (r"^transformer\.resblocks\.(\d+)\.", r"text_model.encoder.layers.\1."),
    (r"\.attn\.", ".self_attn."),
    (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)
_LAYER: Rules = (
    (r"\.cross_attn_image\.", ".cross_attn."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.linear(\d)\.", r".mlp.fc\1."),
)
_GEOMETRY: Rules = (
    *_LAYER,
    (r"^encode\.(\d+)\.norm(\d)\.", r"layers.\1.layer_norm\2."),
    (r"^encode\.", "layers."),
    (r"^img_pre_norm\.", "vision_layer_norm."),
    (r"^norm\.", "prompt_layer_norm."),
    (r"^encode_norm\.", "output_layer_norm."),
)
_ENCODER: Rules = (*_LAYER, (r"\.norm(\d)\.", r".layer_norm\1."))
_DECODER: Rules = (
    (r"\.ca_text\.", ".text_cross_attn."),
    (r"\.cross_attn\.", ".vision_cross_attn."),
    (r"\.catext_norm\.", ".text_cross_attn_layer_norm."),
    (r"^(layers\.\d+)\.norm1\.", r"\1.vision_cross_attn_layer_norm."),
    (r"^(layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"^(layers\.\d+)\.norm3\.", r"\1.mlp_layer_norm."),
    *_LAYER,
    (r"^norm\.", "output_layer_norm."),
    (r"^presence_token_out_norm\.", "presence_layer_norm."),
    (r"^presence_token_head\.", "presence_head."),
    (r"bbox_embed\.", "box_head."),
    (r"^boxRPB_embed_(\w)\.", r"box_rpb_embed_\1."),
    (r"(head|embed_[xy])\.layers\.0\.", r"\1.layer1."),
    (r"(head|embed_[xy])\.layers\.1\.", r"\1.layer2."),
    (r"(head|embed_[xy])\.layers\.2\.", r"\1.layer3."),
)
_SCORING: Rules = (
    (r"^prompt_mlp\.layers\.0\.", "text_mlp.layer1."),
    (r"^prompt_mlp\.layers\.1\.", "text_mlp.layer2."),
    (r"^prompt_mlp\.out_norm\.", "text_mlp_out_norm."),
    (r"^prompt_proj\.", "text_proj."),
    (r"^hs_proj\.", "query_proj."),
)
_MASKS: Rules = (
    (r"^(mask_predictor\.)?mask_embed\.", "mask_embedder."),
    (r"^instance_seg_head\.", "instance_projection."),
    (r"^semantic_seg_head\.", "semantic_projection."),
    (r"^cross_attend_prompt\.", "prompt_cross_attn."),
    (r"^cross_attn_norm\.", "prompt_cross_attn_norm."),
    (r"\.out_proj\.", ".o_proj."),
)
# Parts of SAM 3 by their prefix: what it becomes, and the rules for the rest of the name.
_SAM3: tuple[tuple[str, str, Rules], ...] = (
    ("detector.backbone.vision_backbone.trunk.", "detector_model.vision_encoder.backbone.", TRUNK),
    ("detector.backbone.vision_backbone.convs.", "detector_model.vision_encoder.neck.", _NECK),
    ("detector.backbone.vision_backbone.sam2_convs.", "tracker_neck.", _NECK),
    ("detector.backbone.language_backbone.encoder.", "detector_model.text_encoder.", _TEXT),
    ("detector.backbone.language_backbone.resizer.", "detector_model.text_projection.", ()),
    ("detector.geometry_encoder.", "detector_model.geometry_encoder.", _GEOMETRY),
    ("detector.transformer.encoder.", "detector_model.detr_encoder.", _ENCODER),
    ("detector.transformer.decoder.", "detector_model.detr_decoder.", _DECODER),
    ("detector.dot_prod_scoring.", "detector_model.dot_product_scoring.", _SCORING),
    ("detector.segmentation_head.", "detector_model.mask_decoder.", _MASKS),
    ("tracker.", "tracker_model.", _TRACKER),
)
_DINOV3: Rules = (
    (r"^(cls_token|mask_token)$", r"embeddings.\1"),
    (r"^storage_tokens$", "embeddings.register_tokens"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings."),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"model.layer.\1.attention.o_proj."),
    (r"^blocks\.(\d+)\.attn\.", r"model.layer.\1.attention."),
    (r"^blocks\.(\d+)\.ls(\d)\.gamma$", r"model.layer.\1.layer_scale\2.lambda1"),
    (r"^blocks\.(\d+)\.mlp\.(fc1|w2)\.", r"model.layer.\1.mlp.up_proj."),
    (r"^blocks\.(\d+)\.mlp\.(fc2|w3)\.", r"model.layer.\1.mlp.down_proj."),
    (r"^blocks\.(\d+)\.mlp\.w1\.", r"model.layer.\1.mlp.gate_proj."),
    (r"^blocks\.", "model.layer."),
)  # fmt: skip
_POINTS = "prompt_encoder.point_embed"
_CODE = "prompt_encoder.shared_embedding.positional_embedding"
_SHARED_CODE = "shared_image_embedding.positional_embedding"


def sam2_from_transformers(weights: Weights, names: Iterable[str]) -> Weights:
    """SAM 2 of transformers as the package has it.

    Args:
        weights: With the keys of `Sam2VideoModel`.
        names: Keys of the package's model; one that has no counterpart is left out.
    """
    found = {}
    for name in names:
        key = renamed(name, _SAM2)
        if point := re.fullmatch(r"prompt_encoder\.point_embeddings\.(\d)\.weight", key):
            row, table = int(point[1]), weights.get(f"{_POINTS}.weight")
            if table is not None:
                found[name] = table[row : row + 1]
        elif key in weights:
            found[name] = weights[key]
        elif key == _CODE and _SHARED_CODE in weights:
            found[name] = weights[_SHARED_CODE]
    return found


def sam3_from_meta(weights: Weights) -> Weights:
    """`sam3.pt` as `Sam3VideoModel` of transformers has it; what is no part of that is left out."""
    found: Weights = {}
    for name, value in weights.items():
        for prefix, becomes, rules in _SAM3:
            if name.startswith(prefix):
                key = becomes + renamed(name[len(prefix) :], rules)
                found |= split(key, value)
                break
    trunk = "detector_model.vision_encoder.backbone.embeddings.position_embeddings"
    if trunk in found and _has_class_token(found[trunk]):
        found[trunk] = found[trunk][:, 1:]  # of a class token that the trunk does not have
    projection = "detector_model.text_encoder.text_projection.weight"
    if projection in found:
        found[projection] = found[projection].T.contiguous()
    tracker = "tracker_model."
    if f"{tracker}{_CODE}" in found:
        found[f"{tracker}{_SHARED_CODE}"] = found[f"{tracker}{_CODE}"]
    rows = [
        found.pop(f"{tracker}prompt_encoder.point_embeddings.{i}.weight", None) for i in range(4)
    ]
    if all(row is not None for row in rows):
        found[f"{tracker}{_POINTS}.weight"] = torch.cat([r for r in rows if r is not None])
    return found


def sam31_from_meta(weights: Weights) -> Weights:
    """The detector of `sam3.1_multiplex.pt` as `Sam3VideoModel` of transformers has it.

    SAM 3.1 has no fourth level of the neck, which `Sam3Model` computes and drops: zeros.
    """
    usual = {
        re.sub(r"^sam3_model\.", "detector.", name): value
        for name, value in weights.items()
        if not name.startswith(("tracker.", "sam2_predictor.")) and not name.endswith(".freqs_cis")
    }
    found = sam3_from_meta(usual)
    level = "detector_model.vision_encoder.neck.fpn_layers."
    for part in ("proj1.weight", "proj1.bias", "proj2.weight", "proj2.bias"):
        if f"{level}2.{part}" in found:
            found.setdefault(f"{level}3.{part}", torch.zeros_like(found[f"{level}2.{part}"]))
    return found


def dinov3_from_meta(weights: Weights) -> Weights:
    """A DINOv3 ViT as `DINOv3ViTModel` of transformers has it.

    Left out: what masks the bias of the keys to zero, the rotary periods, which are computed, and a
    norm of training (`local_cls_norm`).
    """
    found: Weights = {}
    for name, value in weights.items():
        if not re.search(r"bias_mask$|^rope_embed\.|^local_cls_norm\.", name):
            value = value[:, None] if name == "mask_token" and value.dim() == 2 else value
            found |= split(renamed(name, _DINOV3), value)
    return {key: value for key, value in found.items() if not key.endswith(".k_proj.bias")}


def renamed(name: str, rules: Rules) -> str:
    """A name after all rules, in order."""
    for pattern, becomes in rules:
        name = re.sub(pattern, becomes, name)
    return name


def split(key: str, value: Tensor) -> Mapping[str, Tensor]:
    """Queries, keys and values of one tensor apart; anything else as it is."""
    fused = re.search(r"\.(qkv\.|in_proj_)(weight|bias)$", key)
    if fused is None:
        return {key: value}
    parts = value.chunk(3)
    base = key[: fused.start()]
    return {f"{base}.{p}_proj.{fused[2]}": v for p, v in zip("qkv", parts, strict=True)}


def _has_class_token(positions: Tensor) -> bool:
    """Whether one of [1, n, C] position codes is beyond a square of them."""
    count = positions.shape[1]
    return isqrt(count - 1) ** 2 == count - 1
