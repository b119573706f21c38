"""Pictures of what a tracker does while it learns: the same clip at every checkpoint."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from kit.training.batch import Batch
from kit.training.rollout import Spoken

TRUE, TOLD = (255, 255, 255), (255, 60, 60)  # outlines of the truth and of the answer


def sheet(frames: NDArray[np.uint8], batch: Batch, spoken: Sequence[Spoken]) -> NDArray[np.uint8]:
    """A row of pictures per object, with both outlines.

    Args:
        frames: `uint8[T, H, W, 3]` of the one clip in the batch.
        batch: That clip.
        spoken: A rollout of it.

    Returns:
        `uint8[R * S, T * S, 3]`.
    """
    size = batch.masks.shape[-1]
    squares = [cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) for frame in frames]
    told = _told(spoken, size)
    rows = []
    for row, masks in enumerate(batch.masks.cpu().numpy() > 0.5):
        pictures = [square.copy() for square in squares]
        for t, picture in enumerate(pictures):
            _draw(picture, masks[t], TRUE)
            if (t, row) in told:
                _draw(picture, told[t, row], TOLD)
        rows.append(np.concatenate(pictures, axis=1))
    return np.concatenate(rows)


def _told(spoken: Sequence[Spoken], size: int) -> dict[tuple[int, int], NDArray[np.bool_]]:
    """The answers' masks by frame and row; an absent object's is empty."""
    masks: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for item in spoken:
        low, _ = item.answer.best()
        full = functional.interpolate(low, (size, size), mode="bilinear", align_corners=False)
        present = (item.answer.presence > 0)[:, None, None]
        shown = torch.where(present, full[:, 0] > 0, False).cpu().numpy()
        if not item.prompt:
            masks |= {(item.frame, row): shown[i] for i, row in enumerate(item.rows)}
    return masks


def _draw(picture: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, ...]) -> None:
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, colour, 1)
