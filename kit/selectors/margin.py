"""Anchors by their lead: how much more a candidate looks like the target than like a distractor.

`top_k` with another ranking and another answer to look-alikes. Distractors of a target are

- the other objects of the video, by the pools of their first masks;
- what a detector found on the target's own first frame beside the target, where it was told to
  look there (`look_alikes` of the detectors). There, and with the present artifacts only there, it
  is known which regions are not the target.

A target without distractors is chosen for as by `top_k`. Whether the lead helps on real videos is
not measured; the idea is that of hard negatives (public MOSEv2 reports name same-class look-alikes
as what wrong anchors sit on).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.core.types import Candidate, Features, Selection, Video, VideoObject
from kit.selectors.top_k import Best, best_per_frame, sought, spread

VERSION = 1  # also to be raised where what it shares with `top_k` changes


@dataclass(frozen=True)
class Config:
    """The first four mean what they mean in `top_k`."""

    top_k: int = 3  # anchors per object beside the given mask, at most
    min_gap: int = 8  # frames; nearer than this to a better anchor is a redundant neighbour
    min_score: float = -1.0  # cosine with the target that a candidate must reach
    suppress_given: bool = True  # the given frame has neighbours too
    min_margin: float = 0.0  # lead over the nearest distractor that a candidate must reach


@dataclass(frozen=True)
class Distractors:
    """Whom a target may be mistaken for.

    Attributes:
        rows: `float32[M, D]`, unit features.
        names: M phrases for people.
    """

    rows: NDArray[np.float32]
    names: Sequence[str]


def select(
    video: Video, candidates: Sequence[Candidate], features: Features, config: Config
) -> Selection:
    """Rank each frame's best candidate by its lead over the distractors; maybe take none."""
    chosen = Selection([], [])
    for target in video.objects:
        found = _select_one(video, target, candidates, features, config)
        chosen = Selection([*chosen.anchors, *found.anchors], [*chosen.rejected, *found.rejected])
    return chosen


def distractors_of(
    target: VideoObject, candidates: Sequence[Candidate], features: Features
) -> Distractors:
    """The other objects' pools, then the regions beside the target on its first frame."""
    others = {i: pool for i, pool in sorted(features.pools.items()) if i != target.id}
    beside = [
        row
        for row, candidate in enumerate(candidates)
        if candidate.object_id == target.id and candidate.frame == target.first_frame
    ]
    names = [f"object {i}" for i, pool in others.items() for _ in pool]
    names += [f"what stands beside the target on {target.first_frame}"] * len(beside)
    return Distractors(np.concatenate([*others.values(), features.candidates[beside]]), names)


def _select_one(
    video: Video,
    target: VideoObject,
    candidates: Sequence[Candidate],
    features: Features,
    config: Config,
) -> Selection:
    rows = sought(candidates, target)
    own = features.candidates[rows]
    distractors = distractors_of(target, candidates, features)
    likeness = own @ distractors.rows.T
    against = likeness.max(1) if distractors.names else 0.0
    similarity = own @ features.pools[target.id].T
    best = best_per_frame(video, [candidates[i] for i in rows], similarity, against)

    def rival(row: Best) -> str | None:
        return distractors.names[likeness[row.row].argmax()] if distractors.names else None

    weak = [_objection(row, rival(row), config) for row in best]
    given = [video.index(target.first_frame)] if config.suppress_given else []
    return spread(
        video, best, weak, given, config.top_k, config.min_gap, lambda b: _reason(b, rival(b))
    )


def _objection(row: Best, rival: str | None, config: Config) -> str | None:
    if row.score < config.min_score:
        return "not similar enough"
    if rival is not None and row.lead < config.min_margin:
        return f"no clear lead over {rival}"
    return None


def _reason(row: Best, rival: str | None) -> str:
    view = f"most like view {row.view} of the first mask"
    return view if rival is None else f"{view}, {row.lead:.4f} more than like {rival}"
