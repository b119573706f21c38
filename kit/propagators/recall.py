"""Which memories a frame recalls: by their distance in time, or by rank among the trusted ones.

Anchors are the memories of prompted frames, by frame, ascending. Nothing here knows models: a
`Span` says how far memory reaches. Time runs forward; who wants the past reverses the video.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from kit.trackers.base import Context, Memory, Recall, Span


@dataclass(frozen=True)
class Course:
    """Way through a video.

    Attributes:
        length: Frames of the video.
        span: How far the tracker's memory reaches.
    """

    length: int
    span: Span

    @property
    def pointers(self) -> int:
        """Frames, the present one included, that object pointers reach back."""
        return min(self.length, self.span.pointers)

    @property
    def horizon(self) -> int:
        """What distances of pointers are divided by."""
        return max(self.pointers - 1, 1)


def closest(
    anchors: Mapping[int, Memory], frame: int, most: int | None, keep_first: bool = False
) -> list[int]:
    """Anchors whose spatial memory is attended to, in the order in which it is concatenated.

    The rule of `select_closest_cond_frames` (`sam2/modeling/sam2_utils.py`): all if they are few;
    else the nearest before, the nearest at or after, then the nearest of the rest.

    Args:
        anchors: Anchors of one object.
        frame: The present frame.
        most: The limit; None is no limit.
        keep_first: The first anchor always is among them.
    """
    if most is None or len(anchors) <= most:
        return list(anchors)
    before = [a for a in anchors if a < frame]
    after = [a for a in anchors if a >= frame]
    rest = sorted(anchors, key=lambda a: abs(a - frame))
    first = list(anchors)[:1] if keep_first else []
    return list(dict.fromkeys([*first, *before[-1:], *after[:1], *rest]))[:most]


def anchor_pointers(
    anchors: Mapping[int, Memory], frame: int, course: Course, chosen: Sequence[int]
) -> list[Recall]:
    """Pointers of the anchors, those still to come left out where the model wants it so."""
    candidates = anchors if course.span.far_pointers else chosen
    recalls = [Recall(anchors[a], frame - a, prompted=True) for a in candidates]
    return [r for r in recalls if r.position >= 0 or not course.span.past_pointers]


def by_distance(
    anchors: Mapping[int, Memory],
    tracked: Mapping[int, Memory],
    frame: int,
    course: Course,
    chosen: Sequence[int],
) -> Context:
    """What both libraries attend to.

    All chosen anchors; of the last `Span.recent` frames those tracked, or anchored and not chosen.
    Pointers of the anchors, then of the frames before, nearest first
    (`SAM2Base._prepare_memory_conditioned_features`; `_gather_memory_frame_outputs` and
    `_get_object_pointers` of `modeling_sam3_tracker_video.py`).

    Args:
        anchors: Anchors of one object.
        tracked: Its other memories by frame; see `forget`.
        frame: The present frame.
        course: Way through the video.
        chosen: Frames of the anchors to attend to, from `closest`.
    """
    nearby = {**{a: m for a, m in anchors.items() if a not in chosen}, **tracked}
    pointing = tracked if course.span.far_pointers else nearby
    spatial = [Recall(anchors[a], frame - a, prompted=True) for a in chosen]
    for age in range(course.span.recent, 0, -1):
        if (memory := nearby.get(frame - age)) is not None:
            spatial.append(Recall(memory, age))
    pointers = anchor_pointers(anchors, frame, course, chosen)
    for age in range(1, course.pointers):
        if (memory := pointing.get(frame - age)) is not None:
            pointers.append(Recall(memory, age))
    return Context(tuple(spatial), tuple(pointers), course.horizon)


def forget(tracked: Mapping[int, Memory], frame: int, course: Course) -> dict[int, Memory]:
    """The tracked memories without those that no frame after `frame` recalls by distance.

    Out of reach of spatial attention a memory keeps its pointer only.
    """
    kept = {}
    for other, memory in tracked.items():
        age = frame + 1 - other
        if age <= course.span.recent:
            kept[other] = memory
        elif age <= course.horizon:
            kept[other] = memory.without_place() if len(memory.spatial) else memory
    return kept


@dataclass(frozen=True, eq=False)
class Kept:
    """A tracked memory with its object score logit, on the host."""

    frame: int
    memory: Memory
    presence: float

    @property
    def pointer(self) -> "Kept":
        """The same without spatial memory."""
        # Not cached where it is the object itself: such a circle waits for the garbage collector.
        return self._stripped if len(self.memory.spatial) else self

    @cached_property
    def _stripped(self) -> "Kept":
        return Kept(self.frame, self.memory.without_place(), self.presence)


@dataclass(frozen=True, eq=False)
class History:
    """Tracked memories of one pathway, recalled by rank.

    Invariant: `trusted` holds no more than can be recalled, spatial memory only where it can be.

    Attributes:
        trusted: Those that passed a gate, oldest first.
        last: That of the last frame if it was tracked, whether it passed or not.
    """

    trusted: tuple[Kept, ...] = ()
    last: Kept | None = None

    @property
    def recalled(self) -> tuple[Kept, ...]:
        """The trusted ones and in any case the last frame, oldest first."""
        if self.last is None or self.last in self.trusted[-1:]:
            return self.trusted
        return (*self.trusted, self.last)

    def then(self, kept: Kept, passed: bool, course: Course) -> "History":
        """The history one tracked frame later."""
        trusted = (*self.trusted, kept)[-course.horizon :] if passed else self.trusted
        far = max(len(trusted) - course.span.recent, 0)
        return History((*(k.pointer for k in trusted[:far]), *trusted[far:]), kept)


def by_rank(
    anchors: Mapping[int, Memory],
    recalled: Sequence[Kept],
    frame: int,
    course: Course,
    chosen: Sequence[int],
    oldest_pointer: bool = False,
) -> Context:
    """What SAM2Long and upstream SAM 3's memory selection attend to.

    Temporal positions are ranks among the recalled memories, 1 the newest, and not distances.

    Args:
        anchors: Anchors of one object.
        recalled: Its tracked memories, oldest first, from `History.recalled`.
        frame: The present frame.
        course: Way through the video.
        chosen: Frames of the anchors to attend to, from `closest`.
        oldest_pointer: Use the pointer of the oldest recalled memory too; both sources stop one
            short of it.
    """
    near = recalled[-course.span.recent :]
    spatial = [Recall(anchors[a], frame - a, prompted=True) for a in chosen]
    spatial += [Recall(kept.memory, len(near) - i) for i, kept in enumerate(near)]
    count = min(course.pointers - 1, len(recalled) - (not oldest_pointer))
    pointers = anchor_pointers(anchors, frame, course, chosen)
    pointers += [Recall(recalled[-rank].memory, rank) for rank in range(1, count + 1)]
    return Context(tuple(spatial), tuple(pointers), course.horizon)
