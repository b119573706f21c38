"""The layers of a run: which artifacts there are, and what each is made of.

A layer is a kind of artifact and the rule that makes it. A part is what one recipe has of a layer:
a file per video, or one for all of them. Names of files, inputs of rules, and what must be decided
before a file can be named follow from the table `LAYERS`; nothing here reads a file.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from kit.recipes import PARTS, Recipe


@dataclass(frozen=True)
class Layer:
    """One kind of artifact.

    Attributes:
        name: The rule that makes it.
        suffix: How its files' names end.
        reads: What a part of it is made of; see `needs`.
        key: Attribute of a recipe that names its files; "": all recipes share them.
        folder: Below the folder of the split; "": like the rule.
        stage: The command that makes it; "": like the rule.
        part: Part of a recipe whose preset it reads, if it reads one.
        judge: Part of a recipe for which it tracks back, if it does.
        depends: Further modules whose `VERSION` counts, as (family, name).
        whole: One file for all videos.
        target: Whether a run without named targets asks for every file of it.
        beside: How further files of the rule end, which nothing else is made of.
    """

    name: str
    suffix: str
    reads: "Callable[[Part], Iterable[Need]]"
    key: str = ""
    folder: str = ""
    stage: str = ""
    part: str = ""
    judge: str = ""
    depends: tuple[tuple[str, str], ...] = ()
    whole: bool = False
    target: bool = True
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """What a recipe has of a layer; recipes that name the same files have the same part.

    Attributes:
        layer: The layer.
        key: Path part of its files.
        recipe: One of the recipes that have it.
        vision: Of candidates: the detector presets that share the vision pass, joined by +.
    """

    layer: Layer
    key: str
    recipe: Recipe = field(compare=False, repr=False)
    vision: str = field(default="", compare=False)

    @property
    def preset(self) -> tuple[str, str] | None:
        """(family, preset) whose settings its stage reads; None if it reads none."""
        if self.layer.judge:
            return "propagators", self.recipe.judges[self.layer.judge]
        if not self.layer.part:
            return None
        return PARTS[self.layer.part], self.vision or self.recipe.parts[self.layer.part]


Need = tuple[str, Part]  # the name of an input, and the part that it is


def part(layer: str, recipe: Recipe, vision: str = "") -> Part:
    """The part of a recipe; candidates need the vision pass that finds them."""
    found = LAYERS[layer]
    named = str(getattr(recipe, found.key)) if found.key else ""
    return Part(found, recipe.source(vision) if vision else named, recipe, vision)


def searched(recipe: Recipe) -> Part:
    """The candidates that are described: those of one vision pass, or a union."""
    if recipe.is_union:
        return part("union", recipe)
    return part("candidates", recipe, recipe.passes[0])


def emitted(recipe: Recipe) -> Part:
    """The masks before a fallback."""
    return part("emission" if "emission" in recipe.parts else "masks", recipe)


def settled(recipe: Recipe) -> Part:
    """The masks of a recipe."""
    return part("fallback", recipe) if "fallback" in recipe.parts else emitted(recipe)


# --- what each layer is made of ------------------------------------------------------------------


def _own(*names: str) -> Callable[[Part], Iterable[Need]]:
    """Parts of the same recipe, by the names of their layers."""
    return lambda of: [(name, part(name, of.recipe)) for name in names]


def _first_pass(recipe: Recipe) -> Iterator[Need]:
    """The masks and anchors that a recipe goes on from, if it does."""
    if recipe.after is not None:
        yield "first_masks", settled(recipe.after)
        yield "first_anchors", part("anchors", recipe.after)


def _searching(of: Part) -> Iterator[Need]:
    yield "frames", part("frames", of.recipe)
    if of.vision in of.recipe.reading:
        yield from _first_pass(of.recipe)


def _merged(of: Part) -> Iterator[Need]:
    yield "frames", part("frames", of.recipe)
    for vision in of.recipe.passes:
        yield "candidates", part("candidates", of.recipe, vision)


def _described(of: Part) -> Iterator[Need]:
    yield "frames", part("frames", of.recipe)
    yield "candidates", searched(of.recipe)
    if of.recipe.extends:
        yield from _first_pass(of.recipe)


def _evidence(of: Part) -> Iterator[Need]:
    """What a choice of anchors rests on: what was mined, left by a first pass, or verified."""
    yield "frames", part("frames", of.recipe)
    if "detector" in of.recipe.parts:
        yield "candidates", searched(of.recipe)
        yield "features", part("features", of.recipe)
    yield from _first_pass(of.recipe)
    if of.recipe.proposal is not None:
        yield "proposals", part("anchors", of.recipe.proposal)
        yield "cycles", part("verify", of.recipe)


def _proposed(of: Part) -> Iterator[Need]:
    assert of.recipe.proposal is not None
    yield "frames", part("frames", of.recipe)
    yield "anchors", part("anchors", of.recipe.proposal)


def _both(of: Part) -> Iterator[Need]:
    """The masks of a first pass and of the one that goes on from it, in that order."""
    assert of.recipe.after is not None
    yield "frames", part("frames", of.recipe)
    yield "masks", settled(of.recipe.after)
    yield "masks", emitted(of.recipe)


def _compared(of: Part) -> Iterator[Need]:
    yield from _both(of)
    yield "cycles", part("rivals", of.recipe)


def _scored(of: Part) -> Iterator[Need]:
    yield "frames", part("frames", of.recipe)
    yield "masks", settled(of.recipe)


def _audited(of: Part) -> Iterator[Need]:
    yield "frames", part("frames", of.recipe)
    yield "candidates", searched(of.recipe)
    yield "anchors", part("anchors", of.recipe)
    yield from _first_pass(of.recipe)


def _summed_up(of: Part) -> Iterator[Need]:
    yield "masks", settled(of.recipe)
    yield "scores", part("scores", of.recipe)


def _packed(of: Part) -> Iterator[Need]:
    yield from _own("meta", "frames", "anchors")(of)
    yield "masks", settled(of.recipe)


_BY_MOSEV2 = (("metrics", "mosev2"),)
LAYERS = {
    layer.name: layer
    for layer in (
        Layer("frames", ".json", _own()),
        Layer("candidates", ".jsonl.zst", _searching, "candidates", part="detector"),
        Layer("union", ".jsonl.zst", _merged, "candidates", "candidates", part="detector"),
        Layer("features", ".safetensors", _described, "features", part="embedder"),
        Layer("manifest", ".json", _evidence, "mining", whole=True, target=False),
        Layer("anchors", ".json", _own("manifest"), "mining", part="selector"),
        Layer("masks", ".zip", _own("frames", "anchors"), "track", part="propagator"),
        Layer("emission", ".zip", _own("frames", "masks"), "emitted", "masks", part="emission"),
        Layer("verify", ".json", _proposed, "cycles", "cycles", judge="selector"),
        Layer("rivals", ".json", _both, "rivals", stage="verify", judge="fallback"),
        Layer("fallback", ".zip", _compared, "path", "masks", part="fallback"),
        Layer("scores", ".json", _scored, "path", depends=_BY_MOSEV2),
        Layer("audits", ".json", _audited, "mining"),
        Layer("results", "/results.json", _summed_up, "name", whole=True,
              beside=("/scores.txt", "/metrics.json", "/objects.csv")),
        Layer("meta", ".json", _own("frames"), whole=True, target=False),
        Layer("submission", ".zip", _packed, "name", whole=True, beside=(".manifest.json",)),
    )
}  # fmt: skip


def needs(of: Part) -> Iterable[Need]:
    """What a part is made of, in the order in which the command names it.

    Files of the same video where both have one per video, else of all videos. Sources of the user
    and trained models are not among them.
    """
    return of.layer.reads(of)


@cache
def gates(of: Part) -> Sequence[Recipe]:
    """The recipes whose anchors must be chosen before the inputs of a part can be named.

    The earliest first: those of a first pass come before those of the recipe that goes on from it.
    """
    found: dict[str, Recipe] = {}
    for _, below in needs(of):
        chosen = chain(below.recipe) if below.layer.name == "anchors" else gates(below)
        found |= {recipe.mining: recipe for recipe in chosen}
    return tuple(found.values())


def chain(recipe: Recipe) -> list[Recipe]:
    """A recipe and those it goes on from, the earliest first."""
    return [*(chain(recipe.after) if recipe.after else []), recipe]


def closure(ends: Iterable[Part]) -> dict[str, dict[str, Part]]:
    """These parts and all that they are made of, by layer and key."""
    found: dict[str, dict[str, Part]] = {name: {} for name in LAYERS}
    waiting = list(ends)
    while waiting:
        one = waiting.pop(0)
        if found[one.layer.name].setdefault(one.key, one) is one:
            waiting += [below for _, below in needs(one)]
    return found


# --- where they lie ------------------------------------------------------------------------------


def folder(work: str, layer: str, key: str) -> str:
    """Folder of a part's files."""
    return "/".join(filter(None, (work, LAYERS[layer].folder or layer, key)))


def file(work: str, layer: str, key: str, video: str = "") -> str:
    """Path of an artifact.

    Args:
        work: Folder of the split.
        layer: Name of the layer.
        key: Path part of the recipe; "" where all share the file.
        video: Name of the video; "" for a file about all of them.
    """
    place = folder(work, layer, key)
    return (f"{place}/{video}" if video else place) + LAYERS[layer].suffix


def beside(work: str, layer: str, key: str) -> list[str]:
    """Further files of the rule that makes a part; see `file`."""
    return [folder(work, layer, key) + suffix for suffix in LAYERS[layer].beside]
