"""What was found of one object in one video, kept until its masks are made again.

A file of the masks stage for itself: 64 hex digits of SHA-256 over what follows, a newline, and a
zstd stream of a header, a JSON line and mask logits for each frame, and an end. It holds the logits
in the size in which the decoder answers, exact where the enlarged mask can be positive: all that
masks are made of, whoever else claims a pixel then.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import zstandard

from kit.core import files
from kit.core.types import FloatArray

NOWHERE = -1024.0  # what stands for logits that no mask is made of
_HEAD = 65  # bytes of the digest and its newline


@dataclass(frozen=True, eq=False)
class Step:
    """One object in one frame.

    Attributes:
        frame: Index of the frame.
        presence: Object score logit.
        iou: Predicted IoU of the mask, 0..1.
        low: float32 [h, w], mask logits in the decoder's size.
    """

    frame: int
    presence: float
    iou: float
    low: FloatArray


@contextmanager
def writing(path: Path, key: str) -> Iterator[Callable[[Step], None]]:
    """Write a track, completely or not at all; yields what takes each step, in temporal order.

    Args:
        path: The file.
        key: All that the track depends on.
    """
    with files.replacing(path) as stream:
        stream.write(b" " * _HEAD)
        packer = zstandard.ZstdCompressor(level=3, write_checksum=True)
        with packer.stream_writer(stream, closefd=False) as packed:
            count = 0

            def add(step: Step) -> None:
                nonlocal count
                count += 1
                told = [step.frame, float(step.presence), float(step.iou), *step.low.shape]
                packed.write(_line(told) + _needed(step.low).tobytes())

            packed.write(_line({"schema": "track/1", "key": key}))
            yield add
            packed.write(_line({"frames": count}))
        digest = _digest(stream)
        stream.seek(0)
        stream.write(f"{digest}\n".encode())


def reading(path: Path, key: str) -> Iterator[Step] | None:
    """The steps of a track; None if there is none for this key, or it is damaged."""
    try:
        with path.open("rb") as stream:
            told = stream.read(_HEAD)
            if told.decode("ascii", "replace") != f"{_digest(stream)}\n":
                return None
    except FileNotFoundError:
        return None
    steps = _steps(path)
    if next(steps) != {"schema": "track/1", "key": key}:
        return None
    return steps


def _steps(path: Path) -> Iterator[Any]:
    """The header, then the steps; the digest has vouched for the form of all that."""
    with path.open("rb") as stream:
        stream.seek(_HEAD)
        with zstandard.ZstdDecompressor().stream_reader(stream) as unpacked:
            reader = io.BufferedReader(unpacked)
            yield json.loads(reader.readline())
            while isinstance(told := json.loads(reader.readline()), list):
                frame, presence, iou, height, width = told
                low = np.frombuffer(reader.read(4 * height * width), np.float32)
                yield Step(frame, presence, iou, low.reshape(height, width))


def _needed(low: FloatArray) -> FloatArray:
    """Logits without those that bear no positive one when they are enlarged.

    An enlarged pixel is a mean of the four around it, so a positive one has a positive neighbour.
    """
    near = cv2.dilate((low > 0).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.where(near > 0, low, np.float32(NOWHERE))


def _digest(stream: IO[bytes]) -> str:
    stream.seek(_HEAD)
    digest = hashlib.sha256()
    while block := stream.read(2**20):
        digest.update(block)
    return digest.hexdigest()


def _line(value: object) -> bytes:
    return files.canonical_json(value).encode() + b"\n"
