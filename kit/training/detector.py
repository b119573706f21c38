"""SAM 3's detector as an objective: prompted by an exemplar, on its own frame and on later ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kit.detectors import exemplar_tokens
from kit.runtime import models, tiny
from kit.runtime.models import Detector
from kit.training import exemplars, loop, losses, matching, seeker, starting
from kit.training.clips import Source
from kit.training.detection import Weights, detection_loss
from kit.training.exemplars import Batch
from kit.training.matching import Pairs, Targets
from kit.training.objective import Outcome
from kit.training.seeker import Found, Seeker


@dataclass(frozen=True)
class Config:
    """What a phase of training does."""

    scene: exemplars.Config = field(default_factory=exemplars.Config)
    costs: matching.Costs = field(default_factory=matching.Costs)
    weights: Weights = field(default_factory=Weights)
    many: int = 1  # queries that answer for a target, see `matching.match`
    masks: bool = True  # False: scores and boxes alone, in a third of the time


def build(
    settings: Mapping[str, Any], source: Source, run: loop.Config, device: str
) -> "Detection":
    """The objective that a training block describes.

    In `model`, beside `source`, `trunk` may name a SAM 3 tracker: its vision trunk takes the place
    of the detector's. In the public layout the two share one, each with a neck of its own, so a
    detector that is to go with a tracker of one's own is trained on that trunk, and leaves it alone
    (`optimiser.frozen: ["vision_encoder.backbone.*"]`).
    """
    origin = settings["model"]
    detector = _start(origin, device)
    if "trunk" in origin:
        tracker = models.load("sam3", {"source": origin["trunk"]}, device)
        weights = tracker.vision_encoder.backbone.state_dict()
        detector.model.vision_encoder.backbone.load_state_dict(weights)
    if run.recompute:
        starting.recompute(detector.model)
    return Detection(detector, source, origin)


def _start(origin: Mapping[str, Any], device: str) -> Detector:
    loaded = starting.load("sam3_detector", origin, device)
    if isinstance(loaded, Detector):
        return loaded
    seeker.prepare(loaded)
    return Detector(loaded, tiny.tokenize, device)


class Detection:
    """A detector on scenes of a source."""

    def __init__(self, detector: Detector, source: Source, origin: Mapping[str, Any]) -> None:
        self.model = detector.model
        self._detector, self._origin = detector, origin
        self._seeker, self._source = Seeker(detector), source
        sizes = detector.model.config.vision_config.backbone_feature_sizes
        self._side = int(sizes[0][0])

    def batch(self, phase: Config, generators: Sequence[np.random.Generator]) -> Batch:
        """A scene from each generator."""
        scenes = [exemplars.sample(self._source, phase.scene, rng) for rng in generators]
        device = next(self.model.parameters()).device
        return exemplars.collate(scenes, phase.scene.own_frame, self._side, device)

    def loss(self, phase: Config, batch: Batch) -> Outcome:
        """Losses of all searches, per target."""
        with torch.autocast("cuda", torch.bfloat16, enabled=batch.boxes.is_cuda):
            found = self._seek(batch, phase.masks)
        targets = batch.targets
        pairs = matching.match(
            found.logits, found.boxes, found.masks, targets, phase.costs, phase.many
        )
        parts = detection_loss(found, targets, pairs, phase.weights)
        count = int(targets.valid.sum())
        shown = {key: float(part.detach()) / max(count, 1) for key, part in parts.items()}
        total = torch.stack(list(parts.values())).sum()
        return Outcome(total, count, {**shown, **_shown(found, targets, pairs)})

    def picture(self, phase: Config) -> None:
        """Nothing that a look would tell better than the log."""

    def save(self, folder: Path) -> None:
        """Write the model, and whose tokenizer it needs."""
        scratch = self._origin["source"] == starting.SCRATCH
        told = {"tokenizer": models.TINY if scratch else models.tokenizer_of(self._origin)}
        starting.save_model(self.model, self._origin, folder, told)

    def _seek(self, batch: Batch, fine: bool) -> Found:
        vision = self._seeker.see(batch.frames, fine)
        prompt = self._seeker.prompt(vision, batch.shown, batch.boxes, exemplar_tokens.Config())
        return self._seeker.seek(vision, batch.searched, prompt, batch.prompt, fine)


@torch.no_grad()
def _shown(found: Found, targets: Targets, pairs: Pairs) -> Mapping[str, float]:
    """Of the last layer: mean IoU of masks with their targets, and how scores separate."""
    last = pairs.layer == len(found.logits) - 1
    row, query, target = pairs.row[last], pairs.query[last], pairs.target[last]
    seen = targets.valid.any(1)
    scores = found.logits[-1].sigmoid()
    answers = torch.zeros_like(scores, dtype=torch.bool)
    answers[row, query] = True
    shown: dict[str, Tensor] = {"yes": scores[answers], "no": scores[seen][~answers[seen]]}
    if found.masks is not None:
        shown["iou"] = losses.iou(found.masks[row, query], targets.masks[row, target])
    return {key: float(values.mean()) for key, values in shown.items()}
