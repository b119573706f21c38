"""What went wrong with an object, told from its curves: one word that a reader can act on.

Every class is a rule over the evaluated frames; the first that holds is the object's. A frame is
visible where the truth shows the object, a hit where J is at least 0.5, a stray where the mask is
not empty and shares no pixel with the object.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.metrics import segments

Counts = NDArray[np.int64]

HIT = 0.5  # J of a mask that shows the object
EARLY = 5  # visible frames within which an object is lost at once
SHARE = 0.2  # of frames that make a failure
FALL = 0.3  # of J from the first to the last quarter

FINE = "fine"
CLASSES = {
    "lost at once": "after the first five visible frames no visible frame is a hit",
    "missed return": "after an absence, the mask is empty on more than half of the visible frames",
    "wrong identity": "strays make a fifth or more of the frames",
    "emptied too much": "the mask is empty on a fifth or more of the visible frames",
    "drift": "J of the last quarter of the visible frames is below 0.5 and by 0.3 or more lower "
    "than of the first quarter",
    FINE: "none of these",
}


@dataclass(frozen=True)
class Course:
    """One object over its n evaluated frames.

    Attributes:
        truth: int64[n], pixels of the true mask.
        mask: int64[n], pixels of the predicted one.
        shared: int64[n], pixels of both.
    """

    truth: Counts
    mask: Counts
    shared: Counts

    @property
    def j(self) -> NDArray[np.float64]:
        """float64[n], intersection over union; 1 where both are empty."""
        union = self.truth + self.mask - self.shared
        return np.asarray(np.where(union == 0, 1.0, self.shared / np.maximum(union, 1)))


def classify(course: Course) -> str:
    """The class of an object: a key of `CLASSES`."""
    visible = course.truth > 0
    if not visible.any():
        return "wrong identity" if _strays(course) >= SHARE else FINE
    rules = {
        "lost at once": _lost_at_once(course.j[visible]),
        "missed return": _missed_return(course),
        "wrong identity": _strays(course) >= SHARE,
        "emptied too much": float((course.mask[visible] == 0).mean()) >= SHARE,
        "drift": _drifts(course.j[visible]),
    }
    return next((name for name, holds in rules.items() if holds), FINE)


def _lost_at_once(j: NDArray[np.float64]) -> bool:
    later = j[EARLY:] if len(j) > EARLY else j
    return not (later >= HIT).any()


def _missed_return(course: Course) -> bool:
    _, back = segments.runs(course.truth == 0)
    return any((course.mask[start:end] == 0).mean() > 0.5 for start, end in back)


def _strays(course: Course) -> float:
    return float(((course.mask > 0) & (course.shared == 0)).mean())


def _drifts(j: NDArray[np.float64]) -> bool:
    quarter = max(1, len(j) // 4)
    first, last = j[:quarter].mean(), j[-quarter:].mean()
    return bool(last < HIT and first - last >= FALL)
