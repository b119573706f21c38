"""Decide again what is emitted: when an object counts as present, and who wins an overlap.

Presence is a decision of its own. Reads a video's masks with the soft scores beside them and writes
other masks, without a model: thresholds are swept in seconds on the CPU.
"""

import argparse
from pathlib import Path

from kit.core import artifacts, validation
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import masks_inputs, read_masks, write_masks
from kit.labelling.emission import Config, Emission, rule
from kit.stages import _settings

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--masks", type=Path, required=True, help="masks as propagated (.zip)")
    parser.add_argument(
        "--settings", type=_settings.parsed, required=True, help="emission preset, JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="masks (.zip)")


def run(args: argparse.Namespace) -> None:
    """Emit one video again."""
    config = validation.parse(Config, args.settings, "emission")
    video = artifacts.read_video(args.frames)
    notes = read_masks(args.masks, video, {"video": video.digest})
    inputs = {**masks_inputs(args.masks), "masks": sha256(args.masks)}
    decide = Emission(
        video, Labels(args.masks, video), notes, rule(config.presence), config.overlap
    )
    pngs = ((frame, decide.png(frame)) for frame in video.frames)
    write_masks(args.output, video, pngs, lambda: notes, inputs)
