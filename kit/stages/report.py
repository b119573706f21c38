"""Show what the recipes did: one page with results, strips of frames and reasons.

Reads indices, anchors, masks and, where there is ground truth, scores of all videos; checks that
each was made from the ones that lie there now, so that the page never shows a stale picture.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kit import layers
from kit.core import artifacts, files, images, label_maps, masks
from kit.core.audits import Audited, read_audit
from kit.core.errors import ArtifactError
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import read_masks
from kit.core.scored import Measures, VideoScores, read_measures, read_scores
from kit.core.types import Anchor, MaskNotes, Selection, Video
from kit.metrics import mining, objects
from kit.metrics.report import percent
from kit.report import choice, page, pictures
from kit.report.content import Card, Entry, Outcome, Overview, Recipe, Row, Scores, Shot, Timeline

VERSION = 4
SHOTS = 8  # frames of a strip
SAMPLES = 600  # frames looked at for the bars over time; a bar has no more pixels to show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--work", type=Path, required=True, help="folder of the split's artifacts")
    parser.add_argument("--split", required=True, help="name of the split, for the title")
    parser.add_argument(
        "--recipes", type=json.loads, required=True, help='JSON, {"name": ["path", "mining"], ...}'
    )
    parser.add_argument(
        "--videos", nargs="+", action="extend", required=True, help="names of the videos"
    )
    parser.add_argument(
        "--strips", type=int, default=40, help="objects shown in pictures (%(default)s)"
    )
    parser.add_argument("--note", default="", help="what readers must know first")
    parser.add_argument("--output", type=Path, required=True, help="page to write (.html)")


def run(args: argparse.Namespace) -> None:
    """Write the page, the pictures of one object after the other."""
    recipes = [Recipe(name, path, mining) for name, (path, mining) in args.recipes.items()]
    # What mines least is what the others are compared with, in whichever order JSON brought them.
    recipes.sort(key=lambda recipe: recipe.path.count("."))
    work = Work(args.work, recipes, sorted(args.videos))
    overview = replace(work.overview(args.split, args.strips), note=args.note)
    with files.replacing(args.output) as stream:
        for part in page.render(overview, map(work.card, overview.shown)):
            stream.write(part.encode("utf-8", "replace"))
        size = stream.tell()
    print(f"{args.output}: {len(overview.shown)} of {len(overview.entries)} objects, "
          f"{size / 1e6:.1f} MB")  # fmt: skip


Curve = list[float | None]


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
    """The artifacts of a split, each read only if it was made from those it lies beside."""

    def __init__(self, root: Path, recipes: Sequence[Recipe], videos: Sequence[str]) -> None:
        self.root, self.recipes, self.videos = root, recipes, videos
        scores = (self._path("scores", r.path, v) for r in recipes for v in videos)
        self.scored = any(path.exists() for path in scores)  # one is enough to demand them all

    def overview(self, split: str, strips: int) -> Overview:
        """Everything but the pictures, one video after the other."""
        entries: list[Entry] = []
        frames = 0
        contested: dict[str, dict[str, int]] = {r.name: {} for r in self.recipes}
        measured: dict[str, dict[str, Measures]] = {r.name: {} for r in self.recipes}
        for name in self.videos:
            video = self._video(name)
            frames += len(video.frames)
            found = {recipe.name: self._found(recipe, video) for recipe in self.recipes}
            for recipe, one in found.items():
                contested[recipe][name] = sum(one.notes.contested.values())
                for i, result in one.scores.objects.items() if one.scores else ():
                    measured[recipe][f"{name}_{i}"] = result.measures
            entries += [_entry(video, target.id, found) for target in video.objects]
        totals = {r.name: self._totals(r, measured[r.name]) for r in self.recipes if self.scored}
        shown = choice.objects(entries, strips)
        audits = {r.name: a for r in self.recipes if (a := self._audit(r)) is not None}
        return Overview(
            split, self.recipes, len(self.videos), frames, entries, contested, totals, shown, audits
        )

    def _audit(self, recipe: Recipe) -> dict[str, Any] | None:
        """What the ground truth says of a recipe's candidates and anchors, if it mines any."""
        audits = [self._path("audits", recipe.mining, name) for name in self.videos]
        if not (self.scored and audits[0].parent.is_dir()):
            return None
        found: list[Audited] = []
        for name, path in zip(self.videos, audits, strict=True):
            video, anchors = self._video(name), self._path("anchors", recipe.mining, name)
            made_of = {"video": video.digest, "anchors": sha256(anchors)}
            found += read_audit(path, video, made_of).values()
        return mining.summary(found)

    def card(self, entry: Entry) -> Card:
        """One object with its pictures."""
        video = self._video(entry.video)
        target = next(o for o in video.objects if o.id == entry.object_id)
        given = video.index(target.first_frame)
        marks = {a.frame: a for o in entry.outcomes.values() for a in o.anchors}
        pairs = [(video.index(frame), anchor) for frame, anchor in marks.items()]
        found = {recipe: self._found(recipe, video) for recipe in self.recipes}
        curves = {recipe: _curve(video, found[recipe], target.id) for recipe in self.recipes}
        indices = choice.frames(len(video.frames), given, pairs, curves.values(), SHOTS)
        sampled = choice.samples(len(video.frames), SAMPLES)
        scale = pictures.scale_of(video.shape)
        truth = {i: _mask(video, i, target.id) for i in indices} if self.scored else {}
        there = [bool(_mask(video, i, target.id).any()) for i in sampled] if self.scored else None
        shots = [_shot(video, i, truth.get(i), scale) for i in indices]
        view = _View(video, target.id, indices, sampled, there, scale)
        rows = [self._row(recipe, entry, view, curves[recipe]) for recipe in self.recipes]
        height, width = (max(1, round(side * scale)) for side in video.shape)
        return Card(entry, given, (height, width), shots, rows)

    def _row(self, recipe: Recipe, entry: Entry, view: "_View", curve: Curve) -> Row:
        video = view.video
        outlines, there = _predicted(self._path("masks", recipe.path, video.name), view)
        anchors = entry.outcomes[recipe.name].anchors
        return Row(
            recipe=recipe.name,
            outlines=outlines,
            values=[_percent(curve[i]) if self.scored else None for i in view.indices],
            anchors={a.frame: _outline_of(a, view) for a in anchors
                     if video.index(a.frame) in view.indices},
            ticks=[video.index(a.frame) for a in anchors],
            timeline=Timeline(view.sampled, there, view.truth, [curve[i] for i in view.sampled]),
        )  # fmt: skip

    def _found(self, recipe: Recipe, video: Video) -> Found:
        """Anchors, masks and scores of one video, each checked against what it was made from."""
        anchors = self._path("anchors", recipe.mining, video.name)
        zipped = self._path("masks", recipe.path, video.name)
        selection = artifacts.read_anchors(anchors, video, {"video": video.digest})
        made_of = {"video": video.digest, "anchors": sha256(anchors)}
        notes = read_masks(zipped, video, made_of)
        if not self.scored:
            return Found(selection, notes, None)
        made_of = {"video": video.digest, "masks": sha256(zipped)}
        path = self._path("scores", recipe.path, video.name)
        ids = [o.id for o in video.objects]
        return Found(selection, notes, read_scores(path, video.name, ids, made_of))

    def _totals(self, recipe: Recipe, measured: Mapping[str, Measures]) -> Scores:
        """The official numbers; where they were published already, they must be the same."""
        path = self._path("results", recipe.name)
        if path.is_file():
            published = read_measures(path)
            other = [k for k in measured if k in published and published[k] != measured[k]]
            if other:
                raise ArtifactError(
                    f"{path}: other numbers for {other[0]} than in its scores. "
                    "An earlier run failed half-way. " + files.rebuild_hint(path)
                )
        return _in_percent(objects.aggregate(measured.values()))

    def _video(self, name: str) -> Video:
        return artifacts.read_video(self._path("frames", "", name))

    def _path(self, layer: str, key: str, video: str = "") -> Path:
        return Path(layers.file(str(self.root), layer, key, video))


