"""Why a file of the workflow would be made again: what Snakemake would do for it, and its reasons.

Asks Snakemake for a plan in a process of its own, with the flags of the run in question, and tells
the jobs that lead to the file. Nothing is run or changed.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator

from kit.core import shipped
from kit.core.errors import ConfigError

_JOB = re.compile(r"^Job \d+: (?P<job>.+)\nReason: (?P<reason>.+(?:\n +\S.*)*)", re.M)
_FILES = re.compile(r"(?<=: )\S+(?:, \S+){2,}")
_GATED = "Input files updated by another job"
_LAST_LINES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("path", help="file that a run would write, as seen from here")
    parser.add_argument(
        "flags", nargs=argparse.REMAINDER,
        help="Snakemake's, as in the run: --configfile config/mosev2.yaml",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Print the jobs that would lead to the file, in order, with their reasons."""
    plan = _plan(args.path, args.flags)
    jobs = list(_jobs(plan))
    if not jobs:
        print(f"{args.path}: up to date; nothing would be done for it")
        return
    print(f"{args.path}: would be made again")
    decided = False
    for job, reason in jobs:
        pending = decided and reason.startswith(_GATED)
        print(f"  {job}\n    {reason}" + (" (if they come out otherwise)" if pending else ""))
        decided = decided or job.startswith("anchors ")


def _plan(path: str, flags: list[str]) -> str:
    own = ["--snakefile", str(shipped.SNAKEFILE)]  # a later one, among the flags, wins
    command = [sys.executable, "-m", "snakemake", path, "--dry-run", "--cores", "1", *own, *flags]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-_LAST_LINES:])
        raise ConfigError(
            f"{path}: Snakemake has no plan for it. Is it a file of this configuration, spelled "
            f"as the run spells it (work/SPLIT/...)? It says:\n{last}"
        )
    return done.stdout


def _jobs(plan: str) -> Iterator[tuple[str, str]]:
    """(message, reason) of each job of a dry run; of many files, the first and their number."""
    for found in _JOB.finditer(plan):
        reason = " ".join(found["reason"].split())
        yield found["job"], _FILES.sub(_shortened, reason)


def _shortened(found: re.Match[str]) -> str:
    first, *others = found[0].split(", ")
    return f"{first} and {len(others)} more"
