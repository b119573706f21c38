"""Frames and masks on the way into a model's square input."""

from typing import Literal

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torchvision.transforms.v2 import functional as resizing

from kit.core.errors import DataError
from kit.core.masks import Mask
from kit.core.types import Image
from kit.trackers.device import uploaded

Resample = Literal["bicubic", "bilinear", "bilinear float"]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # SAM 2: mean and spread of RGB, 0..1
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # SAM 3: pixels in [-1, 1]


class Entrance:
    """Turns frames into a vision encoder's input.

    Args:
        size: Side S of the square.
        colours: Mean and spread per channel, 0..1.
        resample: "bicubic" resizes with Pillow, as `sam2/utils/misc.py:_load_img_as_tensor` does;
            "bilinear" with antialiasing on the device, as the processors of transformers do, which
            round to whole numbers again; "bilinear float" without that, as
            `dam4sam_tracker.py:_prepare_image` of DAM4SAM 9c95450 (lines 56-62). "bilinear" also
            normalises otherwise, in the last bit.
        device: Where the model is.
    """

    def __init__(
        self,
        size: int,
        colours: tuple[tuple[float, ...], tuple[float, ...]],
        resample: Resample,
        device: torch.device,
    ) -> None:
        self._size = size
        self._resample = resample
        self._device = device
        mean, spread = (torch.tensor(c, device=device).view(1, 3, 1, 1) for c in colours)
        self._mean, self._spread = mean, spread

    def __call__(self, image: Image) -> Tensor:
        """uint8 [H, W, 3] as float32 [1, 3, S, S], contiguous."""
        if self._resample == "bicubic":
            small = np.array(PillowImage.fromarray(image).resize((self._size, self._size)))
            return (self._upload(small).float() / 255 - self._mean) / self._spread
        pixels = self._upload(image)
        if self._resample == "bilinear float":
            return (self._resized(pixels.float() / 255) - self._mean) / self._spread
        return (self._resized(pixels).float() - self._mean * 255) / (self._spread * 255)

    def _resized(self, pixels: Tensor) -> Tensor:
        small: Tensor = resizing.resize(pixels, [self._size, self._size])
        return small

    def _upload(self, image: Image) -> Tensor:
        """uint8 [1, 3, H, W] on the device."""
        pixels = uploaded(torch.from_numpy(np.ascontiguousarray(image)), self._device)
        return pixels.permute(2, 0, 1)[None].contiguous()


def given(mask: Mask, device: torch.device) -> Tensor:
    """A prompt bool [H, W] as float32 [1, 1, H, W] of zeros and ones on the device.

    Raises:
        DataError: The mask is empty.
    """
    if not mask.any():
        raise DataError(
            f"prompt: the mask ({mask.shape[1]}x{mask.shape[0]}) is empty. "
            "An object must be prompted on a frame that shows it."
        )
    return uploaded(torch.from_numpy(np.ascontiguousarray(mask)), device)[None, None].float()


def square_mask(mask: Mask, size: int, device: torch.device) -> Tensor:
    """Resize a prompt as both libraries do: antialiased, foreground where the share is >= 0.5.

    Objects thinner than a model pixel would vanish by that rule and turn into "absent here"; for
    them the threshold is half of the largest share, which keeps their core.

    Args:
        mask: bool [H, W].
        size: Side of the square.
        device: Where the result goes.

    Returns:
        float32 [1, 1, size, size] of zeros and ones, at least one of them.

    Raises:
        DataError: The mask is empty.
    """
    share = given(mask, device)
    if mask.shape != (size, size):
        share = torch.nn.functional.interpolate(
            share, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
    largest = share.max()
    return (share >= torch.where(largest >= 0.5, 0.5, largest / 2)).float()