@dataclass(frozen=True)
class _View:
    """Which frames of which object are looked at."""

    video: Video
    object_id: int
    indices: Sequence[int]  # for the pictures
    sampled: Sequence[int]  # for the bars over time
    truth: Sequence[bool] | None  # on the sampled ones
    scale: float


def _entry(video: Video, object_id: int, found: Mapping[str, Found]) -> Entry:
    outcomes = {name: _outcome(one, object_id) for name, one in found.items()}
    return Entry(video.name, object_id, len(video.frames), outcomes)


def _outcome(found: Found, object_id: int) -> Outcome:
    states = found.notes.states[object_id].values()
    sure = [state.iou for state in states if state.presence > 0]
    reasons = (r.reason for r in found.selection.rejected if r.object_id == object_id)
    measures = found.scores and found.scores.objects[object_id].measures
    return Outcome(
        anchors=[a for a in found.selection.anchors if a.object_id == object_id],
        rejected=Counter(re.sub(r"\d+(\.\d+)?", "…", reason) for reason in reasons),
        absent=sum(state.presence <= 0 for state in states),
        confidence=_percent(float(np.mean(sure)) if sure else None),
        scores=_in_percent(objects.aggregate([measures])) if measures else None,
    )


def _in_percent(measures: Mapping[str, float | None]) -> Scores:
    return {key: _percent(value) for key, value in measures.items()}


def _percent(value: float | None) -> float | None:
    return None if value is None else percent(value)


def _shot(video: Video, index: int, truth: masks.Mask | None, scale: float) -> Shot:
    frame = video.frames[index]
    picture = pictures.jpeg(images.Frames(video)[index])
    outline = None if truth is None else pictures.outline(truth, scale)
    return Shot(frame, index, picture, outline)


def _mask(video: Video, index: int, object_id: int) -> masks.Mask:
    """The true mask."""
    labels = label_maps.read_labels(video.annotation(video.frames[index]))
    return np.asarray(labels == object_id)


def _predicted(path: Path, view: _View) -> tuple[list[str], list[bool]]:
    """Outlines on the frames of the strip, presence on the sampled ones."""
    outlines, there = {}, {}
    labels = Labels(path, view.video)
    for index in sorted({*view.indices, *view.sampled}):
        mask = labels[view.video.frames[index]] == view.object_id
        there[index] = bool(mask.any())
        if index in view.indices:
            outlines[index] = pictures.outline(mask, view.scale)
    return [outlines[i] for i in view.indices], [there[i] for i in view.sampled]


def _curve(video: Video, found: Found, object_id: int) -> Curve:
    """J on every frame, else the predicted IoU where the object was held present."""
    curve: Curve = [None] * len(video.frames)
    places = {frame: index for index, frame in enumerate(video.frames)}
    if found.scores is None:
        for frame, state in found.notes.states[object_id].items():
            curve[places[frame]] = state.iou if state.presence > 0 else 0.0
    else:
        values = found.scores.objects[object_id].j
        # A video of fewer than three frames is not scored frame by frame.
        for frame, value in zip(found.scores.frames, values, strict=False):
            curve[places[frame]] = value
    return curve


def _outline_of(anchor: Anchor, view: _View) -> str:
    return pictures.outline(masks.decode_rle(anchor.rle, *view.video.shape), view.scale)
