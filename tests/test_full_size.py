"""Checkpoints of public size and layout, with random weights, through every stage on the CPU.

Slow: SAM 3 at 1008 px, SAM 2.1-L at 1024 px, DINOv3 ViT-L. What it proves is that loading, shapes
and the chain hold at full size.
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.cli import main
from kit.core.masks import encode_png

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of noise with one object, in MOSE layout."""
    root = tmp_path_factory.mktemp("clip")
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "v").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(3):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((320, 240)).save(root / "JPEGImages" / "v" / f"{i:05d}.jpg")
        labels = np.zeros((240, 320), np.uint8)
        labels[60:160, 80 + 20 * i : 200 + 20 * i] = 1
        (root / "Annotations" / "v" / f"{i:05d}.png").write_bytes(encode_png(labels))
    return root


@pytest.fixture(scope="module")
def sam3(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`facebook/sam3`'s layout: one folder for detector and tracker, and a tokenizer."""
    import torch
    from transformers import CLIPTokenizer, Sam3VideoConfig, Sam3VideoModel

    folder = tmp_path_factory.mktemp("sam3")
    torch.manual_seed(0)
    Sam3VideoModel(Sam3VideoConfig()).save_pretrained(folder)
    words = ["<|startoftext|>", "<|endoftext|>", *"visual", *(f"{c}</w>" for c in "visual")]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The public .pt layout of SAM 2.1-L: {"model": weights}."""
    import torch
    from sam2.build_sam import build_sam2_video_predictor

    config = "configs/sam2.1/sam2.1_hiera_l.yaml"
    torch.manual_seed(0)
    model = build_sam2_video_predictor(config, device="cpu", apply_postprocessing=False)
    file = tmp_path_factory.mktemp("sam2") / "sam2.1_hiera_large.pt"
    torch.save({"model": model.state_dict()}, file)
    return {"source": str(file), "config": config}


@pytest.fixture(scope="module")
def dinov3(tmp_path_factory: pytest.TempPathFactory) -> str:
    """ViT-L/16 as on the hub: four register tokens."""
    import torch
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
        num_register_tokens=4,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("dinov3")
    torch.manual_seed(0)
    DINOv3ViTModel(config).save_pretrained(folder)
    return str(folder)


def test_every_stage(
    clip: Path, sam3: str, sam2: dict[str, str], dinov3: str, tmp_path: Path
) -> None:
    work = {name: str(tmp_path / name) for name in ("f", "c", "x", "a", "m3", "m2", "z")}
    index, found, rows = (f"{work[k]}/v{s}" for k, s in
                          (("f", ".json"), ("c", ".jsonl.zst"), ("x", ".safetensors")))  # fmt: skip

    def kit(*arguments: str) -> None:
        assert main(list(arguments)) == 0, arguments[0]

    def settings(**values: object) -> tuple[str, str]:
        return "--settings", json.dumps(values)

    kit("frames", "--root", str(clip), "--video", "v", "--output", index)
    detector = settings(method="exemplar_tokens", model={"source": sam3}, threshold=0.0)
    kit("candidates", "--frames", index, "--output", found, "--batch", "1", *detector)
    embedder = settings(method="dinov3", model={"source": dinov3})
    kit("features", "--frames", index, "--candidates", found, "--output", rows, *embedder)
    manifest = str(tmp_path / "manifest.json")
    folders = ["--frames", work["f"], "--candidates", work["c"], "--features", work["x"]]
    kit("manifest", *folders, "--videos", "v", "--output", manifest)
    selector = settings(method="top_k", top_k=1, min_gap=1)
    kit("anchors", "--manifest", manifest, "--output", work["a"], *selector)
    assert json.loads((tmp_path / "a" / "v.json").read_text())["anchors"]
    meta = str(tmp_path / "meta.json")
    kit("meta", "--frames", work["f"], "--videos", "v", "--output", meta)
    for folder, method, model in (("m3", "sam3", {"source": sam3}), ("m2", "sam2", sam2)):
        out = f"{work[folder]}/v.zip"
        tracker = {"method": method, "model": model}
        propagator = settings(method="greedy", tracker=tracker)
        anchors = f"{work['a']}/v.json"
        kit("masks", "--frames", index, "--anchors", anchors, "--output", out, *propagator)
        with zipfile.ZipFile(out) as archive:
            assert len(archive.namelist()) == 3 + 1
        scores = f"{work['z']}/{folder}.json"
        kit("scores", "--frames", index, "--masks", out, "--output", scores)
        packed = ["--frames", work["f"], "--anchors", work["a"], "--masks", work[folder]]
        kit("submission", *packed, "--meta", meta, "--output", f"{work['z']}/{folder}.zip")
