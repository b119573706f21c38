"""A job on its device: models, frames and memory, and the record of what it took."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kit.core import files
from kit.core.types import FrameSource, Image
from kit.runtime import memory, models
from kit.runtime.lease import lease

EVERY_SECONDS = 10.0
Result = TypeVar("Result")


class Job:
    """What a stage does on a device, timed.

    Seconds in the model are those spent inside `timed`, loading and the decoding of frames that the
    model had to wait for not included.
    """

    def __init__(self, what: str, frames: FrameSource, device: str) -> None:
        self.device = device
        self.frames = _Counted(frames, what)
        self.model_seconds = self.load_seconds = 0.0
        self._start = time.monotonic()
        self._notes: dict[str, Any] = {}
        memory.start_peak(device)

    @property
    def device_name(self) -> str:
        """The make of the device; another one rounds differently."""
        if self.device != "cuda":
            return self.device
        import torch

        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"

    def load(self, kind: models.Kind, settings: models.Settings) -> Any:
        """A model on the device; see `models.load`."""
        start = time.monotonic()
        model = models.load(kind, settings, self.device)
        self.load_seconds += time.monotonic() - start
        return model

    @contextmanager
    def timed(self) -> Iterator[None]:
        """What happens inside counts as the model's work."""
        start, waited = time.monotonic(), self.frames.seconds
        try:
            yield
        finally:
            self.model_seconds += time.monotonic() - start - (self.frames.seconds - waited)

    def each(self, results: Iterable[Result]) -> Iterator[Result]:
        """Results that are computed as they are asked for; the asking is timed."""
        source = iter(results)
        while True:
            with self.timed():
                try:
                    result = next(source)
                except StopIteration:
                    return
            yield result

    def fitting(self, attempt: Callable[[int], Result], most: int, what: str, lower: str) -> Result:
        """Do something with less and less at once until it fits; see `memory.fitting`."""
        return memory.fitting(attempt, most, what, lower, self._offload, self.device)

    def note(self, **values: Any) -> None:
        """Add to the record."""
        self._notes |= values

    def record(self) -> dict[str, Any]:
        """What it took: seconds, frames per second without loading, bytes."""
        seconds = time.monotonic() - self._start
        working = seconds - self.load_seconds
        return {
            "schema": "record/1",
            "device": self.device_name,
            "slot": os.environ.get("CUDA_VISIBLE_DEVICES") or None,
            "seconds": round(seconds, 3),
            "seconds_loading": round(self.load_seconds, 3),
            "seconds_in_model": round(self.model_seconds, 3),
            "seconds_outside": round(working - self.model_seconds, 3),
            "frames": self.frames.seen,
            "frames_per_second": round(self.frames.seen / working, 2) if working else None,
            "peak_bytes": memory.peak(self.device),
            **self._notes,
        }

    def _offload(self) -> None:
        models.RECENT.keep(1, self.device)


@contextmanager
def on_device(what: str, frames: FrameSource, record: Path | None) -> Iterator[Job]:
    """Lease a device for a job and, if it succeeds, write down what it took.

    Args:
        what: For the log, "masks of VIDEO".
        frames: Of the video.
        record: File to write (.json).
    """
    with lease() as device, models.precision(device):
        job = Job(what, frames, device)
        yield job
        if record is not None:
            files.write_json(record, job.record())


class _Counted(Sequence[Image]):
    """A frame source that tells how far it is read, a line now and then; each frame counts once.

    Attributes:
        seconds: Spent decoding in the main thread, which waits meanwhile.
    """

    def __init__(self, frames: FrameSource, what: str) -> None:
        self._frames, self._what = frames, what
        self._seen: set[int] = set()
        self._start = self._told = 0.0
        self.seconds = 0.0

    @property
    def seen(self) -> int:
        """Frames that were read."""
        return len(self._seen)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]
        now = time.monotonic()
        if not self._seen:
            self._start = self._told = now
        self._seen.add(index)
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            done, total = len(self._seen), len(self)
            left = (now - self._start) / done * (total - done)
            print(f"{self._what}: frame {done} of {total}, {left:.0f} s left", file=sys.stderr)
        image = self._frames[index]
        if threading.current_thread() is threading.main_thread():
            self.seconds += time.monotonic() - now
        return image
