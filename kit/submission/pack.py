"""Pack masks into the archive the server accepts, the same bytes from run to run.

PNG bytes are copied, never re-encoded. Knows nothing of models or recipes.
"""

import argparse
import hashlib
import json
import logging
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kit.core.errors import SubmissionError
from kit.submission import expected, frames, team
from kit.submission.check import Report, check
from kit.submission.rules import WARN_ARCHIVE_BYTES, Severity
from kit.submission.source import Broken, Entry, Source, open_source

_log = logging.getLogger(__name__)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a ZIP can hold
_MODE = 0o100644 << 16  # a regular file, rw-r--r--
# A lone folder at the root is taken for a wrapper, and the video is then looked for inside itself.
_COMPANION = ("README.txt", b"This file keeps a single video folder from passing as a wrapper.\n")


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

    def as_json(self) -> str:
        """The manifest file: sorted, without time stamps."""
        return json.dumps({"schema": "manifest/1", **asdict(self)}, indent=1, sort_keys=True) + "\n"


def pack(
    masks: Mapping[str, Path], meta: Mapping[str, Any], output: Path, team_file: Path | None = None
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

    Raises:
        DataError: if meta cannot be used.
        SubmissionError: if videos are missing or unknown, masks cannot be read, or the archive has
            a defect worse than harmless.
    """
    videos = expected.videos(meta)
    _refuse_other_videos(masks.keys(), videos.keys())
    manifest_path = output.with_suffix(".manifest.json")
    output.parent.mkdir(parents=True, exist_ok=True)
    with _revealed(output) as part:
        packed = _write(part, masks, _companions(team_file, len(masks)))
        _refuse_defects(check(part, meta), output)
        # An old manifest must not stand beside a new archive, even for a moment.
        manifest_path.unlink(missing_ok=True)
        manifest = Manifest(output.name, digest(part), part.stat().st_size, packed)
    with _revealed(manifest_path) as part:
        part.write_text(manifest.as_json())
    return manifest


def digest(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forecast(masks: Mapping[str, Path]) -> int:
    """Bytes the archive will have, companions aside: PNGs are stored as they are."""
    total = 22
    for video, path in masks.items():
        with _opened(video, path) as source:
            # A stored member costs a local header, a central one, and its name twice.
            total += sum(76 + 2 * len(f"{video}/{e.name}") + e.size for e in _pngs(source))
    return total


def _write(
    part: Path, masks: Mapping[str, Path], companions: list[tuple[str, bytes]]
) -> dict[str, Packed]:
    size = forecast(masks)
    if size > WARN_ARCHIVE_BYTES:
        _log.warning(
            "the archive will have %.0f MB; uploads pass at 500 to 600 MB and hang at 1 GB."
            " Were the masks written with compression?",
            size / 1e6,
        )
    with zipfile.ZipFile(part, "w") as archive:
        for name, data in companions:
            archive.writestr(_member(name), data)
        return {video: _copy(archive, video, masks[video]) for video in sorted(masks)}


def _copy(archive: zipfile.ZipFile, video: str, path: Path) -> Packed:
    count, size, hashed = 0, 0, hashlib.sha256()
    with _opened(video, path) as source:
        for entry in _pngs(source):
            try:
                data = source.read(entry)
            except Broken as broken:
                raise SubmissionError(f"{path}: {entry.name}: {broken}. {_REBUILD}") from broken
            archive.writestr(_member(f"{video}/{entry.name}"), data)
            count, size = count + 1, size + len(data)
            hashed.update(data)
    return Packed(count, size, hashed.hexdigest())


_REBUILD = "Build the video's masks again."


@contextmanager
def _opened(video: str, path: Path) -> Iterator[Source]:
    try:
        with open_source(path) as source:
            yield source
    except Broken as broken:
        raise SubmissionError(f"masks of {video}: {path}: {broken}. {_REBUILD}") from broken


def _pngs(source: Source) -> list[Entry]:
    chosen = [e for e in source.entries if "/" not in e.name and frames.is_mask(e.name)]
    return sorted(chosen, key=lambda entry: entry.name)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_STORED
    info.external_attr = _MODE
    info.create_system = 3  # Unix, wherever we run
    return info


def _companions(team_file: Path | None, videos: int) -> list[tuple[str, bytes]]:
    if team_file is None:
        return [_COMPANION] if videos == 1 else []
    try:
        data = team_file.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{team_file}: cannot read team information: {error}.") from error
    if problems := team.problems(data):
        raise SubmissionError(f"{team_file}: " + "; ".join(problems) + ". Correct the file.")
    return [("team.json", data)]


def _refuse_other_videos(given: "set[str] | Any", wanted: "set[str] | Any") -> None:
    missing, unknown = sorted(wanted - given), sorted(given - wanted)
    if missing or unknown:
        raise SubmissionError(
            f"masks of {len(given)} videos, meta has {len(wanted)}: missing {missing[:5]},"
            f" unknown {unknown[:5]} (first five). Missing videos score zero. Are masks and meta"
            " of the same split?"
        )


def _refuse_defects(report: Report, output: Path) -> None:
    for finding in report.findings:
        if finding.severity is Severity.HARMLESS:
            _log.info("%s", finding)
    if not report.ok:
        raise SubmissionError(f"{output} was not written:\n{report}")


@contextmanager
def _revealed(path: Path) -> Iterator[Path]:
    """A temporary file in the same folder; on success synced and renamed, else removed."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kit pack`."""
    parser.add_argument(
        "masks", type=Path, nargs="+", help="<video>.zip, video folders, or a folder of these"
    )
    parser.add_argument("--meta", type=Path, required=True, help="meta JSON of the split")
    parser.add_argument("--output", type=Path, required=True, help="the archive to write")
    parser.add_argument("--team", type=Path, help="team.json for the archive's root")


def run(args: argparse.Namespace) -> int:
    """Pack and print the manifest's first line; always 0, errors are raised."""
    meta = expected.load_meta(args.meta)
    manifest = pack(by_video(args.masks, set(expected.videos(meta))), meta, args.output, args.team)
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
