"""`kit status`: what it tells of a run, from files made up by hand."""

import os
from datetime import datetime
from pathlib import Path

import pytest

from kit import status
from kit.cli import main
from kit.config import Config, given
from kit.core import shipped
from kit.plan import Plan

NOW = datetime(2027, 3, 14, 20, 0)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The demo, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Plan(Config(given([shipped.CONFIG / "config.yaml"])))


def finish(plan: Plan, layer: str, count: int, seconds: float, start: float) -> None:
    """Files of a layer as so many jobs leave them, one after the other."""
    files = [f for part in plan.parts[layer].values() for f in plan.files(part)][:count]
    for number, name in enumerate(files, 1):
        file = Path(name)
        timed = Path(name.replace(plan.work, f"{plan.work}/benchmarks")).with_suffix(".tsv")
        for path, words in ((file, ""), (timed, f"s\th:m:s\n{seconds}\t0:00:10\n")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(words)
        os.utime(file, (start + number * seconds,) * 2)


def stage(progress: status.Progress, name: str) -> status.Stage:
    return next(s for s in progress.stages if s.name == name)


def test_what_is_done_and_what_waits(plan: Plan) -> None:
    finish(plan, "frames", 4, 10, 1e9)
    finish(plan, "masks", 2, 50, 1e9 + 40)
    progress = status.of_run(plan)
    assert (stage(progress, "frames").done, stage(progress, "frames").waiting) == (4, 0)
    masks = stage(progress, "masks")
    assert masks.done == 2 and masks.waiting == 4 * len(plan.parts["masks"]) - 2
    assert masks.seconds == 50 and masks.remaining == 50 * masks.waiting
    assert progress.slowest[0] == (50, f"{next(iter(plan.parts['masks']))}/drawn_001")
    assert "scores" in progress.unknown and "frames" not in progress.unknown


def test_a_deadline_that_fits_and_one_that_does_not(plan: Plan) -> None:
    finish(plan, "frames", 2, 600, 1e9)  # 1,200 s of work within 600 s: two at once; two wait
    progress = status.of_run(plan)
    assert progress.at_once == pytest.approx(2) and progress.remaining == pytest.approx(600)
    told = status.text(progress, NOW, datetime(2027, 3, 14, 20, 30))
    assert "about 10 min, until 2027-03-14 20:10" in told
    assert "ends before 2027-03-14 20:30, by 20 min" in told
    assert "ends after" in status.text(progress, NOW, datetime(2027, 3, 14, 20, 5))
    assert "none was timed yet: " in told


def test_the_command(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    finish(plan, "frames", 2, 600, 1e9)
    assert main(["status"]) == 0
    assert main(["status", "--until", "2001-01-01 00:00"]) == 1
    assert "frames" in capsys.readouterr().out
    assert main(["status", "--until", "soon"]) == 2
    assert "no date and time" in capsys.readouterr().err


def test_a_run_that_has_ended(plan: Plan) -> None:
    for layer, parts in plan.parts.items():
        for file in (f for part in parts.values() for f in plan.files(part)):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).touch()
        assert not parts or f"\n{layer}" in "\n" + status.text(status.of_run(plan), NOW, None)
    assert "all files are there" in status.text(status.of_run(plan), NOW, None)
