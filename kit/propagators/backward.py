"""Time turned around."""

from kit.core.types import FrameSource, Image


class Reversed:
    """A video from its end to its beginning."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Image:
        return self._frames[len(self._frames) - 1 - index]
