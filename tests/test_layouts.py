"""Checkpoints as people have them: told by name, and loaded where only names differ."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import SAM31, tiny_sam2_hf, tiny_sam31, write_tiny_sam3

from kit import cli
from kit.core.errors import WeightsError
from kit.runtime import layouts, models, renaming, tiny
from kit.trackers.multiplex import names

Weights = dict[str, torch.Tensor]
HIERA_T = "configs/sam2.1/sam2.1_hiera_t.yaml"


@pytest.fixture(scope="module")
def own() -> Weights:
    """The tiny SAM 2, by the package's names."""
    return dict(load_file(tiny.WEIGHTS / "sam2" / "model.safetensors"))


def trained(state: Weights) -> dict[str, Any]:
    return {"model": state, "epoch": 3, "best_meter_values": {"J": np.float64(0.7)}}


def by_transformers(state: Weights) -> Weights:
    """The same weights by transformers' names."""
    found = {renaming.renamed(key, renaming._SAM2): value for key, value in state.items()}
    points = [found.pop(f"prompt_encoder.point_embeddings.{i}.weight") for i in range(4)]
    code = found["prompt_encoder.shared_embedding.positional_embedding"]
    return {
        **found,
        "prompt_encoder.point_embed.weight": torch.cat(points),
        "shared_image_embedding.positional_embedding": code,
    }


SAM2: dict[str, Callable[[Weights], Any]] = {
    "published": lambda state: {"model": state},
    "bare": lambda state: state,
    "distributed": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
    "compiled": lambda state: {f"module._orig_mod.{k}": v for k, v in state.items()},
    "under state_dict": lambda state: {"state_dict": state},
    "of a training": trained,
    "of transformers": by_transformers,
}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("layout", SAM2)
def test_sam2_in_every_layout_is_the_same_model(
    layout: str, suffix: str, own: Weights, tmp_path: Path
) -> None:
    laid_out, file = SAM2[layout](own), tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(laid_out, file)
    elif layout in ("bare", "compiled", "of transformers"):
        save_file({key: value.clone() for key, value in laid_out.items()}, file)
    else:
        return  # safetensors holds tensors alone
    found = models.load("sam2", {"source": str(file), "config": "tiny"}, "cpu").state_dict()
    assert found.keys() == own.keys()
    assert all(torch.equal(found[key], own[key]) for key in own)


def test_sam2s_names_are_those_of_transformers() -> None:
    there = {re.sub(r"\d+", "N", key) for key in tiny_sam2_hf().state_dict()}
    ours = {re.sub(r"\d+", "N", key) for key in by_transformers(tiny.new("sam2").state_dict())}
    assert ours == there


# Names of all tensors in Meta's SAM 3, N for a number (facebookresearch/sam3 99d02f2, built at its
# public size: 1,465 tensors).
NAMES = (Path(__file__).parent / "sam3_names.txt").read_text().split()


def as_published(theirs: Weights) -> Weights:
    """Weights of a `Sam3VideoModel` under Meta's names; three tensors are one there."""
    found: Weights = {}
    for pattern in NAMES:
        for numbers in itertools.product(range(13), repeat=pattern.split(".").count("N")):
            name = filled(pattern, numbers)
            becomes = list(renaming.sam3_from_meta({name: torch.zeros(6, 6)}))
            if becomes and all(key in theirs for key in becomes[:1]):
                found[name] = torch.cat([theirs[key] for key in becomes if "shared_im" not in key])
    points = theirs["tracker_model.prompt_encoder.point_embed.weight"]
    for row in range(4):
        name = f"tracker.sam_prompt_encoder.point_embeddings.{row}.weight"
        found[name] = points[row : row + 1]
    projection = "detector.backbone.language_backbone.encoder.text_projection"
    found[projection] = found[projection].T.contiguous()
    trunk = "detector.backbone.vision_backbone.trunk.pos_embed"
    found[trunk] = torch.cat([torch.ones_like(found[trunk][:, :1]), found[trunk]], 1)
    return found


