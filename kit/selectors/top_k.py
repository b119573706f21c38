"""The re-prompting paper's rule: the most similar candidates, far enough apart in time.

Source: Re-Prompting SAM 3 via Object Retrieval (arXiv 2603.23788), sections 3.2 and 4.1: score =
maximum cosine over the pool of transformed views; keep the top three, and one only among temporal
neighbours. The paper leaves open how near "neighbouring" is, and whether the first frame counts as
a neighbour; both are settings here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.core.types import Anchor, Candidate, Features, Rejected, Selection, Video

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's where it gives a number."""

    top_k: int = 3  # anchors per object beside the given mask
    min_gap: int = 8  # frames; nearer than this to a better anchor is a redundant neighbour
    min_score: float = -1.0  # cosine a candidate must reach; -1 lets every one through
    suppress_given: bool = True  # the given frame has neighbours too


@dataclass(frozen=True)
class Best:
    """The most similar candidate of one frame.

    Attributes:
        index: Of the frame, in time.
        candidate: The region.
        score: Maximum cosine over the pool.
        view: Row of the pool that reached it.
        margin: Lead over the frame's second best; None if it stands alone.
    """

    index: int
    candidate: Candidate
    score: float
    view: int
    margin: float | None


def select(
    video: Video, candidates: Sequence[Candidate], features: Features, config: Config
) -> Selection:
    """Rank each frame's best candidate and keep the top ones that are no temporal neighbours."""
    anchors: list[Anchor] = []
    rejected: list[Rejected] = []
    for target in video.objects:
        rows = [i for i, c in enumerate(candidates) if c.object_id == target.id]
        pool = features.pools[target.id]
        similarity = features.candidates[rows] @ pool.T
        best = best_per_frame(video, [candidates[i] for i in rows], similarity)
        given = [video.index(target.first_frame)] if config.suppress_given else []
        _choose(video, best, given, config, anchors, rejected)
    return Selection(anchors, rejected)


def best_per_frame(
    video: Video, candidates: Sequence[Candidate], similarity: NDArray[np.float32]
) -> list[Best]:
    """The best candidate of each frame, most similar first; ties go to the earlier frame.

    Args:
        video: For the order of frames.
        candidates: N regions sought for one object.
        similarity: `float32[N, V]`, cosine of each with each view of the pool.
    """
    of_frame: dict[str, list[int]] = {}
    for row, candidate in enumerate(candidates):
        of_frame.setdefault(candidate.frame, []).append(row)
    scores = similarity.max(1, initial=-1.0)
    best = []
    for frame, rows in of_frame.items():
        first, *others = sorted(rows, key=lambda row: (-scores[row], row))
        margin = float(scores[first] - scores[others[0]]) if others else None
        view = int(similarity[first].argmax())
        best.append(Best(video.index(frame), candidates[first], float(scores[first]), view, margin))
    return sorted(best, key=lambda b: (-b.score, b.index))


def _choose(
    video: Video,
    best: Sequence[Best],
    given: Sequence[int],
    config: Config,
    anchors: list[Anchor],
    rejected: list[Rejected],
) -> None:
    taken = list(given)
    budget = config.top_k
    for rank, row in enumerate(best, 1):
        near = [i for i in taken if abs(i - row.index) < config.min_gap]
        why = "".join(_objections(video, row, near, budget, config))
        region = row.candidate
        if why:
            rejected.append(Rejected(region.frame, region.object_id, row.score, why))
            continue
        reason = f"rank {rank} of {len(best)} frames, most like view {row.view} of the first mask"
        anchors.append(
            Anchor(region.frame, region.object_id, region.rle, row.score, row.margin, reason)
        )
        taken.append(row.index)
        budget -= 1


def _objections(
    video: Video, row: Best, near: Sequence[int], budget: int, config: Config
) -> Iterator[str]:
    """Why not; without any number of the settings, which must not leak into the decision file."""
    if row.score < config.min_score:
        yield "not similar enough"
    elif near:
        yield f"neighbour of {video.frames[near[0]]}, which is more similar"
    elif budget <= 0:
        yield "less similar than the chosen ones"
