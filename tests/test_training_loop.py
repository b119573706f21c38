"""The loop: what a kill, a second process, another setting do to a run; and that it learns."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from kit.cli import main
from kit.core.errors import ArtifactError, DataError, WeightsError
from kit.runtime import models
from kit.training import checkpoint, loop, optimiser, recipe
from kit.training.objective import Outcome

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

SETTINGS: dict[str, Any] = {
    "objective": "tracker",
    "kind": "sam2",
    "model": {"source": "scratch"},
    "data": [{"draw": {"frames": 8, "width": 64, "height": 48, "size_max": 0.2}}],
    "phases": [
        {"steps": 3, "batch": 2, "clip": {"frames": 2}, "teacher": {"mask": 0.5}, "stride": 2},
        {"steps": 3, "batch": 2, "clip": {"frames": 3, "later": 1.0}, "stride": 4},
    ],
    "optimiser": {"lr": 1e-3, "vision_lr": 1e-3, "layer_decay": 1.0, "ema": 0.9},
    "run": {"seed": 3, "save_every": 2, "log_every": 1},
}


def train(folder: Path, *more: str, **changes: Any) -> int:
    settings = json.dumps(SETTINGS | changes)
    return main(["train", "--settings", settings, "--output", str(folder), *more])


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / loop.LOG).open(newline="") as stream:
        return list(csv.DictReader(stream))


def losses_of(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in rows(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run from beginning to end."""
    folder = tmp_path_factory.mktemp("whole")
    assert train(folder) == 0
    return folder


def test_a_run_leaves_a_log_and_a_model_that_can_be_loaded(whole: Path) -> None:
    log = rows(whole)
    pictures = sorted(path.name for path in (whole / loop.SAMPLES).iterdir())
    assert pictures == ["000002.png", "000004.png", "000006.png"]
    assert [int(row["step"]) for row in log] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "iou", "present", "rate"} <= set(log[0])
    told = json.loads((whole / models.MODEL).read_text())
    assert told["architecture"] == "tiny" and len(told["sha256"]) == 64
    model = models.load("sam2", {"source": str(whole)}, "cpu")
    fresh = recipe.plan(SETTINGS, "cpu").objective.model
    changed = [n for n, p in model.named_parameters() if not torch.equal(p, fresh.get_parameter(n))]
    assert len(changed) > 100


def test_a_trained_model_can_be_trained_further(whole: Path, tmp_path: Path) -> None:
    phase = {"steps": 1, "batch": 1, "clip": {"frames": 2}, "stride": 4}
    assert train(tmp_path, model={"source": str(whole)}, phases=[phase]) == 0
    assert json.loads((tmp_path / models.MODEL).read_text())["architecture"] == "tiny"
    models.load("sam2", {"source": str(tmp_path)}, "cpu")


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ({"source": "facebook/sam2.1-hiera-large"}, "configs/sam2.1/sam2.1_hiera_l.yaml"),
        ({"source": "x.pt", "config": "configs/sam2/sam2_hiera_t.yaml"},
         "configs/sam2/sam2_hiera_t.yaml"),
        ({"source": "scratch", "config": "configs/sam2.1/sam2.1_hiera_t.yaml"},
         "configs/sam2.1/sam2.1_hiera_t.yaml"),
    ],
)  # fmt: skip
def test_a_tuned_sam2_is_built_as_what_it_came_from(preset: dict[str, str], expected: str) -> None:
    assert models.sam2_architecture(preset) == expected


def test_stopped_anywhere_it_goes_on_as_if_it_had_not(whole: Path, tmp_path: Path) -> None:
    """At a checkpoint and between two: the steps after the last one are done again."""
    for end in ("2", "3", "5"):
        train(tmp_path, "--stop-after", end)
        assert not (tmp_path / models.MODEL).exists()
    train(tmp_path)
    assert rows(tmp_path) == rows(whole)
    assert (tmp_path / models.WEIGHTS).read_bytes() == (whole / models.WEIGHTS).read_bytes()


