"""Repair what can be repaired without guessing, and say what was done.

Layout, names, junk and the way ids are stored are repaired; what a mask shows never is. Frames that
are missing are made up only when asked for. What is left to fix is the user's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.core.errors import SubmissionError
from kit.core.masks import PALETTE, encode_png
from kit.data.names import listed
from kit.submission import archive, expected, layout, png, team
from kit.submission.expected import Video
from kit.submission.layout import Layout
from kit.submission.source import Broken, Entry, Source, open_source
from kit.submission.stored import StoredZip

_COLOURS = {tuple(PALETTE[3 * label : 3 * label + 3]): label for label in range(256)}


class Fill(StrEnum):
    """What to put where a frame is missing."""

    EMPTY = "empty"  # no object in sight
    NEAREST = "nearest"  # the nearest frame that is there, the earlier of two


@dataclass(frozen=True)
class Change:
    """One thing done: `where` is the name in the source, or in the result if it is new."""

    where: str
    done: str

    def __str__(self) -> str:
        return f"{self.where}: {self.done}"


def repair(
    source: Path, meta: Mapping[str, Any], output: Path, fill: Fill | None = None
) -> list[Change]:
    """Write a repaired copy of a submission.

    Args:
        source: folder or ZIP archive.
        meta: the split's meta, see `kit.submission.expected.videos`.
        output: the archive to write.
        fill: how to make up missing frames; by default they stay missing.

    Returns:
        Every change made, in order of the result.

    Raises:
        DataError: if meta cannot be used.
        SubmissionError: if the source cannot be read, or a defect worse than harmless is left; the
            message lists those and nothing is written.
    """
    videos = expected.videos(meta)
    changes: list[Change] = []
    try:
        with open_source(source) as tree, archive.checked(output, meta) as repaired:
            found = layout.find(_plain(tree.entries, changes), videos)
            _refuse_making_up(found, videos, fill)
            if found.base:
                changes.append(Change(found.base, "moved the videos to the root"))
            _repair_others(tree, found.others, repaired, changes, len(videos))
            for name, video in videos.items():
                _Repairer(tree, video, fill, repaired, changes).repair(found.files.get(name, {}))
    except Broken as broken:
        raise SubmissionError(f"{source}: {broken}. Make the archive again.") from broken
    return changes


def _refuse_making_up(found: Layout, videos: Mapping[str, Video], fill: Fill | None) -> None:
    """Frames can be made up between others; a whole video of them would be no prediction."""
    for name, folder in layout.object_folders(found).items():
        raise SubmissionError(
            f"{folder}: {name} has a folder of masks per object, which is not repaired: where "
            "objects overlap, somebody must say who wins. Join them into one label map a frame."
        )
    if fill is None:
        return
    bare = [
        n for n in videos if not any(_number(file) is not None for file in found.files.get(n, {}))
    ]
    if bare:
        raise SubmissionError(
            f"{listed(bare)}: not one mask of {len(bare)} of {len(videos)} videos is there. "
            "--fill makes up frames between others, and no whole videos: predict them, or check "
            "a folder whose masks lie at VIDEO/00000.png."
        )


def _plain(entries: list[Entry], changes: list[Change]) -> list[Entry]:
    """Entries that may be copied, under names with /."""
    plain = []
    for entry in entries:
        if entry.flaw == "backslash":
            name = entry.name.replace("\\", "/").strip("/")
            changes.append(Change(entry.name, "took \\ for /"))
            plain.append(replace(entry, name=name, flaw=""))
        elif entry.flaw:
            changes.append(Change(entry.name, f"left out ({entry.flaw})"))
        else:
            plain.append(entry)
    return plain


def _repair_others(
    tree: Source, others: list[Entry], repaired: StoredZip, changes: list[Change], videos: int
) -> None:
    """Keep one valid team file and drop all else."""
    kept = False
    for entry in (entry for entry in others if not entry.is_dir):
        if entry.name.split("/")[-1] == "team.json" and not kept:
            data = tree.read(entry)
            kept = not team.problems(data)
            if kept:
                repaired.add("team.json", data)
                continue
        changes.append(Change(entry.name, "left out: not part of a submission"))
    if videos == 1 and not kept:
        repaired.add(*archive.COMPANION)
        changes.append(Change(archive.COMPANION[0], "added, so that one folder is no wrapper"))


@dataclass(frozen=True)
class _Repairer:
    """Copies one video into the result; frames leave in the order of meta."""

    tree: Source
    video: Video
    fill: Fill | None
    repaired: StoredZip
    changes: list[Change]

    def repair(self, files: Mapping[str, Entry]) -> None:
        chosen = self._chosen(files)
        for frame in self.video.frames:
            target = f"{self.video.name}/{frame}.png"
            if frame in chosen:
                entry = chosen[frame]
                if entry.name.split("/")[-2:] != target.split("/"):
                    self.changes.append(Change(entry.name, f"renamed to {target}"))
                self.repaired.add(target, self._mask(entry))
            elif self.fill is not None:
                self._make_up(target, frame, chosen)

    def _chosen(self, files: Mapping[str, Entry]) -> dict[str, Entry]:
        """The file for each frame; the rightly named one wins."""
        names = {int(frame): frame for frame in self.video.frames}
        numbers = {name: _number(name) for name in files}
        shift = self._shift([value for value in numbers.values() if value is not None])
        chosen: dict[str, Entry] = {}
        for name in sorted(files, key=lambda name: (name not in _right(self.video), name)):
            value = numbers[name]
            frame = None if value is None else names.get(value - shift)
            if frame is None or frame in chosen:
                self.changes.append(Change(files[name].name, "left out: no frame of the video"))
            else:
                chosen[frame] = files[name]
        return chosen

    def _shift(self, numbers: list[int]) -> int:
        """1 where frames are counted from one later than they should be, else 0."""
        first = [int(frame) for frame in self.video.frames]
        return int(len(first) > 1 and sorted(numbers) == [number + 1 for number in first])

    def _mask(self, entry: Entry) -> bytes:
        """The file's bytes, or a palette PNG of the same mask."""
        data = self.tree.read(entry)
        try:
            values, mode = png.decode(data, self.video.size)
        except png.NotAPicture:
            return data
        labels, done = _reindexed(values, mode, self.video.labels)
        if labels is None:
            return data
        self.changes.append(Change(entry.name, done))
        return encode_png(labels)

    def _make_up(self, target: str, frame: str, chosen: Mapping[str, Entry]) -> None:
        if self.fill is Fill.NEAREST:
            if not chosen:
                return
            near = min(chosen, key=lambda other: (abs(int(other) - int(frame)), int(other)))
            self.repaired.add(target, self._mask(chosen[near]))
            self.changes.append(Change(target, f"made up: a copy of frame {near}"))
        elif self.video.size is not None:
            self.repaired.add(target, encode_png(np.zeros(self.video.size, np.uint8)))
            self.changes.append(Change(target, "made up: an empty mask"))


