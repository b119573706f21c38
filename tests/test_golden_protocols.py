"""Every recorded result of an official evaluator, against the same set measured by the kit.

`../shared/golden/protocols` holds the generators of the sets and one file of records per evaluator;
all records that lie there are run. Objects must be equal to the last bits, means too, and what the
official code refuses is refused.
"""

import importlib
import json
import math
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from kit.core.errors import KitError
from kit.core.png import decode
from kit.metrics import mosev2
from kit.metrics.protocol_means import aggregate, variability
from kit.metrics.protocol_video import Span, as_numpy, evaluate_video
from kit.metrics.protocols import PROTOCOLS

HOME = Path(__file__).parents[2] / "shared" / "golden" / "protocols"
# The recorders' name of an evaluator: its row, and what a mean of one is in the record (percents).
ROWS = {
    "davis2017": ("davis2017", 1),
    "vost": ("vost", 1),
    "vos-benchmark": ("vos-benchmark", 100),
    "sav-flat": ("vos-benchmark", 100),
    "pumavos(XMem2)": ("pumavos", 1),
    "youtube-vos(FRTM)": ("youtube-vos", 1),
}
OVERFLOW = 256  # from so many frames on, the official limits of decay overflow
NAMES = {"J_last_recall": "J_tr_recall", "J_last_decay": "J_tr_decay"}


def records(name):
    file = HOME / f"{name}.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def flat_records():
    return [(case, who) for case, found in records("official").items() for who in found]


@cache
def generated(module, function):
    sys.path.insert(0, str(HOME))
    try:
        return getattr(importlib.import_module(module), function)()
    finally:
        sys.path.remove(str(HOME))


@pytest.fixture(autouse=True)
def needs_the_records():
    if not HOME.is_dir():
        pytest.skip("the recorded results of the official evaluators are not here")


def files(labels):
    """PNG files by frame name, as the generator writes them."""
    png = sys.modules["gen"].png
    made = {n: png(v) if isinstance(v, np.ndarray) else v for n, v in labels.items()}
    return {name: data for name, data in made.items() if data is not None}


def outcome(measure):
    """What a measurement gives, or None if it is refused."""
    try:
        return measure()
    except (KitError, ValueError):  # ValueError: the test itself reads the labels
        return None


def close(ours, official):
    """Equal up to the summation order of a mean; undefined in both."""
    if ours is None or math.isnan(official):
        return ours is None and math.isnan(official)
    return math.isclose(ours, official, rel_tol=1e-12, abs_tol=1e-12)


def check_objects(tracks, official, percent):
    """The objects measured are the same, and J and F (of VOST: J of the last quarter) too."""
    found = {f"{video}_{i}": track for (video, i), track in tracks.items()}
    official = {name.replace("_True", "_1"): pair for name, pair in official.items()}  # 1-bit
    assert set(found) == set(official)
    for name, (j, other) in official.items():
        track = found[name]
        assert close(float(track.j.mean()) * percent if len(track.j) else None, j), name
        if track.f is not None:
            assert close(float(track.f.mean()) * percent if len(track.f) else None, other), name


def check_means(scores, official, percent, frames):
    for name, value in official.items():
        short = NAMES.get(name, name.partition("(")[0])
        if "decay" in name and frames >= OVERFLOW:
            continue
        ours = scores[short]
        assert close(None if ours is None else ours * percent, value), (name, ours, value)


@pytest.mark.parametrize(("case", "who"), flat_records())
def test_golden_protocol_of_label_maps(case, who):
    official = records("official")[case][who]
    row, percent = ROWS[who]
    protocol = PROTOCOLS[row]
    videos = generated("gen", "cases")[case]

    def measure():
        tracks = {}
        for video, made in videos.items():
            truth = files(made.gt)
            ids = labels_of(truth) if protocol.objects == "given" else ()
            found = evaluate_video(protocol, truth, files(made.pred), ids)
            tracks |= {(video, str(i)): track for i, track in found.items()}
        return tracks

    tracks = outcome(measure)
    if "error" in official:
        assert tracks is None, official["error"]
        return
    assert tracks is not None
    check_objects(tracks, official["objects"], percent)
    scores = aggregate(protocol, tracks)
    if protocol.averaging == "seen_unseen":  # the records are of one group
        scores = {name.removesuffix("_seen"): v for name, v in scores.items() if "_seen" in name}
    longest = max(len(made.gt) for made in videos.values()) - 2
    check_means(scores, official["global"], percent, longest)


