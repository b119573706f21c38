"""Pack the masks of all videos into the archive that the server accepts.

Checks that every video's masks were made from the anchors that lie there now, and that the archive
would be scored as meant, before it gets its name.
"""

import argparse
from pathlib import Path

from kit.core import artifacts
from kit.core.files import sha256
from kit.core.mask_archive import read_masks
from kit.submission import expected, pack

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="folder of indices")
    parser.add_argument("--anchors", type=Path, required=True, help="folder of anchors")
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks")
    parser.add_argument("--meta", type=Path, required=True, help="meta file of the split")
    parser.add_argument("--team", type=Path, help="team.json to lie at the archive's root")
    parser.add_argument("--workers", type=int, default=1, help="processes that check pictures")
    parser.add_argument("--output", type=Path, required=True, help="archive to write (.zip)")


def run(args: argparse.Namespace) -> None:
    """Pack all videos."""
    meta = expected.load_meta(args.meta)
    masks = {name: args.masks / f"{name}.zip" for name in meta["videos"]}
    for name, path in masks.items():
        video = artifacts.read_video(args.frames / f"{name}.json")
        made_of = {"video": video.digest, "anchors": sha256(args.anchors / f"{name}.json")}
        read_masks(path, video, made_of)
    manifest = pack.pack(masks, meta, args.output, args.team, args.workers)
    print(f"{args.output}: {len(masks)} videos, {manifest.bytes / 1e6:.1f} MB, {manifest.sha256}")