def filled(pattern: str, numbers: tuple[int, ...]) -> str:
    left = iter(numbers)
    return ".".join(str(next(left)) if part == "N" else part for part in pattern.split("."))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny SAM 3 as transformers writes it, and as Meta publishes it beside a config.json."""
    import transformers

    ours = tmp_path_factory.mktemp("ours")
    write_tiny_sam3(ours)
    theirs = tmp_path_factory.mktemp("meta")
    whole = transformers.Sam3VideoModel.from_pretrained(ours).state_dict()
    torch.save({"model": as_published(whole)}, theirs / "sam3.pt")
    (theirs / "config.json").write_text((ours / "config.json").read_text())
    return ours, theirs


CODE = "prompt_encoder.shared_embedding.positional_embedding"


@pytest.mark.parametrize("kind", ["sam3", "sam3_detector"])
def test_metas_sam3_is_the_same_model(kind: str, folders: tuple[Path, Path]) -> None:
    import transformers

    ours, theirs = folders
    cls = {"sam3": transformers.Sam3TrackerVideoModel, "sam3_detector": transformers.Sam3Model}
    expected = cls[kind].from_pretrained(ours).state_dict()
    for source in (theirs, theirs / "sam3.pt"):
        loaded = models.load(kind, {"source": str(source)}, "cpu")
        found = getattr(loaded, "model", loaded).state_dict()
        assert found.keys() == expected.keys()
        # published once, under the name of the prompt encoder
        shared = expected.pop("shared_image_embedding.positional_embedding", None)
        if shared is not None:
            expected["shared_image_embedding.positional_embedding"] = expected[CODE]
        assert [key for key in expected if not torch.equal(found[key], expected[key])] == []


def as_sam31(theirs: Path) -> Weights:
    """The detector of a SAM 3 as Meta publishes it and our tracker, as one SAM 3.1."""
    published = torch.load(theirs / "sam3.pt", weights_only=True)["model"]
    vision = "detector.backbone.vision_backbone."
    apart = ("tracker.", f"{vision}sam2_convs.", f"{vision}convs.3.")
    kept = {name: value for name, value in published.items() if not name.startswith(apart)}
    tracker = names.exported(tiny_sam31().state_dict())
    return kept | {n: v for n, v in tracker.items() if not n.startswith(f"{vision}trunk.")}


def test_the_detector_of_sam31_is_that_of_sam3(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The same names but for the neck: three levels, and two necks of the tracker beside it."""
    import transformers

    ours, theirs = folders
    kept = as_sam31(theirs)
    torch.save(kept, tmp_path / "sam3.1_multiplex.pt")
    (tmp_path / "config.json").write_text((ours / "config.json").read_text())
    detector = models.load("sam3_detector", {"source": str(tmp_path)}, "cpu")
    found = detector.model.state_dict()
    expected = transformers.Sam3Model.from_pretrained(ours).state_dict()
    assert found.keys() == expected.keys()
    other = [key for key in expected if not torch.equal(found[key], expected[key])]
    assert other
    assert all(".neck.fpn_layers.3." in key for key in other)  # which is computed and dropped
    assert detector.model.config.vision_config.backbone_config.layer_norm_eps == 1e-5
    assert layouts.layout_of(kept).kinds == ("sam31", "sam3_detector")


