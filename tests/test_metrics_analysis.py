"""Bins, segments, intervals and comparisons on results made by hand."""

import json

import numpy as np
import pytest

from kit.core.errors import ArtifactError, DataError
from kit.core.scored import OBJECT_KEYS
from kit.metrics import analysis, report
from kit.metrics.objects import aggregate, missing, summarise


def result(areas, inters):
    """An object whose prediction has the area of the ground truth and F_new = 1 where it hits."""
    rows = np.zeros((len(areas), 9), np.int64)
    rows[:, 0] = rows[:, 1] = areas
    rows[:, 2] = inters
    rows[:, 3:5] = 8
    rows[:, 5:] = 8 * (np.asarray(inters)[:, None] > 0)
    return summarise(rows)


# J: 1, 1, 1 (both empty), 1, 1/3, 1;  F_new: 1, 1, 0, 1, 0, 1
THERE = result([9, 9, 0, 1100, 1, 9], [9, 9, 0, 1100, 0, 9])
SMALL = result([0, 0, 5, 5, 0, 5], [0, 0, 5, 0, 0, 5])


def measures(j, f_new=None, d=None, r=None):
    f_new = j if f_new is None else f_new
    return dict(zip(OBJECT_KEYS, (j, f_new, j / 2, d, d, r, r), strict=True))


def test_curves():
    assert THERE.j.tolist() == [1, 1, 1, 1, pytest.approx(1 / 3), 1]
    assert analysis.curve(THERE).tolist() == [1, 1, 0.5, 1, pytest.approx(1 / 6), 1]


def test_areas_are_of_single_frames():
    """Of 6 frames one is empty and left out, one is of 1100 pixels."""
    small, large, *rest = analysis.by_area({"a_1": THERE})
    assert (small.low, small.high, small.count) == (1, 1024, 4)
    assert small.score == pytest.approx((3 + 1 / 6) / 4)
    assert (large.count, large.score) == (1, 1)
    assert [(b.count, b.score) for b in rest] == [(0, None)] * 2
    assert rest[-1].high is None


def test_numbers_of_objects_are_those_of_the_video():
    bins = analysis.by_objects({"a_1": THERE, "a_2": SMALL, "b_c_1": THERE})
    assert [b.count for b in bins] == [1, 2, 0, 0, 0]
    both = [(o.measures["J"] + o.measures["F_new"]) / 2 for o in (THERE, SMALL)]
    assert bins[0].score == pytest.approx(both[0])
    assert bins[1].score == pytest.approx(sum(both) / 2)


def test_segments():
    """SMALL is absent at 0-1 and at 4: back at 2, gone at 4, back at 5."""
    found = analysis.segments_of({"a_1": SMALL})
    assert [(s.kind, s.start, s.end, s.gap) for s in found] == [
        ("r", 2, 4, 2),  # after an absence from the start: no disappearance
        ("d", 4, 5, 1),
        ("r", 5, 6, 1),
    ]
    assert [s.j for s in found] == [pytest.approx((1 + 1 / 11) / 2), 1, 1]
    assert np.mean([s.j for s in found if s.kind == "r"]) == SMALL.measures["reappear_J"]
    assert [s.f_new for s in found] == [0.5, 0, 1]


def test_gaps():
    bins = analysis.by_gap({"a_1": SMALL}, "r", limits=(1, 2))
    assert [(b.count, b.score) for b in bins] == [(1, 1), (1, pytest.approx((6 / 11 + 0.5) / 2))]
    assert [b.count for b in analysis.by_gap({"a_1": SMALL}, "d", limits=(1, 2))] == [1, 0]


def test_intervals_have_the_scores_in_them():
    rng = np.random.default_rng(0)
    objects = {
        f"v{i}_{k}": measures(rng.random(), rng.random(), rng.random() if k else None)
        for i in range(40)
        for k in range(2)
    }
    found = analysis.intervals(objects, samples=400)
    scores = aggregate(objects.values())
    for key, interval in found.items():
        if key == "reappear_J&F_new":
            assert interval == analysis.Interval(None, None, None)
        else:
            assert interval.value == pytest.approx(scores[key], rel=1e-12)
            assert interval.low < interval.value < interval.high
    assert found == analysis.intervals(objects, samples=400)
    assert found != analysis.intervals(objects, samples=400, seed=1)


