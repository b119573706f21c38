"""From nothing to a tiny family: each model by `kit train`, the detector on the tracker's trunk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kit.cli import main
from kit.core.errors import ConfigError
from kit.runtime import models, tiny
from kit.training import embed, loop

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

DATA = [{"draw": {"frames": 8, "width": 96, "height": 64, "distractors": 1, "size_max": 0.2}}]
SHORT = {
    "tracker": {"clip": {"frames": 2}, "stride": 4},
    "detector": {"scene": {"frames": 2, "prompts": 1}},
    "embedder": {"frames": 2, "crop": {"size": 64}},
}


def train(folder: Path, objective: str, model: dict[str, str], **more: Any) -> None:
    """Two steps."""
    settings = {
        "objective": objective,
        "model": model,
        "data": DATA,
        "phases": [{"steps": 2, "batch": 1, **SHORT[objective]}],
        "optimiser": {"lr": 1e-3, "vision_lr": 1e-3, "layer_decay": 1.0},
        "run": {"save_every": 1, "log_every": 1},
        **more,
    }
    assert main(["train", "--settings", json.dumps(settings), "--output", str(folder)]) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainings")
    scratch = {"source": "scratch"}
    train(folder / "sam2", "tracker", scratch, kind="sam2")
    train(folder / "sam3_tracker", "tracker", scratch, kind="sam3")
    frozen = {"lr": 1e-3, "vision_lr": 1e-3, "layer_decay": 1.0, "vision": [],
              "frozen": ["vision_encoder.backbone.*"]}  # fmt: skip
    start = {**scratch, "trunk": str(folder / "sam3_tracker")}
    train(folder / "sam3_detector", "detector", start, optimiser=frozen)
    train(folder / "dinov3", "embedder", scratch)
    return folder


def trunk(model: Any) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = model.vision_encoder.backbone.state_dict()
    return weights


def test_the_detector_is_trained_on_the_trackers_trunk(runs: Path) -> None:
    tracker = models.load("sam3", {"source": str(runs / "sam3_tracker")}, "cpu")
    detector = models.load("sam3_detector", {"source": str(runs / "sam3_detector")}, "cpu")
    own = trunk(detector.model)
    assert all(torch.equal(own[name], value) for name, value in trunk(tracker).items())
    assert detector.tokenize is tiny.tokenize


def test_a_trained_detector_goes_on_on_another_trunk(runs: Path, tmp_path: Path) -> None:
    """Only what is in it of the tracker's training is taken over; it stays a detector to load."""
    start = {"source": str(runs / "sam3_detector"), "trunk": str(runs / "sam3_tracker")}
    train(tmp_path / "on", "detector", start)
    detector = models.load("sam3_detector", {"source": str(tmp_path / "on")}, "cpu")
    assert detector.tokenize is tiny.tokenize


def test_the_family_is_embedded_as_three_folders(runs: Path, tmp_path: Path) -> None:
    embed.main([str(runs), "--output", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dinov3", "logs", "sam2", "sam3"]
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < 12e6
    for kind, folder in (("sam2", "sam2"), ("sam3", "sam3"), ("sam3_detector", "sam3"),
                         ("dinov3", "dinov3")):  # fmt: skip
        model = models.load(kind, {"source": str(tmp_path / folder)}, "cpu")
        module = model.model if kind == "sam3_detector" else model
        run = {"sam3": "sam3_tracker"}.get(kind, kind)
        trained = models.load(kind, {"source": str(runs / run)}, "cpu")
        trained = trained.model if kind == "sam3_detector" else trained
        for name, value in trained.state_dict().items():
            got = module.state_dict()[name]
            assert got.dtype == value.dtype, name
            torch.testing.assert_close(got, value, atol=2e-3, rtol=1e-3)


def test_halves_on_different_trunks_are_not_joined(runs: Path, tmp_path: Path) -> None:
    other = tmp_path / "runs"
    other.mkdir()
    for run in ("sam2", "sam3_detector", "dinov3"):
        (other / run).symlink_to(runs / run)
    train(other / "sam3_tracker", "tracker", {"source": str(runs / "sam3_tracker")}, kind="sam3")
    with pytest.raises(ConfigError, match="trunks of SAM 3's tracker and detector differ"):
        embed.main([str(other), "--output", str(tmp_path / "weights")])


def test_a_run_may_stop_in_the_middle_of_its_schedule(tmp_path: Path) -> None:
    """What it did until then is what the whole run does."""
    for name, run in (("whole", {}), ("part", {"stop": 1})):
        more = {"run": {"save_every": 1, "log_every": 1, **run}}
        train(tmp_path / name, "embedder", {"source": "scratch"}, **more)
    lines = [(tmp_path / name / loop.LOG).read_text().splitlines() for name in ("whole", "part")]
    assert lines[1] == lines[0][:2] and len(lines[0]) == 3
    assert (tmp_path / "part" / models.MODEL).exists()
