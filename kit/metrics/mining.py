"""What mined evidence is worth, in numbers: candidate recall, anchor precision, distance to gaps.

Knows no files. A region shows an object from an IoU of 0.5 on. A gap is where a first pass has lost
a visible object; without a first pass, where one is expected to: on the frames from the object's
first return after an absence on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.core.audits import Audited, Judged, Sighting
from kit.core.masks import LabelMap, Mask, decode_rle, encode_rle, ious
from kit.core.types import Candidate, Selection, Video

Areas = NDArray[np.int64]

RIGHT = 0.5  # IoU from which a region shows the object
GOOD = 0.75  # IoU from which it shows it well


@dataclass(frozen=True)
class Seen:
    """One object on one frame of the ground truth.

    Attributes:
        visible: Whether it is there.
        lost: Whether the first pass shows it elsewhere or not at all; None without a first pass.
        best: By source, the greatest IoU of a candidate that was sought for it; only where visible.
        anchors: Of each anchor `float64[256]`, its IoU with every id.
    """

    visible: bool
    lost: bool | None
    best: Mapping[str, float]
    anchors: Sequence[NDArray[np.float64]]


def areas_of(labels: LabelMap) -> Areas:
    """Pixels of every id: `int64[256]`."""
    return np.bincount(labels.ravel(), minlength=256)


def overlaps(mask: Mask, labels: LabelMap, areas: Areas) -> NDArray[np.float64]:
    """IoU of a mask with every id of a label map: `float64[256]`, 0 for ids that are not there.

    `areas` is `areas_of(labels)`, counted once for all masks of a frame.
    """
    shared = np.bincount(labels[mask], minlength=256)
    union = areas + int(mask.sum()) - shared
    return np.asarray(np.where(areas > 0, shared / np.maximum(union, 1), 0.0), np.float64)


def expected_gaps(visible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a tracker is expected to have lost an object: visible, and absent at some time before.

    Args:
        visible: `bool[T]`, from the object's first frame on.
    """
    return visible & (np.cumsum(~visible) > 0)


def distance(frame: int, gaps: Iterable[int]) -> int | None:
    """Frames from an anchor to the nearest frame of a gap, 0 inside; None without any."""
    return min((abs(frame - gap) for gap in gaps), default=None)


def recall(
    sightings: Sequence[Sighting], source: str | None = None, gap: bool | None = None
) -> dict[str, Any]:
    """Of the visible object-frames, the share with a candidate that shows the object.

    Frames that a detector was told to skip (`stride`) count: nothing was found there.

    Args:
        sightings: Of any number of objects.
        source: Count the candidates of this one alone; None counts all.
        gap: Look at frames in gaps (True), outside (False), or at all (None).

    Returns:
        `frames`, and `right` (IoU >= 0.5) and `good` (>= 0.75) in 0..1, None without frames.
    """
    looked = [s for s in sightings if gap is None or s.gap == gap]
    best = [
        max((iou for name, iou in s.best.items() if source in (None, name)), default=0.0)
        for s in looked
    ]
    shares = {
        key: sum(iou >= least for iou in best) / len(best) if best else None
        for key, least in (("right", RIGHT), ("good", GOOD))
    }
    return {"frames": len(best), **shares}


def precision(anchors: Sequence[Judged]) -> dict[str, Any]:
    """What the anchors show.

    Returns:
        `anchors`, their number; `right`, the share that shows the target (IoU >= 0.5) and
        `distractor`, the share that shows another labelled object; of their `distances` to the
        nearest gap the `median_distance`. None where there is nothing to say.
    """
    distances = sorted(a.distance for a in anchors if a.distance is not None)
    count = len(anchors)
    return {
        "anchors": count,
        "right": sum(a.target >= RIGHT for a in anchors) / count if count else None,
        "distractor": sum(a.distractor >= RIGHT for a in anchors) / count if count else None,
        "distances": distances,
        "median_distance": float(np.median(distances)) if distances else None,
    }


