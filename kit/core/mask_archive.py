"""The masks of a video: `masks/.../VIDEO.zip`, schema masks/1, written and read here alone.

A stored ZIP of a palette PNG per frame, and `objects.json`, which says what the masks were made of.
"""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kit.core import files
from kit.core.checks import (
    Inputs,
    check_inputs,
    check_name,
    decoding,
    expecting,
    inputs_of,
    tagged,
)
from kit.core.fields import Damaged, Field
from kit.core.types import MaskNotes, State, Verdict, Video

EPOCH = (1980, 1, 1, 0, 0, 0)
NOTES = "objects.json"
LOGIT = (-1e4, 1e4)  # no model's presence is beyond it
_MAX_MEMBER = 2**28  # bytes of one member, unpacked


def write_masks(
    path: Path,
    video: Video,
    pngs: Iterable[tuple[str, bytes]],
    describe: Callable[[], MaskNotes],
    inputs: Inputs,
) -> None:
    """Stream palette PNGs into a stored ZIP and close it with `objects.json`.

    Args:
        path: The archive to write.
        video: The masks are of.
        pngs: (frame name, PNG bytes) in temporal order.
        describe: Called once after the last PNG; returns what is noted beside them.
        inputs: Digests of what the masks were made from.
    """
    with files.replacing(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for frame, data in pngs:
            _store(archive, f"{frame}.png", data)
        body = {
            "schema": "masks/1",
            "inputs": dict(inputs),
            "video": video.name,
            "shape": list(video.shape),
            **_written(describe()),
        }
        _store(archive, NOTES, files.canonical_json(body).encode())


def read_masks(path: Path, video: Video, inputs: Inputs) -> MaskNotes:
    """What is noted beside the masks of a video, their inputs checked.

    Raises:
        ArtifactError: The archive is missing, damaged, another video's, or made from others.
    """
    with expecting(path, "masks"):
        body = _body(path)
        check_inputs(path, inputs_of(body), inputs)
        check_name(path, body["video"].text(), video.name)
        body["shape"].only(body["shape"].value, list(video.shape))
        return _read(body, video)


def masks_inputs(path: Path) -> dict[str, str]:
    """The digests that masks were made from, those of video and anchors among them."""
    with expecting(path, "masks"):
        body = _body(path)
        for name in ("video", "anchors"):
            body["inputs"][name].text()
        return inputs_of(body)


def masks_header(path: Path) -> tuple[list[int], tuple[int, int]]:
    """Ids of the objects that masks are of, ascending, and (height, width) of the masks."""
    with expecting(path, "masks"):
        body = _body(path)
        height, width = (body["shape"][side].integer(1) for side in (0, 1))
        return sorted(body["objects"].by_id()), (height, width)


def read_pngs(path: Path) -> Iterator[tuple[str, bytes]]:
    """(frame name, PNG bytes) of a masks archive, in temporal order."""
    with expecting(path, "masks"):
        with decoding():
            archive = zipfile.ZipFile(path)
        with archive:
            for name in archive.namelist():
                if name.endswith(".png"):
                    yield name.removesuffix(".png"), _member(archive, name)


def _body(path: Path) -> Field:
    with decoding():
        archive = zipfile.ZipFile(path)
    with archive:
        data = _member(archive, NOTES)
    with decoding():
        body = Field(files.parse_json(data))
    return tagged(path, body, "masks/1")


def _written(notes: MaskNotes) -> dict[str, Any]:
    body: dict[str, Any] = {
        "objects": {
            str(i): {f: {"presence": s.presence, "iou": s.iou} for f, s in states.items()}
            for i, states in notes.states.items()
        },
        "prompted": {str(i): list(frames) for i, frames in notes.prompted.items()},
        "contested": dict(notes.contested),
        "claims": {
            frame: {str(i): rle for i, rle in claims.items()}
            for frame, claims in notes.claims.items()
        },
    }
    if notes.verdicts:
        body["fallback"] = {
            str(i): {"first": v.first, "second": v.second, "stands": v.stands}
            for i, v in notes.verdicts.items()
        }
    return body


def _read(body: Field, video: Video) -> MaskNotes:
    frames = set(video.frames)
    states = {i: _states(own, frames) for i, own in _by_object(body["objects"], video).items()}
    prompted = _by_object(body["prompted"], video)
    fallback = _by_object(body["fallback"], video) if "fallback" in body else {}
    notes = MaskNotes(
        states=states,
        prompted={i: [_frame(item, frames) for item in own.items()] for i, own in prompted.items()},
        contested={
            frame: pixels.integer() for frame, pixels in _by_frame(body["contested"], frames)
        },
        claims={
            frame: _claims(own, frame, states, video)
            for frame, own in _by_frame(body["claims"], frames)
        },
        verdicts={i: _verdict(own) for i, own in fallback.items()},
    )
    if not notes.verdicts and set(notes.claims) != set(notes.contested):
        raise body["claims"].damaged("those of every contested frame")
    return notes


def _by_object(field: Field, video: Video) -> dict[int, Field]:
    found = field.by_id()
    field.only(sorted(found), [o.id for o in video.objects])
    return found


def _by_frame(field: Field, frames: set[str]) -> Iterator[tuple[str, Field]]:
    for frame, held in field.entries().items():
        if frame not in frames:
            raise field.damaged(f"frames of the video as keys, not `{frame:.40}`")
        yield frame, held


def _frame(field: Field, frames: set[str]) -> str:
    if field.text() not in frames:
        raise field.damaged("a frame of the video")
    return field.text()


def _states(field: Field, frames: set[str]) -> dict[str, State]:
    return {
        frame: State(soft["presence"].number(*LOGIT), soft["iou"].share())
        for frame, soft in _by_frame(field, frames)
    }


def _claims(
    field: Field, frame: str, states: dict[int, dict[str, State]], video: Video
) -> dict[int, str]:
    """What every object with a state on a frame claims of it."""
    claims = field.by_id()
    field.only(sorted(claims), [i for i, own in states.items() if frame in own])
    return {i: rle.rle(video.shape) for i, rle in claims.items()}


def _verdict(field: Field) -> Verdict:
    verdict = Verdict(field["first"].share(), field["second"].share())
    field["stands"].only(field["stands"].value, verdict.stands)
    return verdict


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with decoding():
        size = archive.getinfo(name).file_size
    if size > _MAX_MEMBER:
        raise Damaged(f"{name} declares {size} bytes")
    with decoding():
        return archive.read(name)
