"""The numeric mode that every verb runs in."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def running(device: torch.device) -> Iterator[None]:
    """No gradients; bfloat16 autocast over float32 weights on CUDA, plain float32 elsewhere.

    Weights in pure bfloat16 are measurably worse: position codes would be computed in bfloat16.
    """
    cuda = device.type == "cuda"
    with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=cuda):
        yield
