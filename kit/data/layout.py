"""The MOSE layout: where a video's images and label maps lie, and in which order.

ROOT/JPEGImages/VIDEO/00000.jpg ...     or ROOT/JPEGImages/VIDEO.mp4
ROOT/Annotations/VIDEO/00000.png ...    the first frame at least
ROOT/meta.json      {"videos": {VIDEO: {"length", "height", "width", "objects"}}}
"""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kit.core.clutter import is_clutter
from kit.core.errors import DataError
from kit.core.files import MAX_JSON_BYTES, canonical_json, parse_json, sha256
from kit.data import instead, likeness, names
from kit.data.names import IMAGES, VIDEOS

_FRAME_BYTES = 30_000  # of a video file, roughly


@dataclass(frozen=True)
class Split:
    """A folder in MOSE layout.

    Attributes:
        root: Holds all the others.
        images: Folder of frame folders or video files, relative to the root.
        annotations: Folder of label-map folders, relative to the root.
        meta: Meta file, relative to the root, or None to do without its cross-check.
    """

    root: Path
    images: str = "JPEGImages"
    annotations: str = "Annotations"
    meta: str | None = None

    def videos(self) -> list[str]:
        """Names of all videos, sorted.

        Raises:
            DataError: There is no such folder, or it is empty.
        """
        folder = self.root / self.images
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder. {instead.of_folder(folder, self.root)}")
        found = {
            entry.stem if entry.is_file() else entry.name
            for entry in folder.iterdir()
            if not is_clutter(entry.name) and (entry.is_dir() or entry.suffix.lower() in VIDEOS)
        }
        if not found:
            near = likeness.of_root(folder)
            told = str(near) if near else "Is `data.root` that of a MOSE layout?"
            raise DataError(f"{folder}: holds neither frame folders nor video files. {told}")
        return sorted(found)

    def passed_over(self) -> list[str]:
        """Folders between those of the videos that systems leave there, sorted."""
        here = (self.root / self.images).iterdir()
        return sorted(p.name for p in here if is_clutter(p.name) and p.is_dir())

    def source(self, video: str) -> Path:
        """The frame folder of a video, or its video file.

        Raises:
            DataError: There is neither, or more than one.
        """
        folder = self.root / self.images
        # Not by a look at the whole folder, which may hold thousands, unless there is no other way.
        films = [folder / f"{video}{s}" for suffix in VIDEOS for s in (suffix.upper(), suffix)]
        found = [folder / video] if (folder / video).is_dir() else []
        found += {film.stat().st_ino: film for film in films if film.is_file()}.values()
        if not found and folder.is_dir():
            here = folder.iterdir()
            found = sorted(p for p in here if p.stem == video and p.suffix.lower() in VIDEOS)
        if len(found) > 1:
            names = " and ".join(p.name for p in found)
            raise DataError(f"{folder}: {names} are all {video}. Keep one of them.")
        if not found:
            raise DataError(
                f"{folder / video}: no such frame folder, nor a video file of that name "
                f"({', '.join(VIDEOS)}). Was it deleted or renamed?"
            )
        return found[0]

    def labels(self, video: str) -> Path:
        """The label-map folder of a video."""
        return self.root / self.annotations / video

    def entry(self, video: str) -> Mapping[str, Any] | None:
        """What the meta file says of a video; None without a meta file.

        Raises:
            DataError: The meta file is unreadable or does not know the video.
        """
        if self.meta is None:
            return None
        path = self.root / self.meta
        videos = read_meta(path)
        if video not in videos:
            raise DataError(f"{path}: knows no video {video}, though its frames are there.")
        found = videos[video]
        if not isinstance(found, dict):
            raise DataError(f"{path}: the entry of {video} is no object but {found!r}.")
        return found

    def outline(self, video: str) -> tuple[int, str]:
        """About how many frames a video has, and what the server has against their names.

        Told from outside; see `names.flaw_for_server`.
        """
        source = self.source(video)
        if source.is_file():  # its frames are named by the kit
            return source.stat().st_size // _FRAME_BYTES, ""
        here = [os.path.splitext(name) for name in os.listdir(source)]  # noqa: PTH122, PTH208
        frames = [s for s, suffix in here if suffix.lower() in IMAGES and not is_clutter(s)]
        return len(here), names.flaw_for_server(frames)

    def fingerprint(self, video: str) -> str:
        """What the sources of a video look like from outside, without reading the frames.

        Names and sizes of frames, where links among them lead, and the content of the first label
        map and of the meta entry: enough to notice an exchange, deaf to a mere touch.
        """
        source = self.source(video)
        here = [source] if source.is_file() else source.iterdir()
        files = [file for file in here if not is_clutter(file.name)]
        labels = label_files(self.labels(video))
        first = labels[0] if labels else None
        seen = {
            "frames": sorted(_looks(f) for f in files),
            "first": first and [first.name, sha256(first)],
            "labels": sorted(_looks(p) for p in labels),
            "meta": self.entry(video),
        }
        return sha256(canonical_json(seen).encode())[:16]