def _right(video: Video) -> frozenset[str]:
    return frozenset(f"{frame}.png" for frame in video.frames)


def _number(name: str) -> int | None:
    """The frame number in a PNG's name: its longest run of digits, the last of equals."""
    runs = re.findall(r"\d+", name)
    if name.startswith(".") or not name.lower().endswith(".png") or not runs:
        return None
    return int(max(reversed(runs), key=len))


def _reindexed(
    values: NDArray[np.uint8], mode: str, allowed: frozenset[int]
) -> tuple[NDArray[np.uint8] | None, str]:
    """A label map for a picture that holds its ids in another way, and what was done; or None."""
    objects = sorted(allowed - {0})
    if mode in {"RGB", "RGBA"}:
        labels = _by_colour(values)
        if labels is not None and allowed.issuperset(np.unique(labels).tolist()):
            return labels, "turned palette colours back into ids"
    elif mode in {"1", "L", "P"} and len(objects) == 1 and set(np.unique(values)) == {0, 255}:
        return np.where(values > 0, objects[0], 0).astype(np.uint8), "wrote the id for 255"
    elif mode == "1" and not values.any():
        return values, "turned an empty 1-bit picture into a palette"
    return None, ""


def _by_colour(values: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Ids of pixels in exact colours of the DAVIS palette; None if one has another colour."""
    rgb = values[..., :3].astype(np.uint32)
    codes = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    present, inverse = np.unique(codes, return_inverse=True)
    ids = [_COLOURS.get((code >> 16, code >> 8 & 255, code & 255)) for code in present.tolist()]
    if None in ids:
        return None
    return np.array(ids, np.uint8)[inverse].reshape(codes.shape)
