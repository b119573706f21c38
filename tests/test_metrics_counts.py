"""Compiled counts against the slow definitions."""

import numpy as np
import pytest
import reference_evaluator as slow
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.metrics import counts, disks, measures, segments

SIDES = st.one_of(st.integers(1, 12), st.sampled_from([63, 64, 65, 127, 128, 129]))


@st.composite
def label_maps(draw):
    """Two label maps of one size: boxes, noise, whole frames; the second often near the first."""
    shape = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    gt = scene(rng, shape)
    pred = np.roll(gt, rng.integers(-3, 4, 2), (0, 1)) if rng.random() < 0.6 else scene(rng, shape)
    return gt, pred


def scene(rng, shape):
    labels = np.zeros(shape, np.uint8)
    if rng.random() < 0.2:
        labels[:] = rng.integers(0, 4, shape) * (rng.random(shape) < rng.random())
    if rng.random() < 0.1:
        labels[:] = 1
    for _ in range(rng.integers(0, 5)):
        y, x = rng.integers(-5, shape[0]), rng.integers(-5, shape[1])
        high, wide = rng.integers(1, 70, 2)
        labels[max(y, 0) : y + high, max(x, 0) : x + wide] = rng.choice([0, 1, 2, 3, 255])
    return labels


@given(label_maps(), st.permutations([0, 1, 2, 255, 300, -1]))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_counts_equal_the_definition(pair, objects):
    gt, pred = pair
    fast = counts.count(gt, pred, objects, disks.adaptive(gt.shape))
    assert fast.tolist() == [slow.count(gt == i, pred == i) for i in objects]


@pytest.mark.parametrize(
    "shape",
    [  # what the limit of the tolerance, 0.008 of the diagonal, is
        (300, 400),  # whole: 4
        (250, 500),  # 4.47: an element of even size
        (200, 420),  # 3.72: an asymmetric one of odd size
        (40, 30),  # 0.4: no pixel at all, OpenCV then takes the corner
        (40, 55),  # 0.54: the same, three pixels wide
    ],
)
def test_counts_at_every_kind_of_limit(shape):
    rng = np.random.default_rng(shape)
    gt, pred = np.zeros((2, *shape), np.uint8)
    gt[10 : shape[0] - 10, 10 : shape[1] - 5] = 1  # large: the limit binds
    gt[:6, :8] = 2
    pred[rng.random(shape) < 0.004] = 1
    pred[2:9, 1:9] = 2
    fast = counts.count(gt, pred, [1, 2], disks.adaptive(shape))
    assert fast.tolist() == [slow.count(gt == i, pred == i) for i in (1, 2)]


@given(st.floats(0, 20), st.integers(40, 90), st.integers(20, 110), st.booleans())
@settings(max_examples=200, deadline=None)
def test_every_offset_of_a_disk(radius, here, there, upright):
    """Stripes from one end of a line: each boundary is a single pixel, around a word's border."""
    gt, pred = np.zeros((2, 130, 1) if upright else (2, 1, 130), np.uint8)
    gt.flat[: here + 1], pred.flat[: there + 1] = 1, 1
    rows = counts.count(gt, pred, [1], disks.Tolerances((radius,), np.zeros((1, 2), np.int64)))[0]
    edges = slow.boundary(gt == 1), slow.boundary(pred == 1)
    assert rows[3] == rows[4] == 1
    assert rows[5] == rows[7] == slow.matched(edges[0], edges[1], radius)
    assert rows[6] == rows[8] == slow.matched(edges[1], edges[0], radius)


def test_a_counter_forgets_the_last_frame():
    rng = np.random.default_rng(5)
    frames = [(scene(rng, (70, 130)), scene(rng, (70, 130))) for _ in range(20)]
    counter = counts.Counter((70, 130), [1, 2, 3], disks.adaptive((70, 130)))
    once = [counter.count(*pair) for pair in frames]
    for pair, rows in zip(frames, once, strict=True):
        fresh = counts.count(*pair, [1, 2, 3], disks.adaptive((70, 130)))
        assert fresh.tolist() == rows.tolist()


