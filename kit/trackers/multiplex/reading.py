"""From memories to what memory attention reads, with the model's codes of time.

Prompted frames are counted the other way around than tracked ones: a tracked frame at distance k
has code k - 1 (the newest 0), a prompted one 6 - k for k from 1 to 6. A prompted frame further
away, or one that is still to come, has code 6. The public weights were trained with that.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kit.trackers.base import Context, Recall
from kit.trackers.device import uploaded
from kit.trackers.multiplex.codes import grid_code
from kit.trackers.multiplex.memory_attention import Remembered
from kit.trackers.multiplex.network import RECENT, Network


def code_index(recall: Recall, plain: bool) -> int:
    """Row of the model's table of temporal codes for a spatial memory.

    Args:
        recall: In its role as spatial memory.
        plain: Count prompted frames like tracked ones.
    """
    distance = recall.position
    if not recall.prompted:
        return distance - 1
    if not 1 <= distance <= RECENT:
        return RECENT
    return distance - 1 if plain else RECENT - distance


class MemoryReader:
    """Lays out contexts as tokens.

    Args:
        network: The model.
        plain: Count prompted frames like tracked ones; not how the public weights were trained.
    """

    def __init__(self, network: Network, plain: bool) -> None:
        self._network, self._plain = network, plain
        table = network.maskmem_tpos_enc[:, 0]  # [7, 1, C]
        sizes = network.sizes
        self.places = grid_code(sizes.grid, sizes.width, table.device).flatten(1).T  # [N, C]
        self._codes = self.places + table

    def read(self, contexts: Sequence[Context]) -> Remembered:
        """Keys and values of rows with equally many memories and pointers."""
        memory = torch.stack([_joined(self._memories(context)) for context in contexts])
        alike = len({_look(context) for context in contexts}) == 1
        several = contexts[:1] if alike else contexts  # rows that recall the same frames share them
        image = torch.stack([_joined(self._images(context)) for context in several])
        code = torch.stack([self._code(context) for context in several])
        pointers = self._network.sizes.multiplex_count * len(contexts[0].pointers)
        return Remembered(memory, image, code, pointers, self._weights(contexts))

    def _memories(self, context: Context) -> list[Tensor]:
        spatial = [recall.memory.spatial[:, 0] for recall in context.spatial]
        return spatial + [recall.memory.pointer for recall in context.pointers]

    def _images(self, context: Context) -> list[Tensor]:
        looks = [_image(recall)[:, 0] for recall in context.spatial]
        return looks + [torch.zeros_like(recall.memory.pointer) for recall in context.pointers]

    def _code(self, context: Context) -> Tensor:
        """Of place and time for grids, of time for pointers, [L, C]."""
        codes = [self._codes[code_index(recall, self._plain)] for recall in context.spatial]
        if context.pointers:
            distances = [abs(recall.position) / context.horizon for recall in context.pointers]
            shares = uploaded(torch.tensor(distances), self.places.device)
            slots = self._network.sizes.multiplex_count
            own = self._network.pointer_code(shares)[:, None].expand(-1, slots, -1)
            codes.append(own.flatten(0, 1))
        return _joined(codes)

    def _weights(self, contexts: Sequence[Context]) -> Tensor | None:
        """Factors on the keys, [B, L, 1]; None where all are one."""
        rows = [[r.weight for r in (*c.spatial, *c.pointers)] for c in contexts]
        if all(weight == 1 for row in rows for weight in row):
            return None
        spatial, slots = len(contexts[0].spatial), self._network.sizes.multiplex_count
        factors = uploaded(torch.tensor(rows), self.places.device)
        grids = factors[:, :spatial, None].expand(-1, -1, len(self.places)).flatten(1)
        pointers = factors[:, spatial:, None].expand(-1, -1, slots).flatten(1)
        return torch.cat([grids, pointers], 1)[..., None]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.float() for part in parts])


def _image(recall: Recall) -> Tensor:
    assert recall.memory.image is not None  # spatial memories of this tracker have it
    return recall.memory.image


def _look(context: Context) -> tuple[object, ...]:
    """What of a context does not depend on its objects."""
    spatial = [(id(r.memory.image), r.position, r.prompted) for r in context.spatial]
    pointers = [r.position for r in context.pointers]
    return (*spatial, None, *pointers, context.horizon)
