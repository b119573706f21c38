"""A video that broke: the record that stands where its artifact would, and what is made of such.

In a workflow a job that fails for one video leaves this record at its output and ends well, so that
all other videos go on. Whatever would be made from a record is the same record again; what sums up
leaves its video out and says so. An index beside the artifacts lists all records, so that the next
run finds and removes them, and makes those files again and no others.

| file | schema | content |
|---|---|---|
| where an artifact would be | broken/1 | the video, the stage that failed, why, and where |
| broken/... | broken/1 | the same record, at the artifact's path and .json |
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from kit.core import files

VARIABLE = "MOSE_KIT_WORK"  # the folder of the split, for the jobs of a workflow; by hand: unset
INDEX = "broken"  # below that folder
_HEAD = b'{"broken":{'
_MOST = 2000  # characters of a reason
_SHOWN = 50  # named one by one where many are missing


class Broken(NamedTuple):
    """Why there is nothing of a video from here on.

    Attributes:
        video: Its name.
        stage: The command that failed.
        why: What it said.
        file: What it was to write.
    """

    video: str
    stage: str
    why: str
    file: str

    def __str__(self) -> str:
        return f"{self.video}: {self.stage}: {self.why}"


def write(path: Path, broken: Broken, work: Path | None = None) -> None:
    """Let a record stand where an artifact would.

    Args:
        path: Of the artifact.
        broken: The record.
        work: Folder of the split, whose index then lists the record; None: no workflow's.
    """
    cut = broken._replace(why=broken.why[:_MOST])
    text = files.canonical_json({"schema": "broken/1", "broken": cut._asdict()}) + "\n"
    if work is not None:  # before the record: what is listed and not there is forgotten
        files.write_text(listed(work, path), text)
    files.write_text(path, text)


def read(path: Path) -> Broken | None:
    """The record that stands at a path; None if it is an artifact, or nothing is there."""
    try:
        if files.unlike_a_file(path):  # a pipe would be waited for; who reads it says what it is
            return None
        with path.open("rb") as stream:
            if stream.read(len(_HEAD)) != _HEAD:
                return None
            return Broken(**json.loads(_HEAD + stream.read(8 * _MOST))["broken"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def first(paths: Iterable[Path]) -> Broken | None:
    """The first record among some paths, if one is there."""
    return next((found for path in paths if (found := read(path)) is not None), None)


def work_folder() -> Path | None:
    """The folder of the split, if this is a job of a workflow."""
    told = os.environ.get(VARIABLE)
    return Path(told) if told else None


def listed(work: Path, path: Path) -> Path:
    """Where the index lists the record at a path, which lies below the split's folder."""
    return work / INDEX / f"{os.path.relpath(path, work)}.json"


def records(work: Path) -> list[Broken]:
    """All that broke, each named once: where it broke first."""
    found = {b.file: b for page in _pages(work) if (b := read(page)) is not None}
    return sorted(found.values())


def forget(work: Path) -> int:
    """Remove all records, so that a run makes those files again.

    Returns:
        How many videos there were.
    """
    videos = {b.video for b in records(work)}
    for page in list((work / INDEX).rglob("*.tries")):
        page.unlink()
    for page in list(_pages(work)):
        path = work / page.relative_to(work / INDEX).with_suffix("")
        if read(path) is not None:  # and not an artifact made by hand meanwhile
            path.unlink()
        page.unlink()
    return len(videos)


def _pages(work: Path) -> Iterator[Path]:
    return (work / INDEX).rglob("*.json")


def told(lost: Iterable[Broken], count: int) -> list[str]:
    """Lines that name the videos which are missing from what was made of the others.

    Args:
        lost: What broke; of a video, more than one recipe may have.
        count: Videos of the split, those included.
    """
    lost = list(lost)
    videos = len({broken.video for broken in lost})
    if not videos:
        return []
    head = f"Incomplete: {videos} of {count} videos {'is' if videos == 1 else 'are'} missing."
    left = [f"  and {len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else []
    return [head, *(f"  {broken}" for broken in lost[:_SHOWN]), *left]