def test_videos_are_drawn_not_objects():
    """Ten equal objects in each of two videos: a set of two videos can only give 0, .5 or 1."""
    objects = {f"{v}_{i}": measures(float(v == "b")) for v in "ab" for i in range(10)}
    interval = analysis.intervals(objects, samples=300)["J"]
    assert (interval.low, interval.value, interval.high) == (0, 0.5, 1)


def test_width_agrees_with_the_theory():
    """Mean of 400 uniform numbers: standard error 1 / sqrt(12 * 400)."""
    values = np.random.default_rng(2).random(400)
    interval = analysis.intervals({f"v{i}_1": measures(x) for i, x in enumerate(values)})["J"]
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 4800**0.5, rel=0.1)


def test_comparison():
    a = {"a_1": measures(0.5), "a_2": measures(0.5, d=0.1), "b_1": measures(0.9)}
    b = {"a_1": measures(0.8), "a_2": measures(0.5, d=0.4), "b_1": measures(0.7)}
    found = analysis.compare(a, b)
    assert [(n, round(v, 9)) for n, v in found.gained] == [("a_1", 0.3)]
    assert [(n, round(v, 9)) for n, v in found.lost] == [("b_1", -0.2)]
    assert found.differences["J"].value == pytest.approx(0.1 / 3)
    assert found.differences["J"].low == pytest.approx(-0.2)  # only video b drawn
    assert found.differences["J"].high == pytest.approx(0.15)  # only video a drawn
    assert found.differences["disappear_J&F_new"].value == pytest.approx(0.3)


def test_a_comparison_is_paired():
    """A constant rise has no spread, however much the objects differ."""
    a = {f"v{i}_1": measures(i / 20) for i in range(10)}
    b = {name: measures(m["J"] + 0.25) for name, m in a.items()}
    interval = analysis.compare(a, b).differences["J&F_new"]
    assert interval.low == pytest.approx(0.25) and interval.high == pytest.approx(0.25)


def test_only_what_both_define_is_compared():
    """A video that one run lacks has no disappearance number there."""
    a = {"a_1": measures(0.5, d=0.2), "b_1": measures(0.5, d=0.2)}
    b = {"a_1": measures(0.5, d=0.3), "b_1": missing().measures}
    assert analysis.compare(a, b).differences["disappear_J&F_new"].value == pytest.approx(0.1)


def test_other_objects_are_refused():
    with pytest.raises(DataError, match=r"1 objects \(such as b_1\)"):
        analysis.compare({"a_1": measures(1)}, {"a_1": measures(1), "b_1": measures(1)})


def write(folder, objects, schema="raw/1"):
    folder.mkdir()
    (folder / "raw.json").write_text(json.dumps({"schema": schema, "objects": objects}))


def test_runs_are_compared_from_their_files(tmp_path):
    write(tmp_path / "a", {"a_1": measures(0.5), "b_1": measures(0.5)})
    write(tmp_path / "b", {"a_1": measures(0.75), "b_1": measures(0.25)})
    text = report.compare_runs(tmp_path / "a", tmp_path / "b" / "raw.json")
    assert "J&F_new              +0.00  [-25.00, +25.00]" in text.splitlines()
    assert "disappear_J&F_new    undefined" in text.splitlines()
    assert "+25.00  a_1" in text and "-25.00  b_1" in text


def test_other_files_are_refused(tmp_path):
    write(tmp_path / "a", {}, "raw/0")
    with pytest.raises(ArtifactError, match="expected schema raw/1, found raw/0"):
        report.read_measures(tmp_path / "a")
    (tmp_path / "a" / "raw.json").write_text("{")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        report.read_measures(tmp_path / "a")
