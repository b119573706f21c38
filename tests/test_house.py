"""Tidiness as tests: linter, formatter and type checker, with the versions that are pinned."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

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


def test_the_tested_set_is_what_the_project_allows() -> None:
    """`.ci/tested.txt` pins every dependency, each within its range."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    lines = (ROOT / ".ci" / "tested.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for need in map(Requirement, wanted):
        found = [p for p in pinned if p.name.lower() == need.name.lower()]
        versions = [str(p.specifier).lstrip("=") for p in found]
        assert versions, f"{need.name} is not in .ci/tested.txt"
        assert all(need.specifier.contains(v) for v in versions), f"{need}: {versions} is tested"
