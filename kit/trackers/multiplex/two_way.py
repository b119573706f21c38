"""SAM's two-way transformer: tokens read the picture, and the picture reads the tokens."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from kit.trackers.multiplex.layers import attend, heads
from kit.trackers.multiplex.sizes import Sizes

_LAYERS = 2


class Attention(nn.Module):
    """Attention whose inner width may be smaller than C."""

    def __init__(self, width: int, inner: int, count: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)
        self._heads = count

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[B, Lq, C] of queries, [B, Lk, C] of keys and values."""
        parts = (self.q_proj(query), self.k_proj(key), self.v_proj(value))
        found: Tensor = self.out_proj(attend(*(heads(part, self._heads) for part in parts)))
        return found


class TwoLayers(nn.Module):
    """The MLP of a layer."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, inner)
        self.lin2 = nn.Linear(inner, width)

    def forward(self, values: Tensor) -> Tensor:
        """[B, L, C]."""
        found: Tensor = self.lin2(functional.relu(self.lin1(values)))
        return found


class TwoWayLayer(nn.Module):
    """One layer; the first one replaces the tokens by their self attention."""

    def __init__(self, sizes: Sizes, first: bool) -> None:
        super().__init__()
        width, count = sizes.width, sizes.decoder_heads
        self.self_attn = Attention(width, width, count)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = Attention(width, width // 2, count)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = TwoLayers(width, sizes.decoder_mlp)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = Attention(width, width // 2, count)
        self._first = first

    def forward(
        self, tokens: Tensor, image: Tensor, token_code: Tensor, image_code: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, C] and image [B, N, C], with the codes of both."""
        if self._first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            coded = tokens + token_code
            tokens = tokens + self.self_attn(coded, coded, tokens)
        tokens = self.norm1(tokens)
        read = self.cross_attn_token_to_image(tokens + token_code, image + image_code, image)
        tokens = self.norm2(tokens + read)
        tokens = self.norm3(tokens + self.mlp(tokens))
        told = self.cross_attn_image_to_token(image + image_code, tokens + token_code, tokens)
        return tokens, self.norm4(image + told)


class TwoWayTransformer(nn.Module):
    """Two layers, and a last look of the tokens at the picture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.layers = nn.ModuleList(TwoWayLayer(sizes, index == 0) for index in range(_LAYERS))
        self.final_attn_token_to_image = Attention(width, width // 2, sizes.decoder_heads)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, image: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Run it.

        Args:
            tokens: [B, T, C]; what they are at first is their code throughout.
            image: [B, C, g, g].
            code: Position code of the picture, [C, g, g].

        Returns:
            (tokens [B, T, C], image [B, C, g, g])
        """
        start, grid = tokens, image.shape[-2:]
        flat = image.flatten(2).transpose(1, 2)
        flat_code = code.flatten(1).T
        for layer in self.layers:
            tokens, flat = layer(tokens, flat, start, flat_code)
        read = self.final_attn_token_to_image(tokens + start, flat + flat_code, flat)
        return self.norm_final_attn(tokens + read), torch.unflatten(flat.transpose(1, 2), 2, grid)
