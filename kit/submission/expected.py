"""The meta file as what is expected of a submission. Knows no submission."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.core.errors import DataError
from kit.core.files import MAX_JSON_BYTES, parse_json
from kit.submission.rules import MAX_PIXELS


@dataclass(frozen=True)
class Video:
    """What a submission must hold for one video.

    `frames` are names without suffix, in order; `size` is (height, width) in pixels or None where
    meta leaves it open; `labels` are the values a mask may have, background 0 included.
    """

    name: str
    frames: tuple[str, ...]
    size: tuple[int, int] | None
    labels: frozenset[int]


def load_meta(path: Path) -> dict[str, Any]:
    """Read a meta JSON file.

    Raises:
        DataError: if the file cannot be read, or a video in it cannot be used.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"{path.stat().st_size:,} bytes, at most {MAX_JSON_BYTES:,}")
        meta = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read meta: {error}. Give meta_valid.json.") from error
    if not isinstance(meta, dict):
        raise DataError(f"{path}: expected a JSON object with `videos`, found {type(meta)}.")
    try:
        videos(meta)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    return meta


def videos(meta: Mapping[str, Any]) -> dict[str, Video]:
    """Expected videos by name, sorted.

    Args:
        meta: `{"videos": {name: {"length", "height", "width", "objects", "frames"?}}}`. `objects`
            is a list of ids or a mapping keyed by ids; `frames` are names with or without suffix.

    Raises:
        DataError: naming the video and the key that cannot be used.
    """
    table = meta.get("videos")
    if not isinstance(table, Mapping) or not table:
        raise DataError("meta: expected a non-empty object `videos`. Is this the meta file?")
    return {name: _video(name, table[name]) for name in sorted(table)}


def _video(name: str, entry: Any) -> Video:
    if name in {"", ".", ".."} or name.startswith(".") or set(name) & set("/\\\0"):
        raise DataError(f"meta: video name {name!r} cannot be a folder's name.")
    if not isinstance(entry, Mapping):
        raise DataError(f"meta: video {name}: expected an object, found {entry!r:.60}.")
    try:
        labels = frozenset(map(_integer, entry["objects"])) | {0}
        if not labels <= frozenset(range(256)):
            raise ValueError(f"object ids {sorted(labels)[-3:]}; a label map holds up to 255")
        return Video(name, _frames(name, entry), _size(entry), labels)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"meta: video {name}: {type(error).__name__} {error}. Each video needs length, height,"
            " width and objects, as in meta_valid.json."
        ) from error


def _frames(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    length = _integer(entry["length"])
    if not 1 <= length <= 1_000_000:
        raise DataError(f"meta: video {name}: length {length} is not between 1 and 1,000,000.")
    if entry.get("frames") is None:
        return tuple(f"{index:05d}" for index in range(length))
    if not all(isinstance(frame, str) for frame in entry["frames"]):
        raise TypeError("`frames` holds something else than names")
    frames = tuple(frame.split(".")[0] for frame in entry["frames"])
    if len(frames) != length or len(set(frames)) != length:
        raise DataError(
            f"meta: video {name}: length is {length}, but `frames` has {len(frames)} names, "
            f"{len(set(frames))} of them different. The server compares with length."
        )
    if not all(frame.isdecimal() for frame in frames):
        raise DataError(f"meta: video {name}: frame names must be numbers; the scorer sorts them.")
    return tuple(sorted(frames, key=int))


def _integer(value: Any) -> int:
    """An integer, or the digits of one."""
    if isinstance(value, bool):
        raise TypeError(f"expected a number, found {value}")
    return int(value)


def _size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    if entry["height"] is None or entry["width"] is None:
        return None
    height, width = _integer(entry["height"]), _integer(entry["width"])
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"size {width}x{height} is no video's")
    return height, width
