"""`kit why`: Snakemake's reasons, in order, without its noise."""

import subprocess
import sys
from typing import Any

import pytest

from kit.cli import main

PLAN = """\
Building DAG of jobs...
Job stats:
job         count
--------  -------
manifest        1

[Fri Nov 27 00:09:47 2026]
Job 3: manifest first
Reason: Updated input files: frames/v2.json, frames/v3.json, frames/v4.json
[Fri Nov 27 00:09:47 2026]
Job 2: anchors first
Reason: Params have changed since last execution:
    before: '{"top_k":2}'
    now: '{"top_k":3}'
DAG of jobs will be updated after completion.

[Fri Nov 27 00:09:47 2026]
Job 0: masks v1 (first.sam3)
Reason: Input files updated by another job: anchors/v1.json
Job stats:
job         count

Reasons:
    (check individual jobs above for details)
    updated input files:
        manifest
This was a dry-run (flag -n). The order of jobs does not reflect the order of execution.
"""


def planned(monkeypatch: pytest.MonkeyPatch, text: str, status: int = 0) -> list[Any]:
    calls: list[Any] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, status, text)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_reasons_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = planned(monkeypatch, PLAN)
    assert main(["why", "masks/v1.zip", "--configfile", "c.yaml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "masks/v1.zip: would be made again",
        "  manifest first",
        "    Updated input files: frames/v2.json and 2 more",
        "  anchors first",
        "    Params have changed since last execution: "
        """before: '{"top_k":2}' now: '{"top_k":3}'""",
        "  masks v1 (first.sam3)",
        "    Input files updated by another job: anchors/v1.json (if they come out otherwise)",
    ]
    start = [sys.executable, "-m", "snakemake", "masks/v1.zip", "--dry-run"]
    assert calls[0][:5] == start
    assert calls[0][-2:] == ["--configfile", "c.yaml"]


def test_up_to_date(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planned(monkeypatch, "Building DAG of jobs...\nNothing to be done (all are present).\n")
    assert main(["why", "masks/v1.zip"]) == 0
    assert capsys.readouterr().out == "masks/v1.zip: up to date; nothing would be done for it\n"


def test_no_such_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    planned(monkeypatch, "MissingRuleException:\nNo rule to produce masks/v9.zip\n", 1)
    assert main(["why", "masks/v9.zip"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("kit why: masks/v9.zip: Snakemake has no plan for it.")
    assert "No rule to produce masks/v9.zip" in told
