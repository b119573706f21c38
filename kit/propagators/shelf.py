"""Answers set aside on disk until they are wanted, so that a long video needs no more memory."""

import tempfile
import weakref
from collections.abc import Sequence
from typing import IO

import numpy as np
import torch

from kit.core.types import FloatArray
from kit.propagators.stream import Parcel
from kit.trackers.base import Hypothesis
from kit.trackers.device import uploaded


class Shelf:
    """What results need of answers, in an anonymous file that nobody has to clean up.

    It lies in the folder that TMPDIR names. An answer takes 16 * h * w + 2 float32 there, 0.25 MB
    at 1024 pixels, and comes back bit for bit.

    Invariant: every place of the file belongs to a living `Shelved`, or is free.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._size = 0  # bytes of an answer
        self._places = 0
        self._free: list[int] = []
        self._late: tuple[list[int], Parcel] | None = None  # put, but not written yet

    def put(self, answers: Sequence[Hypothesis]) -> list["Shelved"]:
        """Set answers of equal size aside (K = 1); the device is not waited for."""
        rows = [torch.cat([a.iou, a.presence[None], a.logits.flatten()]) for a in answers]
        self._write()
        shelved = [Shelved(self, self._place(), answer) for answer in answers]
        self._late = ([item.place for item in shelved], Parcel(torch.stack(rows)))
        return shelved

    def read(self, place: int) -> FloatArray:
        """What lies in a place, float32 [2 + 16 * h * w]."""
        self._write()
        assert self._file is not None  # something has been put
        self._file.seek(place * self._size)
        return np.frombuffer(bytearray(self._file.read(self._size)), np.float32)

    def free(self, place: int) -> None:
        """Let the next answer have a place."""
        self._free.append(place)

    def _place(self) -> int:
        if self._free:
            return self._free.pop()
        self._places += 1
        return self._places - 1

    def _write(self) -> None:
        if self._late is None:
            return
        places, parcel = self._late
        self._late = None
        (rows,) = parcel.open()
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (for as long as the shelf lives)
            weakref.finalize(self, self._file.close)
        self._size = rows[0].nbytes
        try:
            for place, row in zip(places, rows, strict=True):
                self._file.seek(place * self._size)
                self._file.write(row.tobytes())
            self._file.flush()
        except OSError as error:
            error.filename = tempfile.gettempdir()  # an anonymous file has no name to show
            raise


class Shelved:
    """An answer that has been set aside; its place is free again when nobody wants it any more."""

    def __init__(self, shelf: Shelf, place: int, answer: Hypothesis) -> None:
        self.place = place
        self._shelf = shelf
        self._shape, self._device = answer.logits.shape, answer.logits.device
        self._prompted = answer.prompted

    def taken(self) -> Hypothesis:
        """The answer, with what results need of it."""
        values = uploaded(torch.from_numpy(self._shelf.read(self.place)), self._device)
        nothing = values.new_empty(0)
        logits = values[2:].view(self._shape)
        return Hypothesis(logits, nothing, values[:1], values[1], nothing, self._prompted)

    def __del__(self) -> None:
        self._shelf.free(self.place)
