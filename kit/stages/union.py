"""Merge the candidates of several sources into one file: each region once, with who found it.

Runs no model and looks at no frame.
"""

import argparse
from pathlib import Path

from kit import plugins
from kit.core import artifacts
from kit.stages import _settings
from kit.stages.candidates import in_order

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument(
        "--candidates",
        type=Path,
        nargs="+",
        action="extend",
        required=True,
        help="of each source, the best first",
    )
    parser.add_argument(
        "--settings", type=_settings.parsed, required=True, help="detector preset, JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="candidates (.jsonl.zst)")


def run(args: argparse.Namespace) -> None:
    """Merge the candidates of one video."""
    video = artifacts.read_video(args.frames)
    merger = plugins.merger(args.settings)
    found = [artifacts.read_candidates(path, video) for path in args.candidates]
    merged = merger.merge(found)
    artifacts.write_candidates(args.output, video, in_order(video, merged))
