"""Tidiness as tests: linter, formatter and type checker, with the versions that are pinned."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["snakefmt", "--no-sort", "--check", "Snakefile", "rules"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_tidy(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_what_the_readme_says() -> None:
    """The two lines that a newcomer copies, and the one that guards the project, are the same."""
    line = (ROOT / ".ci" / "run").read_text().strip().splitlines()[-1]
    assert line in (ROOT / "README.md").read_text()


def test_the_readme_names_folders_that_there_are() -> None:
    """`work/NAME/...`: NAME is the split of a shipped configuration."""
    named = set(re.findall(r"\bwork/(\w+)/", (ROOT / "README.md").read_text()))
    configs = [yaml.safe_load(file.read_text()) for file in (ROOT / "config").glob("*.yaml")]
    splits = {str(config["split"]) for config in configs if "split" in config}
    assert named <= {*splits, "SPLIT", "trainings"}