def test_radii_beyond_a_word():
    """At 8K the disk is wider than the 64 pixels of a word."""
    gt, pred = np.zeros((2, 8, 9000), np.uint8)
    gt[3, 4000], gt[5, 200] = 1, 1
    pred[4, 4070], pred[5, 290] = 1, 1
    rows = counts.count(gt, pred, [1], disks.standard(gt.shape))[0]
    # radius 73: the first pair is 70 apart and all but a corner matches, the second is too far
    assert rows.tolist()[:5] == [2, 2, 0, 8, 8]
    edges = slow.boundary(gt == 1), slow.boundary(pred == 1)
    assert rows[5] == slow.matched(edges[0], edges[1], 73) == 4
    assert rows[6] == slow.matched(edges[1], edges[0], 73) == 4


def test_stray_labels_are_counted():
    gt, pred = np.zeros((2, 3, 100), np.uint8)
    pred[1, 60:70], pred[2, :5], pred[0, 0] = 7, 255, 1
    counter = counts.Counter((3, 100), [1], disks.adaptive((3, 100)))
    counter.count(gt, pred)
    assert counter.strays == 15
    counter.count(gt, gt)
    assert counter.strays == 0


def test_unequal_sizes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 2\)"):
        counts.count(
            np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8), [1], disks.adaptive((2, 3))
        )


@given(st.lists(st.integers(0, 40), min_size=9, max_size=9))
@settings(deadline=None)
def test_measures_equal_the_definition(row):
    area_gt, area_pred, _, n_gt, n_pred, *found = row
    inter = min(row[2], area_gt, area_pred)
    found = [min(m, n) for m, n in zip(found, [n_gt, n_pred] * 2, strict=True)]
    numbers = np.array([area_gt, area_pred, inter, n_gt, n_pred, *found])
    assert measures.jaccard(numbers, 1) == slow.jaccard(area_gt, area_pred, inter)
    assert measures.boundary_f(numbers) == slow.boundary_f(n_gt, n_pred, *found[:2])
    assert measures.boundary_f(numbers, adaptive=True) == slow.boundary_f(n_gt, n_pred, *found[2:])


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_segments_equal_the_definition(empty):
    assert segments.runs(np.array(empty)) == slow.segments(empty)


@pytest.mark.parametrize(
    ("empty", "gone", "back"),
    [
        ("....", [], []),  # always there
        ("..##.", [(2, 4)], [(4, 5)]),  # leaves at 2, returns at 4
        ("##..", [], [(2, 4)]),  # absent from the start: only the return counts
        ("..##", [(2, 4)], []),  # never comes back
        ("#.#.#", [(2, 3), (4, 5)], [(1, 2), (3, 4)]),
        ("####", [], []),
    ],
)
def test_segments(empty, gone, back):
    assert segments.runs(np.array([c == "#" for c in empty])) == (gone, back)


@pytest.mark.parametrize(
    ("radius", "pixels"),
    [
        (0.5, 1),  # nothing inside: the upper left corner of the element stands for it
        (1, 5),
        (17.62, 971),
        (18, 1009),
    ],
)
def test_disks(radius, pixels):
    assert sum(last - first + 1 for _, first, last in disks.disk(radius)) == pixels
    assert sorted(
        (dy, dx) for dy, first, last in disks.disk(radius) for dx in range(first, last + 1)
    ) == sorted(slow.disk(radius))


@pytest.mark.parametrize("shape", [(1080, 1920), (480, 854), (750, 1000), (30, 40), (2, 2)])
def test_tolerances_equal_the_definition(shape):
    tolerances = disks.adaptive(shape)
    for area in [0, 1, 99, 100, 101, 2500, 2501, 28899, 28900, 28901, 10**6]:
        assert tolerances.of(area) == slow.tolerances(area, shape)
