"""How many frames of an MP4 or MOV file are shown: those that its edit list leaves.

A clip cut without encoding again keeps the frames before its start, from which the first shown one
is decoded, and hides them by an edit list. Decoders give the shown ones; the header counts all.
Source: ISO/IEC 14496-12, boxes mvhd, mdhd, hdlr, elst, stts and ctts. Files are hostile: sizes are
bounded, and whatever does not fit counts as unknown.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MAX_TABLES = 64 << 20  # bytes of all tables; ten hours of 60 frames a second take half of it
MAX_FRAMES = 10_000_000
MAX_BOXES = 10_000  # side by side
_HEAD = 8  # bytes: size and type


class _Unknown(Exception):
    """The file does not say it in a way that is understood here."""


def frames_shown(path: Path) -> int | None:
    """Frames of the video track that the edit list leaves; each counts as often as it is shown.

    None where that is not told: no MP4, no edit list, several video tracks, or fragments.
    """
    try:
        with path.open("rb") as file:
            movie = _movie(file)
        tracks = [body for kind, body in _boxes(movie) if kind == b"trak"]
        films = [t for t in tracks if _inside(t, b"mdia", b"hdlr")[8:12] == b"vide"]
        if len(films) != 1 or any(kind == b"mvex" for kind, _ in _boxes(movie)):
            return None
        return _shown(films[0], _scale(_inside(movie, b"mvhd")))
    except (_Unknown, struct.error, OSError):
        return None


def _movie(file: BinaryIO) -> bytes:
    """Content of the box `moov`, found by skipping from box to box."""
    for _ in range(MAX_BOXES):
        head = file.read(_HEAD)
        if len(head) < _HEAD:
            break
        size, kind = struct.unpack(">I4s", head)
        body = size - _HEAD
        if size == 1:  # a size of 64 bits follows
            body = struct.unpack(">Q", file.read(8))[0] - 2 * _HEAD
        if body < 0 or (kind == b"moov" and body > MAX_TABLES):
            break
        if kind == b"moov":
            return file.read(body)
        file.seek(body, 1)
    raise _Unknown


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, content) of the boxes side by side in another one."""
    at = 0
    for _ in range(MAX_BOXES):
        if at + _HEAD > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < _HEAD or at + size > len(data):
            raise _Unknown
        yield kind, data[at + _HEAD : at + size]
        at += size


def _inside(data: bytes, *path: bytes) -> bytes:
    """Content of the first box at a path of types."""
    for wanted in path:
        data = next((body for kind, body in _boxes(data) if kind == wanted), b"")
    if not data:
        raise _Unknown
    return data


def _scale(header: bytes) -> int:
    """Units per second, of mvhd or mdhd: behind two times of 32 bits, or 64 in version 1."""
    scale: int = struct.unpack_from(">I", header, 20 if header[0] else 12)[0]
    if not scale:
        raise _Unknown
    return scale


def _shown(track: bytes, movie_scale: int) -> int:
    media_scale = _scale(_inside(track, b"mdia", b"mdhd"))
    times = _times(_inside(track, b"mdia", b"minf", b"stbl"))
    count = 0
    for duration, start in _edits(_inside(track, b"edts", b"elst")):
        if start < 0:  # nothing is shown for a while
            continue
        end = start + duration * media_scale / movie_scale if duration else np.inf
        count += int(((times >= start) & (times < end)).sum())
        if count > MAX_FRAMES:
            raise _Unknown
    return count


def _edits(table: bytes) -> Iterator[tuple[int, int]]:
    """(duration in units of the movie, start in units of the track); start -1: of a pause."""
    row = ">Qqi" if table[0] else ">Iii"
    size, count = struct.calcsize(row), struct.unpack_from(">I", table, 4)[0]
    if count > MAX_BOXES:
        raise _Unknown
    for number in range(count):
        duration, start, _ = struct.unpack_from(row, table, 8 + number * size)
        yield duration, start


def _times(tables: bytes) -> NDArray[np.int64]:
    """When each frame is shown, in units of the track, in the order of decoding."""
    counts, steps = _rows(_inside(tables, b"stts"))
    if counts.sum() > MAX_FRAMES:
        raise _Unknown
    steps = np.repeat(steps, counts)
    times = np.cumsum(steps) - steps
    if any(kind == b"ctts" for kind, _ in _boxes(tables)):  # frames decoded before they are shown
        counts, shifts = _rows(_inside(tables, b"ctts"))
        if counts.sum() != len(times):
            raise _Unknown
        times = times + np.repeat(shifts, counts)
    return times


def _rows(table: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The two columns of stts or ctts: how many frames, and a signed number of units."""
    count = struct.unpack_from(">I", table, 4)[0]
    if len(table) < 8 + 8 * count:
        raise _Unknown
    rows = np.frombuffer(table, ">u4", 2 * count, 8).reshape(count, 2)
    return rows[:, 0].astype(np.int64), rows[:, 1].astype(">i4").astype(np.int64)
