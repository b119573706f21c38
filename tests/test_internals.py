"""Touches of Snakemake's insides, one test each: another version must not break them unseen."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from night import ROOT

pytestmark = pytest.mark.workflow
SNAKEFILE = f"""
from types import SimpleNamespace

include: "{ROOT}/rules/snakemake_internals.smk"

offer_devices(3)
print("given:", as_given())
CHAIN = [SimpleNamespace(mining="first"), SimpleNamespace(mining="second")]


def made(wildcards):
    await_anchors(CHAIN)
    return expand("made/{{video}}", video=["a", "b"])


rule all:
    input:
        made,


checkpoint anchors:
    output:
        expand("anchors/{{{{key}}}}/{{video}}", video=["a", "b"]),
    shell:
        "touch {{output}}"


rule make:
    input:
        "anchors/first/{{video}}",
        "anchors/second/{{video}}",
    output:
        "made/{{video}}",
    shell:
        "touch {{output}}"


onstart:
    print("limited before:", workflow.scheduler.job_rate_limiter is not None)
    lift_rate()
    print("limited:", workflow.scheduler.job_rate_limiter is not None)
    print("to run:", *sorted(rules_to_run()))
    print("devices:", workflow.global_resources["gpu"].value)
"""


def snakemake(folder: Path, *flags: str) -> str:
    (folder / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--scheduler", "greedy", *flags]
    done = subprocess.run(
        command,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return snakemake(tmp_path_factory.mktemp("internals"))


def test_the_default_rate_limit_is_lifted(run: str) -> None:
    assert "limited before: True\nlimited: False\n" in run


def test_a_rate_limit_that_was_asked_for_stays(tmp_path: Path) -> None:
    assert "limited: True" in snakemake(tmp_path, "--max-jobs-per-timespan", "50/1s")


def test_devices_are_offered(run: str) -> None:
    assert "devices: 3" in run


def test_a_number_of_devices_that_was_given_stays(tmp_path: Path) -> None:
    assert "devices: 1" in snakemake(tmp_path, "--resources", "gpu=1")


def test_the_configuration_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Null, false and numbers that are nested in a word are no text."""
    (tmp_path / "mine.yaml").write_text("data: {root: here, meta: meta.json}\n")
    words = ["data={meta: null, ground_truth: false, n: 7}", "split=x"]
    told = snakemake(tmp_path, "-n", "--configfile", "mine.yaml", "--config", *words)
    data = "{'root': 'here', 'meta': None, 'ground_truth': False, 'n': 7}"
    assert f"given: {{'data': {data}, 'split': 'x'}}" in told


def test_files_behind_anchors_wait_for_all_of_them(run: str) -> None:
    """One checkpoint after the other, then what depends on both, in one invocation."""
    order = re.findall(r"^local(?:rule|checkpoint) (\w+):", run, re.MULTILINE)
    assert order == ["anchors", "anchors", "make", "make", "all"]


def test_rules_with_jobs_to_run_are_known_when_a_run_starts(tmp_path: Path) -> None:
    """As far as is known: what is behind anchors comes when they are chosen."""
    assert "to run: all anchors\n" in snakemake(tmp_path)
    (tmp_path / "made" / "a").unlink()
    assert "to run: all make\n" in snakemake(tmp_path)
