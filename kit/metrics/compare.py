"""Compare two scored runs: paired differences with intervals, and who gained and lost most.

Takes what `kit score` wrote (its folder, or raw.json), or a recipe's results.json.
"""

import argparse
from pathlib import Path

from kit.metrics import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("a", type=Path, metavar="A", help="the run that is compared with")
    parser.add_argument("b", type=Path, metavar="B", help="the run that may be better")
    parser.add_argument("--samples", type=int, default=2000, help="of videos (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Print B - A."""
    print(report.compare_runs(args.a, args.b, args.samples), end="")
