"""Every recorded case of the box benchmarks: what their official code gave for the same boxes."""

import json
from pathlib import Path

import numpy as np
import pytest

from kit.metrics import boxes

HOME = Path(__file__).parents[2] / "shared" / "golden" / "boxes"
CASES = sorted(HOME.glob("*.json"))


@pytest.fixture(autouse=True)
def needs_the_records():
    if not HOME.is_dir():
        pytest.skip("the recorded cases of the box benchmarks are not here")


def array(rows):
    return np.array([[np.nan] * 4 if r is None else r for r in rows], dtype=float).reshape(-1, 4)


def close(value):
    return pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_golden_boxes(file):
    case = json.loads(file.read_text())
    check = {"GOT-10k": check_got10k}.get(case["benchmark"], check_lasot)
    check(case["sequences"], case["expected"])


def check_got10k(sequences, expected):
    overlaps = {s["name"]: got10k(s) for s in sequences}
    scores = boxes.got10k_scores(list(overlaps.values()))
    assert scores["AO"] == close(expected["ao"])
    assert scores["SR_0.50"] == expected["sr_0.50"]
    assert scores["SR_0.75"] == expected["sr_0.75"]
    together = np.concatenate(list(overlaps.values()))
    assert boxes.success_curve(together).tolist() == expected["success_curve"]
    for name, wanted in expected["sequences"].items():  # their `length` counts unseen frames too
        one = boxes.got10k_scores([overlaps[name]])
        assert one["AO"] == close(wanted["ao"]) and one["SR_0.50"] == wanted["sr_0.50"]


def got10k(sequence):
    results = sequence["predictions"] if "predictions" in sequence else [sequence["prediction"]]
    cover = sequence.get("cover")
    return boxes.got10k_overlaps(
        array(sequence["gt"]),
        [array(result) for result in results],
        tuple(sequence["resolution"]),
        None if cover is None else np.array(cover),
    )


def check_lasot(sequences, expected):
    curves = {
        s["name"]: boxes.lasot_curves(
            array(s["gt"]),
            array(s["prediction"]),
            np.array(s["absent"], dtype=bool) if s.get("absent") is not None else None,
        )
        for s in sequences
    }
    scores = boxes.lasot_scores(curves)
    assert scores["success_AUC"] == close(expected["success_auc"])
    assert scores["success_0.50"] == close(expected["success_rate_0.50"])
    assert scores["precision_20px"] == close(expected["precision_20px"])
    assert scores["normalised_precision_0.20"] == close(expected["normalized_precision_0.20"])
    assert scores["normalised_precision_AUC"] == close(expected["normalized_precision_auc"])
    for name, wanted in expected["sequences"].items():
        assert curves[name].success.tolist() == close(wanted["success_curve"])
        assert curves[name].precision.tolist() == close(wanted["precision_curve"])
        assert curves[name].normalised.tolist() == close(wanted["normalized_precision_curve"])