def _looks(file: Path) -> list[object]:
    """Name and size of a file; of a link, those of the file and the place that it leads to.

    Links into a store (git-annex, DVC, a hub's cache) lead elsewhere when the content is another.
    """
    if not file.is_symlink():
        return [file.name, file.lstat().st_size]
    try:
        return [file.name, file.stat().st_size, str(file.readlink())]
    except OSError:  # it leads nowhere, or in a circle: the stage says so
        return [file.name, 0, str(file.readlink())]


def read_meta(path: Path) -> dict[str, Any]:
    """The `videos` of a meta file, which is parsed once however many videos ask.

    Raises:
        DataError: The file is missing, too large, or no meta file.
    """
    try:
        seen = path.stat()
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such meta file. Set `data.meta` to null if there is none."
        ) from None
    return _parsed(path, (seen.st_size, seen.st_mtime_ns, seen.st_ino))


@lru_cache(maxsize=1)
def _parsed(path: Path, looks: tuple[int, int, int]) -> dict[str, Any]:
    """The same; another look of the file is another one.

    Raises:
        DataError: The file is missing, too large, or no meta file.
    """
    try:
        if looks[0] > MAX_JSON_BYTES:
            raise DataError(f"{path}: {looks[0]} bytes are too many for a meta file.")
        videos = parse_json(path.read_bytes())["videos"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f'{path}: not of the form {{"videos": {{...}}}} ({error!r}).') from None
    if not isinstance(videos, dict):
        raise DataError(f'{path}: "videos" is no object.')
    return videos


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that compares runs of digits by value: "9" before "10", "a2" before "a10"."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]


def label_files(folder: Path) -> list[Path]:
    """Label maps of a folder in natural order; what systems leave there is none of them."""
    found = (p for p in folder.glob("*.png") if not is_clutter(p.name))
    return sorted(found, key=lambda p: natural(p.stem))


def frame_files(folder: Path, length: int | None = None) -> list[Path]:
    """Image files of a frame folder by frame number.

    Args:
        folder: Of the frames.
        length: How many there are according to a meta file: then none can be missing.

    Raises:
        DataError: No images, a name without a number, one number twice, mixed suffixes, or a frame
            is missing from a row of numbers without a gap.
    """
    here = [p for p in folder.iterdir() if not is_clutter(p.name)]
    found = [p for p in here if p.suffix.lower() in IMAGES]
    if not found:
        raise DataError(f"{folder}: no frames ({', '.join(IMAGES)}).{instead.of_frames(folder)}")
    if len({p.suffix for p in found}) > 1:
        kinds = ", ".join(sorted({p.suffix for p in found}))
        raise DataError(f"{folder}: frames of several kinds ({kinds}). Remove those not meant.")
    numbered = sorted((number_of(p), p.name) for p in found)
    _check_numbers(folder, numbered, complete=length == len(numbered))
    return [folder / name for _, name in numbered]


def number_of(path: Path) -> int:
    """The last run of digits in a file's stem.

    Raises:
        DataError: There is none.
    """
    number = names.last_number(path.stem)
    if number is None:
        raise DataError(f"{path}: a frame's name must hold its number, such as 00000{path.suffix}.")
    return number


def unevenness(files: Sequence[Path]) -> str:
    """What is odd about the steps between frames in order, for a log; empty if they are even."""
    numbers = [number_of(file) for file in files]
    steps = sorted({b - a for a, b in itertools.pairwise(numbers)})
    if len(steps) < 2:
        return ""
    told = names.listed([str(step) for step in steps])
    return (
        f"{files[0].parent}: frame numbers go in uneven steps ({told}): its {len(files)} frames "
        "are taken in their order, as one video without gaps"
    )


def _check_numbers(folder: Path, numbered: list[tuple[int, str]], complete: bool) -> None:
    steps = [(b[0] - a[0], a[1], b[1]) for a, b in itertools.pairwise(numbered)]
    for step, earlier, later in steps:
        if step == 0:
            raise DataError(
                f"{folder}: {earlier} and {later} have the same frame number, the last one in a "
                "name. Keep one of them, or rename the frames."
            )
    # Sets are published with uneven steps (VIPSeg, VISOR); most steps of 1 are those of a camera.
    consecutive = 2 * sum(step == 1 for step, _, _ in steps) > len(steps)
    if complete or not consecutive:
        return
    for step, earlier, later in steps:
        if step > 1:
            raise DataError(
                f"{folder}: a gap: {later} follows {earlier}, though frames go in steps of 1. "
                f"{step - 1} file(s) are missing; copy them again. If they were left out on "
                "purpose, say so by the video's `length` in a meta file, or number them again."
            )
