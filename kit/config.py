"""The configuration: checked against `config/schema.yaml`, and cut into what each stage reads.

A stage is handed its own block alone, as canonical JSON, so that an unrelated edit or another order
of keys changes nothing that Snakemake compares.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kit import concepts, declared, paths, plugins
from kit.core import documents, validation
from kit.core.errors import ConfigError
from kit.core.files import canonical_json
from kit.recipes import PARTS, plan
from kit.schema import schema_for

# Presets that a preset names: resolved and handed to the method's stage, or other stages' business.
RESOLVED = {"model": "models", "decoder": "models", "tracker": "trackers"}
NAMED = {"of": None, "propagator": "propagators"}  # None: presets of its own family
# Keys of a model that name a training run, and what its folder then is to the model.
TRAINED = {"trained": "source", "trunk": "trunk"}


class Config:
    """A valid configuration. Every name that a recipe uses is known to exist."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """Check all of it at once.

        Raises:
            ConfigError: A wrong key or value, named with its path and what is allowed.
        """
        validation.check(values, schema_for(values))
        self.values = values = paths.expanded(values)
        for parts in values["recipes"].values():
            for part, family in PARTS.items():
                if part in parts:
                    self._check(family, parts[part])
        self.recipes = plan(values)
        for name in self.trainings:
            self.training(name)

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
        """Training runs whose results a preset, or several joined by +, or their trackers use."""
        found: list[str] = []
        for block in (self.values[family][one] for one in preset.split("+")):
            models = [self.values["models"][block[k]] for k in ("model", "decoder") if k in block]
            found += [model[key] for model in models for key in TRAINED if key in model]
            found += self.trained("trackers", block["tracker"]) if "tracker" in block else []
        return found

    def pass_settings(self, passing: str, video: str) -> str:
        """The same for the detector presets of one vision pass ("exemplar+concept"), on a video."""
        own = [self._detector(preset, video) for preset in passing.split("+")]
        return canonical_json(own if len(own) > 1 else own[0])

    def _detector(self, preset: str, video: str) -> dict[str, Any]:
        where = f"detectors.{preset}"
        block = self._resolved("detectors", preset, where)
        if "concepts" in block:
            block["concepts"] = concepts.of_video(block["concepts"], video, f"{where}.concepts")
        return block

    def versions(self, family: str, preset: str) -> str:
        """What results of a preset, or of several joined by +, depend on beside their settings.

        See `plugins.identity`.
        """
        words = []
        for one in preset.split("+"):
            known_otherwise = bool(self.trained(family, one))  # as files that the workflow makes
            block = self._resolved(family, one, family)
            words.append(plugins.identity(family, block, not known_otherwise))
        return " ".join(filter(None, words))

    def models(self) -> Iterator[dict[str, Any]]:
        """Every model that a recipe uses, with its `kind`; those that the run trains left out."""
        for parts in self.values["recipes"].values():
            for part, family in PARTS.items():
                if part in parts:
                    yield from self._models(family, parts[part])

    def _models(self, family: str, preset: str) -> Iterator[dict[str, Any]]:
        block = self.values[family][preset]
        for key in ("model", "decoder"):
            model = self.values["models"].get(block.get(key), {})
            if "source" in model:
                yield {"kind": self._kind(family, block, key), **model}
        for key, home in (RESOLVED | NAMED).items():
            for name in _listed(block.get(key, [])) if home != "models" else ():
                yield from self._models(home or family, name)

    def _kind(self, family: str, block: Mapping[str, Any], key: str) -> str:
        """What a model is loaded as; see `kit.runtime.models.load`."""
        if key == "decoder":
            return "sam3"
        if family == "trackers":
            return str(block["method"])
        return str(declared.constant(plugins.module_of(family, block["method"]), "MODEL", ""))

    def _block(self, family: str, preset: str, where: str) -> dict[str, Any]:
        presets = self.values.get(family, {})
        if preset not in presets:
            raise ConfigError(
                f"{where}: no preset `{preset}` under `{family}`."
                + validation.suggestion(preset, presets)
            )
        block = dict(presets[preset])
        if "method" in block:
            plugins.version(family, block["method"])  # says which methods there are, if not this
        return block

    def _resolved(self, family: str, preset: str, where: str) -> dict[str, Any]:
        block = self._block(family, preset, where)
        for key, home in RESOLVED.items():
            if key in block:
                block[key] = self._resolved(home, block[key], f"{family}.{preset}.{key}")
        for key, becomes in TRAINED.items():
            if (run := block.pop(key, None)) is not None:
                block[becomes] = self._result(run, where)
        return {key: value for key, value in block.items() if key not in NAMED}

    def _check(self, family: str, preset: str) -> None:
        """Look up a preset and all that it names."""
        self.settings(family, preset)
        if family == "detectors":
            self._detector(preset, "")  # is there a file where one is named
        block = self.values[family][preset]
        for key, home in NAMED.items():
            for name in _listed(block.get(key, [])):
                if key == "of" and "of" in self.values[family].get(name, {}):
                    raise ConfigError(
                        f"{family}.{preset}.of: `{name}` is itself made of others; name those."
                    )
                self._check(home or family, name)

    def _result(self, run: str, where: str) -> str:
        """The folder of a training run's result."""
        if run not in self.trainings:
            known = validation.suggestion(run, self.trainings)
            raise ConfigError(f"{where}: no training `{run}`.{known}")
        return f"{self.values.get('work', 'work')}/trainings/{run}"


def load(path: Path) -> Config:
    """Read and check a configuration file."""
    return Config(given([path]))


def given(files: Sequence[Path | str], words: Sequence[str] = ()) -> Mapping[str, Any]:
    """What configuration files and words on the command line say together, as yet unchecked.

    Snakemake reads both leniently: of a key that stands twice the last one wins, and what is nested
    in a word is text. Here `--config 'data={meta: null}'` means what it means in a file.

    Args:
        files: In the order given; later ones win, key by key.
        words: KEY=VALUE, the value in YAML; they win over files.

    Raises:
        ConfigError: Something cannot be read; see `documents.parse`.
    """
    values: dict[str, Any] = {}
    for file in files:
        found = documents.read(Path(file))
        if not isinstance(found, Mapping | None):
            raise ConfigError(f"{file}: {found!r:.60} is not allowed; it must be of type object.")
        values = _joined(values, found or {})
    for word in words:
        key, _, text = word.partition("=")
        values = _joined(values, {key: documents.parse(text, f"--config {word}")})
    return values


def _joined(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, where they have a mapping in common key by key, else the second."""
    both = {**values, **more}
    for key in values.keys() & more.keys():
        if isinstance(values[key], Mapping) and isinstance(more[key], Mapping):
            both[key] = _joined(values[key], more[key])
    return both


def _listed(value: Any) -> Sequence[str]:
    return value if isinstance(value, list) else [value]
