"""`python -m kit COMMAND`: the stages in pipeline order, then the tools; the one error boundary."""

import errno
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kit.core import broken
from kit.core.errors import KitError
from kit.runtime import client
from kit.runtime.guard import INTERRUPTED, Outcome, guarded

if TYPE_CHECKING:  # a job that is handed on does not parse
    from kit.arguments import Parser

STAGES = (
    "draw",
    "train",
    "frames",
    "meta",
    "candidates",
    "union",
    "features",
    "manifest",
    "anchors",
    "masks",
    "emission",
    "verify",
    "fallback",
    "audits",
    "scores",
    "results",
    "submission",
    "report",
)
TOOLS = {
    "try": "kit.trial.command",
    "score": "kit.metrics.score",
    "compare": "kit.metrics.compare",
    "audit": "kit.metrics.audit",
    "check": "kit.submission.check_command",
    "pack": "kit.submission.pack",
    "ledger": "kit.submission.ledger",
    "convert": "kit.data.convert",
    "check-weights": "kit.trackers.check_weights",
    "holdout": "kit.data.holdout",
    "worker": "kit.runtime.worker",
    "demo": "kit.run",
    "run": "kit.run",
    "status": "kit.status",
    "why": "kit.runtime.why",
    "schema": "kit.schema",
}
PASSING = ("demo", "run")  # flags that they do not know are those of another program
RESIDENT = {  # in a workflow, stages of one video that run in a worker: on a GPU if there is one?
    "draw": False,
    "frames": False,
    "candidates": True,
    "union": False,
    "features": True,
    "masks": True,
    "emission": False,
    "verify": True,
    "fallback": False,
    "audits": False,
    "scores": False,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0 done, 2 a mistake that the message explains, 130 interrupted. Anything else keeps its
    traceback: it is a defect of the kit. In a workflow, jobs of one video are guarded.
    """
    given = _given(arguments)
    command = _named(given)
    work = broken.work_folder() if command in RESIDENT else None
    if work is None:
        return attempt(given).status
    return _explained(command, lambda: Outcome(guarded(given, work, lambda: attempt(given)))).status


def attempt(arguments: Sequence[str]) -> Outcome:
    """Run one command, in a worker if this is a job that has one."""
    command = _named(arguments)
    return _explained(command, lambda: _done(command, arguments))


def _done(command: str | None, arguments: Sequence[str]) -> Outcome:
    run = client.current() if command in RESIDENT else None
    if command is not None and run is not None:
        return client.forward(run, arguments, RESIDENT[command])
    parser = _parser(command)  # imports a stage, which takes a while
    parsed, rest = parser.parse_known_args(arguments)
    if rest and command not in PASSING:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    parsed.rest = rest
    return Outcome(parsed.run(parsed) or 0)


def _explained(command: str | None, run: Callable[[], Outcome]) -> Outcome:
    """How a command ended; what its user can fix is printed and becomes status 2."""
    try:
        return run()
    except KitError as error:
        outcome = Outcome(2, str(error))
    except KeyboardInterrupt:
        outcome = Outcome(INTERRUPTED, "interrupted; nothing half-written is left")
    except OSError as error:
        if error.errno not in _FIXABLE:
            raise
        where = f" ({error.filename})" if error.filename else ""
        outcome = Outcome(
            2,
            f"{error.strerror}{where}. {_FIXABLE[error.errno]} "
            "Nothing half-written is left; then run the same command again.",
        )
    print(f"kit {command}: {outcome.why}" if command else f"kit: {outcome.why}", file=sys.stderr)
    return outcome


_FIXABLE = {
    errno.ENOSPC: "Free some space, or point `work` in the config to a larger disk.",
    errno.EDQUOT: "Your disk quota is used up: free some space or have it raised.",
    errno.EFBIG: "The disk, or `ulimit -f`, allows no file of that size.",
    errno.EROFS: "Point `work` in the config to a disk that can be written.",
    errno.EACCES: "Check the permissions of that path.",
    errno.EPERM: "Check the permissions of that path.",
    errno.EISDIR: "A folder stands where a file is meant to be: rename or remove it.",
    errno.ENOTDIR: "A file stands where a folder is meant to be: rename or remove it.",
    errno.EEXIST: "A file stands where a folder is meant to be: rename or remove it.",
    errno.ENAMETOOLONG: "Give the video, or the `work` folder, a shorter name.",
    errno.ELOOP: "A link leads back to itself: remove it, and put the file there.",
    errno.EIO: "The disk itself fails to read or write: check its health, or use another one.",
}


def _given(arguments: Sequence[str] | None) -> list[str]:
    return list(sys.argv[1:] if arguments is None else arguments)


def _named(arguments: Sequence[str] | None) -> str | None:
    """The command asked for: its module alone is imported, which keeps the start short."""
    given = _given(arguments)
    return given[0] if given and given[0] in (*STAGES, *TOOLS) else None


def _parser(wanted: str | None) -> "Parser":
    from kit.arguments import Parser

    parser = Parser(prog="kit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*STAGES, *TOOLS):
        if wanted is not None and name != wanted:
            commands.add_parser(name)
            continue
        module = importlib.import_module(TOOLS.get(name, f"kit.stages.{name}"))
        text = (module.__doc__ or "").strip()
        sub = commands.add_parser(
            name, help=text.splitlines()[0], description=text, allow_abbrev=name not in PASSING
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run, main=attempt)
    return parser
