"""Every row of the table of protocols against an example worked by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from kit.core.errors import DataError, SubmissionError
from kit.metrics.protocol_means import aggregate, decay
from kit.metrics.protocol_video import Span, Track, as_numpy, evaluate_video
from kit.metrics.protocols import PROTOCOLS

# A frame of 8x12 is a letter: what a 2x2 square of label 1 does in ground truth and prediction.
# Its boundary is the 3x3 ring of 8 pixels; the tolerance is 1 pixel.
JF = {
    "=": (1, 1),  # predicted exactly
    "1": (1 / 3, 1),  # one pixel off: 2 of 6 pixels shared, all boundaries within tolerance
    "3": (0, 3 / 8),  # three pixels off: the facing 3 of 8 boundary pixels touch
    ".": (0, 0),  # not predicted
    "x": (0, 0),  # predicted, but absent
    "_": (1, 1),  # absent in both
}


def png(labels):
    file = io.BytesIO()
    image = Image.fromarray(labels)
    image.putpalette(bytes(768))
    image.save(file, "PNG")
    return file.getvalue()


def square(x, value=1):
    labels = np.zeros((8, 12), np.uint8)
    if x is not None:
        labels[2:4, x : x + 2] = value
    return png(labels)


def clip(letters, names=None, value=1):
    """Ground truth and predictions by frame name."""
    names = names or [f"{i:05d}" for i in range(len(letters))]
    truth = {
        n: square(None if c in "x_" else 2, value) for n, c in zip(names, letters, strict=True)
    }
    shift = {"=": 2, "1": 3, "3": 5, "x": 2}
    pred = {n: square(shift.get(c), value) for n, c in zip(names, letters, strict=True)}
    return truth, pred


def expected(letters):
    j, f = zip(*(JF[c] for c in letters), strict=True)
    return [pytest.approx(v) for v in j], [pytest.approx(v) for v in f]


@pytest.mark.parametrize(
    ("name", "letters", "evaluated"),
    [
        ("davis2017", "=1=3.x_=", "1=3.x_"),  # without the first and the last
        ("mosev1", "=1=3.x_=", "1=3.x_"),
        ("vost", "=1=3.x_=", "1=3.x_"),
        ("pumavos", "=1=3.x_=", "=1=3.x_="),  # all
        ("davis2017", "=__1==", "__1="),  # absent at first: counts
        ("vos-benchmark", "=__1==", "1="),  # counts only from where it is seen
        ("vos-benchmark", "=_x1==", "x1="),  # ... or predicted
        ("youtube-vos", "__=.1=", ".1"),  # after its first appearance, without the last
    ],
)
def test_evaluated_frames(name, letters, evaluated):
    protocol = PROTOCOLS[name]
    track = evaluate_video(protocol, *clip(letters), objects=[1])[1]
    j, f = expected(evaluated)
    assert track.j.tolist() == j
    if name == "vost":
        assert track.f is None
    else:
        assert track.f.tolist() == f


def test_sa_v_takes_every_value_for_the_object():
    """A folder per object, 0 and 255; predicted frames without ground truth are ignored."""
    truth, pred = clip("=_1==", value=255)
    more = {f"{i:05d}a": square(5, 255) for i in range(9)}
    track = evaluate_video(PROTOCOLS["sa-v"], truth, pred | more)[1]
    assert track.j.tolist() == expected("1=")[0]
    assert track.f.tolist() == expected("1=")[1]


@pytest.mark.parametrize("letters", ["=___=", "=_x_=", "=="])
def test_sa_v_refuses_an_object_that_is_nowhere(letters):
    """Not annotated in any evaluated frame, be it predicted there; or nothing to evaluate."""
    with pytest.raises(DataError, match=r"in no evaluated frame|at least three"):
        evaluate_video(PROTOCOLS["sa-v"], *clip(letters))


def test_sa_v_refuses_a_second_object_in_a_file():
    truth, pred = clip("====")
    labels = np.zeros((8, 12), np.uint8)
    labels[2, 2], labels[5, 5] = 1, 2
    with pytest.raises(SubmissionError, match=r"frame 00001: .* more than two values"):
        evaluate_video(PROTOCOLS["sa-v"], truth, pred | {"00001": png(labels)})
    with pytest.raises(DataError, match=r"frame 00001: .* more than two values"):
        evaluate_video(PROTOCOLS["sa-v"], truth | {"00001": png(labels)}, pred)


@pytest.mark.parametrize(
    ("count", "zeros"),
    [
        (6, 0),  # six frames 1, 6, ..., 26: the four inner ones
        (8, 1),  # two more by the meta file: one inner frame is lacking and stays 0
    ],
)
def test_lvos_spans(count, zeros):
    names = [f"{n:08d}" for n in range(1, 27, 5)]
    protocol = PROTOCOLS["lvos-v2"]
    spans = {1: Span(1, 27, count)}
    track = evaluate_video(protocol, *clip("=1=3.=", names), objects=[1], spans=spans)[1]
    letters = "1=3." if count == 6 else "1=3.="
    j, f = expected(letters)
    assert track.j.tolist() == [*j, *[0] * zeros]
    assert track.f.tolist() == [*f, *[0] * zeros]


def test_lvos_v1_counted_the_given_frame_too():
    names = [f"{n:08d}" for n in range(1, 27, 5)]
    track = evaluate_video(PROTOCOLS["lvos-v1"], *clip("=1=3.=", names), spans={1: Span(1, 27, 6)})
    assert track[1].j.tolist() == expected("=1=3.=")[0]


def test_a_span_longer_than_its_meta_file_says():
    names = [f"{n:08d}" for n in range(1, 27, 5)]
    with pytest.raises(DataError, match=r"counts 5 frames .*1 to 27, has 6"):
        evaluate_video(PROTOCOLS["lvos-v2"], *clip("=1=3.=", names), spans={1: Span(1, 27, 5)})


def test_one_bit_masks_are_object_one():
    """`Image.fromarray(mask)` of a boolean array writes them."""
    truth, _ = clip("====")
    one_bit = io.BytesIO()
    mask = np.zeros((8, 12), bool)
    mask[2:4, 2:4] = True
    Image.fromarray(mask).save(one_bit, "PNG")
    assert as_numpy(one_bit.getvalue()).max() == 1
    pred = dict.fromkeys(truth, one_bit.getvalue())
    assert evaluate_video(PROTOCOLS["davis2017"], truth, pred)[1].j.tolist() == [1, 1]


def test_colours_are_no_labels():
    truth, _ = clip("====")
    colours = io.BytesIO()
    Image.new("RGB", (12, 8)).save(colours, "PNG")
    for row in ("davis2017", "vost", "vos-benchmark", "sa-v", "pumavos"):
        with pytest.raises(SubmissionError, match="mode RGB is no label map"):
            evaluate_video(PROTOCOLS[row], truth, dict.fromkeys(truth, colours.getvalue()))


def test_pumavos_weighs_videos_and_takes_late_objects():
    """J of 3 videos' objects: 0.6 and 0.2 in one, 0.2 in the other: 0.3, not a third of 1."""
    tracks = {("v", "1"): A, ("v", "2"): B, ("w", "1"): B}
    assert aggregate(PROTOCOLS["pumavos"], tracks)["J"] == pytest.approx(0.3)
    truth, pred = clip("__==", value=3)
    assert list(evaluate_video(PROTOCOLS["pumavos"], truth, pred)) == [3]


