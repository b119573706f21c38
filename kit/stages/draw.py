"""Draw one video of the demo, or of another drawn split, in MOSE layout with exact masks.

Stands where real data would lie: whatever follows sees only the folders.
"""

import argparse
import dataclasses
from pathlib import Path

from kit.core import files, validation
from kit.core.errors import ConfigError
from kit.data import synthetic
from kit.stages import _settings

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--root", type=Path, required=True, help="folder in MOSE layout to fill")
    parser.add_argument("--video", required=True, help="name of the video, ending in its number")
    parser.add_argument(
        "--settings", type=_settings.parsed, default={}, help="drawing options, JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="the video's meta entry (.json)")


def run(args: argparse.Namespace) -> None:
    """Draw one video and write its meta entry last."""
    number = args.video.rsplit("_", 1)[-1]
    if not number.isdecimal():
        raise ConfigError(f"{args.video}: a drawn video's name ends in its number: drawn_000.")
    drawing = dataclasses.asdict(synthetic.DEMO) | args.settings
    split = drawing.pop("split", "demo")
    config = validation.parse(synthetic.Config, drawing, "data.draw")
    seed = synthetic.seed_of(split, int(number))
    entry = synthetic.write_video(args.root, args.video, seed, config)
    files.write_json(args.output, {"videos": {args.video: entry}})
