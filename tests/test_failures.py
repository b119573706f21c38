"""Tracks made by hand, two and more per class of failure, and the class that each must get."""

import numpy as np
import pytest

from kit.metrics.failures import CLASSES, FINE, Course, classify

# A frame is a letter: truth, mask and shared pixels. The object has 100 pixels.
LETTERS = {
    "=": (100, 100, 100),  # exact
    "~": (100, 100, 50),  # half beside it: J = 1/3
    "-": (100, 100, 75),  # J = 0.6
    "x": (100, 100, 0),  # something else
    ".": (100, 0, 0),  # nothing, though it is there
    "_": (0, 0, 0),  # rightly nothing
    "!": (0, 100, 0),  # something, though it is not there
}


def course(letters: str) -> Course:
    truth, mask, shared = np.array([LETTERS[c] for c in letters], dtype=np.int64).T
    return Course(truth, mask, shared)


@pytest.mark.parametrize(
    ("letters", "wanted"),
    [
        ("====================", FINE),
        ("=====____=====------", FINE),
        ("====================.", FINE),  # one empty frame is no failure
        ("=xxxxxxxxxxxxxxxxxxx", "lost at once"),
        ("==...................", "lost at once"),
        ("~~~~", "lost at once"),  # so short that all of it is the beginning
        ("==========____......", "missed return"),
        ("=====___======___.....==", "missed return"),
        ("==========____xxxxx=", "wrong identity"),  # back, but on something else
        ("==========!!!!!=====", "wrong identity"),  # goes on while the object is away
        ("======xxxxx=========", "wrong identity"),
        ("=====...===..=======", "emptied too much"),
        ("========.=.=.=.=.=.=.", "emptied too much"),
        ("==========---~~~~~~~~", "drift"),
        ("=======____===~~~~~~", "drift"),
        ("_____", FINE),
        ("!!!!!", "wrong identity"),
    ],
)
def test_class_of(letters: str, wanted: str) -> None:
    assert classify(course(letters)) == wanted


def test_every_class_is_defined_in_words() -> None:
    assert all(len(text) > 10 for text in CLASSES.values())