def test_void_is_background_where_the_protocol_says_so():
    """255 next to label 1: DAVIS has one object, and so have those that follow it."""
    labels = np.zeros((8, 12), np.uint8)
    labels[2:4, 2:4], labels[5:7, 5:7] = 1, 255
    truth = {str(i): png(labels) for i in range(4)}
    pred = {str(i): square(2) for i in range(4)}
    for row in ("davis2017", "mosev1", "vost", "pumavos"):
        assert list(evaluate_video(PROTOCOLS[row], truth, pred)) == [1]
    tracks = evaluate_video(PROTOCOLS["vos-benchmark"], truth, pred)
    assert {i: track.j.tolist() for i, track in tracks.items()} == {1: [1, 1], 255: [0, 0]}


def test_labels_beyond_the_objects():
    truth, _ = clip("====")
    pred = {name: square(2, 2) for name in truth}
    with pytest.raises(SubmissionError, match=r"label 2, but the video has 1 objects"):
        evaluate_video(PROTOCOLS["davis2017"], truth, pred)
    assert evaluate_video(PROTOCOLS["vost"], truth, pred)[1].j.tolist() == [0, 0]


def test_frames_and_sizes_must_match():
    truth, pred = clip("====")
    with pytest.raises(SubmissionError, match="00002 is annotated but not predicted"):
        evaluate_video(PROTOCOLS["davis2017"], truth, {k: pred[k] for k in list(pred)[:2]})
    pred["00001"] = png(np.zeros((4, 4), np.uint8))
    with pytest.raises(SubmissionError, match=r"prediction \(4, 4\), ground truth \(8, 12\)"):
        evaluate_video(PROTOCOLS["davis2017"], truth, pred)


