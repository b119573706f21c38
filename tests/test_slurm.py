"""The demo, in miniature, through a real Slurm that is set up for it and torn down after it.

pip install -e '.[slurm]' && apt-get install slurm-wlm munge
python -m pytest -m slurm
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import slurm_cluster
import yaml
from night import ROOT

pytestmark = pytest.mark.slurm


def small(values: dict[str, Any]) -> None:
    values["data"]["draw"] = {"videos": 2, "frames": 8}
    values["selectors"]["top3"].update(top_k=2, min_gap=2)
    del values["recipes"]["two_pass"]


def test_the_demo_through_slurm(tmp_path: Path) -> None:
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("no executor plugin: pip install -e '.[slurm]'")
    if slurm_cluster.missing():
        pytest.skip(slurm_cluster.missing())
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    small(values)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile",
        "--directory", tmp_path, "--configfile", tmp_path / "config.yaml",
        "--workflow-profile", ROOT / "profiles" / "slurm", "--latency-wait", "10",
        "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2",
        "--slurm-keep-successful-logs",
    ]  # fmt: skip
    with slurm_cluster.cluster() as environment:
        done = subprocess.run(
            command, env={**environment, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        told = "State:20,tres-per-job:40"  # where sbatch --gpus is shown
        queue = ["squeue", "--noheader", "--states", "all", "--Format", told]
        jobs = subprocess.run(queue, env=environment, capture_output=True, text=True).stdout
    assert (tmp_path / "work" / "demo" / "submission" / "reprompted.zip").is_file()
    states = jobs.split("\n")[:-1]
    assert all(state.startswith("COMPLETED") for state in states), jobs
    asked_for_a_gpu = [state for state in states if "gpu" in state]
    # of two videos: candidates, features, and the masks of two recipes, each behind its own gate
    assert len(asked_for_a_gpu) == 8, jobs
