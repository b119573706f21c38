"""Rules of the box benchmarks, each on an example worked by hand."""

import numpy as np
import pytest

from kit.core.errors import SubmissionError
from kit.metrics import boxes

SIZE = (100, 50)


def at(*rows):
    return np.array(rows, dtype=float)


A, HALF, FAR = (10, 10, 20, 10), (10, 10, 10, 10), (80, 30, 5, 5)


def test_got10k_leaves_out_the_given_frame_and_unseen_ones():
    truth = at(A, A, A, A)
    found = boxes.got10k_overlaps(truth, [at(FAR, A, HALF, FAR)], SIZE, np.array([8, 8, 8, 0]))
    assert found == pytest.approx([1, 0.5])
    scores = boxes.got10k_scores([found])
    assert scores["AO"] == pytest.approx(0.75)
    assert scores["SR_0.50"] == 0.5  # strictly above


def test_got10k_moves_a_box_that_starts_left_of_the_picture_in():
    truth = at(A, (0, 10, 20, 10))
    result = at(A, (-15, 10, 20, 10))
    assert boxes.got10k_overlaps(truth, [result], SIZE, None) == pytest.approx([1])


def test_got10k_repetitions_follow_each_other():
    truth = at(A, A)
    found = boxes.got10k_overlaps(truth, [at(A, A), at(A, FAR)], SIZE, None)
    assert found == pytest.approx([1, 0])
    with pytest.raises(SubmissionError, match="1 boxes, 2 frames"):
        boxes.got10k_overlaps(truth, [at(A)], SIZE, None)
    assert boxes.got10k_scores([]) == {"AO": None, "SR_0.50": None, "SR_0.75": None}


def test_lasot_counts_absent_frames_as_failures():
    curves = boxes.lasot_curves(at(A, A, A, A), at(A, A, A, A), np.array([0, 0, 1, 1], bool))
    assert curves.success[0] == curves.precision[20] == curves.normalised[20] == 0.5


def test_lasot_replaces_what_is_no_box_by_the_frame_before():
    nothing = (np.nan,) * 4
    kept = boxes.lasot_curves(at(A, A, A, A), at(FAR, A, nothing, (0, 0, 0, 5)))
    assert kept.success[10] == 1  # the first frame's result is the annotation, two are replaced


def test_lasot_takes_a_bad_annotation_for_a_hit_in_precision_alone():
    curves = boxes.lasot_curves(at(A, (5, 5, 0, 4)), at(A, FAR))
    assert curves.success[0] == 0.5 and curves.precision[0] == 1


def test_lasot_leaves_out_sequences_without_any_score():
    good = boxes.lasot_curves(at(A, A), at(A, A))
    nothing = boxes.LasotCurves(np.zeros(21), np.zeros(51), np.zeros(51))
    scores = boxes.lasot_scores({"a": good, "b": nothing})
    assert scores["success_0.50"] == 1
    assert set(boxes.lasot_scores({"b": nothing}).values()) == {None}


def test_lasot_needs_a_line_per_frame():
    with pytest.raises(SubmissionError, match="1 boxes, 2 frames"):
        boxes.lasot_curves(at(A, A), at(A))


def test_equal_to_the_peer():
    """Random boxes against PyPI's `got10k`, where that is installed."""
    peer = pytest.importorskip("got10k.utils.metrics")
    rng = np.random.default_rng(0)
    truth, result = (rng.uniform(-20, 120, (200, 4)) for _ in range(2))
    truth[:, 2:] = np.abs(truth[:, 2:])
    ours = boxes.got10k_overlaps(truth, [result], SIZE, None)
    assert ours.tolist() == peer.rect_iou(result[1:], truth[1:].copy(), bound=SIZE).tolist()