A = Track(np.array([1.0, 1.0, 0.4, 0.0]), np.array([1.0, 0.8, 0.6, 0.4]))  # J 0.6, F 0.7
B = Track(np.array([0.2] * 4), np.array([0.3] * 4))


def test_means_over_objects():
    scores = aggregate(PROTOCOLS["davis2017"], {("v", "1"): A, ("v", "2"): B})
    assert scores["J"] == pytest.approx(0.4)
    assert scores["F"] == pytest.approx(0.5)
    assert scores["J&F"] == pytest.approx(0.45)
    assert scores["J_recall"] == (0.5 + 0) / 2  # strictly above 0.5
    assert scores["F_recall"] == (0.75 + 0) / 2


def test_means_over_groups():
    """One seen, two unseen: groups weigh the same."""
    tracks = {("v", "1"): A, ("w", "1"): B, ("w", "2"): B}
    scores = aggregate(PROTOCOLS["lvos-v2"], tracks, unseen=[("w", "1"), ("w", "2")])
    assert scores["J_seen"] == pytest.approx(0.6) and scores["F_unseen"] == pytest.approx(0.3)
    assert scores["J&F"] == pytest.approx((0.6 + 0.7 + 0.2 + 0.3) / 4)
    # J&F of a: 1, .9, .5, .2: mean .65, squares .1225 .0625 .0225 .2025, their mean .1025
    assert scores["V_seen"] == pytest.approx(0.1025**0.5) and scores["V_unseen"] == 0
    assert aggregate(PROTOCOLS["youtube-vos"], {("v", "1"): A})["J&F"] is None  # no unseen object


def test_vost_takes_the_last_quarter():
    track = Track(np.array([0.0] * 4 + [0.6, 0.8]), None)  # 6 frames: from frame 4 on
    scores = aggregate(PROTOCOLS["vost"], {("v", "1"): track})
    assert scores["J_tr"] == pytest.approx(0.7) and scores["J_tr_recall"] == 1
    assert scores["J_tr_decay"] == pytest.approx(-0.2)
    assert scores["J&F"] == scores["J"] == pytest.approx(1.4 / 6)
    assert "F" not in scores


def test_decay():
    """8 frames: the quarters share their limits, 0..2 and 5..7."""
    assert decay(np.array([9, 9, 6, 0, 0, 1, 2, 3.0])) == 8 - 2
    assert decay(np.r_[np.ones(300), np.zeros(300)]) == 1  # the official limits overflow here


def test_rows_without_a_public_evaluator_say_so():
    silent = {name for name, row in PROTOCOLS.items() if row.source.startswith("no public")}
    assert silent == {"youtube-vos", "mosev1"}


def test_equal_to_the_peer(tmp_path):
    """Random videos against `vos-benchmark`, where that is installed."""
    peer = pytest.importorskip("vos_benchmark.benchmark")
    rng = np.random.default_rng(4)
    for video in range(6):
        pairs = {}
        for side in ("gt", "pred"):
            folder = tmp_path / side / str(video)
            folder.mkdir(parents=True)
            for t in range(7):
                labels = np.zeros((97, 150), np.uint8)
                for label in (1, 2, 9):
                    y, x = rng.integers(0, 90), rng.integers(0, 140)
                    labels[y : y + 40, x : x + 30] = label * (rng.random() < 0.6)
                (folder / f"{t}.png").write_bytes(png(labels))
            pairs[side] = {p.stem: p.read_bytes() for p in folder.iterdir()}
        tracks = evaluate_video(PROTOCOLS["vos-benchmark"], pairs["gt"], pairs["pred"])
        _, j, f = peer.VideoEvaluator(tmp_path / "gt", tmp_path / "pred")(str(video))
        assert {i: track.j.mean() * 100 for i, track in tracks.items()} == j
        assert {i: track.f.mean() * 100 for i, track in tracks.items()} == f
