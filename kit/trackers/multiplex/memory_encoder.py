"""The memory encoder: masks of all slots and which of them were prompted, fused with the frame."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from kit.trackers.multiplex.layers import ChannelNorm
from kit.trackers.multiplex.sizes import Sizes

_STEPS = 4  # each halves the side: 16g to g


class MaskDownsampler(nn.Module):
    """[B, 2M, 16g, 16g] to [B, C, g, g]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        inner = [sizes.mask_start_channels * 4**step for step in range(1, _STEPS + 1)]
        channels = [2 * sizes.multiplex_count, *inner]
        layers: list[nn.Module] = []
        for here, there in pairwise(channels):
            layers += [nn.Conv2d(here, there, 3, 2, 1), ChannelNorm(there), nn.GELU()]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(channels[-1], sizes.width, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Run it."""
        found: Tensor = self.encoder(maps)
        return found


class FuserBlock(nn.Module):
    """A ConvNeXt block (Liu et al., arXiv 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = ChannelNorm(width)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, g, g]."""
        inner = self.norm(self.dwconv(values)).permute(0, 2, 3, 1)
        inner = self.gamma * self.pwconv2(functional.gelu(self.pwconv1(inner)))
        found: Tensor = values + inner.permute(0, 3, 1, 2)
        return found


class Fuser(nn.Module):
    """Two blocks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserBlock(width) for _ in range(2))

    def forward(self, values: Tensor) -> Tensor:
        """[B, C, g, g]."""
        for layer in self.layers:
            values = layer(values)
        return values


class MemoryEncoder(nn.Module):
    """Downsampled maps and the frame's features, summed and fused."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(sizes)
        self.pix_feat_proj = nn.Conv2d(sizes.width, sizes.width, 1)
        self.fuser = Fuser(sizes.width)

    def forward(self, features: Tensor, maps: Tensor) -> Tensor:
        """Memory without what absent objects add.

        Args:
            features: The frame's, before memory is read and without position, [1, C, g, g].
            maps: [B, 2M, 16g, 16g]: masks in -1..1, then planes of 1 where a mask was given; 0 in
                the planes of empty slots.

        Returns:
            [B, C, g, g]
        """
        found: Tensor = self.fuser(self.pix_feat_proj(features) + self.mask_downsampler(maps))
        return found
