"""Anchors by their lead: how much more a candidate looks like the target than like a distractor.

`top_k` with another ranking and another answer to look-alikes. Distractors of a target are

- the other objects of the video, by the pools of their first masks;
- candidates that stand beside the target on frames where it is known which region it is: on its own
  first frame, where a detector was told to look there (`look_alikes` of the detectors); after a
  first pass, also where that one is sure of it, and on the frames of its anchors.

A target without distractors is chosen for as by `top_k`. Whether the lead helps on real videos is
not measured; the idea is that of hard negatives (public MOSEv2 reports name same-class look-alikes
as what wrong anchors sit on).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from kit.core.limits import Above, Cosine, Positive, Range, Share
from kit.core.masks import encode_rle, nested
from kit.core.types import Evidence, FirstPass, Selection, Video, VideoObject
from kit.selectors.top_k import Best, Ranking, Room, best_per_frame, joined, like, sought, spread

VERSION = 2  # also to be raised where what it shares with `top_k` changes


@dataclass(frozen=True)
class Thresholds:
    """What a candidate must reach, and who counts as its rival."""

    min_gap: Positive = 8  # frames; nearer than this to a better anchor is a redundant neighbour
    min_score: Cosine = -1.0  # cosine with the target that a candidate must reach
    # lead over the nearest distractor that a candidate must reach
    min_margin: Annotated[float, Range(-2, 2)] = 0.0
    # a lead in proportion: distance to the target over distance to the nearest distractor, at most
    # (1 - cosine each; Lowe's ratio test, IJCV 2004, section 7.1: 0.8); null leaves it out
    max_ratio: Annotated[float, Above(0)] | None = None
    sure_iou: Share = 0.8  # IoU that a first pass must predict to be believed
    until_lost: bool = False  # and only up to where it first lost the object


@dataclass(frozen=True)
class Config(Thresholds):
    """The others mean what they mean in `top_k`."""

    top_k: Annotated[int, Range(0, 100)] = 3  # anchors per object beside the given mask, at most
    suppress_given: bool = True  # the given frame has neighbours too


@dataclass(frozen=True)
class Distractors:
    """Whom a target may be mistaken for.

    Attributes:
        rows: `float32[M, D]`, unit features.
        names: M phrases for people.
    """

    rows: NDArray[np.float32]
    names: Sequence[str]


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """Rank each frame's best candidate by its lead over the distractors; maybe take none."""
    evidence, chosen = believed(video, evidence, config), []
    for target in video.objects:
        given = [video.index(target.first_frame)] if config.suppress_given else []
        room = Room(config.top_k, config.min_gap, given)
        chosen.append(spread(video, rank(video, target, evidence, config), room))
    return joined(chosen)


def believed(video: Video, evidence: Evidence, config: Thresholds) -> Evidence:
    """The evidence, with what may be believed of its first pass."""
    if evidence.first is None or not config.until_lost:
        return evidence
    return replace(evidence, first=evidence.first.until_lost(video))


def rank(
    video: Video,
    target: VideoObject,
    evidence: Evidence,
    config: Thresholds,
    frames: Collection[str] | None = None,
) -> Ranking:
    """Candidates of one target by their lead.

    Args:
        video: The index.
        target: The object.
        evidence: Its candidates and what is known beside.
        config: Settings.
        frames: Where to look; None looks everywhere.
    """
    rows = [
        row
        for row in sought(evidence.candidates, target)
        if frames is None or evidence.candidates[row].frame in frames
    ]
    own = evidence.features.candidates[rows]
    distractors = distractors_of(target, evidence, config.sure_iou)
    likeness = own @ distractors.rows.T
    against = likeness.max(1) if distractors.names else 0.0
    similarity = own @ evidence.features.pools[target.id].T
    best = best_per_frame(video, [evidence.candidates[i] for i in rows], similarity, against)

    def rival(row: Best) -> str | None:
        return distractors.names[likeness[row.row].argmax()] if distractors.names else None

    def reason(row: Best) -> str:
        name = rival(row)
        return like(row) if name is None else f"{like(row)}, {row.lead:.4f} more than like {name}"

    return Ranking(best, [_objection(row, rival(row), config) for row in best], reason)


def distractors_of(target: VideoObject, evidence: Evidence, sure_iou: float) -> Distractors:
    """The other objects' pools, then the regions beside the target where it is known."""
    features = evidence.features
    others = {i: pool for i, pool in sorted(features.pools.items()) if i != target.id}
    beside = list(_beside(target, evidence, sure_iou))
    names = [f"object {i}" for i, pool in others.items() for _ in pool]
    names += [
        f"what stands beside the target on {evidence.candidates[row].frame}" for row in beside
    ]
    return Distractors(np.concatenate([*others.values(), features.candidates[beside]]), names)


def _beside(target: VideoObject, evidence: Evidence, sure_iou: float) -> Iterator[int]:
    """Rows of regions that are not the target: it is known to be elsewhere in their frame."""
    by_frame: dict[str, list[int]] = {}
    for row, candidate in enumerate(evidence.candidates):
        if candidate.object_id == target.id:
            by_frame.setdefault(candidate.frame, []).append(row)
    for frame, rows in by_frame.items():
        if frame == target.first_frame:
            yield from rows  # detectors leave the target itself out
            continue
        known = _known(target.id, frame, evidence.first, sure_iou)
        regions = [evidence.candidates[row] for row in rows]
        same = nested([r.rle for r in regions], known, regions[0].shape)
        yield from (row for place, row in enumerate(rows) if known and not same[place].any())


def _known(object_id: int, frame: str, first: FirstPass | None, sure_iou: float) -> list[str]:
    """The target's own region on a frame as run lengths, where a first pass is sure of it."""
    if first is None:
        return []
    anchored = [a.rle for a in first.anchors if (a.object_id, a.frame) == (object_id, frame)]
    if anchored or not first.sure(object_id, frame, sure_iou):
        return anchored
    return [encode_rle(first.mask(object_id, frame))]


def _objection(row: Best, rival: str | None, config: Thresholds) -> str | None:
    if row.score < config.min_score:
        return "not similar enough"
    if rival is None:
        return None
    against = row.score - row.lead
    behind = config.max_ratio is not None and 1 - row.score > config.max_ratio * (1 - against)
    return f"no clear lead over {rival}" if row.lead < config.min_margin or behind else None
