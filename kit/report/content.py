"""What a page is made of. Plain frozen data, numbers in percent, masks already turned to outlines.

An `Entry` is light and is held for every object of the split; a `Player` carries what is drawn and
exists for one object at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.core.scored import ObjectScores
from kit.core.types import Anchor

MAIN = "J&F_new"

Scores = Mapping[str, float | None]  # percent with two decimals, None where undefined


@dataclass(frozen=True)
class Recipe:
    """A recipe by its name and by the names of its parts.

    Attributes:
        name: As in the config.
        path: Presets joined by dots.
        mining: Those that choose the anchors; recipes that share them share the anchors.
    """

    name: str
    path: str
    mining: str


@dataclass(frozen=True)
class Outcome:
    """What one recipe did with one object.

    Attributes:
        anchors: Chosen, in temporal order.
        rejected: How many candidates were turned down, by reason.
        absent: Frames on which the tracker held the object to be absent.
        confidence: Mean of the IoU that the tracker predicted for its masks, percent.
        scores: The official numbers of this object alone; None without ground truth.
        failure: Its class, a key of `kit.metrics.failures.CLASSES`; None without ground truth.
        curves: The object's numbers per evaluated frame; None without ground truth.
    """

    anchors: Sequence[Anchor]
    rejected: Mapping[str, int]
    absent: int
    confidence: float | None
    scores: Scores | None
    failure: str | None = None
    curves: ObjectScores | None = None

    @property
    def main(self) -> float | None:
        """The official score, else the predicted IoU; percent."""
        return self.scores[MAIN] if self.scores else self.confidence


@dataclass(frozen=True)
class Entry:
    """One object of the split.

    Attributes:
        video: Its name.
        object_id: As in the label maps.
        frames: Length of the video.
        siblings: Objects of its video, itself included.
        outcomes: By name of the recipe, in the order of the recipes.
    """

    video: str
    object_id: int
    frames: int
    siblings: int
    outcomes: Mapping[str, Outcome]

    @property
    def key(self) -> str:
        """Names the object on the page."""
        return f"{self.video}/{self.object_id}"

    @property
    def gains(self) -> Mapping[str, float]:
        """Difference to the first recipe by name of the other, where both have a number."""
        scores = {name: o.scores[MAIN] if o.scores else None for name, o in self.outcomes.items()}
        first, *others = scores
        known = [(name, scores[name], scores[first]) for name in others]
        return {n: own - base for n, own, base in known if own is not None and base is not None}

    @property
    def gain(self) -> float | None:
        """The largest of the differences, of whichever sign; None if there is none."""
        return max(self.gains.values(), key=lambda gain: abs(gain), default=None)


@dataclass(frozen=True)
class Overview:
    """The whole split.

    Attributes:
        split: Its name.
        recipes: The first is what the others are compared with.
        videos: How many.
        frames: How many, of all videos.
        entries: Every object.
        contested: Pixels that two objects claimed, by recipe and video.
        totals: The official numbers of each recipe; empty without ground truth.
        shown: Objects that get a player, in the order of the page.
        audits: `kit.metrics.mining.summary` of each recipe that mines; empty without ground truth.
        intervals: By recipe and measure, (low, high) in percent.
        missing: Videos that are not on the page, with the reason.
        note: What a reader must know before looking at a picture; may be empty.
    """

    split: str
    recipes: Sequence[Recipe]
    videos: int
    frames: int
    entries: Sequence[Entry]
    contested: Mapping[str, Mapping[str, int]]
    totals: Mapping[str, Scores]
    shown: Sequence[Entry]
    audits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Line:
    """What one recipe did with an object, over the frames of its player.

    Attributes:
        recipe: Its name.
        masks: Outline of the predicted mask per frame, "" where there is none.
        curve: J (else the predicted IoU) per frame, 0..1; None where there is none.
        anchors: Outline of the mined mask, by place among the frames.
    """

    recipe: str
    masks: Sequence[str]
    curve: Sequence[float | None]
    anchors: Mapping[int, str]


@dataclass(frozen=True)
class Player:
    """An object that can be played.

    Attributes:
        entry: Its numbers.
        size: (height, width) of the pictures.
        frames: Names of its frames, in temporal order; of a long video some, evenly spread.
        given: Place of the frame on which its mask was given.
        outline: Of the given mask.
        truth: Outline of the true mask per frame; None without ground truth.
        lines: One per recipe.
        events: (place, what happens there), in temporal order.
    """

    entry: Entry
    size: tuple[int, int]
    frames: Sequence[str]
    given: int
    outline: str
    truth: Sequence[str] | None
    lines: Sequence[Line]
    events: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Crop:
    """A picture of the anchor sheet.

    Attributes:
        kind: "target", "anchor" or "refused".
        frame: Name of its frame.
        jpeg: The region with some of its surroundings, base64.
        text: Scores and reason.
        alt: The same for who cannot see it.
    """

    kind: str
    frame: str
    jpeg: str
    text: str
    alt: str


@dataclass(frozen=True)
class Sheet:
    """The target, its anchors and what was refused just below them, of one decision."""

    video: str
    object_id: int
    recipes: str
    crops: Sequence[Crop]
