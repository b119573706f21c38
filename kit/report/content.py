"""What a page is made of. Plain frozen data, numbers in percent, masks already turned to outlines.

An `Entry` is light and is held for every object of the split; a `Card` carries pictures and exists
for one object at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.core.types import Anchor

MAIN = "J&F_new"
COLUMNS = (
    MAIN,
    "J",
    "F_new",
    "disappear_J&F_new",
    "reappear_J&F_new",
    "F",
    "J&F",
)  # the official numbers in the official order

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
    """

    anchors: Sequence[Anchor]
    rejected: Mapping[str, int]
    absent: int
    confidence: float | None
    scores: Scores | None


@dataclass(frozen=True)
class Entry:
    """One object of the split.

    Attributes:
        video: Its name.
        object_id: As in the label maps.
        frames: Length of the video.
        outcomes: By name of the recipe, in the order of the recipes.
    """

    video: str
    object_id: int
    frames: int
    outcomes: Mapping[str, Outcome]

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
        return max(self.gains.values(), key=abs, default=None)


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
        shown: Objects that get a card, in the order of the page.
        audits: `kit.metrics.mining.summary` of each recipe that mines; empty without ground truth.
        note: What a reader must know before he believes a picture; may be empty.
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
    note: str = ""


@dataclass(frozen=True)
class Shot:
    """A frame of a strip, shared by the rows of all recipes.

    Attributes:
        frame: Its name.
        index: Its place in time.
        jpeg: The picture, small.
        truth: Outline of the true mask in pixels of the picture; None if it is not known.
    """

    frame: str
    index: int
    jpeg: bytes
    truth: str | None


@dataclass(frozen=True)
class Timeline:
    """An object over time, by sampled frames.

    Attributes:
        indices: Of the frames, ascending.
        predicted: Whether the recipe shows the object.
        truth: Whether it is there; None if that is not known.
        curve: J (else the predicted IoU) in [0, 1]; None where there is none.
    """

    indices: Sequence[int]
    predicted: Sequence[bool]
    truth: Sequence[bool] | None
    curve: Sequence[float | None]


@dataclass(frozen=True)
class Row:
    """A recipe's row of a card.

    Attributes:
        recipe: Its name.
        outlines: Of the predicted mask on every shot, "" where there is none.
        values: J on every shot, percent; None where it is not defined.
        anchors: Outline of the mined mask on the shots that are anchors, by frame.
        ticks: Indices of all anchors.
        timeline: All frames.
    """

    recipe: str
    outlines: Sequence[str]
    values: Sequence[float | None]
    anchors: Mapping[str, str]
    ticks: Sequence[int]
    timeline: Timeline


@dataclass(frozen=True)
class Card:
    """An object with its pictures.

    Attributes:
        entry: Its numbers.
        given: Frame on which its mask was given.
        size: (height, width) of the pictures.
        shots: Frames of the strip.
        rows: One per recipe.
    """

    entry: Entry
    given: int
    size: tuple[int, int]
    shots: Sequence[Shot]
    rows: Sequence[Row]
