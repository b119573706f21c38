"""From memories to the keys and values of memory attention, the same for SAM 2 and SAM 3."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kit.trackers.base import Context, Recall


def batches(contexts: Sequence[Context], rows: int) -> Iterator[list[int]]:
    """Indices of contexts that one call can take together.

    No library masks keys, so rows of one call must recall equally many memories and pointers.

    Args:
        contexts: One per row.
        rows: Most rows of one call, >= 1.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for index, context in enumerate(contexts):
        groups.setdefault((len(context.spatial), len(context.pointers)), []).append(index)
    for group in groups.values():
        for start in range(0, len(group), rows):
            yield group[start : start + rows]


def sine_code(distance: Tensor, width: int) -> Tensor:
    """Sine and cosine position code of "Attention is all you need", section 3.5.

    The same numbers as `get_1d_sine_pe` of `sam2/modeling/sam2_utils.py` (sines first, then
    cosines, each frequency twice).

    Args:
        distance: float32 [n].
        width: Even number of channels.

    Returns:
        float32 [n, width].
    """
    channel = torch.arange(width // 2, dtype=torch.float32, device=distance.device)
    angle = distance[:, None] / 10000 ** (2 * (channel // 2) / (width // 2))
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class MemoryReader:
    """Lays out contexts as tokens for memory attention.

    Args:
        spatial: float32 [h*w, 1, M], position code of the memory encoder.
        temporal: float32 [recent + 1, 1, 1, M], the model's table of temporal codes; entry
            `age - 1`, so that age 0, a prompted frame, takes the last one.
        pointer_code: Projects sine codes [n, C] to [n, M]; None where the model has no temporal
            code for pointers (SAM 2.0).
    """

    def __init__(
        self, spatial: Tensor, temporal: Tensor, pointer_code: Callable[[Tensor], Tensor] | None
    ) -> None:
        self._codes = [spatial + temporal[age - 1] for age in range(len(temporal))]
        self._pointer_code = pointer_code

    def read(self, contexts: Sequence[Context]) -> tuple[Tensor, Tensor, int]:
        """Keys' content and position of rows with equally many memories.

        Returns:
            (memory float32 [L, B, M], position float32 [L, B, M], number of pointer tokens at the
            end of L).
        """
        rows = [self._row(context) for context in contexts]
        memory = torch.cat([row[0] for row in rows], dim=1)
        position = torch.cat([row[1] for row in rows], dim=1)
        return memory, position, rows[0][2]

    def weights(self, contexts: Sequence[Context]) -> Tensor | None:
        """Factors on the keys, float32 [B, L, 1]; None where all are one."""
        if all(r.weight == 1 for c in contexts for r in (*c.spatial, *c.pointers)):
            return None
        tokens, width = self._codes[0].shape[0], self._codes[0].shape[-1]
        rows = []
        for context in contexts:
            splits = [r.memory.pointer.shape[-1] // width for r in context.pointers]
            counts = [tokens] * len(context.spatial) + splits
            values = [r.weight for r in (*context.spatial, *context.pointers)]
            rows.append(self._on_device(values).repeat_interleave(self._on_device(counts).long()))
        return torch.stack(rows)[..., None]

    def _row(self, context: Context) -> tuple[Tensor, Tensor, int]:
        contents = [recall.memory.spatial.float() for recall in context.spatial]
        codes = [self._codes[recall.position] for recall in context.spatial]
        count = 0
        if context.pointers:
            tokens, code = self._pointers(context.pointers, context.horizon)
            contents, codes, count = [*contents, tokens], [*codes, code], len(tokens)
        return torch.cat(contents), torch.cat(codes), count

    def _pointers(self, recalls: Sequence[Recall], horizon: int) -> tuple[Tensor, Tensor]:
        pointers = torch.stack([recall.memory.pointer for recall in recalls])  # [n, 1, C]
        n, _, width = pointers.shape
        memory_width = self._codes[0].shape[-1]
        splits = width // memory_width
        tokens = pointers.reshape(n * splits, 1, memory_width)
        if self._pointer_code is None:
            return tokens, torch.zeros_like(tokens)
        distance = self._on_device([recall.position for recall in recalls]) / horizon
        code = self._pointer_code(sine_code(distance, width))[:, None]
        return tokens, code.repeat_interleave(splits, dim=0)

    def _on_device(self, values: Sequence[float]) -> Tensor:
        device = self._codes[0].device
        host = torch.tensor(values, dtype=torch.float32, pin_memory=device.type == "cuda")
        return host.to(device, non_blocking=True)


@contextmanager
def weighted_keys(layers: Iterable[Any], argument: str, weights: Tensor | None) -> Iterator[None]:
    """Scale the keys of every layer's cross attention while the context lasts.

    Args:
        layers: Memory attention layers, each with a `cross_attn_image`.
        argument: Name under which the layer hands the keys on.
        weights: float32 [B, L, 1]; None does nothing.
    """
    if weights is None:
        yield
        return

    def scale(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        key = kwargs[argument]  # [B, L, M], with a head axis before L in transformers
        factor = weights if key.dim() == 3 else weights[:, None]
        return args, {**kwargs, argument: key * factor}

    hooks = [
        layer.cross_attn_image.register_forward_pre_hook(scale, with_kwargs=True)
        for layer in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
