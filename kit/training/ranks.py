"""Several processes that train one model: who draws which clips, and the sum of gradients.

Gradients are summed by hand after the backward pass. The trackers are trained through their parts,
whose calls `DistributedDataParallel` would not see; and parameters that a clip did not touch are
nothing special this way.
"""

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def start(device: str) -> None:
    """Join the other processes that `torchrun` has started, if it has."""
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")


def stop() -> None:
    """Leave them."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """This process, 0 the first."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """Processes in all."""
    return dist.get_world_size() if dist.is_initialized() else 1


def summed(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Add up the gradients of all processes; where one has none it counts as zero."""
    if not dist.is_initialized():
        return
    learned = [p for p in parameters if p.requires_grad]
    for parameter in learned:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = summed(torch.cat([p.grad.flatten() for p in learned if p.grad is not None]))
    start = 0
    for parameter in learned:
        part = flat[start : start + parameter.numel()]
        parameter.grad = part.view_as(parameter)
        start += parameter.numel()