def summary(objects: Sequence[Audited]) -> dict[str, Any]:
    """Recall by source and by gap, and precision, over all object-frames and anchors alike."""
    sightings = [s for o in objects for s in o.sightings]
    sources = sorted({name for s in sightings for name in s.best})
    return {
        "recall": {
            source or "all": {
                where: recall(sightings, source, gap)
                for where, gap in (("all", None), ("gap", True), ("no gap", False))
            }
            for source in (None, *sources)
        },
        "precision": precision([a for o in objects for a in o.anchors]),
    }


def audit(
    video: Video,
    truth: Iterable[LabelMap],
    candidates: Sequence[Candidate],
    selection: Selection,
    tracked: Iterable[LabelMap] | None = None,
) -> dict[int, Audited]:
    """Compare the evidence of one video with its ground truth, frame by frame.

    Args:
        video: The index.
        truth: A label map per frame, in order.
        candidates: Of all its objects.
        selection: The anchors; what was rejected is not looked at.
        tracked: Label maps of a first pass, if there is one.
    """
    passed = [None] * len(video.frames) if tracked is None else tracked
    by_frame: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_frame.setdefault(candidate.frame, []).append(candidate)
    seen: dict[int, list[Seen]] = {target.id: [] for target in video.objects}
    for frame, labels, drawn in zip(video.frames, truth, passed, strict=True):
        here = by_frame.get(frame, [])
        areas = areas_of(labels)
        anchored = [a for a in selection.anchors if a.frame == frame]
        for target in video.objects:
            lost = None if drawn is None else _lost(drawn, labels, areas, target.id)
            regions = [c for c in here if c.object_id == target.id]
            masks = [decode_rle(a.rle, *video.shape) for a in anchored if a.object_id == target.id]
            seen[target.id].append(observe(target.id, labels, areas, regions, masks, lost))
    return {o.id: conclude(o.id, video.index(o.first_frame), seen[o.id]) for o in video.objects}


def observe(
    object_id: int,
    labels: LabelMap,
    areas: Areas,
    candidates: Sequence[Candidate],
    anchors: Sequence[Mask],
    lost: bool | None,
) -> Seen:
    """What one frame says of one object; see `Seen`."""
    visible = bool(areas[object_id])
    best: dict[str, float] = {}
    if visible and candidates:
        truth = [encode_rle(labels == object_id)]
        found = ious([c.rle for c in candidates], truth, candidates[0].shape)[:, 0]
        for candidate, iou in zip(candidates, found.tolist(), strict=True):
            for name in candidate.source.split("+"):  # a union says who else found a region
                best[name] = max(iou, best.get(name, 0.0))
    return Seen(visible, lost, best, [overlaps(mask, labels, areas) for mask in anchors])


def conclude(object_id: int, first: int, seen: Sequence[Seen]) -> Audited:
    """Put an object's frames together.

    Args:
        object_id: Of the object.
        first: Index of its given frame; it and what comes before are not searched.
        seen: Of all frames.
    """
    visible = np.array([s.visible for s in seen], bool)
    gap = np.zeros(len(seen), bool)
    gap[first:] = expected_gaps(visible[first:])
    if any(s.lost is not None for s in seen):
        gap = visible & np.array([bool(s.lost) for s in seen])
    gap[: first + 1] = False
    gaps = np.flatnonzero(gap).tolist()
    later = range(first + 1, len(seen))
    anchors = []
    for frame, row in enumerate(seen):
        for found in row.anchors:
            others = np.delete(found, [0, object_id])  # background is no object
            target, other = float(found[object_id]), float(others.max())
            anchors.append(Judged(frame, target, other, distance(frame, gaps)))
    return Audited([Sighting(i, bool(gap[i]), seen[i].best) for i in later if visible[i]], anchors)


def _lost(drawn: LabelMap, labels: LabelMap, areas: Areas, object_id: int) -> bool:
    return bool(overlaps(drawn == object_id, labels, areas)[object_id] < RIGHT)
