"""The table of defects against the evaluator, which equals the organisers' scorer bit for bit.

The predictions equal the truth except in the first and last frames, which are never scored as long
as the submission is read as meant: any shift shows as a score below 1.
"""

import json
import warnings

import numpy as np
import pytest
from test_submission_check import DEFECTS, META, H, W, write_folder, write_zip

from kit.core.masks import encode_png
from kit.metrics.mosev2 import evaluate
from kit.submission.rules import FATAL, HARMLESS, WRONG, ZERO

LENGTHS = {"cat": 5, "dog": 4}
# Rows that replace a mask by another valid one: the score falls, as it should.
OTHER_MASKS = {"own-order-of-davis", "grey", "empty-mask", "16-bit"}
# What the scorer stops with, according to the outcomes in the table.
STOPS = (ValueError, AssertionError, FileNotFoundError, NotADirectoryError, OSError)
# Nothing that the scorer looks at.
UNSCORED = {"team-empty", "team-deep"}


def truth() -> dict[str, bytes]:
    """Every frame another mask; cat's frame 2 is the one that the table's rows put there."""
    tree = {}
    for video, length in LENGTHS.items():
        for frame in range(length):
            labels = np.zeros((H, W), np.uint8)
            for row, label in enumerate((1, 2) if video == "cat" else (3,)):
                labels[(row + 2 * (frame - 2)) % H] = label
            tree[f"{video}/{frame:05d}.png"] = encode_png(labels)
    return tree


def predictions() -> dict[str, bytes]:
    nothing = encode_png(np.zeros((H, W), np.uint8))
    ends = {f"{video}/{at:05d}.png": nothing for video in LENGTHS for at in (0, LENGTHS[video] - 1)}
    return truth() | ends


def j_of(pred, tmp_path) -> list[float]:
    write_folder(truth(), tmp_path / "truth")
    (tmp_path / "meta.json").write_text(json.dumps(META))
    with warnings.catch_warnings(action="ignore"):
        result = evaluate(tmp_path / "truth", pred, tmp_path / "meta.json")
    return [measures["J"] for measures in result["objects"].values()]


@pytest.mark.parametrize("write", [write_folder, write_zip], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("change", "worst"),
    [row[1::2] for row in DEFECTS if row[0] not in OTHER_MASKS | UNSCORED],
    ids=[row[0] for row in DEFECTS if row[0] not in OTHER_MASKS | UNSCORED],
)
def test_the_server_does_what_the_table_says(change, worst, write, tmp_path):
    pred = write(change(predictions()), tmp_path / "pred")
    if worst is FATAL:
        with pytest.raises(STOPS):
            j_of(pred, tmp_path)
        return
    scores = j_of(pred, tmp_path)
    assert len(scores) == 3
    if worst in {None, HARMLESS}:
        assert scores == [1, 1, 1]
    elif worst is ZERO:
        assert 0 in scores
    else:
        assert worst is WRONG
        assert 0 < min(scores) < 1
