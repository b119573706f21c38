"""What is emitted of soft masks: when an object counts as present, and who wins an overlap."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from kit.core import masks
from kit.core.labels import Labels
from kit.core.limits import Range
from kit.core.types import MaskNotes, Video
from kit.labelling.overlaps import settle

Rule = Callable[[float, float], bool]  # of object score logit and predicted IoU


@dataclass(frozen=True)
class Config:
    """What decides."""

    # "library": as propagated; "expected_score": see `emits`; a number: the logit to be above
    presence: Literal["library", "expected_score"] | Annotated[float, Range(0)] = "library"
    # of two that claim a pixel: whose logit is higher, who is smaller, who is surer of the frame,
    # or who was prompted nearest in time
    overlap: Literal["logits", "smaller", "surer", "nearest"] = "logits"


def emits(presence: float, iou: float) -> bool:
    """Whether emitting a mask is worth more than leaving it out, in expectation.

    With p the probability that the object is there and q the score of the mask if it is: emitting
    earns p*q, leaving out earns 1-p, so emit when p > 1/(1+q). The library emits when p > 1/2.

    Args:
        presence: Object score logit.
        iou: Predicted IoU of the mask, 0..1; stands for q.
    """
    chance = 1 / (1 + math.exp(-presence)) if presence > -700 else 0.0
    return chance > 1 / (1 + iou)


# Where the library thinks an object absent its mask is empty: no rule can say more than it.
PRESENCE: dict[str, Rule] = {"library": lambda presence, iou: True, "expected_score": emits}


def rule(value: str | float) -> Rule:
    """The rule by which an object counts as present: one with a name, or a logit to be above."""
    if isinstance(value, str):
        return PRESENCE[value]
    return lambda presence, iou: presence > value


class Emission:
    """The decision for one video, frame by frame."""

    def __init__(
        self,
        video: Video,
        labels: Labels,
        notes: MaskNotes,
        presence: Rule,
        overlap: str,
    ) -> None:
        """Prepare.

        Args:
            video: The index.
            labels: Its label maps as propagated.
            notes: What is noted beside them.
            presence: When an object counts as present.
            overlap: See `Config`.
        """
        self.video, self.labels, self.notes = video, labels, notes
        self.presence, self.overlap = presence, overlap
        self._given = {(o.first_frame, o.id) for o in video.objects}

    def png(self, frame: str) -> bytes:
        """The frame's label map as emitted; the same bytes where nothing changes."""
        labels = np.array(self.labels[frame])
        dropped = set(self._absent(frame))
        claims = self._claims(frame, dropped)
        for object_id in dropped:
            labels[labels == object_id] = 0
        if any(frame == first for first, _ in self._given):
            claims = {}  # the user's own pixels are not disputed
        self._settle(labels, claims, frame)
        same = (labels == self.labels[frame]).all()
        return self.labels.packed(frame) if same else masks.encode_png(labels)

    def _absent(self, frame: str) -> Iterator[int]:
        for object_id, states in self.notes.states.items():
            soft = states.get(frame)
            given = (frame, object_id) in self._given
            if soft and not given and not self.presence(soft.presence, soft.iou):
                yield object_id

    def _claims(self, frame: str, dropped: set[int]) -> dict[int, masks.Mask]:
        """What each remaining object covers, on frames where two objects claim a pixel."""
        return {
            object_id: masks.decode_rle(rle, *self.video.shape)
            for object_id, rle in self.notes.claims.get(frame, {}).items()
            if object_id not in dropped
        }

    def _settle(self, labels: masks.LabelMap, claims: dict[int, masks.Mask], frame: str) -> None:
        """Paint what is claimed; what became free and has no stronger claimant is the surest's."""
        order = sorted(claims, key=lambda i: (-self._surety(i, frame), i))
        strength = {i: self._strength(i, claims[i], frame) for i in order}
        settle(labels, {i: claims[i] for i in order}, strength)

    def _strength(self, object_id: int, claimed: masks.Mask, frame: str) -> float:
        """Of a claim; with "logits" all are equal, so that everybody keeps what the logits gave."""
        match self.overlap:
            case "smaller":
                return -float(claimed.sum())
            case "surer":
                return self._surety(object_id, frame)
            case "nearest":
                return -self._frames_away(object_id, frame)
        return 0.0

    def _surety(self, object_id: int, frame: str) -> float:
        soft = self.notes.states[object_id][frame]
        return soft.presence + math.log(max(soft.iou, 1e-6))

    def _frames_away(self, object_id: int, frame: str) -> float:
        """How far the nearest frame is on which an object was prompted.

        A tracker that has taken a look-alike for its object is as sure of it as that of the other
        one, which may have been shown it a moment ago: time tells them apart where logits do not.
        """
        here = self.video.index(frame)
        prompted = [self.video.index(f) for f in self.notes.prompted[object_id]]
        return min((float(abs(index - here)) for index in prompted), default=math.inf)
