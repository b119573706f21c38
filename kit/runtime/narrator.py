"""A run told in one line a job: what starts, how far it is, how long it may take, what failed.

Snakemake's own ten lines a job still go to its log file. Knows its records by their `event` name
alone.
"""

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kit.runtime.last_words import last_words

_TOLD = {"job_info", "progress", "job_error"}
_UNTOLD = {"job_started", "job_finished", "resources_info"}
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
        self._jobs: dict[int, str] = {}  # what each said at its start; an error does not repeat it

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record; empty where there is nothing to say."""
        event = str(getattr(record, "event", None) or "")
        fields: dict[str, Any] = record.__dict__
        if event in _UNTOLD or record.getMessage().startswith(_NOISE):
            return ""
        if event not in _TOLD or (event == "job_info" and not fields.get("rule_msg")):
            return self._own.format(record)
        told = {"job_info": self._started, "progress": self._progress, "job_error": self._failed}
        return told[event](fields)

    def _started(self, fields: dict[str, Any]) -> str:
        self._jobs[fields["jobid"]] = fields["rule_msg"]
        return f"{_clock()}  > {fields['rule_msg']}"

    def _progress(self, fields: dict[str, Any]) -> str:
        done, total = fields["done"], fields["total"]
        elapsed = time.monotonic() - self._start
        left = elapsed / done * (total - done) if done else 0.0
        return f"{_clock()}  {done} of {total} jobs done, about {_duration(left)} left"

    def _failed(self, fields: dict[str, Any]) -> str:
        what = self._jobs.get(fields["jobid"], fields["rule_name"])
        lines = [f"{_clock()}  FAILED {what}"]
        for log in map(Path, fields.get("log") or []):
            lines += [f"    {line}" for line in last_words(log)]
        return "\n".join(lines)


def _clock() -> str:
    return time.strftime("%H:%M:%S")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
