"""The plan of a run: files, inputs, settings and versions of every part of a configuration.

What rules ask for. It reads names and sizes of files alone, no pixels, and knows neither Snakemake
nor torch.
"""

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from kit import layers, plugins
from kit.config import Config
from kit.core import broken
from kit.core.broken import Broken
from kit.core.errors import KitError
from kit.core.files import canonical_json, sha256
from kit.data import layout
from kit.data.chosen import Chosen, choose
from kit.data.names import MAX_BYTES
from kit.layers import LAYERS, Part
from kit.recipes import Recipe

Files = str | list[str]
NOTE = "Made with the tiny models. They know drawn videos alone: on any others masks mean nothing."


class Plan:
    """What a configuration has made, by layer and key.

    Attributes:
        config: The configuration.
        work: Folder of the split's artifacts.
        home: Folder of all splits, where trained models lie.
        split: Where the videos lie.
        chosen: The videos, and those that cannot be run.
        videos: Names of the videos, sorted.
        named: The same, and those of refused ones: for what sums up and says which are missing.
        parts: By name of the layer, then by key.
    """

    def __init__(self, config: Config) -> None:
        """Lay out a run.

        Raises:
            DataError: The folder or the list of the videos cannot be read, or no video can be run.
        """
        values, data = config.values, config.values["data"]
        self.config = config
        self.home: str = values.get("work", "work")
        self.work = f"{self.home}/{values['split']}"
        self._drawn: Mapping[str, Any] | None = data.get("draw")
        self.split = layout.Split(
            Path(f"{self.work}/data" if self.is_drawn else data.get("root", "data")),
            data.get("images", "JPEGImages"),
            data.get("annotations", "Annotations"),
            None if self.is_drawn else data.get("meta"),
        )
        self.chosen = self._chosen(data)
        self.videos = self.chosen.videos
        self.named = sorted([*self.videos, *map(alias, self.chosen.refused)])
        self._names = frozenset(self.videos)
        self.parts = layers.closure(self._ends())
        self._outlines: dict[str, tuple[int, str]] = {}
        self._known: dict[tuple[str, ...], str] = {}  # what is asked for by the job of every video

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        """All recipes by name."""
        return self.config.recipes

    @property
    def is_drawn(self) -> bool:
        """Whether the videos are drawn by the run itself."""
        return self._drawn is not None

    @property
    def has_truth(self) -> bool:
        """Whether every frame has a label map."""
        return self.is_drawn or bool(self.config.values["data"].get("ground_truth", False))

    def _chosen(self, data: Mapping[str, Any]) -> Chosen:
        if self._drawn is None:
            return choose(self.split, data.get("videos"))
        return Chosen([f"drawn_{number:03d}" for number in range(self._drawn.get("videos", 4))])

    @property
    def is_packed(self) -> bool:
        """Whether an archive is made."""
        return self.config.values.get("submission") is not False

    def record_refused(self) -> None:
        """Let records stand for videos that cannot be run, as for those that break in a run."""
        for name, why in self.chosen.refused.items():
            ends = [layers.part("frames", recipe) for recipe in self.recipes.values()]
            ends += [layers.settled(recipe) for recipe in self.recipes.values()]
            for path in (file for end in ends for file in self.files(end, [alias(name)])):
                record = Broken(alias(name), "plan", f"{name!r} {why}", path)
                broken.write(Path(path), record, Path(self.work))

    @property
    def team(self) -> str | None:
        """The file that tells of the team, to lie in the archive."""
        told = self.config.values.get("submission")
        return told.get("team") if isinstance(told, Mapping) else None

    def _ends(self) -> Iterator[Part]:
        """What everything else is made for."""
        for recipe in self.recipes.values():
            yield layers.part("submission", recipe) if self.is_packed else layers.settled(recipe)
            if self.has_truth:
                yield layers.part("results", recipe)
                mined = [m for m in recipe.minings if "detector" in m.parts]
                yield from (layers.part("audits", m) for m in mined)

    # --- files -----------------------------------------------------------------------------------

    def part(self, layer: str, key: str = "") -> Part:
        """What a rule makes whose wildcard has this value."""
        return self.parts[layer][key]

    def targets(self) -> list[Part]:
        """Parts of which a run makes every file, but for archives and report.

        Every layer is among them: Snakemake does not rebuild a missing file while what was made
        from it still lies there, and a failed job would leave older results to be taken for new.
        """
        found = (part for parts in self.parts.values() for part in parts.values())
        return [p for p in found if p.layer.target and p.layer.name != "submission"]

    def files(self, part: Part, videos: Sequence[str] | None = None) -> list[str]:
        """Files of a part: of some videos, or of all."""
        some = [""] if part.layer.whole else self.videos if videos is None else videos
        return [layers.file(self.work, part.layer.name, part.key, video) for video in some]

    def place(self, layer: str) -> str | None:
        """How paths begin of a layer that has a file per video; None of any other."""
        if layer not in LAYERS or LAYERS[layer].whole:
            return None
        return f"{layers.folder(self.work, layer, '')}/"

    def find(self, layer: str, path: str) -> dict[str, str] | None:
        """The key and the video of which a layer has this file; None if it has none of the kind."""
        place, suffix = self.place(layer) or "", LAYERS[layer].suffix
        if not (path.startswith(place) and path.endswith(suffix)):
            return None
        key, _, video = path[len(place) : -len(suffix)].rpartition("/")
        known = key in self.parts[layer] and video in self._names
        return {"key": key, "video": video} if known else None

    def outputs(self, part: Part) -> list[str]:
        """All that the rule of a part makes of it: one that was removed is made again."""
        return [*self.files(part), *layers.beside(self.work, part.layer.name, part.key)]

    def inputs(self, part: Part, video: str | None = None) -> dict[str, Files]:
        """What the job of a part reads, by the name of the input.

        Beside what its command names: the models that were trained for it; and for what is made
        from one video's masks, the decisions that those rest on. When a checkpoint ends, Snakemake
        looks again only at jobs that name its files: others would keep a mark that the masks before
        them have lost, and run in vain.

        Args:
            part: What is made.
            video: Of which video; None if of all.
        """
        found: dict[str, list[str]] = {}
        some = None if video is None else [video]
        for name, below in layers.needs(part):
            found.setdefault(name, []).extend(self.files(below, some))
        if some and "masks" in found:
            chosen = (layers.part("anchors", recipe) for recipe in layers.gates(part))
            found["decided"] = [file for one in chosen for file in self.files(one, some)]
        found["models"] = self.models(part)
        return {k: v[0] if len(v) == 1 and k != "models" else v for k, v in found.items()}

    def models(self, part: Part) -> list[str]:
        """Trained models that the settings of a part name."""
        return self.trained(*part.preset) if part.preset else []

    def trained(self, family: str, preset: str) -> list[str]:
        """Trained models that a preset needs."""
        runs = self.config.trained(family, preset)
        return [f"{self.home}/trainings/{run}/model.json" for run in runs]

    def training_version(self, name: str) -> str:
        """The same as `version`, of a training run."""
        return f"{version_of('train')} {self.config.versions('trainings', name)}"

    # --- params ----------------------------------------------------------------------------------

    def settings(self, part: Part, video: str = "") -> str:
        """What the stage reads of its preset, as canonical JSON."""
        assert part.preset is not None
        family, preset = part.preset
        if part.layer.name == "candidates":
            return self.config.pass_settings(preset, video)
        return self._once("settings", family, preset, make=self.config.settings)

    def version(self, part: Part) -> str:
        """What an edit of the code must change for the files of a part to be made again."""
        own = version_of(part.layer.stage or part.layer.name, *part.layer.depends)
        if part.preset is None:
            return own
        return f"{own} {self._once('versions', *part.preset, make=self.config.versions)}".strip()

    def source(self, video: str) -> str:
        """What a video's sources look like from outside; a touch is no change."""
        if self.is_drawn:
            return self.drawing
        return self._once("source", video, make=self._looked_at)

    def _looked_at(self, video: str) -> str:
        """How the sources look; where they cannot be looked at, how not: its job says the rest."""
        try:
            return self.split.fingerprint(video)
        except (KitError, OSError) as error:
            return f"unreadable: {error}"

    def length(self, video: str) -> int:
        """About how many frames a video has: the longest go first, to leave none for the end."""
        if self.is_drawn:
            return 0
        return self._outline(video)[0]

    def _outline(self, video: str) -> tuple[int, str]:
        """What the names of a video's files tell; nothing of one that cannot be looked at."""
        if video not in self._outlines:
            try:
                self._outlines[video] = self.split.outline(video)
            except (KitError, OSError):
                self._outlines[video] = 0, ""
        return self._outlines[video]

    def _once(self, kind: str, *words: str, make: Callable[..., str]) -> str:
        if (kind, *words) not in self._known:
            self._known[kind, *words] = make(*words)
        return self._known[kind, *words]

    @cached_property
    def drawing(self) -> str:
        """What the drawing of one video depends on."""
        return canonical_json({k: v for k, v in (self._drawn or {}).items() if k != "videos"})

    @property
    def report(self) -> str:
        """The page about all recipes."""
        return f"{self.work}/report/{self.config.values['split']}.html"

    @property
    def note(self) -> str:
        """What readers of the report must know first."""
        tiny = any(m.get("source") == "tiny" for m in self.config.values["models"].values())
        return NOTE if tiny and not self.is_drawn else ""

    # --- flags -----------------------------------------------------------------------------------

    def sources(self, video: str) -> str:
        """Flags by which `kit frames` finds a video and what the meta file says of it."""
        meta = f"meta/{video}.json" if self.is_drawn else self.split.meta
        named: dict[str, object] = {"root": self.split.root, "images": self.split.images,
                                    "annotations": self.split.annotations}  # fmt: skip
        if meta:
            named["meta"] = meta
        if self.is_packed and not self.is_drawn and self._outline(video)[1]:
            named["names"] = "numbers"  # refused now, not when all is tracked
        return _flags(named)

    def first_pass(self, part: Part, video: str) -> str:
        """Flags that name the first pass which a part reads; none if it reads none."""
        found = [(n, b) for n, b in layers.needs(part) if n in ("first_masks", "first_anchors")]
        return _flags({name: self.files(below, [video])[0] for name, below in found})

    def folders(self, part: Part) -> str:
        """Flags that name the folders which a part about all videos reads."""
        return _flags({n: self.folder(below) for n, below in layers.needs(part)})

    def folder(self, part: Part) -> str:
        """Folder of a part's files."""
        return layers.folder(self.work, part.layer.name, part.key)

    def folder_of(self, part: Part, name: str) -> str:
        """Folder of what a part reads under this name."""
        return self.folder(dict(layers.needs(part))[name])


def alias(name: str) -> str:
    """What files are called of a video that is refused for its name: the name, if they can be."""
    plain = name.encode("utf-8", "replace").decode()
    if plain == name and len(name.encode()) <= MAX_BYTES:
        return name
    return f"{plain[:40]}-{sha256(os.fsencode(name))[:8]}"


@cache
def version_of(stage: str, *depends: tuple[str, str]) -> str:
    """The `VERSION` of a stage, and of modules that it depends on, as (family, name)."""
    every = (("stages", stage), *depends)
    return " ".join(f"{name}={plugins.version(family, name)}" for family, name in every)


def _flags(values: Mapping[str, object]) -> str:
    """Command-line flags with their values, safe for the shell."""
    pairs = (f"--{k.replace('_', '-')} {shlex.quote(str(v))}" for k, v in values.items())
    return " ".join(pairs)
