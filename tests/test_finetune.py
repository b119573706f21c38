"""Fine-tuning as a user runs it: two real clips, a public-size configuration, through the workflow.

Slow: SAM 2.1-tiny at 1024 px, from random weights, on the CPU.
"""

import csv
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VIDEOS = ["003234408d", "surf"]  # the first is short, and takes minutes all the same
TRAINING: dict[str, Any] = {
    "objective": "tracker",
    "kind": "sam2",
    "model": "untrained",
    "phases": [{"steps": 3, "batch": 1, "clip": {"frames": 2, "objects": 1, "later": 0.0}}],
    "optimiser": {"lr": 1e-4, "vision_lr": 1e-4},
    "run": {"save_every": 1, "log_every": 1, "recompute": True},
}


def configuration(real_data: Path, **first: Any) -> dict[str, Any]:
    data = {"root": str(real_data), "videos": VIDEOS}
    return {
        "split": "real",
        "data": {"root": str(real_data), "videos": VIDEOS[:1], "ground_truth": True},
        "trainings": {"tuned": TRAINING | {"data": [data]} | first},
        "models": {
            "untrained": {"source": "scratch", "config": "configs/sam2.1/sam2.1_hiera_t.yaml"},
            "tuned": {"trained": "tuned"},
        },
        "selectors": {"first": {"method": "first_frame"}},
        "trackers": {"tuned": {"method": "sam2", "model": "tuned"}},
        "propagators": {"tuned": {"method": "greedy", "tracker": "tuned"}},
        "recipes": {"tuned": {"selector": "first", "propagator": "tuned"}},
    }


@pytest.mark.slow
@pytest.mark.workflow
def test_a_few_steps_and_then_masks(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(configuration(real_data)))
    target = f"work/real/masks/first.tuned/{VIDEOS[0]}.zip"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", target, "--cores", "1", "--snakefile",
         str(ROOT / "Snakefile"), "--directory", str(tmp_path), "--configfile", "tune.yaml"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "work/trainings/tuned"
    with (folder / "log.csv").open(newline="") as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert len(losses) == 3 and all(0 < loss < 1000 for loss in losses)
    assert {p.name for p in folder.iterdir()} >= {"model.json", "model.safetensors", "samples"}
    with zipfile.ZipFile(tmp_path / target) as archive:
        assert len([n for n in archive.namelist() if n.endswith(".png")]) > 10
