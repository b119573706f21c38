"""What every verb has to do with the device: its numeric mode, and how data gets there."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def running(device: torch.device) -> Iterator[None]:
    """No gradients; bfloat16 autocast over float32 weights on CUDA, plain float32 elsewhere.

    Weights in pure bfloat16 are measurably worse: position codes would be computed in bfloat16.
    """
    cuda = device.type == "cuda"
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=cuda):
        yield


def uploaded(values: Tensor, device: torch.device) -> Tensor:
    """A host tensor on the device; the host does not wait, which takes pinned memory."""
    host = values.pin_memory() if device.type == "cuda" else values
    return host.to(device, non_blocking=True)
