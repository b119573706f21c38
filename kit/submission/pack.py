"""Pack masks into the archive the server accepts, the same bytes from run to run.

PNG bytes are copied, never re-encoded. Knows nothing of models or recipes.
"""

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kit.core.errors import SubmissionError
from kit.core.files import sha256, write_json
from kit.data.likeness import is_object_folder
from kit.submission import archive, expected, frames, team
from kit.submission.source import Broken, Entry, Source, open_source
from kit.submission.stored import StoredZip

_REBUILD = "Build the video's masks again."


@dataclass(frozen=True)
class Packed:
    """One video in the archive; `sha256` is over its PNGs' bytes in order of their names."""

    frames: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What was packed; `sha256` and `bytes` are those of the archive file."""

    archive: str
    sha256: str
    bytes: int
    videos: dict[str, Packed]


def pack(
    masks: Mapping[str, Path],
    meta: Mapping[str, Any],
    output: Path,
    team_file: Path | None = None,
    workers: int = 1,
) -> Manifest:
    """Write `output` and `<output stem>.manifest.json` beside it.

    The archive is written under a temporary name, checked as a whole, and only then renamed: one
    with a defect worse than harmless never stands under `output`.

    Args:
        masks: per video, a ZIP with `<frame>.png` at its root (other members are left out), or a
            folder of PNGs.
        meta: the split's meta, see `kit.submission.expected.videos`.
        output: the archive.
        team_file: team information, placed at the root as `team.json`.
        workers: processes that look at the pictures packed.

    Raises:
        DataError: if meta cannot be used.
        SubmissionError: if videos are missing or unknown, masks cannot be read, or the archive has
            a defect worse than harmless.
    """
    _refuse_other_videos(masks.keys(), expected.videos(meta).keys())
    companions = _companions(team_file, len(masks))
    archive.warn_of_size(forecast(masks))
    with archive.checked(output, meta, workers) as packing:
        for name, data in companions:
            packing.add(name, data)
        packed = {video: _copy(packing, video, masks[video]) for video in sorted(masks)}
    manifest = Manifest(output.name, sha256(output), output.stat().st_size, packed)
    write_json(output.with_suffix(".manifest.json"), {"schema": "manifest/1", **asdict(manifest)})
    return manifest


def forecast(masks: Mapping[str, Path]) -> int:
    """About how many bytes the archive will have, from file sizes alone.

    PNGs are stored as they are, in our own masks as in the archive; only members that are left
    out, such as `objects.json`, make the estimate a little too high.
    """
    files = (
        file for path in masks.values() for file in (path.iterdir() if path.is_dir() else [path])
    )
    return sum(file.stat().st_size for file in files if file.is_file())


def _copy(packing: StoredZip, video: str, path: Path) -> Packed:
    count, size, hashed = 0, 0, hashlib.sha256()
    with _opened(video, path) as source:
        for entry in _pngs(source):
            try:
                data = source.read(entry)
            except Broken as broken:
                raise Broken(broken.code, f"{entry.name}: {broken}") from broken
            packing.add(f"{video}/{entry.name}", data)
            count, size = count + 1, size + len(data)
            hashed.update(data)
    return Packed(count, size, hashed.hexdigest())


@contextmanager
def _opened(video: str, path: Path) -> Iterator[Source]:
    try:
        with open_source(path) as source:
            yield source
    except Broken as broken:
        raise SubmissionError(f"masks of {video}: {path}: {broken}. {_REBUILD}") from broken


def _pngs(source: Source) -> list[Entry]:
    chosen = [e for e in source.entries if "/" not in e.name and frames.is_mask(e.name)]
    parents = [e.name.split("/")[0] for e in source.entries if frames.is_mask(e.name)]
    if not chosen and any(map(is_object_folder, parents)):
        raise Broken("object-folders", f"a folder per object ({parents[0]}), not label maps")
    return sorted(chosen, key=lambda entry: entry.name)


def _companions(team_file: Path | None, videos: int) -> list[tuple[str, bytes]]:
    if team_file is None:
        return [archive.COMPANION] if videos == 1 else []
    try:
        data = team_file.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{team_file}: cannot read team information: {error}.") from error
    if problems := team.problems(data):
        raise SubmissionError(f"{team_file}: " + "; ".join(problems) + ". Correct the file.")
    return [("team.json", data)]


def _refuse_other_videos(given: Set[str], wanted: Set[str]) -> None:
    missing, unknown = sorted(wanted - given), sorted(given - wanted)
    if missing or unknown:
        raise SubmissionError(
            f"masks of {len(given)} videos, meta has {len(wanted)}: missing {missing[:5]},"
            f" unknown {unknown[:5]} (first five). Missing videos score zero. Are masks and meta"
            " of the same split?"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kit pack`."""
    parser.add_argument(
        "masks", type=Path, nargs="+", help="<video>.zip, video folders, or a folder of these"
    )
    parser.add_argument("--meta", type=Path, required=True, help="meta JSON of the split")
    parser.add_argument("--output", type=Path, required=True, help="the archive to write")
    parser.add_argument("--workers", type=int, default=1, help="processes that read pictures")
    parser.add_argument("--team", type=Path, help="team.json for the archive's root")


def run(args: argparse.Namespace) -> int:
    """Pack and print the manifest's first line; always 0, errors are raised."""
    meta = expected.load_meta(args.meta)
    manifest = pack(
        by_video(args.masks, set(expected.videos(meta))), meta, args.output, args.team, args.workers
    )
    sys.stdout.write(f"{manifest.sha256}  {args.output}  {manifest.bytes:,} bytes\n")
    return 0


def by_video(paths: list[Path], videos: set[str]) -> dict[str, Path]:
    """Masks by video name: each path is a video's ZIP or folder, or a folder of such.

    Raises:
        SubmissionError: if two paths claim one video.
    """
    found: dict[str, Path] = {}
    for path in paths:
        own = path.stem if path.suffix == ".zip" else path.name
        inside = [] if own in videos or not path.is_dir() else sorted(path.iterdir())
        for item in inside or [path]:
            name = item.stem if item.suffix == ".zip" else item.name
            if name in found:
                raise SubmissionError(f"{name}: masks in {found[name]} and in {item}; give one.")
            if name in videos or not inside:
                found[name] = item
    return found
