"""The files that decisions rest on beside candidates and features.

| file | schema | content |
|---|---|---|
| manifest/NAME.json | evidence/1 | the files of all videos' evidence and their digests |
| cycles/.../VIDEO.json | cycles/2 | how masks fared that were tracked back to the first frame |
| rivals/.../VIDEO.json | cycles/2 | the same of the masks of two passes |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kit.core import files
from kit.core.artifacts import known, short
from kit.core.broken import Broken
from kit.core.checks import Inputs, check_inputs, check_name, document, inputs_of
from kit.core.fields import Field
from kit.core.masks import MAX_ID
from kit.core.types import Cycle, Video

# what anchors are chosen on, beside the index, and how the files of a folder end
EVIDENCE = {
    "candidates": ".jsonl.zst",
    "features": ".safetensors",
    "first_masks": ".zip",
    "first_anchors": ".json",
    "proposals": ".json",
    "cycles": ".json",
}
# none of a pair says anything without the other
TOGETHER = (
    ("candidates", "features"),
    ("first_masks", "first_anchors"),
    ("proposals", "cycles"),
)
CLAIMS = ("anchor", "first", "second")


@dataclass(frozen=True)
class Entry:
    """The files on which the anchors of one video are chosen.

    Attributes:
        frames: Index of the video.
        files: The others, by what they are: some of `EVIDENCE`.
        digests: Of all, when the manifest was written, under the names used as inputs.
    """

    frames: Path
    files: Mapping[str, Path]
    digests: Inputs


class Manifest(NamedTuple):
    """What the anchors of a split are chosen on.

    Attributes:
        entries: Of the videos, in the order of the split.
        broken: Of those that are not among them for they broke earlier, why; by video.
    """

    entries: list[Entry]
    broken: dict[str, Broken]


def write_manifest(
    path: Path, entries: Mapping[str, Entry], lost: Mapping[str, Broken] | None = None
) -> None:
    """Write the manifest of all videos, and of those that broke, why."""
    videos = {}
    for name, entry in entries.items():
        listed = {"frames": str(entry.frames), "video": entry.digests["video"]}
        for key, file in entry.files.items():
            listed |= {key: str(file), f"{key}_sha256": entry.digests[key]}
        videos[name] = listed
    rows = {"broken": {name: one._asdict() for name, one in lost.items()}} if lost else {}
    files.write_json(path, {"schema": "evidence/1", "videos": videos, **rows})


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of all videos."""
    with document(path, "manifest", "evidence/1") as body:
        entries = [_entry(name, listed) for name, listed in body["videos"].entries().items()]
        lost = body["broken"].entries() if "broken" in body else {}
        return Manifest(entries, {name: _broken(found) for name, found in lost.items()})


def _broken(found: Field) -> Broken:
    return Broken(*(found[name].text() for name in Broken._fields))


def _entry(name: str, listed: Field) -> Entry:
    frames = Path(listed["frames"].text())
    listed["frames"].only(frames.stem, name)
    for one, other in TOGETHER:
        if (one in listed) != (other in listed):
            raise listed[one if other in listed else other].damaged("a path, beside the other one")
    found = [key for key in EVIDENCE if key in listed]
    digests = {key: listed[f"{key}_sha256"].text() for key in found}
    files = {key: Path(listed[key].text()) for key in found}
    return Entry(frames, files, {"video": listed["video"].text(), **digests})


def write_cycles(path: Path, video: Video, cycles: Iterable[Cycle], inputs: Inputs) -> None:
    """Write what came of masks that were tracked back, sorted."""
    rows = [
        {
            "object": c.object_id,
            "frame": c.frame,
            "claim": c.claim,
            "iou": None if c.iou is None else short(c.iou),
            "gone": c.gone,
        }
        for c in sorted(cycles, key=lambda c: (c.object_id, c.frame, c.claim))
    ]
    body = {"schema": "cycles/2", "video": video.name, "inputs": dict(inputs), "cycles": rows}
    files.write_json(path, body)


def read_cycles(path: Path, video: Video, inputs: Inputs) -> list[Cycle]:
    """Read what came of masks that were tracked back."""
    with document(path, "cycles", "cycles/2") as body:
        check_inputs(path, inputs_of(body), inputs)
        check_name(path, body["video"].text(), video.name)
        return [_cycle(row, video) for row in body["cycles"].items()]


def _cycle(row: Field, video: Video) -> Cycle:
    found = Cycle(
        object_id=row["object"].integer(1, MAX_ID),
        frame=row["frame"].text(),
        claim=row["claim"].text(),
        iou=row["iou"].or_null(Field.share),
        gone=row["gone"].integer(),
    )
    known(video, found.object_id, found.frame)
    if found.claim not in CLAIMS:
        raise row["claim"].damaged(f"one of {', '.join(CLAIMS)}")
    return found
