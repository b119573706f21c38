"""The artifacts of a split, read for its page; each only if it was made from those beside it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kit import layers
from kit.core import artifacts, broken, files
from kit.core.audits import Audited, read_audit
from kit.core.errors import ArtifactError
from kit.core.files import sha256
from kit.core.mask_archive import read_masks
from kit.core.scored import Measures, ObjectScores, VideoScores, read_measures, read_scores
from kit.core.types import MaskNotes, Selection, Video
from kit.metrics import analysis, failures, mining, objects
from kit.metrics.report import percent
from kit.report import choice
from kit.report.content import Entry, Outcome, Overview, Recipe, Scores


@dataclass(frozen=True)
class Found:
    """What one recipe left of one video.

    Attributes:
        selection: The anchors.
        notes: What is noted beside the masks.
        scores: None without ground truth.
    """

    selection: Selection
    notes: MaskNotes
    scores: VideoScores | None


class Work:
    """The folder of a split's artifacts."""

    def __init__(self, root: Path, recipes: Sequence[Recipe], videos: Sequence[str]) -> None:
        self.root, self.recipes = root, recipes
        found = {name: broken.first(self._files(name)) for name in videos}
        self.missing = {name: record for name, record in found.items() if record is not None}
        self.videos = [name for name in videos if name not in self.missing]
        scores = (self.path("scores", r.path, v) for r in recipes for v in self.videos)
        self.scored = any(path.exists() for path in scores)  # one is enough to demand them all

    def _files(self, video: str) -> Iterator[Path]:
        """Everything that is read of a video: where one recipe lost it, it is left out for all."""
        yield self.path("frames", "", video)
        for recipe in self.recipes:
            yield self.path("anchors", recipe.mining, video)
            yield self.path("masks", recipe.path, video)
            yield self.path("scores", recipe.path, video)
            yield self.path("audits", recipe.mining, video)

    def overview(self, split: str, limit: int) -> Overview:
        """Everything but the pictures, one video after the other.

        Args:
            split: Its name.
            limit: Objects that get a player, at most.
        """
        entries: list[Entry] = []
        frames = 0
        contested: dict[str, dict[str, int]] = {r.name: {} for r in self.recipes}
        measured: dict[str, dict[str, Measures]] = {r.name: {} for r in self.recipes}
        for name in self.videos:
            video = self.video(name)
            frames += len(video.frames)
            found = {recipe.name: self.found(recipe, video) for recipe in self.recipes}
            for recipe, one in found.items():
                contested[recipe][name] = sum(one.notes.contested.values())
                for i, result in one.scores.objects.items() if one.scores else ():
                    measured[recipe][f"{name}_{i}"] = result.measures
            entries += [_entry(video, target.id, found) for target in video.objects]
        scored = [r for r in self.recipes if self.scored]
        return Overview(
            split=split,
            recipes=self.recipes,
            videos=len(self.videos),
            frames=frames,
            entries=entries,
            contested=contested,
            totals={r.name: self._totals(r, measured[r.name]) for r in scored},
            shown=choice.objects(entries, limit),
            audits={r.name: a for r in self.recipes if (a := self._audit(r)) is not None},
            intervals={r.name: _intervals(measured[r.name]) for r in scored},
            missing={name: f"{one.stage}: {one.why}" for name, one in self.missing.items()},
        )

    def video(self, name: str) -> Video:
        """The index of a video."""
        return artifacts.read_video(self.path("frames", "", name))

    def path(self, layer: str, key: str, video: str = "") -> Path:
        """Where an artifact lies: of a layer, by the part of a recipe that names it."""
        return Path(layers.file(str(self.root), layer, key, video))

    def found(self, recipe: Recipe, video: Video) -> Found:
        """Anchors, masks and scores of one video, each checked against what it was made from."""
        anchors = self.path("anchors", recipe.mining, video.name)
        zipped = self.path("masks", recipe.path, video.name)
        selection = artifacts.read_anchors(anchors, video, {"video": video.digest})
        made_of = {"video": video.digest, "anchors": sha256(anchors)}
        notes = read_masks(zipped, video, made_of)
        if not self.scored:
            return Found(selection, notes, None)
        made_of = {"video": video.digest, "masks": sha256(zipped)}
        path = self.path("scores", recipe.path, video.name)
        ids = [o.id for o in video.objects]
        return Found(selection, notes, read_scores(path, video.name, ids, made_of))

    def _audit(self, recipe: Recipe) -> dict[str, Any] | None:
        """What the ground truth says of a recipe's candidates and anchors, if it mines any."""
        audits = [self.path("audits", recipe.mining, name) for name in self.videos]
        if not (audits and self.scored and audits[0].parent.is_dir()):
            return None
        found: list[Audited] = []
        for name, path in zip(self.videos, audits, strict=True):
            video, anchors = self.video(name), self.path("anchors", recipe.mining, name)
            made_of = {"video": video.digest, "anchors": sha256(anchors)}
            found += read_audit(path, video, made_of).values()
        return mining.summary(found)

    def _totals(self, recipe: Recipe, measured: Mapping[str, Measures]) -> Scores:
        """The official numbers; where they were published already, they must be the same."""
        path = self.path("results", recipe.name)
        if path.is_file():
            published = read_measures(path)
            other = [k for k in measured if k in published and published[k] != measured[k]]
            if other:
                raise ArtifactError(
                    f"{path}: other numbers for {other[0]} than in its scores. "
                    "An earlier run failed half-way. " + files.rebuild_hint(path)
                )
        return in_percent(objects.aggregate(measured.values()))


def _entry(video: Video, object_id: int, found: Mapping[str, Found]) -> Entry:
    outcomes = {name: _outcome(one, object_id) for name, one in found.items()}
    return Entry(video.name, object_id, len(video.frames), len(video.objects), outcomes)


def _outcome(found: Found, object_id: int) -> Outcome:
    states = found.notes.states[object_id].values()
    sure = [state.iou for state in states if state.presence > 0]
    reasons = (r.reason for r in found.selection.rejected if r.object_id == object_id)
    curves = found.scores.objects[object_id] if found.scores else None
    return Outcome(
        anchors=[a for a in found.selection.anchors if a.object_id == object_id],
        rejected=Counter(re.sub(r"\d+(\.\d+)?", "…", reason) for reason in reasons),
        absent=sum(state.presence <= 0 for state in states),
        confidence=_percent(float(np.mean(sure)) if sure else None),
        scores=in_percent(objects.aggregate([curves.measures])) if curves else None,
        failure=_failure(curves) if curves else None,
        curves=curves,
    )


def _failure(curves: ObjectScores) -> str:
    pixels = (np.array(n, dtype=np.int64) for n in (curves.truth, curves.mask, curves.shared))
    return failures.classify(failures.Course(*pixels))


def _intervals(measured: Mapping[str, Measures]) -> dict[str, tuple[float, float]]:
    """95 % intervals of the set's numbers, in percent; none for a single video."""
    if len({analysis.video_of(name) for name in measured}) < 2:
        return {}
    found = analysis.intervals(measured)
    return {
        key: (percent(one.low), percent(one.high))
        for key, one in found.items()
        if one.low is not None and one.high is not None
    }


def in_percent(measures: Mapping[str, float | None]) -> Scores:
    """Shares as the official scorer prints them."""
    return {key: _percent(value) for key, value in measures.items()}


def _percent(value: float | None) -> float | None:
    return None if value is None else percent(value)
