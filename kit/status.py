"""How far a run is: done and waiting per stage, the slowest, and when it will end.

Reads names and dates of files and what finished jobs took, so it can be asked beside a run, or
after one that was stopped.
"""

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from kit import layers
from kit.config import Config, given
from kit.core import shipped
from kit.core.errors import ConfigError
from kit.layers import Part
from kit.plan import Plan

SLOWEST = 5  # jobs named


@dataclass(frozen=True)
class Stage:
    """One layer of a run, all recipes together.

    Attributes:
        name: Of the layer.
        done: Jobs whose file is there.
        waiting: Jobs whose file is not.
        seconds: Mean wall seconds of a finished job; None where none was measured.
    """

    name: str
    done: int
    waiting: int
    seconds: float | None

    @property
    def remaining(self) -> float:
        """Seconds of work left, as far as known."""
        return self.waiting * (self.seconds or 0.0)


@dataclass(frozen=True)
class Progress:
    """A run as its files show it.

    Attributes:
        stages: In the order of the pipeline.
        slowest: (seconds, stage and file) of the longest finished jobs, the longest first.
        at_once: Mean number of jobs at work, from the first finished file to the last.
    """

    stages: Sequence[Stage]
    slowest: Sequence[tuple[float, str]]
    at_once: float

    @property
    def remaining(self) -> float:
        """Wall seconds to the end, if it goes on as before."""
        return sum(stage.remaining for stage in self.stages) / self.at_once

    @property
    def unknown(self) -> list[str]:
        """Stages that wait and of which no job was timed: how long they take is not known."""
        return [s.name for s in self.stages if s.waiting and s.seconds is None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[shipped.CONFIG / "config.yaml"],
        help="of the run (the demo's)",
    )  # fmt: skip
    parser.add_argument(
        "--config", nargs="*", default=[], metavar="KEY=VALUE", help="as in the run"
    )
    parser.add_argument("--until", help='a deadline, "2027-03-14 23:59": does the run fit?')


def run(args: argparse.Namespace) -> int:
    """Print the state; status 1 if a deadline is asked about and missed."""
    now = datetime.now()
    deadline = None if args.until is None else _time(args.until)
    progress = of_run(Plan(Config(given(args.configfile, args.config))))
    print(text(progress, now, deadline), end="")
    late = deadline is not None and now + timedelta(seconds=progress.remaining) > deadline
    return int(late)


def of_run(plan: Plan) -> Progress:
    """Look at the files of a run."""
    stages, took, dates = [], [], []
    for name, parts in plan.parts.items():
        files = [Path(f) for part in parts.values() for f in plan.files(part)]
        done = [date for file in files if (date := _date(file)) is not None]
        measured = [m for part in parts.values() for m in _measured(plan, part)]
        mean = sum(s for s, _ in measured) / len(measured) if measured else None
        if files:
            stages.append(Stage(name, len(done), len(files) - len(done), mean))
        took += measured
        dates += done
    span = max(dates) - min(dates) if dates else 0.0
    at_once = max(1.0, sum(s for s, _ in took) / span) if span else 1.0
    return Progress(stages, sorted(took, reverse=True)[:SLOWEST], at_once)


def _date(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _measured(plan: Plan, part: Part) -> Iterator[tuple[float, str]]:
    """(seconds, file) of the finished jobs of a part that Snakemake has timed."""
    folder = Path(layers.folder(f"{plan.work}/benchmarks", part.layer.name, part.key))
    names = os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208 - names, not paths
    for name in sorted(n for n in names if n.endswith(".tsv")):
        with (folder / name).open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                try:
                    yield float(row["s"]), f"{folder.name}/{name.removesuffix('.tsv')}"
                except (KeyError, TypeError, ValueError):
                    continue  # half-written: the job is ending right now


def text(progress: Progress, now: datetime, deadline: datetime | None) -> str:
    """What a reader wants to know, as a table and a sentence."""
    lines = [f"{'stage':<12}{'done':>8}{'waiting':>9}{'s a job':>9}"]
    for s in progress.stages:
        mean = "-" if s.seconds is None else f"{s.seconds:.1f}"
        lines.append(f"{s.name:<12}{s.done:>8}{s.waiting:>9}{mean:>9}")
    if progress.slowest:
        lines.append("slowest: " + ", ".join(f"{what} {s:.0f} s" for s, what in progress.slowest))
    waiting = sum(s.waiting for s in progress.stages)
    if not waiting:
        return "\n".join([*lines, "all files are there", ""])
    end = now + timedelta(seconds=progress.remaining)
    told = f"{waiting} jobs wait: about {_duration(progress.remaining)}, until {end:%Y-%m-%d %H:%M}"
    if progress.unknown:
        told += f"; not counted, for none was timed yet: {', '.join(progress.unknown)}"
    lines.append(told)
    if deadline is not None:
        room = (deadline - end).total_seconds()
        word = "ends before" if room >= 0 else "ends after"
        lines.append(f"{word} {deadline:%Y-%m-%d %H:%M}, by {_duration(abs(room))}")
    return "\n".join([*lines, ""])


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _time(told: str) -> datetime:
    try:
        return datetime.fromisoformat(told)
    except ValueError:
        raise ConfigError(
            f'--until {told!r}: no date and time, such as "2027-03-14 23:59".'
        ) from None
