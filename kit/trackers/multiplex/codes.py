"""Position codes: of places on the grid, and the rotation of queries and keys by place."""

import math

import torch
from torch import Tensor, nn


def grid_code(side: int, width: int, device: torch.device) -> Tensor:
    """Sine code of a square grid: half of the channels tell y, then half tell x.

    Args:
        side: g.
        width: C, even.
        device: Where it goes.

    Returns:
        float32 [C, g, g].
    """
    half = width // 2
    place = (torch.arange(side, dtype=torch.float32, device=device) + 1) / (side + 1e-6)
    channel = torch.arange(half, dtype=torch.float32, device=device)
    angle = place[:, None] * 2 * math.pi / 10000 ** (2 * (channel // 2) / half)  # [g, C/2]
    line = torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], 2).flatten(1)
    rows = line.T[:, :, None].expand(-1, -1, side)
    columns = line.T[:, None, :].expand(-1, side, -1)
    return torch.cat([rows, columns])


class FourierCode(nn.Module):
    """SAM's random Fourier code of places (Tancik et al., arXiv 2006.10739)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.positional_encoding_gaussian_matrix = nn.Buffer(torch.zeros(2, width // 2))

    def forward(self, side: int) -> Tensor:
        """The code of a square grid, float32 [C, g, g]."""
        matrix = self.positional_encoding_gaussian_matrix.float()
        centre = (torch.arange(side, dtype=torch.float32, device=matrix.device) + 0.5) / side
        y, x = torch.meshgrid(2 * centre - 1, 2 * centre - 1, indexing="ij")
        with torch.autocast("cuda", enabled=False):  # bfloat16 would blur the places
            angle = 2 * math.pi * (torch.stack([x, y], -1) @ matrix)  # [g, g, C/2]
        return torch.cat([angle.sin(), angle.cos()], -1).permute(2, 0, 1)


def rotations(side: int, head_width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine by which pairs of channels turn, at each place of a grid.

    The first half of the pairs turns by x, the second by y, as in SAM 2's memory attention.

    Args:
        side: g.
        head_width: Channels of a head, a multiple of 4.
        device: Where they go.

    Returns:
        Two float32 [N, head_width / 2].
    """
    step = torch.arange(head_width // 4, dtype=torch.float32, device=device)
    frequency = 10000.0 ** (-4 * step / head_width)
    place = torch.arange(side * side, device=device)
    x, y = (place % side).float(), (place // side).float()
    angle = torch.cat([x[:, None] * frequency, y[:, None] * frequency], 1)
    return angle.cos(), angle.sin()


def rotated(values: Tensor, turn: tuple[Tensor, Tensor], pointers: int = 0) -> Tensor:
    """Turn neighbouring channels (2i, 2i + 1) of all tokens but the last ones.

    Args:
        values: [B, heads, L, head_width], of grids and then of pointers.
        turn: From `rotations`.
        pointers: Tokens at the end that stay as they are: they have no place.

    Returns:
        Like `values`.
    """
    cosine, sine = turn
    grids = values[:, :, : values.shape[2] - pointers].float()
    grids = torch.unflatten(grids, 2, (-1, len(cosine)))
    pairs = torch.unflatten(grids, -1, (-1, 2))
    even, odd = pairs.unbind(-1)
    turned = torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1)
    found = turned.flatten(-2).flatten(2, 3).to(values.dtype)
    return torch.cat([found, values[:, :, -pointers:]], 2) if pointers else found
