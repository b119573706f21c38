"""Put the digests of all videos' mined evidence into one small file.

The choice of anchors depends on this file alone. As long as its content stays, no decision is
taken again; and one data-set-wide decision is what lets Snakemake see, in the same run, which
videos' anchors really changed (rules/mine.smk).
"""

import argparse
from pathlib import Path

from kit.core import artifacts, broken, grounds
from kit.core.files import sha256

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="folder of indices")
    for key in grounds.EVIDENCE:
        what = f"folder of {key.replace('_', ' ')}, if there are any"
        parser.add_argument(f"--{key.replace('_', '-')}", type=Path, help=what)
    parser.add_argument(
        "--videos", nargs="+", action="extend", required=True, help="names of the videos"
    )
    parser.add_argument("--output", type=Path, required=True, help="manifest to write (.json)")


def run(args: argparse.Namespace) -> None:
    """List each video's files with their digests; of a video that broke, why."""
    entries, lost = {}, {}
    for video in args.videos:
        index = args.frames / f"{video}.json"
        found = {
            key: getattr(args, key) / f"{video}{suffix}"
            for key, suffix in grounds.EVIDENCE.items()
            if getattr(args, key) is not None
        }
        if (record := broken.first([index, *found.values()])) is not None:
            lost[video] = record
            continue
        digests = {key: sha256(path) for key, path in found.items()}
        own = {"video": artifacts.read_video(index).digest, **digests}
        entries[video] = grounds.Entry(index, found, own)
    grounds.write_manifest(args.output, entries, lost)
