"""A run told in one line a job: what starts, how far it is, how long it may take, what failed.

Snakemake's own ten lines a job still go to its log file. Knows its records by their `event` name
alone.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kit.core import broken
from kit.runtime.last_words import last_words

_TOLD = {"job_info", "progress", "job_error", "job_finished"}
_UNTOLD = {"job_started", "resources_info"}
# The second repeats the command line of a failed job, whose own words follow.
_NOISE = (
    "Select jobs to execute",
    "RuleException:\nCalledProcessError",
    "Updating checkpoint dependencies",
)


def attach(handlers: Iterable[logging.Handler]) -> None:
    """Let the narrator speak on the screen; the log file keeps every detail."""
    for handler in handlers:
        if handler.name == "DefaultStreamHandler" and handler.formatter is not None:
            handler.setFormatter(Narrator(handler.formatter))


class Narrator(logging.Formatter):
    """Formats the records of one run; everything it does not know goes to the handler's own."""

    def __init__(self, own: logging.Formatter) -> None:
        super().__init__()
        self._own = own
        self._start = time.monotonic()
        self._jobs: dict[int, _Job] = {}  # what each said at its start, which is not repeated later

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record; empty where there is nothing to say."""
        event = str(getattr(record, "event", None) or "")
        fields: dict[str, Any] = record.__dict__
        if event in _UNTOLD or record.getMessage().startswith(_NOISE):
            return ""
        if event not in _TOLD or (event == "job_info" and not fields.get("rule_msg")):
            return self._own.format(record)
        told = {
            "job_info": self._started,
            "progress": self._progress,
            "job_error": self._failed,
            "job_finished": self._finished,
        }
        return told[event](fields)

    def _started(self, fields: dict[str, Any]) -> str:
        output, log = fields.get("output") or [], fields.get("log") or []
        self._jobs[fields["jobid"]] = _Job(fields["rule_msg"], output, log)
        return f"{_clock()}  > {fields['rule_msg']}"

    def _progress(self, fields: dict[str, Any]) -> str:
        done, total = fields["done"], fields["total"]
        elapsed = time.monotonic() - self._start
        left = elapsed / done * (total - done) if done else 0.0
        return f"{_clock()}  {done} of {total} jobs done, about {_duration(left)} left"

    def _failed(self, fields: dict[str, Any]) -> str:
        job = self._jobs.get(fields["jobid"])
        return _failure(job.message if job else fields["rule_name"], fields.get("log") or [])

    def _finished(self, fields: dict[str, Any]) -> str:
        """A failure, if the job left the record of one, and nothing else."""
        job = self._jobs.pop(fields.get("job_id", -1), None)
        if job is None or len(job.output) != 1:
            return ""
        record = broken.read(Path(job.output[0]))
        fresh = record is not None and record.file == job.output[0]  # and not passed on
        return _failure(job.message, job.log) if fresh else ""


class _Job(NamedTuple):
    message: str
    output: Sequence[str]
    log: Sequence[str]


def _failure(what: str, logs: Sequence[str]) -> str:
    """A job that failed, with the last lines of its logs."""
    lines = [f"{_clock()}  FAILED {what}"]
    for log in map(Path, logs):
        lines += [f"    {line}" for line in last_words(log)]
    return "\n".join(lines)


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