def test_killed_it_goes_on_as_if_it_had_not(whole: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kit", "train", "--settings", json.dumps(SETTINGS)]
    process = subprocess.Popen([*command, "--output", str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / loop.CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    train(tmp_path)
    assert rows(tmp_path) == rows(whole)
    assert (tmp_path / models.WEIGHTS).read_bytes() == (whole / models.WEIGHTS).read_bytes()


def test_two_processes_learn_what_one_does(whole: Path, tmp_path: Path) -> None:
    """The same clips, shared out: equal but for the order in which floats are added."""
    settings = json.dumps(SETTINGS)
    done = subprocess.run(
        [sys.executable, "-m", "kit", "train", "--settings", settings, "--processes", "2",
         "--output", str(tmp_path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(losses_of(tmp_path), losses_of(whole), rtol=2e-3)


def test_other_settings_do_not_go_on_from_a_checkpoint(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(whole, run={"seed": 4}) == 2
    message = capsys.readouterr().err
    assert "a run with other settings" in message and "remove it" in message


def test_a_damaged_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / loop.CHECKPOINT).write_bytes(b"half")
    assert train(tmp_path) == 2
    assert "not a readable checkpoint" in capsys.readouterr().err


def contents(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Header and tensors of a checkpoint."""
    with safe_open(path, framework="pt") as opened:
        header = json.loads((opened.metadata() or {})["header"])
        return header, {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118


EDITS: list[tuple[str, Callable[[dict[str, Any], dict[str, torch.Tensor]], Any], str]] = [
    ("no step", lambda header, tensors: header.pop("step"), "`step`: expected an integer"),
    ("half a step", lambda header, tensors: header.update(step=1.5), "found 1.5"),
    ("a step before the first", lambda header, tensors: header.update(step=-1), "found -1"),
    ("a weight gone", lambda header, tensors: tensors.pop("model.weight"), "model.weight"),
    ("a weight too many", lambda header, tensors: tensors.update({"model.x": torch.ones(1)}),
     "model.x"),
    ("a mean of another shape",
     lambda header, tensors: tensors.update({"mean.bias": torch.ones(9)}), "mean.bias"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "words"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_an_edited_checkpoint_is_refused(
    edit: Callable[[dict[str, Any], dict[str, torch.Tensor]], Any], words: str, tmp_path: Path
) -> None:
    model, path = nn.Linear(2, 3), tmp_path / "c.safetensors"
    optimizer = torch.optim.AdamW(
        [{"params": list(model.parameters()), "names": ["weight", "bias"]}]
    )
    mean = {"bias": torch.zeros(3)}
    checkpoint.write(path, 4, "digest", model, optimizer, mean)
    assert checkpoint.read(path, "digest", model, optimizer, mean) == 4
    header, tensors = contents(path)
    edit(header, tensors)
    save_file(tensors, path, {"header": json.dumps(header)})
    with pytest.raises(WeightsError, match=words) as told:
        checkpoint.read(path, "digest", model, optimizer, mean)
    assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"schema": "model/1"}', "`tokenizer`: expected a text, found nothing"),
        ('{"schema": "model/1", "tokenizer": 5}', "`tokenizer`: expected a text, found 5"),
        ('{"schema": "model/9", "tokenizer": "tiny"}', "expected schema model/1, found model/9"),
        ("[", "not valid JSON"),
    ],
)
def test_a_trained_model_that_is_described_wrongly(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ArtifactError, match=words) as told:
        models.tokenizer_of({"source": str(tmp_path)})
    assert str(tmp_path / "model.json") in str(told.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "trackers"}, "Did you mean `tracker`?"),
        ({"kind": "sam4"}, "no tracker `sam4`"),
        ({"optimizer": {}}, "Did you mean `optimiser`?"),
        ({"optimiser": {"rate": 1}}, "optimiser: unknown key `rate`"),
        ({"phases": []}, "nothing to do"),
        ({"phases": [{"steps": 1, "epochs": 1}]}, "either `steps` or `epochs`"),
        ({"phases": [{"steps": 1, "clip": {"frame": 3}}]}, "Did you mean `frames`?"),
        ({"phases": [{"epochs": 1, "batch": 1}]}, "no epochs"),
        ({"model": {"source": "./none"}}, "no such folder"),
        ({"model": {"source": "scratch", "config": "configs/none.yaml"}}, "no configuration"),
    ],
)
def test_settings_that_cannot_be(
    changes: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, **changes) == 2
    assert words in capsys.readouterr().err


class Line:
    """A straight line to be learned; the simplest objective."""

    def __init__(self, slope: float = 2.0) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(1, 1)
        self._slope = slope

    def batch(self, phase: Any, generators: Any) -> torch.Tensor:
        return torch.tensor([[rng.uniform(-1, 1)] for rng in generators]).float()

    def loss(self, phase: Any, batch: torch.Tensor) -> Outcome:
        return Outcome(((self.model(batch) - self._slope * batch) ** 2).sum(), len(batch))

    def picture(self, phase: Any) -> None:
        return None

    def save(self, folder: Path) -> None:
        (folder / "saved").touch()


def line(folder: Path, objective: Line, **rates: Any) -> None:
    phases = [loop.Phase(300, 8, None)]
    loop.train(objective, phases, optimiser.Config(**rates), loop.Config(), folder, "d")


def test_it_learns(tmp_path: Path) -> None:
    objective = Line()
    line(tmp_path, objective, lr=0.05, weight_decay=0.0, clip=10.0)
    assert objective.model.weight.item() == pytest.approx(2, abs=0.05)
    assert (tmp_path / "saved").exists()


def test_the_average_lags_behind(tmp_path: Path) -> None:
    objective = Line()
    line(tmp_path, objective, lr=0.05, weight_decay=0.0, clip=10.0, ema=0.999)
    assert objective.model.weight.item() < 1.5


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Lower the rates"):
        line(tmp_path, Line(slope=float("nan")))


@pytest.mark.parametrize(
    ("step", "warm_up", "expected"),
    [(0, 0, 1.0), (100, 0, 0.1), (50, 0, 0.55), (0, 10, 0.1), (4, 10, 0.5), (100, 10, 0.1)],
)
def test_rates_over_time(step: int, warm_up: int, expected: float) -> None:
    config = optimiser.Config(warm_up=warm_up, final=0.1)
    assert optimiser.share(step, 100, config) == pytest.approx(expected, rel=0.01)


def test_rates_and_decay_of_parameters() -> None:
    """As in SAM 2's fine-tuning: 0.9 a layer below the neck; none for biases and norms."""
    model = recipe.plan(SETTINGS, "cpu").objective.model
    config = optimiser.Config(lr=1.0, vision_lr=0.5, layer_decay=0.9, frozen=("*patch_embed*",))
    optimiser.freeze(model, config.frozen)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimiser.groups(model, config)
        for name in group["names"]
    }
    layers = 6
    trunk = "image_encoder.trunk"
    expected = {
        f"{trunk}.blocks.{layers - 1}.mlp.layers.0.weight": (0.5 * 0.9, 0.1),
        f"{trunk}.blocks.0.mlp.layers.0.weight": (0.5 * 0.9**layers, 0.1),
        f"{trunk}.blocks.0.mlp.layers.0.bias": (0.5 * 0.9**layers, 0.0),
        f"{trunk}.pos_embed": (0.5, 0.0),
        "image_encoder.neck.convs.0.conv.weight": (0.5, 0.1),
        "memory_attention.layers.0.linear1.weight": (1.0, 0.1),
        "memory_attention.layers.0.norm1.weight": (1.0, 0.0),
    }
    assert {name: found[name] for name in expected} == {
        name: (pytest.approx(rate), decay) for name, (rate, decay) in expected.items()
    }
    assert not any("patch_embed" in name for name in found)


@pytest.mark.parametrize("kind", ["sam2", "sam3"])
def test_a_tracker_learns_two_clips_by_heart(kind: str) -> None:
    """From nothing, in less than a minute: its gradients point the right way."""
    clip = {"frames": 2, "objects": 1, "points": 0.0, "boxes": 0.0, "later": 0.0}
    phase = {"steps": 1, "batch": 2, "stride": 4, "prompt_presence": 1.0, "clip": clip}
    plan = recipe.plan(SETTINGS | {"kind": kind, "phases": [phase]}, "cpu")
    objective, settings = plan.objective, plan.phases[0].settings
    objective.model.train()
    batch = objective.batch(settings, [np.random.default_rng(s) for s in (5, 6)])
    optimizer = torch.optim.AdamW(objective.model.parameters(), 1e-3, betas=(0.9, 0.98))
    for _ in range(50):
        outcome = objective.loss(settings, batch)
        optimizer.zero_grad()
        outcome.loss.backward()
        nn.utils.clip_grad_norm_(objective.model.parameters(), 1.0)
        optimizer.step()
    assert outcome.shown["iou"] > 0.6
    assert outcome.shown["present"] == 1.0


def test_layers_recomputed_give_the_same_gradients() -> None:
    def gradients(recompute: bool) -> list[torch.Tensor]:
        plan = recipe.plan(SETTINGS | {"run": {"recompute": recompute}}, "cpu")
        objective, phase = plan.objective, plan.phases[1].settings
        objective.model.train()
        batch = objective.batch(phase, [np.random.default_rng(5)])
        objective.loss(phase, batch).loss.backward()
        learned = objective.model.parameters()
        return [p.grad.clone() for p in learned if p.grad is not None]

    plain, again = gradients(False), gradients(True)
    assert len(plain) == len(again)
    assert all(torch.equal(a, b) for a, b in zip(plain, again, strict=True))
