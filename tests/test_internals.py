"""Touches of Snakemake's insides, one test each: another version must not break them unseen."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.workflow
SNAKEFILE = """
from types import SimpleNamespace

from kit import snakemake_internals as internals

import gc

internals.plan_once()
internals.offer_devices(workflow, 3)
print("given:", internals.as_given(workflow))
AWAIT = internals.waiting(checkpoints)
COLLECTED = gc.isenabled()


class Files:
    def place(self, name):
        return "anchors/" if name == "anchors" else None

    def find(self, name, path):
        _, key, video = path.split("/") if path.startswith("anchors/") else ("", "", "")
        return {"key": key, "video": video} if video in ("a", "b") else None


CHAIN = [SimpleNamespace(mining="first"), SimpleNamespace(mining="second")]


def made(wildcards):
    AWAIT(CHAIN)
    return expand("made/{video}", video=["a", "b"])


rule all:
    input:
        made,


checkpoint anchors:
    output:
        expand("anchors/{{key}}/{video}", video=["a", "b"]),
    resources:
        tries=lambda wildcards, attempt: attempt,
    shell:
        "touch {output} # {resources.tries}"


rule make:
    input:
        "anchors/first/{video}",
        "anchors/second/{video}",
    output:
        "made/{video}",
    shell:
        "touch {output}"


internals.find_by_name(workflow, Files())


onstart:
    internals.keep_plan()
    print("collected:", COLLECTED, gc.isenabled(), gc.get_freeze_count() > 0)
    index = workflow.dag.output_index
    print("makers:", *[[one.name for one in index.match_producers(path)] for path in
                       ("anchors/first/b", "anchors/first/c", "made/a")])
    print("wildcards:", rules.anchors.rule.get_wildcards("anchors/first/b"))
    told = internals.common.get_function_params
    print("inspected once:", told(made) is told(made), list(told(made)))
    job = next(job for job in workflow.dag.jobs if job.rule.name == "anchors")
    print("stored:", [file.is_storage for file in job.output])
    print("formatted once:", job.shellcmd is job.shellcmd, job.shellcmd[-1])
    job.attempt = 2
    print("formatted for another attempt:", job.shellcmd[-1])
    job.attempt = 1
    print("limited before:", workflow.scheduler.job_rate_limiter is not None)
    internals.lift_rate(workflow)
    print("limited:", workflow.scheduler.job_rate_limiter is not None)
    with workflow.scheduler._lock:
        print("held:", not workflow.scheduler._lock.acquire(blocking=False))
    internals.end_when_told(workflow)
    with workflow.scheduler._lock:  # as while a job is booked
        workflow.scheduler.exit_gracefully()  # as SIGTERM does, in the same thread
    print("told to end:", workflow.scheduler._user_kill)
    workflow.scheduler._user_kill = None
    print("to run:", *sorted(internals.rules_to_run(workflow)))
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
        timeout=120,  # a run that waits for itself is a failure, not a test without end
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


def test_producers_are_found_by_name(run: str) -> None:
    """A file that the plan does not know is made by no rule."""
    assert "makers: ['anchors'] [] ['make']\n" in run
    assert "wildcards: {'key': 'first'}\n" in run


def test_functions_are_inspected_once(run: str) -> None:
    assert "inspected once: True ['wildcards']\n" in run


def test_files_are_local(run: str) -> None:
    assert "stored: [False, False]\n" in run


def test_commands_are_formatted_once_an_attempt(run: str) -> None:
    assert "formatted once: True 1\nformatted for another attempt: 2\n" in run


def test_objects_of_the_plan_are_no_garbage(run: str) -> None:
    assert "collected: False True True\n" in run


def test_files_behind_anchors_wait_for_all_of_them(run: str) -> None:
    """One checkpoint after the other, then what depends on both, in one invocation."""
    order = re.findall(r"^local(?:rule|checkpoint) (\w+):", run, re.MULTILINE)
    assert order == ["anchors", "anchors", "make", "make", "all"]


def test_rules_with_jobs_to_run_are_known_when_a_run_starts(tmp_path: Path) -> None:
    """As far as is known: what is behind anchors comes when they are chosen."""
    assert "to run: all anchors\n" in snakemake(tmp_path)
    (tmp_path / "made" / "a").unlink()
    assert "to run: all make\n" in snakemake(tmp_path)


def test_a_run_that_is_told_to_end_does_not_wait_for_itself(run: str) -> None:
    """Snakemake 9.27.1 takes a lock in its signal handler that the interrupted code may hold."""
    assert "held: True\ntold to end: graceful\n" in run
