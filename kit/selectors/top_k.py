"""The re-prompting paper's rule: the most similar candidates, far enough apart in time.

Source: Re-Prompting SAM 3 via Object Retrieval (arXiv 2603.23788), sections 3.2 and 4.1: score =
maximum cosine over the pool of transformed views; keep the top three, and one only among temporal
neighbours. The paper leaves open how near "neighbouring" is, and whether the first frame counts as
a neighbour; both are settings here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from kit.core.limits import Cosine, Positive, Range
from kit.core.types import Anchor, Candidate, Evidence, Rejected, Selection, Video, VideoObject

VERSION = 2


@dataclass(frozen=True)
class Config:
    """Defaults are the paper's where it gives a number."""

    top_k: Annotated[int, Range(0, 100)] = 3  # anchors per object beside the given mask
    min_gap: Positive = 8  # frames; nearer than this to a better anchor is a redundant neighbour
    min_score: Cosine = -1.0  # cosine a candidate must reach; -1 lets every one through
    suppress_given: bool = True  # the given frame has neighbours too


@dataclass(frozen=True)
class Best:
    """The best candidate of one frame for one object.

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


@dataclass(frozen=True)
class Ranking:
    """The best candidate of each frame for one object, the best first.

    Attributes:
        best: The candidates, of different frames.
        objections: Why one must not be taken, None if it may. As all that is said of the rejected,
            without a number of the settings, which must not leak into the decision file.
        reason: Says of a candidate what it was taken for, beside its rank.
    """

    best: Sequence[Best]
    objections: Sequence[str | None]
    reason: Callable[[Best], str]


@dataclass(frozen=True)
class Room:
    """How many candidates are taken, and how near to each other.

    Attributes:
        most: In all, beside those of `taken`.
        min_gap: None within so many frames of one taken before.
        taken: Indices of frames that count as taken from the start.
        groups: Groups of frames, by index; what belongs to none has room.
        per_group: Most of one group.
    """

    most: int
    min_gap: int
    taken: Sequence[int]
    groups: Mapping[int, int] = field(default_factory=dict)
    per_group: int = 1


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """Rank each frame's best candidate and keep the top ones that are no temporal neighbours."""
    features = evidence.features
    chosen = []
    for target in video.objects:
        rows = sought(evidence.candidates, target)
        similarity = features.candidates[rows] @ features.pools[target.id].T
        best = best_per_frame(video, [evidence.candidates[i] for i in rows], similarity)
        weak = [_too_weak(row, config.min_score) for row in best]
        given = [video.index(target.first_frame)] if config.suppress_given else []
        room = Room(config.top_k, config.min_gap, given)
        chosen.append(spread(video, Ranking(best, weak, like), room))
    return joined(chosen)


def joined(selections: Sequence[Selection]) -> Selection:
    """The decisions for several objects as one."""
    return Selection(
        [anchor for one in selections for anchor in one.anchors],
        [rejected for one in selections for rejected in one.rejected],
    )


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


def spread(video: Video, ranking: Ranking, room: Room) -> Selection:
    """Take candidates from the best on, as far as there is room."""
    taken = list(room.taken)
    groups = [room.groups.get(index) for index in taken]
    anchors: list[Anchor] = []
    rejected: list[Rejected] = []
    for rank, (row, objection) in enumerate(zip(ranking.best, ranking.objections, strict=True), 1):
        region, group = row.candidate, room.groups.get(row.index)
        near = [i for i in taken if abs(i - row.index) < room.min_gap]
        if objection is None and near:
            objection = f"neighbour of {video.frames[near[0]]}, which is more similar"
        elif objection is None and group is not None and groups.count(group) >= room.per_group:
            objection = "less similar than others of its gap"
        elif objection is None and len(anchors) >= room.most:
            objection = "less similar than the chosen ones"
        if objection is not None:
            rejected.append(Rejected(region.frame, region.object_id, row.score, objection))
            continue
        why = f"rank {rank} of {len(ranking.best)} frames, {ranking.reason(row)}"
        anchors.append(
            Anchor(region.frame, region.object_id, region.rle, row.score, row.margin, why)
        )
        taken.append(row.index)
        groups.append(group)
    return Selection(anchors, rejected)


def _too_weak(row: Best, min_score: float) -> str | None:
    return "not similar enough" if row.score < min_score else None


def like(row: Best) -> str:
    """Which of the target's views a candidate resembles; the first is the first mask as it is."""
    return f"most like view {row.view} of the target"
