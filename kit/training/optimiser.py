"""What is learned how fast: groups of parameters, the learning rate over time, an average."""

import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import nn

from kit.core.limits import Above, Count, Range, Share


@dataclass(frozen=True)
class Config:
    """AdamW with warm-up and cosine decay; defaults are SAM 2's fine-tuning on MOSE.

    `sam2.1_training/sam2.1_hiera_b+_MOSE_finetune.yaml` of the sam2 package.
    """

    lr: Annotated[float, Above(0)] = 5.0e-6  # of everything but the vision encoder
    vision_lr: Annotated[float, Range(0)] = 3.0e-6
    vision: tuple[str, ...] = ("*image_encoder.*", "*vision_encoder.*")  # what belongs to it
    # of the vision trunk: factor per layer below the last
    layer_decay: Annotated[float, Above(0), Range(most=1)] = 0.9
    final: Share = 0.1  # the cosine ends at this share of each rate
    warm_up: Count = 0  # steps over which rates rise from zero
    # of matrices; none on biases, norms, embeddings by position
    weight_decay: Annotated[float, Range(0)] = 0.1
    beta2: Share = 0.999
    clip: Annotated[float, Above(0)] = 0.1  # largest norm of the gradient
    ema: Share = 0.0  # decay per step of an average of the weights, which is then the result
    frozen: tuple[str, ...] = ()  # patterns of parameters that stay as they are


_LAYER = re.compile(r"(?:trunk\.blocks|backbone\.layers|model\.layer|^layer)\.(\d+)\.")
_STEM = re.compile(r"trunk\.patch_embed|patch_embeddings")


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Let some parameters be."""
    for name, parameter in model.named_parameters():
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)


def groups(model: nn.Module, config: Config) -> list[dict[str, Any]]:
    """Parameter groups for AdamW, each with its peak rate and decay; names under "names"."""
    found_layers = [_LAYER.search(name) for name, _ in model.named_parameters()]
    layers = 1 + max((int(match[1]) for match in found_layers if match), default=-1)
    found: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = _rate(name, layers, config)
        decay = config.weight_decay if parameter.dim() > 1 and "pos" not in name else 0.0
        group = found.setdefault(
            (rate, decay), {"params": [], "names": [], "lr": rate, "weight_decay": decay}
        )
        group["params"].append(parameter)
        group["names"].append(name)
    return list(found.values())


def optimiser(model: nn.Module, config: Config) -> torch.optim.AdamW:
    """AdamW over all that is not frozen."""
    freeze(model, config.frozen)
    return torch.optim.AdamW(groups(model, config), lr=config.lr, betas=(0.9, config.beta2))


def share(step: int, total: int, config: Config) -> float:
    """Of its peak, the rate at a step, 0..1."""
    warmth = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    turn = 0.5 * (1 + math.cos(math.pi * step / max(total, 1)))
    return warmth * (config.final + (1 - config.final) * turn)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Every group at a share of its own peak rate."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("peak", group["lr"])


@torch.no_grad()
def average(mean: Iterable[torch.Tensor], weights: Iterable[torch.Tensor], decay: float) -> None:
    """Move an exponential average a step towards the weights."""
    for held, new in zip(mean, weights, strict=True):
        held.lerp_(new, 1 - decay)


def _rate(name: str, layers: int, config: Config) -> float:
    """Peak rate of a parameter (`layer_decay_param_modifier` of facebookresearch/sam2)."""
    if not any(fnmatch.fnmatch(name, pattern) for pattern in config.vision):
        return config.lr
    below = 0  # layers from this one to the trunk's end, itself included
    if match := _LAYER.search(name):
        below = layers - int(match[1])
    elif _STEM.search(name):
        below = layers + 1
    return float(config.vision_lr * config.layer_decay**below)
