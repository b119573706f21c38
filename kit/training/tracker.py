"""Trackers as objectives: SAM 2, SAM 2.1 and SAM 3, trained through their memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from kit.core import validation
from kit.core.errors import ConfigError
from kit.training import clips, loop, losses, samples, starting
from kit.training.batch import Batch, collate
from kit.training.clips import Source
from kit.training.objective import Outcome
from kit.training.rollout import Spoken, Teacher, rollout
from kit.training.sam2 import Sam2Steps
from kit.training.sam3 import Sam3Steps
from kit.training.steps import Steps

STEPS: Mapping[str, Callable[[Any], Steps]] = {"sam2": Sam2Steps, "sam3": Sam3Steps}


SAMPLE = 7  # seed of the clip in the pictures


@dataclass(frozen=True)
class Config:
    """What a phase of training does. Defaults are those of SAM 2's fine-tuning, but `later`."""

    clip: clips.Config = field(default_factory=clips.Config)
    teacher: Teacher = field(default_factory=Teacher)
    weights: losses.Weights = field(default_factory=losses.Weights)
    stride: int = 1  # the loss is taken at the model's input size divided by this
    # For given masks too the decoder is asked whether the object is there; from scratch it must
    # learn to say yes, or the prompt has no pointer. Weight of that; published training: 0.
    prompt_presence: float = 0.0


def build(settings: Mapping[str, Any], source: Source, run: loop.Config, device: str) -> "Tracking":
    """The objective that a training block describes.

    Raises:
        ConfigError: `kind` is no tracker.
    """
    kind = str(settings.get("kind"))
    if kind not in STEPS:
        raise ConfigError(f"training: no tracker `{kind}`.{validation.suggestion(kind, STEPS)}")
    model = starting.load(kind, settings["model"], device)
    if run.recompute:
        starting.recompute(model)
    return Tracking(STEPS[kind](model), source, settings["model"])


class Tracking:
    """A tracker on clips of a source."""

    def __init__(self, steps: Steps, source: Source, origin: Mapping[str, Any]) -> None:
        self.model = steps.model
        self._steps, self._source, self._origin = steps, source, origin
        self._device = next(steps.model.parameters()).device

    def batch(self, phase: Config, generators: Sequence[np.random.Generator]) -> Batch:
        """A clip from each generator."""
        drawn = [clips.sample(self._source, phase.clip, rng) for rng in generators]
        return collate(drawn, self._steps, self._device)

    def loss(self, phase: Config, batch: Batch) -> Outcome:
        """Losses of all frames, per object (frames add up, as in SAM 2's training)."""
        cuda = self._device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            spoken = rollout(self._steps, batch, phase.teacher, phase.clip.corrections)
        total = torch.zeros((), device=self._device)
        for item in spoken:
            total = total + _loss(item, batch, phase)
        decoded = [item for item in spoken if not item.prompt]
        return Outcome(total, len(batch.clip), _shown(decoded, batch))

    @torch.no_grad()
    def picture(self, phase: Config) -> NDArray[np.uint8]:
        """One clip, tracked without a teacher."""
        clip = clips.sample(self._source, phase.clip, np.random.default_rng(SAMPLE))
        batch = collate([clip], self._steps, self._device)
        self.model.eval()
        spoken = rollout(self._steps, batch, Teacher())
        self.model.train()
        return samples.sheet(clip.frames, batch, spoken)

    def save(self, folder: Path) -> None:
        """Write the model."""
        starting.save_model(self.model, self._origin, folder)


def _loss(item: Spoken, batch: Batch, phase: Config) -> Tensor:
    if item.prompt:
        missed = functional.softplus(-item.answer.presence).sum()
        return missed * phase.prompt_presence * phase.weights.presence
    targets = batch.masks[list(item.rows), item.frame][:, None]
    if phase.stride > 1:
        targets = (functional.avg_pool2d(targets, phase.stride) >= 0.5).float()
    return losses.track_loss(item.answer, targets, phase.weights).total


@torch.no_grad()
def _shown(spoken: Sequence[Spoken], batch: Batch) -> Mapping[str, float]:
    """Mean IoU where the object is seen, and how often its presence is told right, both ways."""
    ious, seen, missed = [], [], []
    for item in spoken:
        low, _ = item.answer.best()
        targets = batch.masks[list(item.rows), item.frame][:, None]
        small = functional.interpolate(targets, low.shape[-2:], mode="area")
        present = targets.flatten(1).any(1)
        ious.append(losses.iou(low, small)[present, 0])
        right = (item.answer.presence > 0) == present
        seen.append(right[present].float())
        missed.append(right[~present].float())
    parts = {"iou": ious, "present": seen, "absent": missed}
    return {key: float(torch.cat(values).mean()) for key, values in parts.items()}
