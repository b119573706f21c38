"""Masks drawn over a video: a file to play, and a sheet of a few frames."""

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from kit.core.errors import DataError
from kit.core.masks import PALETTE
from kit.core.types import Image

COLOURS = np.array(PALETTE, np.uint8).reshape(-1, 3)
PICTURES, COLUMNS, SIDE = 12, 4, 320  # of the sheet; longer side of a picture in pixels


class Overlay:
    """Writes `overlay.mp4` and `sheet.png` into a folder, frame by frame.

    Args:
        folder: Where.
        shape: (height, width) of the frames.
        frames: How many will come.
        fps: Frames per second.

    Raises:
        DataError: This OpenCV writes no MP4.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], frames: int, fps: float) -> None:
        self._folder, self._count = folder, 0
        self._chosen = set(np.linspace(0, frames - 1, min(PICTURES, frames)).round().astype(int))
        self._sheet: list[Image] = []
        self._size = (shape[1] - shape[1] % 2, shape[0] - shape[0] % 2)  # codecs halve colours
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(folder / "overlay.mp4"), code, fps, self._size)
        if not self._writer.isOpened():
            raise DataError(
                f"{folder}/overlay.mp4: OpenCV cannot write MP4 here. Install the wheel "
                "opencv-python-headless in place of a build without FFmpeg."
            )

    def add(self, image: Image, png: bytes) -> None:
        """The next frame, `uint8[H, W, 3]`, with its palette PNG."""
        with PillowImage.open(io.BytesIO(png)) as labels:
            drawn = over(image, np.array(labels))
        width, height = self._size
        self._writer.write(np.ascontiguousarray(drawn[:height, :width, ::-1]))
        if self._count in self._chosen:
            scale = min(1.0, SIDE / max(drawn.shape))
            small = (max(1, round(drawn.shape[1] * scale)), max(1, round(drawn.shape[0] * scale)))
            self._sheet.append(cv2.resize(drawn, small, interpolation=cv2.INTER_AREA))
        self._count += 1

    def close(self) -> None:
        """Finish both files."""
        self._writer.release()
        blank = np.full_like(self._sheet[0], 255)
        columns = min(COLUMNS, len(self._sheet))
        cells = self._sheet + [blank] * (-len(self._sheet) % columns)
        rows = [np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)]
        PillowImage.fromarray(np.concatenate(rows)).save(self._folder / "sheet.png")


def over(image: Image, labels: NDArray[np.uint8]) -> Image:
    """A frame with each object tinted in its colour and outlined in white."""
    inside = labels > 0
    drawn = image.copy()
    drawn[inside] = (image[inside] // 2) + (COLOURS[labels[inside]] // 2)
    for ident in np.unique(labels[inside]):
        lines, _ = cv2.findContours(
            (labels == ident).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(drawn, lines, -1, (255, 255, 255), max(1, max(labels.shape) // 500))
    return drawn
