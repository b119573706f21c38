"""Let the first pass stand where going on from it made an object's result less consistent.

Reads the masks of a first and of a second pass and what came of tracking both back (`kit verify`),
on frames where they disagree. There a result earns the IoU at which its mask arrives at the given
one; `silence`, where it draws nothing. An object keeps its second result if that earns no less on
average; else its pixels are those of the first pass, on every frame. Runs no model.
"""

import argparse
from pathlib import Path

from kit.core import artifacts, grounds, validation
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import masks_inputs, read_masks, write_masks
from kit.labelling.fallback import Config, Settled, judge, notes_of
from kit.stages import _settings

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--first", type=Path, required=True, help="masks of the first pass (.zip)")
    parser.add_argument("--masks", type=Path, required=True, help="masks of the second (.zip)")
    parser.add_argument("--cycles", type=Path, required=True, help="both, tracked back (.json)")
    parser.add_argument(
        "--settings", type=_settings.parsed, required=True, help="fallback preset, JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="masks (.zip)")


def run(args: argparse.Namespace) -> None:
    """Decide for every object of one video."""
    silence = validation.parse(Config, args.settings, "fallback").silence
    video = artifacts.read_video(args.frames)
    first, second = (
        read_masks(path, video, {"video": video.digest}) for path in (args.first, args.masks)
    )
    rivals = {"first_masks": sha256(args.first), "masks": sha256(args.masks)}
    cycles = grounds.read_cycles(args.cycles, video, {"video": video.digest, **rivals})
    verdicts = {o.id: judge([c for c in cycles if c.object_id == o.id], silence)
                for o in video.objects}  # fmt: skip
    settled = Settled(Labels(args.first, video), Labels(args.masks, video), verdicts)
    pngs = ((frame, settled.png(frame)) for frame in video.frames)
    inputs = {**masks_inputs(args.masks), **rivals, "cycles": sha256(args.cycles)}
    write_masks(args.output, video, pngs, lambda: notes_of(settled, first, second), inputs)
