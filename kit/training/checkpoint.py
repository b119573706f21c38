"""Where a training run stands, in one file: weights, averages, AdamW's moments, and the step.

One safetensors file, so that it is complete or absent and holds no code. Chance needs no place in
it: every draw is a function of the seed and the step.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from kit.core import files
from kit.core.errors import WeightsError
from kit.core.fields import Damaged, Field

SCHEMA = "training/1"


def write(
    path: Path,
    step: int,
    digest: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: dict[str, Tensor],
) -> None:
    """Write a checkpoint, completely or not at all.

    Args:
        path: The file.
        step: Steps done.
        digest: Of the settings that the run must be resumed with.
        model: Its weights.
        optimizer: Whose groups carry "names".
        mean: Averaged weights by name; may be empty.
    """
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"mean.{k}": v for k, v in mean.items()}
    tensors |= dict(_moments(optimizer))
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    header = {"header": files.canonical_json({"schema": SCHEMA, "step": step, "digest": digest})}
    with files.replacing(path) as stream:
        stream.write(save(whole, metadata=header))


def read(
    path: Path,
    digest: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    mean: dict[str, Tensor],
) -> int:
    """Restore a run in place.

    Returns:
        The steps done.

    Raises:
        WeightsError: The file is damaged, or of another run.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            header = Field(files.parse_json((opened.metadata() or {}).get("header", "{}")))
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a readable checkpoint ({error}). Remove it to start this run again."
        ) from None
    if header["schema"].value != SCHEMA or header["digest"].value != digest:
        raise WeightsError(
            f"{path}: a checkpoint of a run with other settings. To go on with these, remove it "
            "(the run starts again) or give another output folder."
        )
    try:
        step = header["step"].integer()
        _check_names(tensors, model, mean)
    except Damaged as error:
        raise WeightsError(
            f"{path}: damaged ({error}). Remove it to start this run again."
        ) from None
    model.load_state_dict(_under("model.", tensors))
    for name, value in _under("mean.", tensors).items():
        mean[name].copy_(value)
    _restore_moments(optimizer, tensors)
    return step


def _check_names(
    tensors: Mapping[str, Tensor], model: nn.Module, mean: Mapping[str, Tensor]
) -> None:
    wanted = {f"model.{k}": v.shape for k, v in model.state_dict().items()}
    wanted |= {f"mean.{k}": v.shape for k, v in mean.items()}
    found = {k: v.shape for k, v in tensors.items() if not k.startswith("adam.")}
    if found != wanted:
        other = sorted(k for k in {*found, *wanted} if found.get(k) != wanted.get(k))
        raise Damaged(f"{len(other)} tensors missing, unknown or of another shape: {other[0]}")


def _moments(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            for key, value in optimizer.state[parameter].items():
                yield f"adam.{key}.{name}", torch.as_tensor(value)


def _restore_moments(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    for group in optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            state = {
                key: tensors[f"adam.{key}.{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in tensors
            }
            if state:  # AdamW keeps its step on the host
                moved = {k: v if k == "step" else v.to(parameter.device) for k, v in state.items()}
                optimizer.state[parameter] = moved


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
