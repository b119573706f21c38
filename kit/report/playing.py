"""One object made ready to be played: its frames, and the outlines of what every recipe found."""

from collections.abc import Sequence

import numpy as np

from kit.core import images, label_maps, masks
from kit.core.labels import Labels
from kit.core.masks import Mask
from kit.core.types import Anchor, Video
from kit.report import choice, events, pictures
from kit.report.content import Entry, Line, Player, Recipe
from kit.report.gather import Found, Work

PLAYED = 240  # frames of a player at most; of longer videos they are evenly spread
Curve = list[float | None]


def player(work: Work, entry: Entry) -> Player:
    """Read and outline one object."""
    video = work.video(entry.video)
    found = {recipe.name: work.found(recipe, video) for recipe in work.recipes}
    target = next(o for o in video.objects if o.id == entry.object_id)
    given = video.index(target.first_frame)
    places = shown(video, entry, given)
    scale = pictures.scale_of(video.shape)
    anchors = {name: _anchors(video, o.anchors, places) for name, o in entry.outcomes.items()}
    whole = {name: curve(video, one, target.id) for name, one in found.items()}
    curves = {name: [line[i] for i in places] for name, line in whole.items()}
    truth = [_truth(video, i, target.id) for i in places] if work.scored else None
    there = None if truth is None else [bool(mask.any()) for mask in truth]
    given_mask = images.first_mask(video, target)
    lines = [
        Line(
            recipe.name,
            _outlines(work, recipe, video, target.id, places, scale),
            curves[recipe.name],
            {place: _outline(video, anchor, scale) for place, anchor in anchors[recipe.name]},
        )
        for recipe in work.recipes
    ]
    marked = [place for some in anchors.values() for place, _ in some]
    height, width = (max(1, round(side * scale)) for side in video.shape)
    return Player(
        entry=entry,
        size=(height, width),
        frames=[video.frames[i] for i in places],
        given=places.index(given),
        outline=pictures.outline(given_mask, scale),
        truth=None if truth is None else [pictures.outline(mask, scale) for mask in truth],
        lines=lines,
        events=events.of_object(places.index(given), there, curves, marked),
    )


def shown(video: Video, entry: Entry, given: int) -> list[int]:
    """Indices of the frames of a player: all of a short video, always the given and the anchors."""
    marked = {video.index(a.frame) for o in entry.outcomes.values() for a in o.anchors}
    return sorted({given, *marked, *choice.samples(len(video.frames), PLAYED)})


def curve(video: Video, found: Found, object_id: int) -> Curve:
    """J on every frame, else the predicted IoU where the object was held present."""
    line: Curve = [None] * len(video.frames)
    places = {frame: index for index, frame in enumerate(video.frames)}
    if found.scores is None:
        for frame, state in found.notes.states[object_id].items():
            line[places[frame]] = state.iou if state.presence > 0 else 0.0
    else:
        values = found.scores.objects[object_id].j
        # A video of fewer than three frames is not scored frame by frame.
        for frame, value in zip(found.scores.frames, values, strict=False):
            line[places[frame]] = value
    return line


def _anchors(
    video: Video, anchors: Sequence[Anchor], places: Sequence[int]
) -> list[tuple[int, Anchor]]:
    return [(places.index(video.index(a.frame)), a) for a in anchors]


def _truth(video: Video, index: int, object_id: int) -> Mask:
    labels = label_maps.read_labels(video.annotation(video.frames[index]), video.shape)
    return np.asarray(labels == object_id)


def _outlines(
    work: Work,
    recipe: Recipe,
    video: Video,
    object_id: int,
    places: Sequence[int],
    scale: float,
) -> list[str]:
    labels = Labels(work.path("masks", recipe.path, video.name), video)
    return [pictures.outline(labels[video.frames[i]] == object_id, scale) for i in places]


def _outline(video: Video, anchor: Anchor, scale: float) -> str:
    return pictures.outline(masks.decode_rle(anchor.rle, *video.shape), scale)
