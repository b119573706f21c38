"""The configuration: checked against `config/schema.yaml`, and cut into what each stage reads.

A stage is handed its own block alone, as canonical JSON, so that an unrelated edit or another order
of keys changes nothing that Snakemake compares.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from kit import plugins
from kit.core.errors import ConfigError
from kit.core.files import canonical_json

SCHEMA = Path(__file__).parents[1] / "config" / "schema.yaml"
PARTS = {
    "detector": "detectors",
    "embedder": "embedders",
    "selector": "selectors",
    "propagator": "propagators",
    "emission": "emissions",
}  # the parts of a recipe, in the order in which they stand in its path, and where presets live


@dataclass(frozen=True)
class Recipe:
    """A named chain of presets.

    Attributes:
        name: As in the config; names the archive.
        parts: Part ("detector", ...) to preset; detector, embedder, emission may be absent.
    """

    name: str
    parts: Mapping[str, str]

    @property
    def mining(self) -> str:
        """Path part of what chooses the anchors: "<detector>.<embedder>.<selector>"."""
        return ".".join(v for k, v in self.parts.items() if k not in ("propagator", "emission"))

    @property
    def track(self) -> str:
        """Path part of what is propagated: "<detector>.<embedder>.<selector>.<propagator>"."""
        return f"{self.mining}.{self.parts['propagator']}"

    @property
    def path(self) -> str:
        """Path part of the whole recipe; differs from `track` where there is an emission."""
        return ".".join(self.parts.values())


class Config:
    """A valid configuration. Every name that a recipe uses is known to exist."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Check all of it at once.

        Raises:
            ConfigError: A wrong key or value, named with its path and what is allowed.
        """
        _validate(values)
        self.values = values
        for recipe in self.recipes.values():
            for part in recipe.parts:
                self.settings(PARTS[part], recipe.parts[part])
        for name in self.trainings:
            self.training(name)

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """Recipes by name."""
        return {name: _recipe(name, parts) for name, parts in self.values["recipes"].items()}

    def settings(self, family: str, preset: str) -> str:
        """What a stage reads of one preset: canonical JSON with models and tracker resolved."""
        return canonical_json(self._resolved(family, preset, f"{family}.{preset}"))

    @property
    def trainings(self) -> Mapping[str, Any]:
        """Blocks of training runs by name; their results are `trained` models."""
        blocks: Mapping[str, Any] = self.values.get("trainings", {})
        return blocks

    def training(self, name: str) -> str:
        """What `kit train` reads of one run: canonical JSON with its model resolved."""
        block = self._resolved("trainings", name, f"trainings.{name}")
        return canonical_json({k: v for k, v in block.items() if k != "gpus"})

    def trained(self, family: str, preset: str) -> list[str]:
        """Training runs whose results a preset uses, itself or through its tracker."""
        block = self.values[family][preset]
        models = [self.values["models"][block["model"]]] if "model" in block else []
        names = [model["trained"] for model in models if "trained" in model]
        return names + (self.trained("trackers", block["tracker"]) if "tracker" in block else [])

    def versions(self, family: str, preset: str) -> str:
        """What results of a preset depend on beside its settings; see `plugins.identity`."""
        return plugins.identity(family, self._resolved(family, preset, family))

    def _resolved(self, family: str, preset: str, where: str) -> dict[str, Any]:
        presets = self.values.get(family, {})
        if preset not in presets:
            raise ConfigError(
                f"{where}: no preset `{preset}` under `{family}`."
                + plugins.suggestion(preset, presets)
            )
        block = dict(presets[preset])
        if "method" in block:
            plugins.version(family, block["method"])  # says which methods there are, if not this
        for key, home in (("model", "models"), ("tracker", "trackers")):
            if key in block:
                block[key] = self._resolved(home, block[key], f"{family}.{preset}.{key}")
        if (run := block.pop("trained", None)) is not None:
            if run not in self.trainings:
                known = plugins.suggestion(run, self.trainings)
                raise ConfigError(f"{where}: no training `{run}`.{known}")
            block["source"] = f"{self.values.get('work', 'work')}/trainings/{run}"
        return block


def load(path: Path) -> Config:
    """Read and check a configuration file."""
    try:
        values = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    return Config(values or {})


def _recipe(name: str, parts: Mapping[str, str]) -> Recipe:
    mines = "detector" in parts
    if mines != ("embedder" in parts):
        missing = "embedder" if mines else "detector"
        raise ConfigError(f"recipes.{name}: candidates need both parts; `{missing}` is missing.")
    return Recipe(name, {part: parts[part] for part in PARTS if part in parts})


def _validate(values: Mapping[str, Any]) -> None:
    schema = yaml.safe_load(SCHEMA.read_text())
    errors = sorted(
        Draft202012Validator(schema).iter_errors(values), key=lambda e: list(map(str, e.path))
    )
    if errors:
        raise ConfigError("\n".join(dict.fromkeys(m for e in errors for m in _explain(e))))


def _explain(error: ValidationError) -> Iterator[str]:
    """One validation error in the words of the config file."""
    where = ".".join(map(str, error.absolute_path)) or "config"
    rule: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        known = error.schema["properties"]  # type: ignore[index]
        for key in sorted(set(instance) - set(known)):
            yield f"{where}: unknown key `{key}`.{plugins.suggestion(key, known)}"
    elif error.validator == "required":
        for key in sorted(set(rule) - set(instance)):
            yield f"{where}: the key `{key}` is missing."
    elif error.validator in ("oneOf", "anyOf"):
        for inner in error.context or ():
            yield from _explain(inner)
    else:
        yield f"{where}: {instance!r} is not allowed; {_allowed(str(error.validator), rule)}."


def _allowed(validator: str, rule: Any) -> str:
    words = {
        "enum": "choose one of {}",
        "const": "it must be {}",
        "type": "it must be of type {}",
        "minimum": "it must be at least {}",
        "maximum": "it must be at most {}",
        "exclusiveMinimum": "it must be more than {}",
        "minLength": "it needs at least {} characters",
        "minProperties": "it needs at least {} entry",
        "pattern": "it must match {}",
    }
    shown = ", ".join(map(str, rule)) if isinstance(rule, list) else rule
    return words.get(validator, f"{validator}: {{}}").format(shown)
