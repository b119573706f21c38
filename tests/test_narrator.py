"""What a run says on the screen, from the records that Snakemake sends."""

import errno
import logging
import os
from pathlib import Path

import pytest

from kit.core import broken
from kit.core.broken import Broken
from kit.runtime import narrator
from kit.runtime.narrator import Narrator


@pytest.fixture
def tell(monkeypatch: pytest.MonkeyPatch) -> Narrator:
    monkeypatch.setattr(narrator, "_clock", lambda: "12:00:00")
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    told = Narrator(logging.Formatter("own: %(message)s"))
    monkeypatch.setattr("time.monotonic", lambda: 160.0)
    return told


def record(text: str = "", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, text, None, None)
    made.__dict__.update(fields)
    return made


def test_a_job_is_one_line(tell: Narrator) -> None:
    line = tell.format(record(event="job_info", jobid=3, rule_msg="masks v1"))
    assert line == "12:00:00  > masks v1"
    assert tell.format(record("Finished jobid: 3", event="job_finished")) == ""
    assert tell.format(record("Finished jobid: 3", event="job_finished", job_id=3)) == ""
    assert tell.format(record("Select jobs to execute...")) == ""
    error = record("RuleException:\nCalledProcessError in file x, line 3", event="error")
    assert tell.format(error) == ""


def test_progress_tells_what_is_left(tell: Narrator) -> None:
    """One minute for 3 of 9: two more."""
    assert tell.format(record(event="progress", done=3, total=9)).endswith(
        "3 of 9 jobs done, about 2 min left"
    )
    assert tell.format(record(event="progress", done=6, total=9)).endswith("about 30 s left")
    assert tell.format(record(event="progress", done=1, total=301)).endswith("5 h 00 min left")
    assert "0 of 9" in tell.format(record(event="progress", done=0, total=9))


def test_a_failure_shows_the_end_of_its_log(tell: Narrator, tmp_path: Path) -> None:
    log = tmp_path / "masks.log"
    log.write_text("".join(f"line {i}\n" for i in range(40)) + "kit masks: what to do\n")
    tell.format(record(event="job_info", jobid=3, rule_msg="masks v1"))
    text = tell.format(record(event="job_error", jobid=3, rule_name="masks", log=[str(log)]))
    assert text.startswith("12:00:00  FAILED masks v1\n")
    assert "    kit masks: what to do\n" in text
    assert "line 5" not in text
    assert text.endswith(f"    log: {log}")


def failed(tell: Narrator, log: Path) -> str:
    return tell.format(record(event="job_error", jobid=3, rule_name="masks", log=[str(log)]))


def test_a_failure_without_a_word_is_explained(tell: Narrator, tmp_path: Path) -> None:
    """Killed before it could say why; a log that was never written says as much."""
    for name in ("empty.log", "absent.log"):
        (tmp_path / "empty.log").write_text("\n")
        text = failed(tell, tmp_path / name)
        assert "Its log is empty: it was killed before it could say why" in text
        assert text.endswith(f"    log: {tmp_path / name}")


DISKS = [(errno.ENOSPC, "No space left"), (errno.EDQUOT, "quota"), (errno.EROFS, "Read-only")]


@pytest.mark.parametrize(("code", "words"), DISKS, ids=["full", "quota", "read-only"])
@pytest.mark.parametrize("said", ["", "a warning, then half a line of"])
def test_a_disk_that_swallows_logs_is_the_reason(
    said: str,
    code: int,
    words: str,
    tell: Narrator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = tmp_path / "masks.log"
    log.write_text(said)

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    text = failed(tell, log)
    assert said in text
    assert "nothing can be written beside this log" in text
    assert words in text
    assert "Free some space" in text


def test_a_job_that_leaves_a_record_has_failed(tell: Narrator, tmp_path: Path) -> None:
    """Where it broke first; what is passed on is no news."""
    log, files = tmp_path / "frames.log", [tmp_path / "frames" / "v1.json", tmp_path / "v1.zip"]
    log.write_text("kit frames: cut short\n")
    for job, path in enumerate(files):
        broken.write(path, Broken("v1", "frames", "cut short", str(files[0])))
        started = {"rule_msg": f"job {job}", "output": [str(path)], "log": [str(log)]}
        tell.format(record(event="job_info", jobid=job, **started))
    ends = [tell.format(record(event="job_finished", job_id=job)) for job in (0, 1)]
    assert ends == [f"12:00:00  FAILED job 0\n    kit frames: cut short\n    log: {log}", ""]


def test_what_it_does_not_know_it_leaves_alone(tell: Narrator) -> None:
    assert tell.format(record("Nothing to be done")) == "own: Nothing to be done"
    assert tell.format(record("stats", event="run_info")) == "own: stats"
    assert tell.format(record("silent", event="job_info", rule_msg=None)) == "own: silent"
