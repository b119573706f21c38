"""Anchors where a first pass has none to stand on: on frames where it is empty or unsure.

The anchors most like the target tend to lie where tracking works anyway (public MOSEv2 reports).
This one reads what a first pass left, and looks for anchors in its gaps alone: none if it has none,
and more than three where it has many, for which the propagator should `keep_first_prompt`. Within a
gap candidates are ranked as by `margin`. The anchors of the first pass itself stay.

Once a first pass has lost an object, whom it finds later may be a look-alike, of which it is as
sure. With `until_lost` all that follows is one gap, and nothing there counts as known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from kit.core.limits import Range
from kit.core.types import Anchor, Evidence, FirstPass, Selection, Video, VideoObject
from kit.selectors.margin import Thresholds, believed, rank
from kit.selectors.top_k import Room, joined, spread

VERSION = 1  # also to be raised where what it shares with `margin` changes
READS_FIRST = True


@dataclass(frozen=True)
class Config(Thresholds):
    """Chosen by us and not tuned on any data; thresholds mean what they mean in `margin`."""

    per_gap: Annotated[int, Range(1, 100)] = 2  # anchors in one gap, at most
    most: Annotated[int, Range(0, 100)] = 6  # new anchors per object, at most


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """The first pass's anchors, and the best of each gap that are no temporal neighbours."""
    evidence = believed(video, evidence, config)
    assert evidence.first is not None  # stages see to it
    return joined([_select_one(video, t, evidence, evidence.first, config) for t in video.objects])


def gaps_of(
    video: Video, target: VideoObject, first: FirstPass, least: float
) -> list[Sequence[str]]:
    """Runs of frames, after the given one, on which a first pass is not sure of an object."""
    gaps: list[list[str]] = []
    known = True
    for frame in video.frames[video.index(target.first_frame) + 1 :]:
        sure = first.sure(target.id, frame, least)
        if not sure and known:
            gaps.append([])
        if not sure:
            gaps[-1].append(frame)
        known = sure
    return list(gaps)


def _select_one(
    video: Video, target: VideoObject, evidence: Evidence, first: FirstPass, config: Config
) -> Selection:
    gaps = gaps_of(video, target, first, config.sure_iou)
    kept = [a for a in first.anchors if a.object_id == target.id]
    room = Room(
        config.most,
        config.min_gap,
        [video.index(frame) for frame in (target.first_frame, *(a.frame for a in kept))],
        {video.index(frame): number for number, gap in enumerate(gaps) for frame in gap},
        config.per_gap,
    )
    ranking = rank(video, target, evidence, config, frozenset(f for gap in gaps for f in gap))
    found = spread(video, ranking, room)
    return Selection([*map(_carried, kept), *found.anchors], found.rejected)


def _carried(anchor: Anchor) -> Anchor:
    mark = "of the first pass: "
    return replace(anchor, reason=mark + anchor.reason.removeprefix(mark))
