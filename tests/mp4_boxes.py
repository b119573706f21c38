"""MP4 files taken apart into boxes and put together again, to give them other tables."""

import struct
from collections.abc import Callable
from typing import Any

CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")
Box = tuple[bytes, Any]  # its type, and bytes or the boxes inside


def parse(data: bytes) -> list[Box]:
    boxes: list[Box] = []
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + size]
        boxes.append((kind, parse(body) if kind in CONTAINERS else body))
        at += size
    return boxes


def build(boxes: list[Box]) -> bytes:
    parts = [(kind, body if isinstance(body, bytes) else build(body)) for kind, body in boxes]
    return b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in parts)


def edited(boxes: list[Box], kind: bytes, change: Callable[[Any], Any]) -> list[Box]:
    """With every box of a type changed, wherever it is; None from `change` removes it."""
    found: list[Box] = []
    for name, body in boxes:
        inner = body if isinstance(body, bytes) else edited(body, kind, change)
        inner = change(inner) if name == kind else inner
        if inner is not None:
            found.append((name, inner))
    return found


def edit_list(*rows: tuple[int, int]) -> Box:
    """Edits of (duration in units of the movie, start in units of the track)."""
    table = b"".join(struct.pack(">Iii", duration, start, 1 << 16) for duration, start in rows)
    return b"edts", [(b"elst", struct.pack(">II", 0, len(rows)) + table)]


def with_edits(data: bytes, *rows: tuple[int, int]) -> bytes:
    """The file with this edit list alone; its tables must lie behind the frames."""
    boxes = edited(parse(data), b"edts", lambda _: None)
    return build(edited(boxes, b"trak", lambda inside: [edit_list(*rows), *inside]))


def with_times(data: bytes, *rows: tuple[int, int]) -> bytes:
    """The file with frames that last otherwise: (how many, units each)."""
    table = struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(">II", *row) for row in rows)
    boxes = edited(parse(data), b"edts", lambda _: None)
    return build(edited(boxes, b"stts", lambda _: table))


def tables_first(data: bytes) -> bytes:
    """The file with its tables before the frames, so that a cut one can still be opened."""
    boxes = parse(data)
    moov = next(box for box in boxes if box[0] == b"moov")
    shift = len(build([moov]))

    def moved(table: bytes) -> bytes:
        count = struct.unpack_from(">I", table, 4)[0]
        places = struct.unpack_from(f">{count}I", table, 8)
        return table[:8] + struct.pack(f">{count}I", *(place + shift for place in places))

    others = [box for box in boxes if box[0] != b"moov"]
    return build([others[0], *edited([moov], b"stco", moved), *others[1:]])


def scales(data: bytes) -> tuple[int, int]:
    """Units per second of the movie and of its track."""
    found: dict[bytes, int] = {}
    for kind in (b"mvhd", b"mdhd"):
        edited(parse(data), kind, lambda body, kind=kind: found.setdefault(kind, _scale(body)))
    return found[b"mvhd"], found[b"mdhd"]


def _scale(header: bytes) -> int:
    return int(struct.unpack_from(">I", header, 20 if header[0] else 12)[0])
