"""Which memories a frame recalls: by their distance in time, or by rank among the trusted ones.

Frames are counted along the direction of travel (+1 forward, -1 backward); anchors are the prompted
frames. Nothing here knows models: a `Span` says how far memory reaches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kit.trackers.base import Context, Memory, Recall, Span


@dataclass(frozen=True)
class Course:
    """Way through a video.

    Attributes:
        length: Frames of the video.
        step: +1 forward, -1 backward.
        span: How far the tracker's memory reaches.
    """

    length: int
    step: int
    span: Span

    @property
    def pointers(self) -> int:
        """Frames, the present one included, that object pointers reach back."""
        return min(self.length, self.span.pointers)

    @property
    def horizon(self) -> int:
        """What distances of pointers are divided by."""
        return max(self.pointers - 1, 1)

    def distance(self, frame: int, other: int) -> int:
        """Frames from `other` to `frame`, positive where `other` has been passed."""
        return (frame - other) * self.step


def closest(
    anchors: Mapping[int, Memory], frame: int, most: int | None, keep_first: bool
) -> list[int]:
    """Anchors whose spatial memory is attended to, in the order in which it is concatenated.

    The rule of `select_closest_cond_frames` (`sam2/modeling/sam2_utils.py`): all if they are few;
    else the nearest before, the nearest at or after, then the nearest of the rest.

    Args:
        anchors: By frame, ascending.
        frame: The present frame.
        most: The limit; None is no limit.
        keep_first: The first anchor is always among them.
    """
    if most is None or len(anchors) <= most:
        return list(anchors)
    before = [a for a in anchors if a < frame]
    after = [a for a in anchors if a >= frame]
    rest = sorted(anchors, key=lambda a: abs(a - frame))
    first = list(anchors)[:1] if keep_first else []
    return list(dict.fromkeys([*first, *before[-1:], *after[:1], *rest]))[:most]


@dataclass
class Bank:
    """Memories of one object.

    Invariant: it holds the anchors, and no tracked frame that a later one could not recall.

    Attributes:
        anchors: Memories of prompted frames by frame, ascending.
        tracked: Memories of the other frames by frame.
    """

    anchors: dict[int, Memory] = field(default_factory=dict)
    tracked: dict[int, Memory] = field(default_factory=dict)

    def add(self, frame: int, memory: Memory, course: Course) -> None:
        """Take in a tracked frame and forget what is out of reach for the next one."""
        self.tracked[frame] = memory
        for other in list(self.tracked):
            age = course.distance(frame + course.step, other)
            if age > max(course.span.recent, course.horizon):
                del self.tracked[other]
            elif age > course.span.recent:
                self.tracked[other] = self.tracked[other].without_place()

    def by_distance(self, frame: int, course: Course, chosen: Sequence[int]) -> Context:
        """What both libraries attend to.

        All chosen anchors; of the last `Span.recent` frames those tracked, or anchored and not
        chosen. Pointers of the anchors, then of the frames before, nearest first
        (`SAM2Base._prepare_memory_conditioned_features`; `_gather_memory_frame_outputs` and
        `_get_object_pointers` of `modeling_sam3_tracker_video.py`).
        """
        span = course.span
        others = {a: m for a, m in self.anchors.items() if a not in chosen}
        nearby = {**others, **self.tracked}
        spatial = [Recall(self.anchors[a], 0) for a in chosen]
        for age in range(span.recent, 0, -1):
            memory = nearby.get(frame - age * course.step)
            spatial += [] if memory is None else [Recall(memory, age)]
        pointers = self.anchor_pointers(frame, course, chosen)
        pointing = self.tracked if span.far_pointers else nearby
        for age in range(1, course.pointers):
            memory = pointing.get(frame - age * course.step)
            pointers += [] if memory is None else [Recall(memory, age)]
        return Context(tuple(spatial), tuple(pointers), course.horizon)

    def anchor_pointers(self, frame: int, course: Course, chosen: Sequence[int]) -> list[Recall]:
        """Pointers of the anchors, those still to come left out where the model wants it so."""
        anchors = self.anchors if course.span.far_pointers else chosen
        distances = {a: course.distance(frame, a) for a in anchors}
        return [
            Recall(self.anchors[a], distance)
            for a, distance in distances.items()
            if distance >= 0 or not course.span.past_pointers
        ]
