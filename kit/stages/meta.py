"""Write the split's meta file from the indices: what scorer and archive check go by.

It has the form of the data set's own `meta_*.json`, so every tool of the organisers reads it.
"""

import argparse
from pathlib import Path

from kit.core import artifacts, broken, files

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="folder of indices")
    parser.add_argument(
        "--videos", nargs="+", action="extend", required=True, help="names of the videos"
    )
    parser.add_argument("--output", type=Path, required=True, help="meta file to write (.json)")


def run(args: argparse.Namespace) -> None:
    """Join the indices of all videos but those that broke."""
    videos = {}
    for name in args.videos:
        path = args.frames / f"{name}.json"
        if (record := broken.read(path)) is not None:
            print(f"left out, for it is broken: {record}")
            continue
        video = artifacts.read_video(path)
        videos[name] = {
            "length": len(video.frames),
            "height": video.height,
            "width": video.width,
            "objects": [o.id for o in video.objects],
            "frames": list(video.frames),
        }
    files.write_json(args.output, {"videos": videos})
