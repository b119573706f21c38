"""Clips as tensors: pixels of every frame, and a row for each object."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kit.training.clips import Clip
from kit.training.steps import Steps


@dataclass(frozen=True)
class Batch:
    """B clips of T frames with R objects in all.

    Attributes:
        pixels: float32 [T * B, 3, S, S]; frame t of clip b is row `t * B + b`.
        masks: float32 [R, T, S, S] of zeros and ones.
        clip: Of each row the number of its clip.
        later: Of each row the later frames on which its mask is given.
        first: Of each row how it is shown on frame 0.
        chance: float64 [R, T, 4] on the host, see `Clip`.
    """

    pixels: Tensor
    masks: Tensor
    clip: tuple[int, ...]
    later: tuple[tuple[int, ...], ...]
    first: tuple[str, ...]
    chance: Tensor

    @property
    def length(self) -> int:
        """T."""
        return self.masks.shape[1]

    def frame_rows(self, frame: int, rows: Sequence[int]) -> list[int]:
        """Where the frames of some rows stand in `pixels`."""
        clips = len(self.pixels) // self.length
        return [frame * clips + self.clip[row] for row in rows]


def collate(clips: Sequence[Clip], steps: Steps, device: torch.device) -> Batch:
    """Resize frames as the tracker does, and masks as it does prompts."""
    length = len(clips[0].frames)
    pixels = [steps.pixels(clip.frames[t]) for t in range(length) for clip in clips]
    masks = [squares(clip.masks, steps.size, device) for clip in clips]
    return Batch(
        torch.cat(pixels),
        torch.cat(masks),
        tuple(b for b, clip in enumerate(clips) for _ in clip.masks),
        tuple(later for clip in clips for later in clip.later),
        tuple(first for clip in clips for first in clip.first),
        torch.from_numpy(np.concatenate([clip.chance for clip in clips])),
    )


def squares(masks: np.ndarray, size: int, device: torch.device) -> Tensor:
    """Masks `bool[O, T, H, W]` as float32 [O, T, S, S], by the rule of `square_mask`.

    That rule keeps objects thinner than a pixel of the model; here an empty mask stays empty.
    """
    share = torch.from_numpy(np.ascontiguousarray(masks)).to(device).float()
    share = functional.interpolate(
        share, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    largest = share.amax((-2, -1), keepdim=True)
    least = torch.where(largest >= 0.5, 0.5, largest / 2).clamp(min=1e-6)
    return (share >= least).float()