def labels_of(truth):
    return sorted({int(v) for data in truth.values() for v in np.unique(as_numpy(data))} - {0})


@pytest.mark.parametrize("case", records("official_sav"))
def test_golden_protocol_of_object_folders(case):
    official = records("official_sav")[case]
    videos = generated("gen_sav", "sav_cases")[case]

    def measure():
        return {
            (video, name): evaluate_video(PROTOCOLS["sa-v"], files(made.gt), files(made.pred))[1]
            for video, folders in videos.items()
            for name, made in folders.items()
            if made.gt
        }

    tracks = outcome(measure)
    if "error" in official:
        assert tracks is None, official["error"]
        return
    assert tracks is not None
    check_objects(tracks, official["objects"], 100)
    check_means(aggregate(PROTOCOLS["sa-v"], tracks), official["global"], 100, 0)


@pytest.mark.parametrize(
    ("row", "case"),
    [("lvos-v2", case) for case in records("official_lvos")]
    + [("lvos-v1", case) for case in records("official_lvos_v1")],
)
def test_golden_protocol_of_spans(row, case):
    official = records("official_lvos" if row == "lvos-v2" else "official_lvos_v1")[case]
    videos, unseen = generated("gen_lvos", "lvos_cases")[case]
    protocol = PROTOCOLS[row]

    def measure():
        tracks = {}
        for video, made in videos.items():
            spans = {int(i): span(meta) for i, meta in made.extra["objects"].items()}
            found = evaluate_video(protocol, files(made.gt), files(made.pred), spans=spans)
            # the official code numbers objects by their place in the meta file
            tracks |= {(video, str(k)): track for k, track in enumerate(found.values(), 1)}
        return tracks

    tracks = outcome(measure)
    if "error" in official:
        assert tracks is None, official["error"]
        return
    assert tracks is not None
    check_objects(tracks, official["objects"], 1)
    for (video, i), track in tracks.items():
        assert close(variability(track), official["V"][f"{video}_{i}"])
    apart = [key for key in tracks if key[0] in unseen]
    check_means(aggregate(protocol, tracks, apart), official["global"], 1, 0)


def span(meta):
    told = meta["frame_range"]
    return Span(int(told["start"]), int(told["end"]), int(told["frame_nums"]))


@pytest.mark.parametrize("case", records("official_mose2"))
def test_golden_protocol_of_mosev2(case, tmp_path):
    """Whole folders; a stub stands beside the case, since one video is taken for a wrapper."""
    official = records("official_mose2")[case]
    videos = generated("gen", "cases")[case] | {"zz": stub()}
    meta = {video: written(video, made, tmp_path) for video, made in videos.items()}
    (tmp_path / "meta.json").write_text(json.dumps({"videos": meta}))

    def measure():
        return mosev2.evaluate_set(tmp_path / "gt", tmp_path / "pred", tmp_path / "meta.json")

    if "error" in official:
        with pytest.raises((KitError, OSError, ValueError, AssertionError)):
            measure()
        return
    found = measure().objects
    for name, values in official["objects"].items():
        if not name.startswith("zz_"):  # the recorder's own stub
            assert list(found[name].measures.values()) == values, name


def stub():
    frames = {f"{t:05d}": np.ones((4, 4), np.uint8) for t in range(3)}
    return sys.modules["gen"].Vid(frames, frames)


def written(video, made, root):
    """Write a video as the organisers have it; returns its entry of the meta file."""
    for side, labels in (("gt", made.gt), ("pred", made.pred)):
        (root / side / video).mkdir(parents=True)
        for name, data in files(labels).items():
            (root / side / video / f"{name}.png").write_bytes(data)
    truth = files(made.gt).values()
    ids = sorted({int(v) for data in truth for v in np.unique(decode(data))} - {0})
    height, width = decode(next(iter(truth))).shape
    objects = {str(i): {} for i in ids}
    return {"length": len(made.gt), "height": height, "width": width, "objects": objects}
