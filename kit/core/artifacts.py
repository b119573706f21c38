"""What is known of a video before it is propagated: the files, written and read here alone.

| file | schema | content |
|---|---|---|
| frames/VIDEO.json | frames/1 | index of a checked video |
| candidates/.../VIDEO.jsonl.zst | candidates/1 | a header line, then a line per (object, frame) |
| features/.../VIDEO.safetensors | features/1 | float16: a row per candidate, a pool per object |
| anchors/.../VIDEO.json | anchors/1 | what was chosen and what was not, with reasons |

The others have a module each: `mask_archive`, `scored`, `grounds`, `audits`.

Each carries `inputs`, the digests of what it was made from, and readers compare them with the
files they are handed: a result is never built from older inputs than those it lies beside.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import zstandard

from kit.core import files
from kit.core.checks import (
    Inputs,
    check_inputs,
    check_name,
    decoding,
    document,
    expecting,
    inputs_of,
    tagged,
)
from kit.core.fields import Damaged, Field
from kit.core.masks import MAX_ID
from kit.core.pictures import MAX_PIXELS
from kit.core.types import (
    Anchor,
    Candidate,
    Features,
    FloatArray,
    Rejected,
    Selection,
    Video,
    VideoObject,
)

_MAX_LINES = 2**30  # bytes of candidates text per video, unpacked
COSINE = (-1.01, 1.01)  # rounding takes a cosine a little beyond 1


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
    """Read the index of a video, from the file that has the video's name.

    Raises:
        ArtifactError: The file is missing, damaged or another video's; so do all readers below.
    """
    with document(path, "video index", "frames/1") as body:
        video = Video(
            name=body["name"].text(),
            height=body["height"].integer(1),
            width=body["width"].integer(1),
            frames=tuple(body["frames"].texts()),
            images=Path(body["images"].text()),
            suffix=body["suffix"].text(),
            annotations=Path(body["annotations"].text()),
            objects=tuple(_object(found) for found in body["objects"].items()),
            digest=body["digest"].text(),
        )
        if not video.frames or len(set(video.frames)) != len(video.frames):
            raise Damaged(f"{len(video.frames)} frames, not all of them different")
        if video.height * video.width > MAX_PIXELS:
            raise Damaged(f"frames of {video.width}x{video.height} pixels")
        for target in video.objects:
            known(video, target.id, target.first_frame)
    check_name(path, video.name, path.stem)
    return video


def _object(found: Field) -> VideoObject:
    return VideoObject(found["id"].integer(1, MAX_ID), found["first_frame"].text())


def known(video: Video, object_id: int, frame: str) -> None:
    """Refuse what a video does not have.

    Raises:
        Damaged: No such object or frame.
    """
    if object_id not in {o.id for o in video.objects} or frame not in video.frames:
        raise Damaged(f"object {object_id} on frame {frame} is not in the video")


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

    Raises:
        ValueError: A score is not from 0 to 1: a defect of the detector.
    """
    header = {
        "schema": "candidates/1",
        "inputs": {"video": video.digest, **(inputs or {})},
        "shape": list(video.shape),
    }
    found = list(found)
    if not all(0 <= candidate.score <= 1 for candidate in found):
        raise ValueError("candidates with scores that are not from 0 to 1")
    rows = [[c.object_id, c.frame, round(c.score, 6), c.source, c.rle] for c in found]
    lines = [files.canonical_json(line) for line in [header, *rows, {"rows": len(rows)}]]
    packer = zstandard.ZstdCompressor(level=10, write_checksum=True, write_content_size=True)
    with files.replacing(path) as stream:
        stream.write(packer.compress(("\n".join(lines) + "\n").encode()))


def read_candidates(path: Path, video: Video) -> list[Candidate]:
    """Read the candidates of a video, in the order in which they were written."""
    with expecting(path, "candidates"):
        lines = _lines(path)
        if len(lines) < 2:
            raise Damaged(f"{len(lines)} lines, not even the first and the last one")
        header, *rows, end = lines
        check_inputs(path, inputs_of(tagged(path, header, "candidates/1")), {"video": video.digest})
        if end.value != {"rows": len(rows)}:
            raise Damaged(f"{len(rows)} rows, the last line says {end.value}")
        return [_candidate(row, video) for row in rows]