def test_what_the_detector_of_sam31_lacks_is_told(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = as_sam31(folders[1])
    kept["detector.transformer.decoder.query_embed.weight"] = torch.zeros(3, 3)
    del kept["detector.dot_prod_scoring.hs_proj.bias"]
    file = tmp_path / "sam3.1_multiplex.pt"
    torch.save({"model": kept, "sizes": SAM31.as_text()}, file)
    (tmp_path / "config.json").write_text((folders[0] / "config.json").read_text())
    assert cli.main(["check-weights", "sam31", str(file)]) == 2
    said = capsys.readouterr().out
    assert "for the detector: 2\n" in said
    assert "  detr_decoder.query_embed.weight [3, 3] for [8, 128]\n" in said
    assert "  dot_product_scoring.query_proj.bias\n" in said
    assert "the detector cannot use it" in said


def test_metas_sam3_knows_the_word_that_boxes_need(folders: tuple[Path, Path]) -> None:
    detector = models.load("sam3_detector", {"source": str(folders[1] / "sam3.pt")}, "cpu")
    ids, mask = detector.words("visual")
    assert ids[0, :3].tolist() == [49406, 7195, 49407]
    assert mask.sum() == 3
    with pytest.raises(WeightsError, match=r"no tokenizer lies beside.*'red umbrella'"):
        detector.words("red umbrella")


def dinov3(width: int, blocks: int, gated: bool, bias: bool) -> Weights:
    """A DINOv3 ViT by Meta's names (dinov3/models/vision_transformer.py), random."""
    drawn = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=drawn) * 0.05

    mlp = 2 * width
    layers = {"w1": (mlp, width), "w2": (mlp, width), "w3": (width, mlp)}
    layers = layers if gated else {"fc1": (mlp, width), "fc2": (width, mlp)}
    found = {
        "cls_token": tensor(1, 1, width),
        "mask_token": tensor(1, width),
        "storage_tokens": tensor(1, 4, width),
        "patch_embed.proj.weight": tensor(width, 3, 16, 16),
        "patch_embed.proj.bias": tensor(width),
        "rope_embed.periods": torch.ones(16),  # heads are 64 wide
        "norm.weight": tensor(width),
        "norm.bias": tensor(width),
        "local_cls_norm.weight": tensor(width),
    }
    for block in (f"blocks.{i}" for i in range(blocks)):
        found[f"{block}.attn.qkv.weight"] = tensor(3 * width, width)
        found[f"{block}.attn.proj.weight"] = tensor(width, width)
        found[f"{block}.attn.proj.bias"] = tensor(width)
        if bias:
            found[f"{block}.attn.qkv.bias"] = tensor(3 * width)
            found[f"{block}.attn.qkv.bias_mask"] = torch.ones(3 * width)
        for part in ("norm1", "norm2"):
            found[f"{block}.{part}.weight"] = tensor(width)
            found[f"{block}.{part}.bias"] = tensor(width)
        for part in ("ls1", "ls2"):
            found[f"{block}.{part}.gamma"] = tensor(width)
        for part, shape in layers.items():
            found[f"{block}.mlp.{part}.weight"] = tensor(*shape)
            found[f"{block}.mlp.{part}.bias"] = tensor(shape[0])
    return found


@pytest.mark.parametrize(("gated", "bias"), [(False, True), (True, True), (True, False)])
def test_metas_dinov3_is_understood_by_its_shapes(gated: bool, bias: bool, tmp_path: Path) -> None:
    theirs = dinov3(128, 3, gated, bias)
    torch.save(theirs, tmp_path / "dinov3_vit_pretrain.pth")
    model = models.load("dinov3", {"source": str(tmp_path / "dinov3_vit_pretrain.pth")}, "cpu")
    assert model.config.num_attention_heads == 2
    assert model.config.patch_size == 16
    ours = model.state_dict()
    _, keys, values = theirs["blocks.2.attn.qkv.weight"].chunk(3)
    (name,) = (key for key in ours if key.endswith("layer.2.attention.k_proj.weight"))
    assert torch.equal(ours[name], keys)
    assert torch.equal(ours[name.replace("k_proj", "v_proj")], values)
    assert len(ours) == len([*ours])
    assert torch.equal(ours["embeddings.register_tokens"], theirs["storage_tokens"])
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 32, 32)).last_hidden_state.isfinite().all()


def of(names: str) -> Weights:
    return {name: torch.zeros(1) for name in names.split()}


