"""The training loop: the same for every model, resumable at any step.

Invariant: what happens at a step depends on the settings, the step and the weights alone. Clip `i`
of step `s` is drawn by a generator of its own, whichever process draws it; so one process with a
batch of two learns what two processes with a batch of one each do, and a run that was killed goes
on as if it had not been.
"""

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kit.core import files
from kit.core.ahead import ahead
from kit.core.errors import DataError
from kit.core.limits import Count, Positive
from kit.training import checkpoint, optimiser, ranks
from kit.training.objective import Objective, Outcome

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.csv"
SAMPLES = "samples"  # a picture at every checkpoint


@dataclass(frozen=True)
class Config:
    """How long, and how often what is written down."""

    seed: Count = 0
    save_every: Positive = 200  # steps
    log_every: Positive = 20
    stop: Positive | None = None  # end after so many steps, in the middle of the schedule
    recompute: bool = False  # layers, in the backward pass: far less memory, a third slower


@dataclass(frozen=True)
class Phase:
    """A stretch of training.

    Attributes:
        steps: How many.
        batch: Clips of one step, over all processes.
        settings: What the objective makes of it.
    """

    steps: int
    batch: int
    settings: Any


def train(
    objective: Objective,
    phases: Sequence[Phase],
    rates: optimiser.Config,
    config: Config,
    folder: Path,
    digest: str,
    stop_after: int | None = None,
) -> int:
    """Train, from the checkpoint in `folder` if there is one, and write the result there.

    Args:
        objective: Model and loss, on its device.
        phases: One after the other.
        rates: Of the optimiser.
        config: See there.
        folder: Holds checkpoint, log and, at the end, the model.
        digest: Of all settings; a checkpoint of others is refused.
        stop_after: End this call after so many steps in all, as a kill would.

    Returns:
        The steps done.

    Raises:
        DataError: The loss is no number any more.
    """
    run = _Run(objective, phases, rates, config, folder, digest)
    last = min(sum(phase.steps for phase in phases), config.stop or sys.maxsize)
    end = last if stop_after is None else min(stop_after, last)
    for batch in ahead(run.batch, range(run.step, end)):
        run.advance(batch)
        if run.step % config.save_every == 0 or run.step == last:
            run.save()
    if run.step == last:
        run.finish()
    return run.step


