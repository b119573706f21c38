"""Images from outside: frames and label maps, decoded with checks. Knows no model."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from kit.core.errors import DataError
from kit.core.masks import LabelMap, Mask
from kit.core.types import Image, Video, VideoObject

MAX_PIXELS = 8192 * 8192  # 8K video and a margin; more is a mistake or a bomb
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    UnidentifiedImageError,
    PillowImage.DecompressionBombError,
)


def read_image(path: Path) -> Image:
    """Decode a frame to `uint8[H, W, 3]` RGB.

    Raises:
        DataError: The file is missing, damaged, cut short or absurdly large.
    """
    with _opened(path) as image:
        _load(image, path)
        return np.array(image.convert("RGB"))  # a copy: torch warns of read-only arrays


def probe_image(path: Path) -> tuple[int, int]:
    """Check that a frame decodes to its last byte; returns (height, width).

    JPEG is decoded at an eighth of the size, which still reads all of its data.
    """
    with _opened(path) as image:
        width, height = image.size
        image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
        _load(image, path)
    return height, width


def read_labels(path: Path, size: tuple[int, int] | None = None) -> LabelMap:
    """Decode a label map: palette or 8-bit grey PNG, values as they are.

    Args:
        path: The file.
        size: (height, width) of the frames; None takes any.

    Raises:
        DataError: The file is missing or damaged, of another size than the frames, or its pixels
            are no ids (RGB, 1-bit, 16-bit, or any JPEG).
    """
    with _opened(path) as image:
        if size is not None and image.size != (size[1], size[0]):
            raise DataError(
                f"{path}: {image.width}x{image.height}, but the frames are {size[1]}x{size[0]}. "
                "Masks must have the size of their frames; was one of them resized?"
            )
        if image.format != "PNG":
            raise DataError(
                f"{path}: a {image.format}, expected a PNG. Lossy files do not keep object ids; "
                "renaming is not enough, save the mask as PNG from its source."
            )
        if image.mode not in ("P", "L"):
            raise DataError(
                f"{path}: pixels of mode {image.mode}, expected object ids in a palette PNG "
                "(mode P) or 8-bit grey (L). Was the mask saved as a colour picture? "
                "Save it with its palette, e.g. Image.fromarray(ids).convert('P')."
            )
        _load(image, path)
        return np.asarray(image, dtype=np.uint8)


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


def _opened(path: Path) -> PillowImage.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PillowImage.DecompressionBombWarning)
            image = PillowImage.open(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Was it deleted or renamed?") from None
    except _BROKEN as error:
        raise DataError(_damaged(path, error)) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise DataError(
            f"{path}: {image.width}x{image.height} pixels, at most {MAX_PIXELS} in all."
        )
    return image


def _load(image: PillowImage.Image, path: Path) -> None:
    try:
        image.load()
    except _BROKEN as error:
        raise DataError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path}: cannot be decoded ({error}). The file ({path.stat().st_size} bytes) is damaged "
        "or cut short; copy or download it again."
    )
