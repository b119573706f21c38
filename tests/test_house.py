"""Tidiness as tests: linter, formatter and type checker, with the versions that are pinned."""

import subprocess
import sys
from pathlib import Path

import pytest

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
