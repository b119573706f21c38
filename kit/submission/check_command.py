"""Find every defect of a submission before the server does, and repair what can be repaired.

Streams through a folder or an archive: nothing is extracted, one picture is in memory at a time.
"""

import argparse
import sys
from pathlib import Path

from kit.submission import expected
from kit.submission.check import check
from kit.submission.repair import Fill, repair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kit check`."""
    parser.add_argument("source", type=Path, help="folder or ZIP archive of a submission")
    parser.add_argument("--meta", type=Path, required=True, help="meta JSON of the split")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--workers", type=int, default=1, help="processes that read pictures")
    parser.add_argument("--repair", type=Path, metavar="OUT.zip", help="write a repaired copy")
    parser.add_argument(
        "--fill", choices=["empty", "nearest"], help="with --repair: make up missing frames"
    )


def run(args: argparse.Namespace) -> int:
    """Print the report, and repair if asked; 0 when nothing worse than harmless is left, else 1."""
    meta = expected.load_meta(args.meta)
    report = check(args.source, meta, args.workers)
    sys.stdout.write((report.as_json() if args.json else str(report)) + "\n")
    if args.repair is None:
        return 0 if report.ok else 1
    changes = repair(args.source, meta, args.repair, args.fill and Fill(args.fill))
    sys.stderr.writelines(f"{change}\n" for change in changes)
    sys.stderr.write(f"{args.repair}: written, {len(changes)} changes\n")
    return 0
