"""The label maps of a masks archive, kept packed and decoded at each look."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from kit.core import mask_archive
from kit.core.errors import ArtifactError
from kit.core.files import rebuild_hint
from kit.core.masks import LabelMap
from kit.core.types import Video


class Labels(Mapping[str, LabelMap]):
    """Frame name to `uint8[H, W]`, in temporal order."""

    def __init__(self, path: Path, video: Video) -> None:
        """Read the archive.

        Raises:
            ArtifactError: It does not hold the frames of the video.
        """
        self._path, self._shape = path, video.shape
        self._packed = dict(mask_archive.read_pngs(path))
        if list(self._packed) != list(video.frames):
            raise ArtifactError(
                f"{path}: masks of {len(self._packed)} frames, not those of the video's "
                f"{len(video.frames)}. {rebuild_hint(path)}"
            )

    def packed(self, frame: str) -> bytes:
        """The PNG itself."""
        return self._packed[frame]

    def __getitem__(self, frame: str) -> LabelMap:
        """Decode a frame; not to be written to.

        Raises:
            ArtifactError: The picture is damaged or of another size than the frames.
        """
        from kit.core import png  # brings numba: not at import time

        try:
            labels = png.decode(self._packed[frame])
        except OSError as error:
            hint = rebuild_hint(self._path)
            raise ArtifactError(f"{self._path}: {frame}.png: {error}. {hint}") from None
        if labels.shape != self._shape:
            (height, width), (rows, columns) = labels.shape, self._shape
            raise ArtifactError(
                f"{self._path}: the mask of {frame} is {width}x{height}, the frames are "
                f"{columns}x{rows}. {rebuild_hint(self._path)}"
            )
        return labels

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)
