"""Small parts that several modules share."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Mlp(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(here, there) for here, there in pairwise(widths))

    def forward(self, values: Tensor) -> Tensor:
        """[..., first width] to [..., last width]."""
        *inner, last = self.layers
        for layer in inner:
            values = functional.relu(layer(values))
        found: Tensor = last(values)
        return found


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel (`LayerNorm2d` of SAM)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, values: Tensor) -> Tensor:
        """[B, channels, h, w]."""
        centred = values - values.mean(1, keepdim=True)
        spread = (centred.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        return self.weight[:, None, None] * (centred / spread) + self.bias[:, None, None]


def heads(values: Tensor, count: int) -> Tensor:
    """[B, L, width] as [B, heads, L, width / heads]."""
    return torch.unflatten(values, -1, (count, -1)).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention of [B, heads, L, width], the heads joined: [B, L, width]."""
    found = functional.scaled_dot_product_attention(query, key, value)
    return found.transpose(1, 2).flatten(2)


def resized(maps: Tensor, side: int, antialias: bool) -> Tensor:
    """Bilinear, [B, planes, h, w] to [B, planes, side, side]; the same where the size is right."""
    if maps.shape[-2:] == (side, side):
        return maps
    return functional.interpolate(
        maps, size=(side, side), mode="bilinear", align_corners=False, antialias=antialias
    )
