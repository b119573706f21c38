"""DINOv3 as an objective: crops of one object are alike, crops of others in the video are not.

Supervised contrastive loss (arXiv 2004.11362, the form with the sum outside the logarithm) on the
very crops, and the very pooling, of `kit.embedders`. The others of a clip, those of the same
category among them, are what an object must be told from; other clips are not compared, so that a
step is a sum over clips, however they are shared out among processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kit.core.errors import DataError
from kit.core.masks import Mask, box_of
from kit.core.types import Image
from kit.embedders import crops, dinov3
from kit.embedders.crops import Crop
from kit.training import initial, loop, starting
from kit.training.clips import ATTEMPTS, VISIBLE, Source
from kit.training.objective import Outcome


@dataclass(frozen=True)
class Config:
    """What a phase of training does."""

    frames: int = 4  # of a clip
    max_gap: int = 8  # frames between two of them: drawn from 1 to this
    crop: dinov3.Config = field(default_factory=dinov3.Config)  # as the preset that is to be used
    turned: float = 0.3  # probability that a crop is shown as one of its pool's flips and turns
    damage: float = 0.15  # share of its size by which a mask may be off in place and in scale
    # What two objects of one video can be told by for a while, but not for long, is their light.
    light: float = 0.4  # share by which a crop may be brighter or darker
    tint: float = 0.12  # share by which each of its channels may be
    grey: float = 0.2  # probability that it loses its colours
    temperature: float = 0.07


@dataclass(frozen=True)
class Batch:
    """M crops: views, the clip each comes from, and the object each shows (a number of its own)."""

    crops: Sequence[Crop]
    clip: Tensor
    identity: Tensor


def build(
    settings: Mapping[str, Any], source: Source, run: loop.Config, device: str
) -> "Embedding":
    """The objective that a training block describes."""
    origin = settings["model"]
    model = starting.load("dinov3", origin, device)
    if origin["source"] == starting.SCRATCH:
        initial.spread(model)
    if run.recompute:
        starting.recompute(model)
    return Embedding(model, source, origin)


class Embedding:
    """An embedder on objects of a source."""

    def __init__(self, model: Any, source: Source, origin: Mapping[str, Any]) -> None:
        self.model = model
        self._source, self._origin = source, origin
        self._device = next(model.parameters()).device

    def batch(self, phase: Config, generators: Sequence[np.random.Generator]) -> Batch:
        """The objects of a clip from each generator."""
        seen = [sample(self._source, phase, rng) for rng in generators]
        places = [(clip, 256 * clip + i) for clip, crops in enumerate(seen) for i, _ in crops]
        clips, identities = torch.tensor(places, device=self._device).T
        return Batch([crop for own in seen for _, crop in own], clips, identities)

    def loss(self, phase: Config, batch: Batch) -> Outcome:
        """Loss of the class token plus that of the patches under the mask, per crop."""
        both = replace(phase.crop, pooling="both")
        cuda = self._device.type == "cuda"
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda):
            vectors = dinov3.vectors(self.model, batch.crops, both, self._device)
        alike, others = relations(batch)
        shown, losses = {}, []
        for name, half in zip(("cls", "mean"), vectors.chunk(2, 1), strict=True):
            rows = functional.normalize(half, dim=1)
            cosines = rows @ rows.T
            losses.append(contrast(cosines / phase.temperature, alike, others))
            shown[f"{name}_top1"] = top1(cosines.detach(), alike, others)
        return Outcome(torch.cat(losses).sum(), len(losses[0]), shown)

    def picture(self, phase: Config) -> None:
        """Nothing that a look would tell better than the log."""

    def save(self, folder: Path) -> None:
        """Write the model."""
        starting.save_model(self.model, self._origin, folder)


def sample(source: Source, config: Config, rng: np.random.Generator) -> list[tuple[int, Crop]]:
    """Objects of a clip: (id, crop) of each on each frame that shows it.

    Raises:
        DataError: No clip was found that shows two objects, one of them twice.
    """
    for _ in range(ATTEMPTS):
        footage = source.take(rng, config.frames, config.max_gap)
        least = max(1, VISIBLE * footage.labels[0].size)
        seen = []
        for image, labels in zip(footage.frames, footage.labels, strict=True):
            ids, areas = np.unique(labels, return_counts=True)
            shown = ids[(ids > 0) & (areas >= least)]
            seen += [(int(i), image, labels == i) for i in shown]
        objects = {i for i, _, _ in seen}
        if 1 < len(objects) < len(seen):
            return [(i, _crop(image, mask, config, rng)) for i, image, mask in seen]
    raise DataError(
        f"training crops: in {ATTEMPTS} windows of {config.frames} frames there were no two "
        "objects of which one was seen twice. The embedder learns to tell objects of one video "
        "apart."
    )


def _crop(image: Image, mask: Mask, config: Config, rng: np.random.Generator) -> Crop:
    """A crop as `kit.embedders` cuts it, of a mask as a detector may draw it."""
    crop = dinov3.crop(image, damaged(mask, config.damage, rng), config.crop)
    if rng.random() < config.turned:
        turned = list(crops.views(crop, config.crop.flips, config.crop.rotations))
        crop = turned[int(rng.integers(len(turned)))]
    return relit(crop, config, rng)


def relit(crop: Crop, config: Config, rng: np.random.Generator) -> Crop:
    """A crop in another light; SimCLR (arXiv 2002.05709, section 3.1) finds this to be crucial."""
    if config.light or config.tint:
        gain = 1 + rng.uniform(-config.light, config.light)
        gains = gain * (1 + rng.uniform(-config.tint, config.tint, 3))
        pixels = (crop.pixels * gains).round().clip(0, 255).astype(np.uint8)
        crop = replace(crop, pixels=pixels)
    if config.grey and rng.random() < config.grey:
        crop = crops.greyed(crop)
    return crop


def damaged(mask: Mask, share: float, rng: np.random.Generator) -> Mask:
    """A mask moved and scaled by up to a share of its size; as it was if nothing would be left."""
    left, top, right, bottom = box_of(mask)
    centre = np.array([left + right, top + bottom]) / 2
    shift = rng.uniform(-share, share, 2) * (right - left, bottom - top)
    scale = rng.uniform(1 - share, 1 + share, 2)
    matrix = np.column_stack([np.diag(scale), centre * (1 - scale) + shift])
    size = (mask.shape[1], mask.shape[0])
    moved = cv2.warpAffine(mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    return moved if moved.any() else mask


def relations(batch: Batch) -> tuple[Tensor, Tensor]:
    """Which crops show the same object, and which another of the same clip: bool [M, M] each."""
    clip = batch.clip[:, None] == batch.clip[None]
    same = batch.identity[:, None] == batch.identity[None]
    itself = torch.eye(len(same), dtype=torch.bool, device=same.device)
    return same & ~itself, clip & ~same


def contrast(logits: Tensor, alike: Tensor, others: Tensor) -> Tensor:
    """Supervised contrastive loss of every crop that has both its like and others.

    Args:
        logits: float [M, M], cosines over the temperature.
        alike: bool [M, M], pairs of one object.
        others: bool [M, M], pairs that are to be told apart.

    Returns:
        float [A]; the mean over its like of minus the logarithm of the softmax over both.
    """
    counted = alike.any(1) & others.any(1)
    compared = logits.masked_fill(~(alike | others), -torch.inf)[counted]
    missed = compared.logsumexp(1, keepdim=True) - logits[counted]
    like = alike[counted].float()
    return (missed * like).sum(1) / like.sum(1)


def top1(cosines: Tensor, alike: Tensor, others: Tensor) -> float:
    """How often the nearest other crop of the clip shows the same object."""
    counted = alike.any(1) & others.any(1)
    near = cosines.masked_fill(~(alike | others), -torch.inf)[counted].argmax(1, keepdim=True)
    return float(alike[counted].gather(1, near).float().mean())
