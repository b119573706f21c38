"""How far a stage is, for its log: a line now and then, with the time that is left."""

import sys
import time
from collections.abc import Sequence

from kit.core.types import FrameSource, Image

EVERY_SECONDS = 10.0


class counted(Sequence[Image]):
    """A frame source that reports on itself as it is read; each frame counts once."""

    def __init__(self, frames: FrameSource, what: str) -> None:
        self._frames, self._what = frames, what
        self._seen: set[int] = set()
        self._start = self._told = time.monotonic()

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]
        self._seen.add(index)
        now = time.monotonic()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            done, total = len(self._seen), len(self)
            left = (now - self._start) / done * (total - done)
            print(f"{self._what}: frame {done} of {total}, {left:.0f} s left", file=sys.stderr)
        return self._frames[index]
