"""Put the digests of all videos' mined evidence into one small file.

The choice of anchors depends on this file alone. As long as its content stays, no decision is
taken again; and one data-set-wide decision is what lets Snakemake see, in the same run, which
videos' anchors really changed (rules/mine.smk).
"""

import argparse
from pathlib import Path

from kit.core import artifacts, files
from kit.core.files import sha256

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="folder of indices")
    parser.add_argument("--candidates", type=Path, help="folder of candidates, if any are mined")
    parser.add_argument("--features", type=Path, help="folder of features, if any are mined")
    parser.add_argument("--videos", nargs="+", required=True, help="names of the videos")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write (.json)")


def run(args: argparse.Namespace) -> None:
    """List each video's files with their digests."""
    videos = {}
    for video in args.videos:
        index = args.frames / f"{video}.json"
        entry = {"frames": str(index), "video": artifacts.read_video(index).digest}
        if args.candidates is not None:
            for key, folder, suffix in (
                ("candidates", args.candidates, ".jsonl.zst"),
                ("features", args.features, ".safetensors"),
            ):
                path = folder / f"{video}{suffix}"
                entry |= {key: str(path), f"{key}_sha256": sha256(path)}
        videos[video] = entry
    files.write_json(args.output, {"schema": "manifest/1", "videos": videos})
