"""One bad video stops nobody: in a workflow, the failure of its job becomes a record.

The one place where that happens. A job whose input is such a record passes it on without work; one
that fails, however, writes one and ends well. Only an interruption is none, and what even this
cannot outlive is counted: a job that was killed twice is not tried again. By hand there are no
records: a stage fails as it does.

Every job imports this: see `client`.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from kit.core import broken
from kit.core.broken import Broken

INTERRUPTED = 130
TRIES = 2  # deaths of a job's process, after which it is given up; rules allow one retry more


class Outcome(NamedTuple):
    """How a command ended.

    Attributes:
        status: Its exit status.
        why: What it said, if it failed.
    """

    status: int
    why: str = ""


def guarded(arguments: Sequence[str], work: Path, attempt: Callable[[], Outcome]) -> int:
    """Run a job of one video; returns the exit status, which is 0 if it leaves a record.

    Args:
        arguments: The command and what follows it.
        work: Folder of the split.
        attempt: Does the job.
    """
    output = Path(arguments[list(arguments).index("--output") + 1])
    earlier = _earlier(arguments, output, work)
    if earlier is not None:
        print(f"passed on, for the video is broken: {earlier}")
        broken.write(output, earlier, work)
        return 0
    tries = broken.listed(work, output).with_suffix(".tries")
    outcome = _tried(tries, attempt)
    if outcome.status not in (0, INTERRUPTED):
        broken.write(output, Broken(_video(output), arguments[0], outcome.why, str(output)), work)
        return 0
    return outcome.status


def _earlier(arguments: Sequence[str], output: Path, work: Path) -> Broken | None:
    """The record among the files that a job reads; the index tells without opening artifacts."""
    inside = [path for path in map(Path, arguments) if path.is_relative_to(work)]
    return broken.first(p for p in inside if p != output and broken.listed(work, p).is_file())


def _tried(tries: Path, attempt: Callable[[], Outcome]) -> Outcome:
    """What came of a job, unless its process was killed too often before."""
    died = tries.stat().st_size if tries.is_file() else 0
    if died >= TRIES:
        why = f"killed {died} times while at work; too little memory, or time, for this video?"
        print(why, file=sys.stderr)
        outcome = Outcome(1, why)
    else:
        tries.parent.mkdir(parents=True, exist_ok=True)
        with tries.open("a") as page:
            page.write("x")
        outcome = _survived(attempt)
    tries.unlink(missing_ok=True)
    return outcome


def _survived(attempt: Callable[[], Outcome]) -> Outcome:
    """The same where a job does its own work: a defect of the kit ends this video and no other."""
    try:
        return attempt()
    except SystemExit as end:
        return Outcome(int(end.code or 0), "a wrong command line")
    except Exception as error:
        import traceback

        traceback.print_exc()
        return Outcome(1, described(error))


def described(error: BaseException) -> str:
    """A defect in one line."""
    return f"{type(error).__name__}: {error}"


def _video(output: Path) -> str:
    return Path(output.name.removesuffix(".zst")).stem
