"""Draw one video of the demo split, in MOSE layout with exact masks.

Stands where real data would lie: whatever follows sees only the folders.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from kit.core import files
from kit.data import synthetic

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--root", type=Path, required=True, help="folder in MOSE layout to fill")
    parser.add_argument("--video", required=True, help="name of the video, ending in its number")
    parser.add_argument("--settings", type=json.loads, default={}, help="drawing options, JSON")
    parser.add_argument("--output", type=Path, required=True, help="the video's meta entry (.json)")


def run(args: argparse.Namespace) -> None:
    """Draw one video and write its meta entry last."""
    number = int(args.video.rsplit("_", 1)[-1])
    config = dataclasses.replace(synthetic.DEMO, **args.settings)
    seed = synthetic.seed_of("demo", number)
    entry = synthetic.write_video(args.root, args.video, seed, config)
    files.write_json(args.output, {"videos": {args.video: entry}})
