"""Tracks of the last result: which of them still hold, and how they go together with new ones.

A track depends on the video, on the settings with the versions and weights behind them, on the
device, and on the prompts of its own object, no other's. While all that stays, it need not be
propagated again: what it claims in a frame is put beside what the others claim, as if it had been.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kit.core import tracks
from kit.core.files import canonical_json, sha256
from kit.core.tracks import Step
from kit.core.types import FloatArray, FrameResult, Prompt

Enlarge = Callable[[FloatArray], FloatArray]  # mask logits [N, h, w] to [N, H, W]


class _Row(NamedTuple):
    """A kept step and the object that it is of."""

    object_id: int
    step: Step

    @property
    def frame(self) -> int:
        return self.step.frame


def keys_of(prompts: Sequence[Prompt], *shared: object) -> dict[int, str]:
    """By object id, all that its track depends on.

    Args:
        prompts: Of the video, by object and frame.
        shared: What all of them depend on.
    """
    keys = {}
    for object_id, own in groupby(prompts, key=lambda p: p.object_id):
        shown = [[p.frame, p.given, sha256(np.packbits(p.mask).tobytes())] for p in own]
        keys[object_id] = sha256(canonical_json([*shared, shown]).encode())
    return keys


class Kept:
    """The tracks of one video's objects, a file each."""

    def __init__(self, folder: Path, keys: Mapping[int, str]) -> None:
        self._folder, self._keys = folder, keys

    def holding(self) -> list[int]:
        """Objects whose track is there, whole, and made from what is at hand now."""
        return [i for i in self._keys if self._steps(i) is not None]

    def recorded(
        self, results: Iterable[FrameResult], object_ids: Sequence[int]
    ) -> Iterator[FrameResult]:
        """The same results; the tracks of these objects are written as they pass."""
        with ExitStack() as stack:
            takers = {
                i: stack.enter_context(tracks.writing(self._file(i), self._keys[i]))
                for i in object_ids
            }
            for result in results:
                for row, i in enumerate(result.object_ids):
                    values = (result.presence[row], result.iou[row], result.low[row])
                    takers[i](Step(result.frame, *values))
                yield result

    def joined(
        self, results: Iterable[FrameResult], object_ids: Sequence[int], enlarge: Enlarge
    ) -> Iterator[FrameResult]:
        """Results of all objects, frame by frame: of these as kept, of the others as given.

        Args:
            results: Of the others, ascending by frame.
            object_ids: Whose tracks hold.
            enlarge: To the video's size, as propagation does it.
        """
        streams: list[Iterable[FrameResult | _Row]] = [results]
        streams += [self._rows(object_id) for object_id in object_ids]
        merged = heapq.merge(*streams, key=_frame)
        for frame, items in groupby(merged, key=_frame):
            yield _together(frame, list(items), enlarge)

    def tidy(self) -> None:
        """Forget objects that the video has no more."""
        for file in self._folder.glob("*.track"):
            if file.stem not in map(str, self._keys):
                file.unlink()

    def _steps(self, object_id: int) -> Iterator[Step] | None:
        return tracks.reading(self._file(object_id), self._keys[object_id])

    def _rows(self, object_id: int) -> Iterator[_Row]:
        return (_Row(object_id, step) for step in self._steps(object_id) or ())

    def _file(self, object_id: int) -> Path:
        return self._folder / f"{object_id}.track"


def _frame(item: FrameResult | _Row) -> int:
    return item.frame


def _together(frame: int, items: Sequence[FrameResult | _Row], enlarge: Enlarge) -> FrameResult:
    """One result of what stands for a frame: results (of no one object) and kept steps."""
    rows: dict[int, tuple[FloatArray, float, float]] = {}
    for found in items:
        if isinstance(found, FrameResult):
            rows |= {
                i: (found.logits[row], found.presence[row], found.iou[row])
                for row, i in enumerate(found.object_ids)
            }
    kept = [item for item in items if isinstance(item, _Row)]
    if kept:
        planes = enlarge(np.stack([row.step.low for row in kept]))
        rows |= {
            i: (plane, step.presence, step.iou)
            for (i, step), plane in zip(kept, planes, strict=True)
        }
    logits, presence, iou = zip(*(rows[i] for i in sorted(rows)), strict=True)
    values = (np.stack(logits), np.array(presence, np.float32), np.array(iou, np.float32))
    return FrameResult(frame, tuple(sorted(rows)), *values, low=np.empty(0, np.float32))