def _candidate(row: Field, video: Video) -> Candidate:
    object_id, frame, score, source, rle = (row[place] for place in range(5))
    found = Candidate(
        frame=frame.text(),
        object_id=object_id.integer(1, MAX_ID),
        score=score.share(),
        rle=rle.text(),  # counted where it is used: thousands of rows are read by all stages
        shape=video.shape,
        source=source.text(),
    )
    known(video, found.object_id, found.frame)
    return found


def _lines(path: Path) -> list[Field]:
    """The documents of a compressed file, one a line."""
    unpacker = zstandard.ZstdDecompressor()
    with decoding(), path.open("rb") as stream, unpacker.stream_reader(stream) as reader:
        data = reader.read(_MAX_LINES + 1)
    if len(data) > _MAX_LINES:
        raise Damaged(f"more than {_MAX_LINES} bytes unpacked")
    with decoding():
        lines = [files.parse_json(line) for line in data.decode().splitlines()]
    top = Field(None)
    return [Field(line, top, f"line {number}") for number, line in enumerate(lines, 1)]


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
    with expecting(path, "features"):
        header, tensors = _tensors(path)
        check_inputs(path, inputs_of(tagged(path, header, "features/1")), inputs)
        wanted = {"candidates", *(f"pool.{o.id}" for o in video.objects)}
        if set(tensors) != wanted:
            raise Damaged(f"arrays {sorted(tensors)}, expected {sorted(wanted)}")
        candidates = tensors["candidates"]
        pools = {o.id: tensors[f"pool.{o.id}"] for o in video.objects}
        for array in (candidates, *pools.values()):
            if array.ndim != 2 or candidates.ndim != 2 or array.shape[1] != candidates.shape[1]:
                raise Damaged(f"rows of shape {array.shape[1:]} and {candidates.shape[1:]}")
            if not np.isfinite(array).all():
                raise Damaged("features that are no finite numbers")
        if len(candidates) != rows:
            raise Damaged(f"{len(candidates)} feature rows for {rows} candidates")
        return Features(candidates, pools)


def _tensors(path: Path) -> tuple[Field, dict[str, FloatArray]]:
    """Header and arrays of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    with decoding():
        try:
            with safe_open(path, framework="np") as opened:
                header = files.parse_json((opened.metadata() or {}).get("header", "{}"))
                names = list(opened.keys())
                return Field(header), {k: opened.get_tensor(k).astype(np.float32) for k in names}
        except SafetensorError as error:
            raise ValueError(error) from None


# --- anchors ------------------------------------------------------------------------------------


def write_anchors(path: Path, video: Video, selection: Selection, inputs: Inputs) -> None:
    """Write a decision: sorted, byte-deterministic, without a word of the settings behind it.

    If `top_k` stood in here, raising it would change every file and propagate every video again.

    Raises:
        ValueError: A score is no cosine: a defect of the selector.
    """
    scores = [a.score for a in selection.anchors] + [r.score for r in selection.rejected]
    if not all(COSINE[0] <= score <= COSINE[1] for score in scores):
        raise ValueError("a selection with scores that are no cosines")
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
    with document(path, "anchors", "anchors/1") as body:
        check_inputs(path, inputs_of(body), inputs)
        check_name(path, body["video"].text(), video.name)
        return Selection(
            [_anchor(row, video) for row in body["anchors"].items()],
            [Rejected(*_place(row, video), row["score"].number(*COSINE), row["reason"].text())
             for row in body["rejected"].items()],
        )  # fmt: skip


def _anchor(row: Field, video: Video) -> Anchor:
    frame, object_id = _place(row, video)
    return Anchor(
        frame=frame,
        object_id=object_id,
        rle=row["rle"].rle(video.shape),
        score=row["score"].number(*COSINE),
        margin=row["margin"].or_null(Field.number),
        reason=row["reason"].text(),
    )


def _place(row: Field, video: Video) -> tuple[str, int]:
    """(frame, object id), both of the video."""
    object_id, frame = row["object"].integer(1, MAX_ID), row["frame"].text()
    known(video, object_id, frame)
    return frame, object_id


def anchors_inputs(path: Path) -> dict[str, str]:
    """The digests that an anchors file was made from."""
    with document(path, "anchors", "anchors/1") as body:
        return inputs_of(body)


def _order(row: Anchor | Rejected) -> tuple[int, str]:
    return row.object_id, row.frame


def short(value: float) -> float:
    """A number as decisions tell it: four digits."""
    return round(float(value), 4)
