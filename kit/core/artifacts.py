"""The files that stages hand to each other: this module and `grounds` alone know their formats.

| file | schema | content |
|---|---|---|
| frames/VIDEO.json | frames/1 | index of a checked video |
| candidates/.../VIDEO.jsonl.zst | candidates/1 | a header line, then a line per (object, frame) |
| features/.../VIDEO.safetensors | features/1 | float16: a row per candidate, a pool per object |
| anchors/.../VIDEO.json | anchors/1 | what was chosen and what was not, with reasons |
| masks/.../VIDEO.zip | masks/1 | stored palette PNGs and objects.json |
| scores/.../VIDEO.json | scores/1 | official numbers of each object, with curves |

Each carries `inputs`, the digests of what it was made from, and readers compare them with the
files they are handed: a result is never built from older inputs than those it lies beside.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from kit.core import files
from kit.core.checks import Inputs, check_inputs, expecting, finite, tagged
from kit.core.errors import ArtifactError
from kit.core.images import MAX_PIXELS
from kit.core.masks import MAX_ID, decode_rle
from kit.core.types import (
    Anchor,
    Candidate,
    Features,
    Rejected,
    Selection,
    Video,
    VideoObject,
)

_MAX_LINES = 2**30  # bytes of candidates text per video, unpacked
_MAX_MEMBER = 2**28  # bytes of one member of a masks archive, unpacked
EPOCH = (1980, 1, 1, 0, 0, 0)


# --- frames -------------------------------------------------------------------------------------


def write_video(path: Path, video: Video) -> None:
    """Write the index of a video."""
    body = {
        "name": video.name,
        "height": video.height,
        "width": video.width,
        "frames": list(video.frames),
        "images": str(video.images),
        "suffix": video.suffix,
        "annotations": str(video.annotations),
        "objects": [{"id": o.id, "first_frame": o.first_frame} for o in video.objects],
        "digest": video.digest,
    }
    files.write_json(path, {"schema": "frames/1", **body})


def read_video(path: Path) -> Video:
    """Read the index of a video."""
    with expecting(path, "a video index"):
        body = tagged(path, files.read_json(path), "frames/1")
        video = Video(
            name=str(body["name"]),
            height=int(body["height"]),
            width=int(body["width"]),
            frames=tuple(map(str, body["frames"])),
            images=Path(body["images"]),
            suffix=str(body["suffix"]),
            annotations=Path(body["annotations"]),
            objects=tuple(
                VideoObject(int(o["id"]), str(o["first_frame"])) for o in body["objects"]
            ),
            digest=str(body["digest"]),
        )
        if not video.frames or len(set(video.frames)) != len(video.frames):
            raise ValueError(f"{len(video.frames)} frames, not all of them different")
        if min(video.shape) < 1 or video.height * video.width > MAX_PIXELS:
            raise ValueError(f"frames of {video.width}x{video.height} pixels")
        for target in video.objects:
            known(video, target.id, target.first_frame)
            if not 1 <= target.id <= MAX_ID:
                raise ValueError(f"object id {target.id}, not from 1 to {MAX_ID}")
        return video


def known(video: Video, object_id: object, frame: object) -> None:
    """Refuse what a video does not have.

    Raises:
        ValueError: No such object or frame.
    """
    if object_id not in {o.id for o in video.objects} or frame not in video.frames:
        raise ValueError(f"object {object_id} on frame {frame} is not in the video")


# --- candidates ---------------------------------------------------------------------------------


def write_candidates(
    path: Path, video: Video, found: Iterable[Candidate], inputs: Inputs | None = None
) -> None:
    """Write candidates as compressed JSON lines, in the order given.

    Args:
        path: The file.
        video: They are of.
        found: The candidates.
        inputs: Digests of what they were made from beside the video.
    """
    header = {
        "schema": "candidates/1",
        "inputs": {"video": video.digest, **(inputs or {})},
        "shape": list(video.shape),
    }
    rows = [[c.object_id, c.frame, round(c.score, 6), c.source, c.rle] for c in found]
    lines = [files.canonical_json(line) for line in [header, *rows, {"rows": len(rows)}]]
    packer = zstandard.ZstdCompressor(level=10, write_checksum=True, write_content_size=True)
    with files.replacing(path) as stream:
        stream.write(packer.compress(("\n".join(lines) + "\n").encode()))


def read_candidates(path: Path, video: Video) -> list[Candidate]:
    """Read the candidates of a video, in the order in which they were written."""
    with expecting(path, "candidates"):
        lines = [json.loads(line) for line in _unpack(path).splitlines()]
        header, *rows, end = lines
        tagged(path, header, "candidates/1")
        check_inputs(path, header["inputs"], {"video": video.digest})
        if end != {"rows": len(rows)}:
            raise ValueError(f"{len(rows)} rows, the last line says {end}")
        for object_id, frame, score, _, _ in rows:
            known(video, object_id, frame)
            finite(score)
        shape = video.shape
        return [Candidate(f, o, float(s), str(r), shape, str(m)) for o, f, s, m, r in rows]


def _unpack(path: Path) -> str:
    with path.open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as reader:
        text = reader.read(_MAX_LINES + 1)
    if len(text) > _MAX_LINES:
        raise ValueError(f"more than {_MAX_LINES} bytes unpacked")
    return text.decode()


# --- features -----------------------------------------------------------------------------------


def write_features(path: Path, features: Features, inputs: Inputs) -> None:
    """Write features as float16; half precision moves a cosine by less than 1e-3."""
    from safetensors.numpy import save

    tensors = {"candidates": features.candidates.astype(np.float16)}
    tensors |= {f"pool.{i}": rows.astype(np.float16) for i, rows in features.pools.items()}
    if not all(np.isfinite(rows).all() for rows in tensors.values()):
        raise ValueError("features with NaN or infinite numbers; a cosine with them means nothing")
    # one key: safetensors writes several in another order each time, and the bytes are the identity
    header = {"header": files.canonical_json({"schema": "features/1", "inputs": dict(inputs)})}
    with files.replacing(path) as stream:
        stream.write(save(tensors, metadata=header))


def read_features(path: Path, inputs: Inputs, video: Video, rows: int) -> Features:
    """Read features as float32 and check that they line up with objects and `rows` candidates."""
    from safetensors import SafetensorError, safe_open

    with expecting(path, "features"):
        try:
            with safe_open(path, framework="np") as opened:
                header = json.loads((opened.metadata() or {}).get("header", "{}"))
                tensors = {k: opened.get_tensor(k).astype(np.float32) for k in opened.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(str(error)) from None
        check_inputs(path, tagged(path, header, "features/1")["inputs"], inputs)
        candidates = tensors.pop("candidates")
        pools = {int(k.removeprefix("pool.")): v for k, v in tensors.items()}
        if len(candidates) != rows:
            raise ValueError(f"{len(candidates)} feature rows for {rows} candidates")
        if sorted(pools) != [o.id for o in video.objects]:
            raise ValueError(f"pools of objects {sorted(pools)}, not of the video's")
        for array in (candidates, *pools.values()):
            if array.ndim != 2 or array.shape[1] != candidates.shape[1]:
                raise ValueError(f"rows of shape {array.shape[1:]} and {candidates.shape[1:]}")
            if not np.isfinite(array).all():
                raise ValueError("features that are no finite numbers")
        return Features(candidates, pools)


# --- anchors ------------------------------------------------------------------------------------


def write_anchors(path: Path, video: Video, selection: Selection, inputs: Inputs) -> None:
    """Write a decision: sorted, byte-deterministic, without a word of the settings behind it.

    If `top_k` stood in here, raising it would change every file and propagate every video again.
    """
    body = {
        "schema": "anchors/1",
        "video": video.name,
        "inputs": dict(inputs),
        "shape": list(video.shape),
        "anchors": [
            {
                "object": a.object_id,
                "frame": a.frame,
                "score": short(a.score),
                "margin": None if a.margin is None else short(a.margin),
                "reason": a.reason,
                "rle": a.rle,
            }
            for a in sorted(selection.anchors, key=_order)
        ],
        "rejected": [
            {"object": r.object_id, "frame": r.frame, "score": short(r.score), "reason": r.reason}
            for r in sorted(selection.rejected, key=_order)
        ],
    }
    files.write_json(path, body)


def read_anchors(path: Path, video: Video, inputs: Inputs) -> Selection:
    """Read a decision, whether a selector wrote it or a hand edited it."""
    with expecting(path, "anchors"):
        body = tagged(path, files.read_json(path), "anchors/1")
        check_inputs(path, body["inputs"], inputs)
        for row in [*body["anchors"], *body["rejected"]]:
            known(video, row["object"], row["frame"])
            finite(row["score"])
        for row in body["anchors"]:
            _check_mask(row["rle"], video.shape)
        return Selection(
            [Anchor(r["frame"], r["object"], r["rle"], r["score"], r["margin"], r["reason"])
             for r in body["anchors"]],
            [Rejected(r["frame"], r["object"], r["score"], r["reason"]) for r in body["rejected"]],
        )  # fmt: skip


def _check_mask(rle: str, shape: tuple[int, int]) -> None:
    try:
        decode_rle(rle, *shape)
    except ArtifactError as error:
        raise ValueError(str(error)) from None  # it names no file


def anchors_inputs(path: Path) -> dict[str, str]:
    """The digests that an anchors file was made from."""
    with expecting(path, "anchors"):
        return dict(tagged(path, files.read_json(path), "anchors/1")["inputs"])


def _order(row: Anchor | Rejected) -> tuple[int, str]:
    return row.object_id, row.frame


def short(value: float) -> float:
    """A number as decisions tell it: four digits."""
    return round(float(value), 4)


# --- masks --------------------------------------------------------------------------------------


def write_masks(
    path: Path, pngs: Iterable[tuple[str, bytes]], describe: Any, inputs: Inputs
) -> None:
    """Stream palette PNGs into a stored ZIP and close it with `objects.json`.

    Args:
        path: The archive to write.
        pngs: (frame name, PNG bytes) in temporal order.
        describe: Called once after the last PNG; returns what else `objects.json` says.
        inputs: Digests of what the masks were made from.
    """
    with files.replacing(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for frame, data in pngs:
            _store(archive, f"{frame}.png", data)
        body = {"schema": "masks/1", "inputs": dict(inputs), **describe()}
        _store(archive, "objects.json", files.canonical_json(body).encode())


def read_masks(path: Path, inputs: Inputs) -> dict[str, Any]:
    """`objects.json` of a masks archive, its inputs checked."""
    with expecting(path, "masks"), zipfile.ZipFile(path) as archive:
        body = tagged(path, json.loads(_member(archive, "objects.json")), "masks/1")
        check_inputs(path, body["inputs"], inputs)
        return dict(body)


def read_pngs(path: Path) -> Iterator[tuple[str, bytes]]:
    """(frame name, PNG bytes) of a masks archive, in temporal order."""
    with expecting(path, "masks"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".png"):
                yield name.removesuffix(".png"), _member(archive, name)


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MAX_MEMBER:
        raise ValueError(f"{name} declares {archive.getinfo(name).file_size} bytes")
    return archive.read(name)


# --- scores -------------------------------------------------------------------------------------


def write_scores(path: Path, body: Mapping[str, Any], inputs: Inputs) -> None:
    """Write the official numbers of one video."""
    files.write_json(path, {"schema": "scores/1", "inputs": dict(inputs), **body})


def read_scores(path: Path, inputs: Inputs) -> dict[str, Any]:
    """Read the official numbers of one video, its inputs checked."""
    with expecting(path, "scores"):
        body = tagged(path, files.read_json(path), "scores/1")
        check_inputs(path, body["inputs"], inputs)
        for result in body["objects"].values():
            for value in result["measures"].values():
                if value is not None:
                    finite(value)
        return dict(body)
