"""The files that decisions rest on beside candidates and features, and that judge them.

| file | schema | content |
|---|---|---|
| manifest/NAME.json | manifest/1 | the files of all videos' evidence and their digests |
| cycles/.../VIDEO.json | cycles/2 | how masks fared that were tracked back to the first frame |
| rivals/.../VIDEO.json | cycles/2 | the same of the masks of two passes |
| audits/.../VIDEO.json | audits/1 | candidates and anchors against the ground truth |
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.core import files
from kit.core.artifacts import known, short
from kit.core.checks import Inputs, check_inputs, expecting, finite, tagged
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


def write_manifest(path: Path, entries: Mapping[str, Entry]) -> None:
    """Write the manifest of all videos."""
    videos = {}
    for name, entry in entries.items():
        listed = {"frames": str(entry.frames), "video": entry.digests["video"]}
        for key, file in entry.files.items():
            listed |= {key: str(file), f"{key}_sha256": entry.digests[key]}
        videos[name] = listed
    files.write_json(path, {"schema": "manifest/1", "videos": videos})


def read_manifest(path: Path) -> list[Entry]:
    """Read the manifest of all videos."""
    with expecting(path, "manifest"):
        body = tagged(path, files.read_json(path), "manifest/1")
        return [_entry(listed) for listed in body["videos"].values()]


def _entry(listed: Mapping[str, str]) -> Entry:
    found = [key for key in EVIDENCE if key in listed]
    digests = {"video": listed["video"], **{key: listed[f"{key}_sha256"] for key in found}}
    return Entry(Path(listed["frames"]), {key: Path(listed[key]) for key in found}, digests)


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
    with expecting(path, "cycles"):
        body = tagged(path, files.read_json(path), "cycles/2")
        check_inputs(path, body["inputs"], inputs)
        for row in body["cycles"]:
            known(video, row["object"], row["frame"])
            if row["iou"] is not None:
                finite(row["iou"])
        return [
            Cycle(r["object"], r["frame"], r["claim"], r["iou"], int(r["gone"]))
            for r in body["cycles"]
        ]


# --- audits -------------------------------------------------------------------------------------


def write_audit(path: Path, video: Video, objects: Mapping[str, Any], inputs: Inputs) -> None:
    """Write what the ground truth says of one video's candidates and anchors, by object."""
    body = {"schema": "audits/1", "video": video.name, "inputs": dict(inputs)}
    files.write_text(path, files.canonical_json({**body, "objects": objects}) + "\n")


def read_audit(path: Path, video: Video, inputs: Inputs) -> dict[str, Any]:
    """Read what the ground truth says, by object; see `kit.metrics.mining.read_back`."""
    with expecting(path, "audit"):
        body = tagged(path, files.read_json(path), "audits/1")
        check_inputs(path, body["inputs"], inputs)
        if sorted(map(int, body["objects"])) != [o.id for o in video.objects]:
            raise ValueError(f"objects {sorted(body['objects'])}, not the video's")
        return dict(body["objects"])
