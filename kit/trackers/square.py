"""Frames and masks on the way into a model's square input."""

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torchvision.transforms.v2 import functional as resizing

from kit.core.errors import DataError
from kit.core.masks import Mask
from kit.core.types import Image


def bicubic(image: Image, size: int, device: torch.device) -> Tensor:
    """Resize with Pillow's default filter, as `sam2/utils/misc.py:_load_img_as_tensor` does.

    Args:
        image: uint8 [H, W, 3].
        size: Side of the square.
        device: Where the result goes.

    Returns:
        float32 [1, 3, size, size], 0..1.
    """
    small = np.array(PillowImage.fromarray(image).resize((size, size)))
    pixels = torch.from_numpy(small).to(device, non_blocking=True)
    return (pixels.permute(2, 0, 1)[None].float() / 255).contiguous()


def bilinear(image: Image, size: int, device: torch.device) -> Tensor:
    """Resize with antialiasing on the device, as the torchvision processors of transformers do.

    Arguments and result are those of `bicubic`.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device, non_blocking=True)
    small: Tensor = resizing.resize(pixels.permute(2, 0, 1)[None].contiguous(), [size, size])
    return small.float() / 255


def normalised(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """`(pixels - mean) / std` per channel of float32 [1, 3, S, S]."""
    shape = (1, 3, 1, 1)
    centre, spread = pixels.new_tensor(mean).view(shape), pixels.new_tensor(std).view(shape)
    return (pixels - centre) / spread


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
    if not mask.any():
        raise DataError(
            f"prompt: the mask ({mask.shape[1]}x{mask.shape[0]}) is empty. "
            "An object must be prompted on a frame that shows it."
        )
    share = torch.from_numpy(np.ascontiguousarray(mask)).to(device)[None, None].float()
    if mask.shape != (size, size):
        share = torch.nn.functional.interpolate(
            share, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
    largest = float(share.max())
    return (share >= (0.5 if largest >= 0.5 else largest / 2)).float()
