"""What is learned: the one thing that tells the training of a tracker from that of a detector."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Outcome:
    """The loss of some clips.

    Attributes:
        loss: float [], a sum over what is counted.
        count: How many that are: objects, queries, crops.
        shown: Means over this batch that tell how it goes, for the log.
    """

    loss: Tensor
    count: int
    shown: Mapping[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """A model under training."""

    model: nn.Module

    def batch(self, phase: Any, generators: Sequence[np.random.Generator]) -> Any:
        """Material for one step: a clip, or what stands for one, from each generator."""
        ...

    def loss(self, phase: Any, batch: Any) -> Outcome:
        """Loss of a batch, with gradients; it leaves nothing to chance but dropout."""
        ...

    def picture(self, phase: Any) -> NDArray[np.uint8] | None:
        """What the model makes of always the same material, `uint8[H, W, 3]`; None: nothing."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model as a checkpoint that `kit.runtime.models` loads."""
        ...
