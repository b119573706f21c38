"""From memories to the keys and values of memory attention, the same for SAM 2 and SAM 3."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kit.trackers.base import Context, Recall
from kit.trackers.device import uploaded


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
        """Keys' content and position of rows with equally many memories and pointers.

        Returns:
            (memory float32 [L, B, M], position float32 [L, B, M], number of pointer tokens at the
            end of L).
        """
        content = torch.cat([_in_turn(r.memory.spatial for r in c.spatial) for c in contexts], 1)
        position = torch.cat(
            [_in_turn(self._codes[_age(r)] for r in c.spatial) for c in contexts], 1
        )
        if not contexts[0].pointers:
            return content.float(), position, 0
        tokens, code = self._pointers(contexts)
        return torch.cat([content.float(), tokens]), torch.cat([position, code]), len(tokens)

    def weights(self, contexts: Sequence[Context]) -> Tensor | None:
        """Factors on the keys, float32 [B, L, 1]; None where all are one."""
        values = [[r.weight for r in (*c.spatial, *c.pointers)] for c in contexts]
        if all(weight == 1 for row in values for weight in row):
            return None
        factors, spatial = self._on_device(values), len(contexts[0].spatial)
        places = _repeated(factors[:, :spatial], self._codes[0].shape[0], 1)
        pointers = factors[:, spatial:]
        if contexts[0].pointers:
            pointers = _repeated(pointers, self._splits(contexts), 1)
        return torch.cat([places, pointers], 1)[..., None]

    def _pointers(self, contexts: Sequence[Context]) -> tuple[Tensor, Tensor]:
        """Content and position, float32 [n * splits, B, M], of n pointers a row."""
        rows = [_in_turn(r.memory.pointer for r in c.pointers) for c in contexts]  # [n, C]
        pointers = torch.stack(rows, 1)  # [n, B, C]
        n, count, width = pointers.shape
        splits = self._splits(contexts)
        tokens = pointers.view(n, count, splits, -1).transpose(1, 2).flatten(0, 1)
        if self._pointer_code is None:
            return tokens, torch.zeros_like(tokens)
        distance = self._on_device([[r.position / c.horizon for r in c.pointers] for c in contexts])
        code = self._pointer_code(sine_code(distance.T.flatten(), width))
        return tokens, _repeated(code.view(n, count, -1), splits, 0)

    def _splits(self, contexts: Sequence[Context]) -> int:
        """Tokens of one pointer: it is wider than a memory."""
        return contexts[0].pointers[0].memory.pointer.shape[-1] // self._codes[0].shape[-1]

    def _on_device(self, values: Sequence[Sequence[float]]) -> Tensor:
        return uploaded(torch.tensor(values, dtype=torch.float32), self._codes[0].device)


def _age(recall: Recall) -> int:
    """Of a spatial memory, in temporal codes; that of prompted frames does not tell how far."""
    return 0 if recall.prompted else recall.position


def _in_turn(parts: Iterable[Tensor]) -> Tensor:
    return torch.cat(list(parts))


def _repeated(values: Tensor, times: int, dim: int) -> Tensor:
    """`repeat_interleave`, which on CUDA would wait for the device to learn the length."""
    shape = [-1] * values.dim()
    shape.insert(dim + 1, times)
    return values.unsqueeze(dim + 1).expand(shape).flatten(dim, dim + 1)


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
