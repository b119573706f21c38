"""`python -m kit COMMAND`: the stages in pipeline order, then the tools; the one error boundary."""

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence

from kit.core.errors import KitError

STAGES = (
    "draw",
    "frames",
    "meta",
    "candidates",
    "features",
    "manifest",
    "anchors",
    "masks",
    "scores",
    "results",
    "submission",
    "report",
)
TOOLS: dict[str, str] = {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status.

    0 done, 2 a mistake that the message explains, 130 interrupted. Anything else keeps its
    traceback: it is a defect of the kit.
    """
    parsed = _parser(_named(arguments)).parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except KitError as error:
        print(f"kit {parsed.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"kit {parsed.command}: interrupted; nothing half-written is left", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno not in _MENDABLE:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(
            f"kit {parsed.command}: {error.strerror}{where}. {_MENDABLE[error.errno]} "
            "Nothing half-written is left; then run the same command again.",
            file=sys.stderr,
        )
        return 2


_MENDABLE = {
    errno.ENOSPC: "Free some space, or point `work` in the config to a larger disk.",
    errno.EDQUOT: "Your disk quota is used up: free some space or have it raised.",
    errno.EROFS: "Point `work` in the config to a disk that can be written.",
    errno.EACCES: "Check the permissions of that path.",
}


def _named(arguments: Sequence[str] | None) -> str | None:
    """The command asked for: its module alone is imported, which keeps the start short."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return given[0] if given and given[0] in (*STAGES, *TOOLS) else None


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kit", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (*STAGES, *TOOLS):
        if wanted is not None and name != wanted:
            commands.add_parser(name)
            continue
        module = importlib.import_module(TOOLS.get(name, f"kit.stages.{name}"))
        text = (module.__doc__ or "").strip()
        sub = commands.add_parser(name, help=text.splitlines()[0], description=text)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser
