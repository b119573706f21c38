"""What a recipe's files are called: the path is the recipe.

```
exemplar.dinov3.top3.sam3                  detector . embedder . selector . propagator
exemplar.dinov3.top3.sam3.sure             . emission
all.dinov3.gaps.sam3.safe@first.sam3       . fallback @ path of the first pass
```

A recipe that goes on from a first pass (`after`) carries the path of that one behind an @. So do
the candidates and features it needs, if they are made from the first pass; else all share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kit import declared, plugins
from kit.core import validation
from kit.core.errors import ConfigError

PARTS = {
    "detector": "detectors",
    "embedder": "embedders",
    "selector": "selectors",
    "propagator": "propagators",
    "emission": "emissions",
    "fallback": "fallbacks",
}  # the parts of a recipe, in the order in which they stand in its path, and where presets live
# Frames per object on which a fallback compares, if its preset does not say.
PROBES: int = declared.constant("kit.labelling.fallback", "PROBES")


@dataclass(frozen=True)
class Recipe:
    """A named chain of presets.

    Attributes:
        name: As in the config; names the archive.
        parts: Part ("detector", ...) to preset; those that choose may be absent.
        after: The recipe whose masks and anchors this one goes on from.
        passes: Detector presets by the vision pass that finds them: "exemplar+concept", "canvas".
        reading: Those passes that read the first pass.
        extends: Whether the embedder's pools do.
        proposing: The selector whose anchors this one's selector verifies.
        judges: Part ("selector", "fallback") to the propagator that tracks back for it.
        probes: Frames per object on which the fallback compares.
    """

    name: str
    parts: Mapping[str, str]
    after: "Recipe | None" = None
    passes: tuple[str, ...] = ()
    reading: frozenset[str] = frozenset()
    extends: bool = False
    proposing: str | None = None
    judges: Mapping[str, str] = field(default_factory=dict)
    probes: int = 0

    @property
    def is_union(self) -> bool:
        """Whether several files of candidates are merged."""
        return "detector" in self.parts and self.passes != (self.parts["detector"],)

    def source(self, one: str) -> str:
        """Path part of the candidates of one vision pass."""
        return self._at(one, one in self.reading)

    @property
    def candidates(self) -> str:
        """Path part of the candidates that are described: "<detector>"."""
        return self._at(self.parts["detector"], bool(self.reading))

    @property
    def features(self) -> str:
        """Path part of their features: "<detector>.<embedder>"."""
        return self._at(self._chain("detector", "embedder"), bool(self.reading) or self.extends)

    @property
    def mining(self) -> str:
        """Path part of what chooses the anchors: "<detector>.<embedder>.<selector>"."""
        return self._at(self._chain("detector", "embedder", "selector"))

    @property
    def proposal(self) -> "Recipe | None":
        """What mines the anchors that are verified."""
        if self.proposing is None:
            return None
        return replace(self, parts={**self.parts, "selector": self.proposing}, proposing=None)

    @property
    def minings(self) -> "Sequence[Recipe]":
        """This recipe and its proposal: each has anchors of its own."""
        return [self] if self.proposal is None else [self.proposal, self]

    @property
    def cycles(self) -> str:
        """Path part of what came of the proposal's anchors: "<mining>/<propagator>"."""
        assert self.proposal is not None
        return f"{self.proposal.mining}/{self.judges['selector']}"

    @property
    def rivals(self) -> str:
        """Path part of what came of both passes' masks: "<emitted>/<propagator>-<probes>"."""
        return f"{self.emitted}/{self.judges['fallback']}-{self.probes}"

    @property
    def track(self) -> str:
        """Path part of what is propagated: "<detector>.<embedder>.<selector>.<propagator>"."""
        return self._at(self._chain("detector", "embedder", "selector", "propagator"))

    @property
    def emitted(self) -> str:
        """Path part of what is emitted; differs from `track` where there is an emission."""
        return self._at(self._chain(*(part for part in PARTS if part != "fallback")))

    @property
    def path(self) -> str:
        """Path part of the whole recipe; differs from `emitted` where there is a fallback."""
        return self._at(self._chain(*PARTS))

    def _chain(self, *parts: str) -> str:
        return ".".join(self.parts[part] for part in parts if part in self.parts)

    def _at(self, chain: str, reads: bool = True) -> str:
        return f"{chain}@{self.after.path}" if reads and self.after is not None else chain


def plan(values: Mapping[str, Any]) -> dict[str, Recipe]:
    """The recipes of a configuration whose presets are known to exist.

    Raises:
        ConfigError: A recipe lacks a part, or goes on from one that is not there or waits for it.
    """
    found: dict[str, Recipe] = {}
    for name in values["recipes"]:
        _add(name, values, found, ())
    return {name: found[name] for name in values["recipes"]}


def _add(
    name: str, values: Mapping[str, Any], found: dict[str, Recipe], waiting: tuple[str, ...]
) -> Recipe:
    """Add a recipe, after those that it goes on from."""
    if name in waiting:
        circle = " -> ".join((*waiting, name))
        raise ConfigError(f"recipes.{name}.after: recipes wait for each other: {circle}.")
    if name not in values["recipes"]:
        known = validation.suggestion(name, values["recipes"])
        raise ConfigError(f"recipes.{waiting[-1]}.after: no recipe `{name}`.{known}")
    if name not in found:
        first = values["recipes"][name].get("after")
        after = None if first is None else _add(first, values, found, (*waiting, name))
        found[name] = _recipe(name, values, after)
    return found[name]


def _recipe(name: str, values: Mapping[str, Any], after: Recipe | None) -> Recipe:
    wanted = values["recipes"][name]
    if ("detector" in wanted) != ("embedder" in wanted):
        missing = "embedder" if "detector" in wanted else "detector"
        raise ConfigError(f"recipes.{name}: candidates need both parts; `{missing}` is missing.")
    parts = {part: wanted[part] for part in PARTS if part in wanted}
    blocks = {part: values[PARTS[part]][preset] for part, preset in parts.items()}
    passes = _passes(parts["detector"], values) if "detector" in parts else ()
    proposing = blocks["selector"].get("of")
    if proposing is not None:
        blocks["proposal"] = values["selectors"][proposing]
    recipe = Recipe(
        name,
        parts,
        after,
        passes,
        frozenset(p for p in passes if _reads_first("detectors", _first_of(p, values))),
        "embedder" in blocks and _reads_first("embedders", blocks["embedder"]),
        proposing,
        {part: block["propagator"] for part, block in blocks.items() if "propagator" in block},
        blocks.get("fallback", {}).get("probes", PROBES),
    )
    choosing = [block for part, block in blocks.items() if part in ("selector", "proposal")]
    goes_on = any(_reads_first("selectors", block) for block in choosing) or "fallback" in parts
    if after is None and (goes_on or recipe.reading or recipe.extends):
        raise ConfigError(
            f"recipes.{name}: one of its presets goes on from what another recipe left (see its "
            "method's file); say from which recipe with `after`."
        )
    return recipe


def _passes(detector: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """A detector's presets by vision pass: those that can share one are found together."""
    passes: dict[str, list[str]] = {}
    for preset in values["detectors"][detector].get("of", [detector]):
        block = values["detectors"][preset]
        shares = plugins.flag("detectors", block, "SHARES_PASS")
        key = f"{block['model']} {_reads_first('detectors', block)}" if shares else f"={preset}"
        passes.setdefault(key, []).append(preset)
    return tuple("+".join(presets) for presets in passes.values())


def _first_of(passing: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The block that stands for all of a vision pass."""
    block: Mapping[str, Any] = values["detectors"][passing.split("+")[0]]
    return block


def _reads_first(family: str, block: Mapping[str, Any]) -> bool:
    """Whether a preset reads what an earlier recipe left."""
    return plugins.flag(family, block, "READS_FIRST")
