"""Memory attention in two streams: mask memories are what is read, and old frames help to find it.

A key is the sum of what a memory says and of what its frame looked like; a query is the sum of the
present state and of the present frame.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from kit.trackers.multiplex.codes import rotated
from kit.trackers.multiplex.layers import attend, heads
from kit.trackers.multiplex.sizes import Sizes

_INPUT_CODE = 0.1  # share of the position code in the input


@dataclass(frozen=True, eq=False)
class Remembered:
    """What a frame attends to: L tokens, whole grids first, then pointers.

    Attributes:
        memory: [B, L, C], spatial memories and pointers.
        image: [1 or B, L, C], image tokens of the same frames; zeros for pointers.
        code: [1 or B, L, C], code of place and time.
        pointers: How many tokens at the end are pointers.
        weight: [B, L, 1], factors on the keys; None is 1.
    """

    memory: Tensor
    image: Tensor
    code: Tensor
    pointers: int
    weight: Tensor | None = None


class MemoryAttentionLayer(nn.Module):
    """Self attention, memory attention, MLP; each behind a norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self._heads = sizes.memory_heads
        self.self_attn_q_proj = nn.Linear(width, width)
        self.self_attn_k_proj = nn.Linear(width, width)
        self.self_attn_v_proj = nn.Linear(width, width)
        self.self_attn_out_proj = nn.Linear(width, width)
        self.cross_attn_q_proj = nn.Linear(width, width)
        self.cross_attn_k_proj = nn.Linear(width, width)
        self.cross_attn_v_proj = nn.Linear(width, width)
        self.cross_attn_out_proj = nn.Linear(width, width)
        self.image_cross_attn_q_proj = nn.Linear(width, width)
        self.image_cross_attn_k_proj = nn.Linear(width, width)
        self.linear1 = nn.Linear(width, sizes.memory_mlp)
        self.linear2 = nn.Linear(sizes.memory_mlp, width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(
        self, state: Tensor, frame: Tensor, recalled: Remembered, turn: tuple[Tensor, Tensor]
    ) -> Tensor:
        """[B, N, C]; `frame` is the present frame's raw features, [1, N, C]."""
        state = state + self._look_around(self.norm1(state), turn)
        state = state + self._recall(self.norm2(state), frame, recalled, turn)
        inner = functional.gelu(self.linear1(self.norm3(state)))
        found: Tensor = state + self.linear2(inner)
        return found

    def _look_around(self, state: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        query = rotated(heads(self.self_attn_q_proj(state), self._heads), turn)
        key = rotated(heads(self.self_attn_k_proj(state), self._heads), turn)
        value = heads(self.self_attn_v_proj(state), self._heads)
        found: Tensor = self.self_attn_out_proj(attend(query, key, value))
        return found

    def _recall(
        self, state: Tensor, frame: Tensor, recalled: Remembered, turn: tuple[Tensor, Tensor]
    ) -> Tensor:
        query = self.image_cross_attn_q_proj(frame) + self.cross_attn_q_proj(state)
        looks = self.image_cross_attn_k_proj(recalled.image) + recalled.code
        key = looks + self.cross_attn_k_proj(recalled.memory)
        if recalled.weight is not None:
            key = key * recalled.weight
        query = rotated(heads(query, self._heads), turn)
        key = rotated(heads(key, self._heads), turn, recalled.pointers)
        value = heads(self.cross_attn_v_proj(recalled.memory), self._heads)
        found: Tensor = self.cross_attn_out_proj(attend(query, key, value))
        return found


class MemoryAttention(nn.Module):
    """All layers, and a last norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        layers = (MemoryAttentionLayer(sizes) for _ in range(sizes.memory_layers))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(sizes.width)

    def forward(
        self, frame: Tensor, code: Tensor, recalled: Remembered, turn: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Read memory into a frame.

        Args:
            frame: Features, [1, N, C].
            code: Position code of the grid, [1, N, C].
            recalled: Of B buckets.
            turn: Rotations by place.

        Returns:
            [B, N, C]
        """
        state = (frame + _INPUT_CODE * code).expand(len(recalled.memory), -1, -1)
        for layer in self.layers:
            state = layer(state, frame, recalled, turn)
        found: Tensor = self.norm(state)
        return found


class MemoryTransformer(nn.Module):
    """The checkpoint keeps memory attention under `encoder`."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = MemoryAttention(sizes)
