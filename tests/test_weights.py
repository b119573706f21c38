"""Weights that cannot be had: how to get them, how to point to a folder, and no code is run."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from clips import Work, contents, cut, holds

from kit.cli import main


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network: an id of the hub is refused at once."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def _dinov3_folder(folder: Path) -> Path:
    from kit.runtime import tiny

    tiny.new("dinov3").save_pretrained(folder)
    return folder


class Code:
    """Unpickled without care, it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def weights(stage: str, model: dict[str, str]) -> str:
    method = {"candidates": "exemplar_tokens", "features": "dinov3"}
    if stage in method:
        return json.dumps({"method": method[stage], "model": model})
    tracker = {"method": "sam2" if "config" in model else "sam3", "model": model}
    return json.dumps({"method": "greedy", "tracker": tracker})


GATED = ("gated", "ask for access", "hf auth login", "give its path as `source`")
HIERA = "configs/sam2.1/sam2.1_hiera_t.yaml"
WEIGHTS: list[tuple[str, str, dict[str, str], tuple[str, ...]]] = [
    ("no folder", "candidates", {"source": "{}/none"}, ("/none: no such folder or file", *GATED)),
    ("no folder, tracker", "masks", {"source": "./none"}, ("./none: no such folder", *GATED)),
    ("no home folder", "features", {"source": "~/no-weights"}, ("/no-weights: no such", *GATED)),
    ("hub, no network", "features", {"source": "facebook/no"}, ("facebook/no: cannot be", *GATED)),
    ("hub, revision", "candidates", {"source": "facebook/no", "revision": "main"}, GATED),
    ("empty folder", "features", {"source": "{}/empty"},
     ("/empty: 0 checkpoint files in this folder", "config.json", "download incomplete?")),
    ("DINOv3 for SAM 3", "candidates", {"source": "{}/dino"},
     ("/dino: a checkpoint of `dinov3_vit`", "SAM 3's detector is needed")),
    ("DINOv3 for a tracker", "masks", {"source": "{}/dino"},
     ("`dinov3_vit`", "SAM 3's tracker is needed")),
    ("cut weights", "features", {"source": "{}/cut"}, ("/cut", "cannot be loaded", "complete?")),
    ("other shapes", "features", {"source": "{}/wide"}, ("/wide", "cannot be loaded")),
    ("half the weights", "features", {"source": "{}/half"},
     ("/half", "weights of DINOv3ViTModel are missing", "another model?")),
    ("no .pt", "masks", {"source": "{}/none.pt", "config": HIERA}, ("no such checkpoint", *GATED)),
    ("folder for .pt", "masks", {"source": "{}/dino", "config": HIERA},
     ("/dino/model.safetensors: a DINOv3 ViT of transformers", "SAM 2 is needed")),
    ("pickle with code", "masks", {"source": "{}/code.pt", "config": HIERA},
     ("/code.pt: not a readable checkpoint", "never run")),
    ("text for .pt", "masks", {"source": "{}/text.pt", "config": HIERA}, ("/text.pt: not a read",)),
    ("no configuration", "masks", {"source": "{}/none.pt", "config": ""}, ("no such checkpoint",)),
    ("wrong configuration", "masks", {"source": "{}/ok.pt", "config": "configs/sam3.yaml"},
     ("configs/sam3.yaml: no configuration of the sam2 package", "sam2.1_hiera_l.yaml")),
]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("checkpoints")
    (folder / "empty").mkdir()
    dino = _dinov3_folder(folder / "dino")
    for name in ("cut", "wide", "half"):
        shutil.copytree(dino, folder / name)
    cut(folder / "cut" / "model.safetensors", 0.3)
    told = json.loads((dino / "config.json").read_text())
    told["intermediate_size"] += 4
    (folder / "wide" / "config.json").write_text(json.dumps(told))
    tensors = load_file(dino / "model.safetensors")
    kept = dict(sorted(tensors.items())[: len(tensors) // 2])
    save_file(kept, folder / "half" / "model.safetensors", metadata={"format": "pt"})
    torch.save({"model": Code(folder / "executed")}, folder / "code.pt")
    names = ("image_encoder.trunk.a", "memory_encoder.b", "sam_mask_decoder.c")
    torch.save({"model": {name: torch.zeros(1) for name in names}}, folder / "ok.pt")
    (folder / "text.pt").write_text("not found")
    return folder


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("stage", "model", "words"), [r[1:] for r in WEIGHTS], ids=[r[0] for r in WEIGHTS]
)
def test_weights_that_cannot_be_had(
    stage: str,
    model: dict[str, str],
    words: tuple[str, ...],
    checkpoints: Path,
    work: Work,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = work.command(stage)
    given = {k: v.replace("{}", str(checkpoints)) for k, v in model.items()}
    command[command.index("--settings") + 1] = weights(stage, given)
    before = contents(work.folder)
    capsys.readouterr()
    assert main(command) == 2
    told = re.sub(r".*(?=kit )", "", capsys.readouterr().err, flags=re.S)  # libraries talk too
    holds(told, words)
    assert contents(work.folder) == before
    assert not (checkpoints / "executed").exists()


@pytest.mark.parametrize("kind", ["sam3_detector", "sam3", "sam2", "dinov3"])
def test_the_tiny_models_are_the_same_in_every_process(kind: str) -> None:
    """Buffers too: runs, and runs after an interruption, must give the same bytes."""
    import torch

    from kit.runtime import models

    first, second = (
        {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for module in (_loaded(models, kind, seed) for seed in (1, 2))
    )
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def _loaded(models: Any, kind: str, seed: int) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = models.load(kind, {"source": "tiny"}, "cpu")
    return getattr(model, "model", model)


def test_a_run_asks_for_the_weights_of_all_its_recipes() -> None:
    from kit import config

    folder = Path(__file__).parents[1] / "config"
    mosev2 = {(m["kind"], m["source"]) for m in config.load(folder / "mosev2.yaml").models()}
    assert {kind for kind, _ in mosev2} == {"sam3", "sam3_detector", "dinov3"}
    assert all(source.count("/") == 1 for _, source in mosev2)
    for file in {*folder.glob("*.yaml")} - {folder / "schema.yaml"}:
        kinds = {model["kind"] for model in config.load(file).models()}
        assert kinds <= {"sam2", "sam3", "sam31", "sam3_detector", "dinov3"}, file


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("sam3", "dino", "a checkpoint of `dinov3_vit`, where SAM 3's tracker is needed"),
        ("dinov3", "ok.pt", "SAM 2 of the sam2 package, where a DINOv3 ViT is needed"),
        ("sam2", "text.pt", "not a readable checkpoint"),
        ("sam2", "code.pt", "not a readable checkpoint"),
        ("sam3_detector", "empty", "an empty folder"),
    ],
)
def test_wrong_weights_are_told_before_the_first_job(
    kind: str, name: str, words: str, checkpoints: Path
) -> None:
    from kit.core.errors import WeightsError
    from kit.runtime import reachable

    source = str(checkpoints / name)
    with pytest.raises(WeightsError) as refusal:
        reachable.check([{"kind": kind, "source": source}, {"kind": kind, "source": source}])
    assert str(refusal.value).count(f"{source}: ") == 1
    assert words in str(refusal.value)
    assert not (checkpoints / "executed").exists()
    good = [{"kind": "dinov3", "source": str(checkpoints / "dino")}, {"source": "tiny"}]
    reachable.check([*good, {"kind": "sam2", "source": str(checkpoints / "ok.pt")}])
