"""Frames from outside, decoded with checks. Knows no model."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kit.core import kinds, pictures
from kit.core.errors import DataError
from kit.core.label_maps import read_labels
from kit.core.masks import Mask
from kit.core.pictures import Picture
from kit.core.types import Image, Video, VideoObject


def read_image(path: Path) -> Image:
    """Decode a frame to `uint8[H, W, 3]` RGB, upright.

    Raises:
        DataError: The file is missing, damaged, cut short or absurdly large, or its kind cannot be
            read without a choice that is the user's (see `kit.core.kinds`).
    """
    with pictures.opened(path) as picture:
        _admit(picture)
        turn = kinds.TURNS.get(kinds.orientation(picture.image))
        upright = picture.image if turn is None else picture.image.transpose(turn)
        return np.array(upright.convert("RGB"))  # a copy: torch warns of read-only arrays


class Probe(NamedTuple):
    """What a look at a frame tells: its size once upright, and whether it had to be turned."""

    height: int
    width: int
    turned: bool


def probe_image(path: Path) -> Probe:
    """Check that a frame decodes to its last byte, and can be read as it is.

    JPEG is decoded at an eighth of the size, which still reads all of its data.

    Raises:
        DataError: As of `read_image`.
    """
    with pictures.opened(path) as picture:
        width, height = picture.image.size
        _admit(picture, eighth=True)
        turn = kinds.orientation(picture.image)
    if turn >= 5:  # by a quarter
        width, height = height, width
    return Probe(height, width, turn != 1)


def _admit(picture: Picture, eighth: bool = False) -> None:
    """Decode a frame; refuse what would reach the models as another picture than people see."""
    image = picture.image
    kind = kinds.kind_of(image, picture.data)
    if isinstance(kind.frame, str):
        raise picture.refused(f"a frame of kind {kind.name} ({image.format}): {kind.frame}")
    if (count := kinds.pictures_in(image)) > 1:
        raise picture.refused(f"{count} pictures in one file ({image.format}), where one is meant")
    if eighth:
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
    picture.load()
    if image.has_transparency_data and kinds.alpha(image).min() < 255:
        raise picture.refused(
            f"a frame with transparency ({kind.name}): what shows through is not in the file"
        )


def first_mask(video: Video, target: VideoObject) -> Mask:
    """The user's mask of an object, `bool[H, W]`, not empty.

    Raises:
        DataError: The label map is gone, or is not the one that was indexed.
    """
    path = video.annotation(target.first_frame)
    mask: Mask = read_labels(path, video.shape) == target.id
    if not mask.any():
        raise DataError(
            f"{path}: shows no object {target.id}, though it did when the video was indexed. "
            "Was the mask replaced? Run the frames stage again."
        )
    return mask


class Frames(Sequence[Image]):
    """The frames of a video in temporal order, each decoded when asked for, none kept."""

    def __init__(self, video: Video) -> None:
        self._video = video

    def __len__(self) -> int:
        return len(self._video.frames)

    def __getitem__(self, index: int) -> Image:  # type: ignore[override]
        """Frame `index` as `uint8[H, W, 3]` RGB.

        Raises:
            DataError: The file is gone, damaged, or of another size than when it was indexed.
        """
        path = self._video.image(self._video.frames[index])
        image = read_image(path)
        if image.shape[:2] != self._video.shape:
            raise DataError(
                f"{path}: {image.shape[1]}x{image.shape[0]}, but {self._video.width}x"
                f"{self._video.height} when the video was indexed. Were frames replaced? "
                "Run the frames stage again."
            )
        return image
