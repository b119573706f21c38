"""The re-prompting paper's rule: the most similar candidates, far enough apart in time.

Source: Re-Prompting SAM 3 via Object Retrieval (arXiv 2603.23788), sections 3.2 and 4.1: score =
maximum cosine over the pool of transformed views; keep the top three, and one only among temporal
neighbours. The paper leaves open how near "neighbouring" is, and whether the first frame counts as
a neighbour; both are settings here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.core.types import Anchor, Candidate, Features, Rejected, Selection, Video, VideoObject

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
    """The best candidate of one frame.

    Attributes:
        index: Of the frame, in time.
        row: Of the candidate among those that were compared.
        candidate: The region.
        score: Maximum cosine over the pool.
        lead: What frames are ranked by: the score, less what speaks against the candidate.
        view: Row of the pool that reached the score.
        margin: How far its lead exceeds that of the frame's second best; None if it stands alone.
    """

    index: int
    row: int
    candidate: Candidate
    score: float
    lead: float
    view: int
    margin: float | None


def select(
    video: Video, candidates: Sequence[Candidate], features: Features, config: Config
) -> Selection:
    """Rank each frame's best candidate and keep the top ones that are no temporal neighbours."""
    chosen = Selection([], [])
    for target in video.objects:
        rows = sought(candidates, target)
        similarity = features.candidates[rows] @ features.pools[target.id].T
        best = best_per_frame(video, [candidates[i] for i in rows], similarity)
        given = [video.index(target.first_frame)] if config.suppress_given else []
        weak = [_too_weak(row, config.min_score) for row in best]
        found = spread(video, best, weak, given, config.top_k, config.min_gap, _reason)
        chosen = Selection([*chosen.anchors, *found.anchors], [*chosen.rejected, *found.rejected])
    return chosen


def sought(candidates: Sequence[Candidate], target: VideoObject) -> list[int]:
    """Rows of the regions that may be the target: on its own first frame none of them is."""
    return [
        row
        for row, candidate in enumerate(candidates)
        if candidate.object_id == target.id and candidate.frame != target.first_frame
    ]


def best_per_frame(
    video: Video,
    candidates: Sequence[Candidate],
    similarity: NDArray[np.float32],
    against: NDArray[np.float32] | float = 0.0,
) -> list[Best]:
    """The best candidate of each frame, greatest lead first; ties go to the earlier frame.

    Args:
        video: For the order of frames.
        candidates: N regions sought for one object.
        similarity: `float32[N, V]`, cosine of each with each view of the pool.
        against: `float32[N]`, subtracted from each score to give its lead.
    """
    of_frame: dict[str, list[int]] = {}
    for row, candidate in enumerate(candidates):
        of_frame.setdefault(candidate.frame, []).append(row)
    scores = similarity.max(1, initial=-1.0)
    leads = scores - against
    best = []
    for frame, rows in of_frame.items():
        first, *others = sorted(rows, key=lambda row: (-leads[row], row))
        margin = float(leads[first] - leads[others[0]]) if others else None
        view = int(similarity[first].argmax())
        score, lead = float(scores[first]), float(leads[first])
        best.append(Best(video.index(frame), first, candidates[first], score, lead, view, margin))
    return sorted(best, key=lambda b: (-b.lead, b.index))


def spread(
    video: Video,
    best: Sequence[Best],
    weak: Sequence[str | None],
    given: Sequence[int],
    top_k: int,
    min_gap: int,
    reason: Callable[[Best], str],
) -> Selection:
    """Take candidates from the best on, none within `min_gap` frames of one taken before.

    Args:
        video: For the names of frames.
        best: Ranked candidates of different frames.
        weak: Per candidate why it must not be taken, None if it may. As all that is said of the
            rejected, without a number of the settings, which must not leak into the decision file.
        given: Indices of frames that count as taken from the start.
        top_k: How many are taken at most.
        min_gap: In frames.
        reason: Says of a taken candidate what it was taken for, beside its rank.
    """
    taken = list(given)
    anchors: list[Anchor] = []
    rejected: list[Rejected] = []
    for rank, (row, objection) in enumerate(zip(best, weak, strict=True), 1):
        near = [i for i in taken if abs(i - row.index) < min_gap]
        if objection is None and near:
            objection = f"neighbour of {video.frames[near[0]]}, which is more similar"
        elif objection is None and len(anchors) >= top_k:
            objection = "less similar than the chosen ones"
        region = row.candidate
        if objection is not None:
            rejected.append(Rejected(region.frame, region.object_id, row.score, objection))
            continue
        why = f"rank {rank} of {len(best)} frames, {reason(row)}"
        anchors.append(
            Anchor(region.frame, region.object_id, region.rle, row.score, row.margin, why)
        )
        taken.append(row.index)
    return Selection(anchors, rejected)


def _too_weak(row: Best, min_score: float) -> str | None:
    return "not similar enough" if row.score < min_score else None


def _reason(row: Best) -> str:
    return f"most like view {row.view} of the first mask"