OTHERS: list[tuple[str, Weights, str]] = [
    ("sam3", of("tracker.model.a interactive_convs.0.b"), "SAM 3.1 as Meta publishes it"),
    ("dinov3", of("downsample_layers.0.a stages.0.b"), "a DINOv3 ConvNeXt, which is no ViT"),
    ("sam2", of("image_encoder.blocks.0.a mask_decoder.b prompt_encoder.c"), "the first SAM"),
    ("sam2", of("image_encoder.trunk.a sam_mask_decoder.b"), "SAM 2 for images, without memory"),
    ("sam3_detector", of("storage_tokens blocks.0.attn.qkv.weight"), "a DINOv3 ViT as Meta"),
    ("sam3", of("image_encoder.trunk.a memory_encoder.b sam_mask_decoder.c"), "sam2 package"),
    ("dinov3", of("detector.backbone.a tracker.maskmem_b"), "SAM 3 as Meta publishes it"),
    ("sam2", of("some.a other.b"), "layout that the kit does not know (2 tensors: other.b, some.a"),
]  # fmt: skip


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("kind", "state", "words"), OTHERS, ids=[row[2] for row in OTHERS])
def test_another_models_weights_are_named(
    kind: str, state: Weights, words: str, suffix: str, tmp_path: Path
) -> None:
    file = tmp_path / f"weights{suffix}"
    torch.save(state, file) if suffix == ".pt" else save_file(state, file)
    with pytest.raises(WeightsError) as refusal:
        models.load(kind, {"source": str(file), "config": HIERA_T}, "cpu")
    assert f"{file}: " in str(refusal.value)
    assert words in str(refusal.value)
    assert "is needed" in str(refusal.value)
    assert layouts.names_in(file) == sorted(state, key=layouts.names_in(file).index)


def test_a_dinov3_of_transformers_needs_its_sizes(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    state = load_file(tiny.WEIGHTS / "dinov3" / "model.safetensors")
    save_file(state, file)
    with pytest.raises(WeightsError, match=r"without their sizes\. Put the config\.json"):
        models.load("dinov3", {"source": str(file)}, "cpu")
    (tmp_path / "config.json").write_text((tiny.WEIGHTS / "dinov3" / "config.json").read_text())
    assert models.load("dinov3", {"source": str(file)}, "cpu").config.patch_size == 8


PARTS = {"sam2": "", "sam3": "tracker_model", "sam3_detector": "detr_decoder", "dinov3": ""}


@pytest.mark.parametrize("bad", ["nan", "inf"])
@pytest.mark.parametrize("kind", PARTS)
def test_numbers_that_are_none_are_refused(kind: str, bad: str, tmp_path: Path) -> None:
    here = tiny.WEIGHTS / tiny.FOLDERS[kind]
    state = load_file(here / "model.safetensors")
    name = next(key for key in state if PARTS[kind] in key and state[key].numel() > 5)
    state[name].view(-1)[3] = float(bad)
    for file in here.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 of \d+ numbers in `.+` are NaN or infinite"):
        models.load(kind, {"source": str(tmp_path)}, "cpu")


ODD = {
    "list": "[]",
    "text": '"sam3"',
    "no JSON": "{",
    "words for sizes": json.dumps({"model_type": "dinov3_vit", "hidden_size": "wide"}),
    "no heads": json.dumps({"model_type": "dinov3_vit", "num_attention_heads": 0}),
    "nothing where a part is": json.dumps({"model_type": "dinov3_vit", "patch_size": None}),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_config_is_a_message(odd: str, tmp_path: Path) -> None:
    save_file(dinov3(64, 1, False, True), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(odd)
    with pytest.raises(WeightsError, match=re.escape(str(tmp_path))):
        models.load("dinov3", {"source": str(tmp_path)}, "cpu")


def test_only_the_packages_own_configurations_are_read(tmp_path: Path) -> None:
    """What a yaml names is imported and called."""
    import sam2

    trace = tmp_path / "called"
    yaml = tmp_path / "any.yaml"
    yaml.write_text(f"model: {{_target_: pathlib.Path.touch, self: {trace}}}\n")
    folder = tmp_path / "downloaded"
    folder.mkdir()
    save_file(of("image_encoder.trunk.a memory_encoder.b sam_mask_decoder.c"),
              folder / "model.safetensors")  # fmt: skip
    outside = Path("../" * 30) / yaml.relative_to("/")
    assert (Path(sam2.__file__).parent / outside).exists()
    for config in (
        str(outside),
        str(yaml),
        "configs/sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml",
    ):
        told = {"schema": "model/1", "architecture": config}
        (folder / "model.json").write_text(json.dumps(told))
        with pytest.raises(WeightsError, match="no configuration of the sam2 package"):
            models.load("sam2", {"source": str(folder)}, "cpu")
        assert not trace.exists()
