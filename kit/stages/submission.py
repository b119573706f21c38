"""Pack the masks of all videos into the archive that the server accepts.

Checks that every video's masks were made from the anchors that lie there now, and that the archive
would be scored as meant, before it gets its name. Where videos are missing it never does: what
there is becomes NAME.incomplete.zip, and the stage fails with the list.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from kit.core import artifacts, broken
from kit.core.broken import Broken
from kit.core.errors import SubmissionError
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
    """Pack all videos.

    Raises:
        SubmissionError: Videos are missing, or the archive would not be scored as meant.
    """
    found = _records(args)
    missing = {name: record for name, record in found.items() if record is not None}
    none_left = bool(missing) and len(missing) == len(found)
    videos = {} if none_left else expected.load_meta(args.meta)["videos"]
    masks = {name: args.masks / f"{name}.zip" for name in videos if name not in missing}
    for name, path in masks.items():
        video = artifacts.read_video(args.frames / f"{name}.json")
        made_of = {"video": video.digest, "anchors": sha256(args.anchors / f"{name}.json")}
        read_masks(path, video, made_of)
    incomplete = args.output.with_suffix(".incomplete.zip")
    output = incomplete if missing else args.output
    if masks:
        meta = {"videos": {name: videos[name] for name in masks}}
        packed = pack.pack(masks, meta, output, args.team, args.workers)
        print(f"{output}: {len(masks)} videos, {packed.bytes / 1e6:.1f} MB, {packed.sha256}")
    if missing:
        raise SubmissionError(_refusal(args.output, output, len(masks), missing))
    for file in (incomplete, incomplete.with_suffix(".manifest.json")):
        file.unlink(missing_ok=True)


def _records(args: argparse.Namespace) -> dict[str, Broken | None]:
    """Why a video has no masks, if it broke; by name, of all that are there."""
    names = sorted(index.stem for index in args.frames.glob("*.json"))
    return {
        name: broken.first(
            [args.frames / f"{name}.json", args.anchors / f"{name}.json",
             args.masks / f"{name}.zip"]
        )
        for name in names
    }  # fmt: skip


def _refusal(output: Path, written: Path, count: int, missing: Mapping[str, Broken]) -> str:
    left = f"What there is lies in {written.name}, which the server would score with zeros for them"
    told = "\n".join(broken.told(missing.values(), count + len(missing)))
    return f"{output} was not written. {told}\n{left if count else 'There is nothing to pack'}."
