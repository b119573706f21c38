"""A training run from its settings: which model, on which clips, for how long.

The settings, as a block of `trainings` in a configuration says them:

- `objective`: "tracker", "detector" or "embedder";
- `kind`: of the tracker, "sam2" or "sam3";
- `model`: where it starts, as under `models`; `{source: scratch}` is an untrained tiny model, or
  with `config` an untrained one of the sam2 package;
- `data`: see `clips.source_of`;
- `phases`: one after the other, each with `steps` (or `epochs`), `batch`, and the keys of the
  objective's `Config`;
- `optimiser`, `run`: see `optimiser.Config` and `loop.Config`.
"""

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.core import validation
from kit.core.errors import ConfigError
from kit.core.files import canonical_json, sha256
from kit.training import clips, loop, optimiser
from kit.training.objective import Objective

OBJECTIVES = ("tracker", "detector", "embedder")  # modules with a `Config` and a `build`
KEYS = ("objective", "kind", "model", "data", "phases", "optimiser", "run")


@dataclass(frozen=True)
class Plan:
    """All that `loop.train` needs but a folder."""

    objective: Objective
    phases: Sequence[loop.Phase]
    rates: optimiser.Config
    config: loop.Config
    digest: str


def plan(settings: Mapping[str, Any], device: str) -> Plan:
    """Check the settings, load the model, find the clips.

    Raises:
        ConfigError: Something is unknown, missing, or does not fit.
    """
    for key in sorted(set(settings) - set(KEYS)):
        raise ConfigError(f"training: unknown key `{key}`.{validation.suggestion(key, KEYS)}")
    name = settings.get("objective")
    if name not in OBJECTIVES:
        raise ConfigError(
            f"training: no objective `{name}`.{validation.suggestion(str(name), OBJECTIVES)}"
        )
    module = importlib.import_module(f"kit.training.{name}")
    source = clips.source_of(settings.get("data", []))
    phases = [_phase(entry, module.Config, source) for entry in settings.get("phases", [])]
    if not phases:
        raise ConfigError("training: `phases` is empty, so there is nothing to do.")
    rates = validation.parse(optimiser.Config, settings.get("optimiser", {}), "optimiser")
    config = validation.parse(loop.Config, settings.get("run", {}), "run")
    objective = module.build(settings, source, config, device)
    return Plan(objective, phases, rates, config, sha256(canonical_json(settings).encode()))


def _phase(entry: Mapping[str, Any], config: type[Any], source: clips.Mixture) -> loop.Phase:
    own = {k: v for k, v in entry.items() if k not in ("steps", "epochs", "batch")}
    batch = int(entry.get("batch", 1))
    if ("steps" in entry) == ("epochs" in entry):
        raise ConfigError("phases: each has either `steps` or `epochs`.")
    steps = entry.get("steps") or math.ceil(entry["epochs"] * source.videos() / batch)
    return loop.Phase(int(steps), batch, validation.parse(config, own, "phases"))
