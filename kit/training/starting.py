"""Where a training run starts, and how its result is laid out for `kit.runtime.models`."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kit.core import files
from kit.runtime import models, tiny
from kit.training import initial

SCRATCH = "scratch"  # as `source`: no weights
_LAYERS = re.compile(
    r"trunk\.blocks\.\d+|backbone\.layers\.\d+|memory_attention\.layers\.\d+|model\.layer\.\d+"
)


def load(kind: str, settings: Mapping[str, Any], device: str) -> Any:
    """The model to train, on its device.

    Args:
        kind: As in `models.load`.
        settings: A `models` preset, or `{source: scratch}`: an untrained tiny model, or with
            `config` an untrained one of the sam2 package.
        device: "cpu" or "cuda".

    Raises:
        WeightsError: The weights cannot be had.
    """
    if settings["source"] != SCRATCH:
        return models.load(kind, settings, device)
    config = settings.get("config")
    model = models.untrained_sam2(config) if config else tiny.new(kind)
    initial.prepare(model)
    return model.to(device)


def recompute(model: nn.Module) -> None:
    """Recompute layers in the backward pass: a tenth of the memory for a third more time."""
    for name, module in model.named_modules():
        if _LAYERS.fullmatch(name.removeprefix("vision_encoder.").removeprefix("image_encoder.")):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)


def save_model(
    model: Any, origin: Mapping[str, Any], folder: Path, more: Mapping[str, Any] | None = None
) -> None:
    """Write a trained model: its weights, then the small `model.json` that makes it known.

    Models of transformers go into a folder that `from_pretrained` reads.

    Args:
        model: What was trained.
        origin: The preset it started from; names the architecture of a SAM 2.
        folder: Where to.
        more: What else `model.json` should tell.
    """
    told = dict(more or {})
    if hasattr(model, "save_pretrained"):
        model.save_pretrained(folder)
    else:
        scratch = origin["source"] == SCRATCH and not origin.get("config")
        told["architecture"] = models.TINY if scratch else models.sam2_architecture(origin)
        write_weights(model.state_dict(), folder)
    describe(folder, told)


def write_weights(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Write weights as safetensors, completely or not at all."""
    own = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    with files.replacing(folder / models.WEIGHTS) as stream:
        stream.write(save(own, metadata={"format": "pt"}))


def describe(folder: Path, told: Mapping[str, Any]) -> None:
    """Write `model.json`, last of all.

    The digest of the weights stands in it, so that what depends on that file notices others.
    """
    digest = files.sha256(folder / models.WEIGHTS)
    files.write_json(
        folder / models.MODEL, {"schema": models.MODEL_SCHEMA, **told, "sha256": digest}
    )
