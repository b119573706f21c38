"""Score a folder or archive of predictions as the MOSEv2 server does, and say what it does not.

Writes scores.txt and metrics.json as the organisers do; raw.json, details.json and curves.json
hold unrounded numbers, intervals over videos, bins, segments and the curves over time.
"""

import argparse
import sys
from pathlib import Path

from kit.core.errors import KitError, SubmissionError
from kit.metrics import report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--gt", type=Path, required=True, help="folder of ground-truth videos")
    parser.add_argument("--pred", type=Path, required=True, help="folder or ZIP of predictions")
    parser.add_argument("--meta", type=Path, required=True, help="meta file of the set")
    parser.add_argument("--output", type=Path, required=True, help="folder of results to write")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Score and print the seven numbers; warnings go to the error stream."""
    try:
        found = report.score(args.gt, args.pred, args.meta, args.output, args.workers, True)
    except (KitError, KeyboardInterrupt):
        raise
    except Exception as error:  # the organisers' scorer raises a dozen classes, and so do we
        raise SubmissionError(
            f"{args.pred}: the official scorer stops here, and the server with it: "
            f"{type(error).__name__}: {error}. `kit check` lists every defect and its fix."
        ) from error
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(report.scores_text(found.scores), end="")