class _Run:
    """A training run under way."""

    def __init__(
        self,
        objective: Objective,
        phases: Sequence[Phase],
        rates: optimiser.Config,
        config: Config,
        folder: Path,
        digest: str,
    ) -> None:
        self._objective, self._phases, self._rates = objective, phases, rates
        self._config, self._folder, self._digest = config, folder, digest
        self._total = sum(phase.steps for phase in phases)
        self._optimizer = optimiser.optimiser(objective.model, rates)
        learned = {n: p for n, p in objective.model.named_parameters() if p.requires_grad}
        self._learned = learned
        self._mean = {n: p.detach().clone() for n, p in learned.items()} if rates.ema else {}
        path = folder / CHECKPOINT
        self.step = 0
        if path.exists():
            state = (objective.model, self._optimizer, self._mean)
            self.step = checkpoint.read(path, digest, *state)
        self._log = _Log(folder / LOG, self.step, self._total, config.log_every)
        objective.model.train()

    def batch(self, step: int) -> Any:
        """What a step learns from; made in a thread while the device is at the one before."""
        phase = _phase_at(self._phases, step)
        own = range(ranks.rank(), phase.batch, ranks.count())
        generators = [np.random.default_rng([self._config.seed, step, clip]) for clip in own]
        return self._objective.batch(phase.settings, generators)

    def advance(self, batch: Any) -> None:
        """One step."""
        phase = _phase_at(self._phases, self.step)
        dropout = np.random.SeedSequence([self._config.seed, self.step, ranks.rank()])
        torch.manual_seed(int(dropout.generate_state(1, np.uint64)[0]))
        factor = optimiser.share(self.step, self._total, self._rates)
        optimiser.set_rates(self._optimizer, factor)
        outcome = self._objective.loss(phase.settings, batch)
        loss = self._learn(outcome)
        self.step += 1
        self._log.note(self.step, {"loss": loss, **outcome.shown}, factor)

    def _learn(self, outcome: Outcome) -> float:
        """Gradients of all processes, clipped, applied; returns the mean loss of all."""
        device = outcome.loss.device
        told = torch.stack([outcome.loss.detach(), torch.tensor(float(outcome.count)).to(device)])
        whole, count = ranks.summed(told).tolist()
        if not np.isfinite(whole):
            raise DataError(
                f"training: the loss at step {self.step} is {whole}. Lower the rates, raise "
                "`warm_up`, or look at the clips; the last checkpoint is untouched."
            )
        self._optimizer.zero_grad(set_to_none=True)
        (outcome.loss / max(count, 1)).backward()
        ranks.sum_gradients(self._learned.values())
        torch.nn.utils.clip_grad_norm_(self._learned.values(), self._rates.clip)
        self._optimizer.step()
        if self._mean:
            optimiser.average(self._mean.values(), self._learned.values(), self._rates.ema)
        return float(whole / max(count, 1))

    def save(self) -> None:
        """Write the checkpoint; one process does it for all."""
        if ranks.rank() == 0:
            path, state = self._folder / CHECKPOINT, (self._objective.model, self._optimizer)
            checkpoint.write(path, self.step, self._digest, *state, self._mean)
            picture = self._objective.picture(_phase_at(self._phases, self.step - 1).settings)
            if picture is not None:
                with files.replacing(self._folder / SAMPLES / f"{self.step:06d}.png") as stream:
                    Image.fromarray(picture).save(stream, "PNG")

    def finish(self) -> None:
        """Write the model, averaged if it was to be."""
        if ranks.rank() == 0:
            with torch.no_grad():
                for name, value in self._mean.items():
                    self._learned[name].copy_(value)
            self._objective.model.eval()
            self._objective.save(self._folder)


class _Log:
    """Means of what is shown, a line every so many steps: in a CSV file and on the screen."""

    def __init__(self, path: Path, step: int, total: int, every: int) -> None:
        self._path, self._total, self._every = path, total, every
        self._notes: list[Mapping[str, float]] = []
        self._start, self._first = time.monotonic(), step
        self._rows = [row for row in _read_rows(path) if int(row["step"]) <= step]

    def note(self, step: int, shown: Mapping[str, float], factor: float) -> None:
        """Remember one step; write when it is time."""
        self._notes.append(shown)
        if step % self._every and step != self._total:
            return
        keys = list(dict.fromkeys(key for note in self._notes for key in note))
        means = {key: _mean([note.get(key, np.nan) for note in self._notes]) for key in keys}
        self._notes = []
        if ranks.rank() == 0:
            row = {"step": step, "rate": f"{factor:.4f}"}
            self._rows.append(row | {key: f"{value:.4f}" for key, value in means.items()})
            _write_rows(self._path, self._rows)
            self._tell(step, means)

    def _tell(self, step: int, means: Mapping[str, float]) -> None:
        spent = time.monotonic() - self._start
        left = spent / (step - self._first) * (self._total - step)
        words = ", ".join(f"{key} {value:.3f}" for key, value in means.items())
        print(f"step {step} of {self._total}, {left / 60:.0f} min left: {words}", file=sys.stderr)


def _phase_at(phases: Sequence[Phase], step: int) -> Phase:
    for phase in phases:
        if step < phase.steps:
            return phase
        step -= phase.steps
    return phases[-1]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    lines = [keys, *([str(row.get(key, "")) for key in keys] for row in rows)]
    files.write_text(path, "\n".join(",".join(line) for line in lines) + "\n")
