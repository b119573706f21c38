"""The audit by hand: one row of ten pixels, objects that leave and return."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kit.core import artifacts
from kit.core.audits import Judged, Sighting, read_audit, write_audit
from kit.core.errors import ArtifactError, DataError
from kit.core.files import sha256
from kit.core.mask_archive import write_masks
from kit.core.masks import encode_png, encode_rle
from kit.core.types import Anchor, Candidate, MaskNotes, Selection, Video, VideoObject
from kit.metrics import audit, mining
from kit.stages import audits

SHAPE = (1, 10)
FRAMES = tuple(f"{i:05d}" for i in range(6))


def span(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[0, start:stop] = True
    return mask


def labels(**spans: tuple[int, int]) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    for name, (start, stop) in spans.items():
        found[span(start, stop)] = int(name[1:])
    return found


# Object 1 stands on 0..4, is gone on frames 2 and 3, and returns on 4 and 5. Object 2 stays on
# 6..10 and is given on frame 1.
TRUTH = [
    labels(o1=(0, 4)),
    labels(o1=(0, 4), o2=(6, 10)),
    labels(o2=(6, 10)),
    labels(o2=(6, 10)),
    labels(o1=(0, 4), o2=(6, 10)),
    labels(o1=(0, 4), o2=(6, 10)),
]


def video_of(root: Path = Path()) -> Video:
    objects = (VideoObject(1, FRAMES[0]), VideoObject(2, FRAMES[1]))
    return Video("v", *SHAPE, FRAMES, root, ".jpg", root / "gt", objects, "digest")


def candidate(frame: int, object_id: int, source: str, *where: int) -> Candidate:
    return Candidate(FRAMES[frame], object_id, 0.9, encode_rle(span(*where)), SHAPE, source)


def anchor(frame: int, object_id: int, *where: int) -> Anchor:
    return Anchor(FRAMES[frame], object_id, encode_rle(span(*where)), 0.9, None, "by hand")


CANDIDATES = [
    candidate(0, 1, "a", 0, 4),  # on the given frame: not looked at
    candidate(1, 1, "a", 0, 2),  # IoU 2/4
    candidate(1, 1, "a", 6, 10),  # the other object: 0
    candidate(1, 1, "b", 0, 3),  # 3/4
    candidate(2, 1, "a", 0, 4),  # while it is gone: counts for nothing
    candidate(4, 1, "b", 0, 5),  # 4/5
    candidate(3, 2, "a", 6, 10),  # 1
    candidate(5, 2, "a", 0, 4),  # 0
    candidate(5, 1, "a", 3, 5),  # 1/5
]
ANCHORS = [
    anchor(1, 1, 0, 3),  # right; the return on frame 4 is 3 frames away
    anchor(3, 1, 6, 10),  # while it is gone, on the other object; 1 away
    anchor(5, 1, 0, 10),  # IoU 4/10 with either; inside
    anchor(3, 2, 6, 9),  # right; object 2 never leaves
]


def both() -> dict[int, mining.Audited]:
    return mining.audit(video_of(), TRUTH, CANDIDATES, Selection(ANCHORS, []))


def test_sightings() -> None:
    found = both()
    assert found[1].sightings == [
        Sighting(1, False, {"a": 0.5, "b": 0.75}),
        Sighting(4, True, {"b": 0.8}),
        Sighting(5, True, {"a": 0.2}),
    ]
    assert found[2].sightings == [
        Sighting(2, False, {}),
        Sighting(3, False, {"a": 1.0}),
        Sighting(4, False, {}),
        Sighting(5, False, {"a": 0.0}),
    ]


def test_judged_anchors() -> None:
    found = both()
    assert found[1].anchors == [
        Judged(1, 0.75, 0.0, 3),
        Judged(3, 0.0, 1.0, 1),
        Judged(5, 0.4, 0.4, 0),
    ]
    assert found[2].anchors == [Judged(3, 0.75, 0.0, None)]


@pytest.mark.parametrize(
    ("source", "gap", "frames", "right", "good"),
    [
        (None, None, 7, 3 / 7, 3 / 7),  # frames 1 and 4 of object 1, 3 of object 2
        ("a", None, 7, 2 / 7, 1 / 7),
        ("b", None, 7, 2 / 7, 2 / 7),
        (None, True, 2, 1 / 2, 1 / 2),
        (None, False, 5, 2 / 5, 2 / 5),
        ("a", True, 2, 0, 0),
        ("c", None, 7, 0, 0),
    ],
)
def test_recall(
    source: str | None, gap: bool | None, frames: int, right: float, good: float
) -> None:
    sightings = [s for o in both().values() for s in o.sightings]
    expected = {"frames": frames, "right": pytest.approx(right), "good": pytest.approx(good)}
    assert mining.recall(sightings, source, gap) == expected


def test_a_union_counts_for_all_that_found_a_region() -> None:
    both = candidate(4, 1, "a+b", 0, 3)
    seen = mining.observe(1, TRUTH[4], mining.areas_of(TRUTH[4]), [both], [], None)
    assert seen.best == {"a": 0.75, "b": 0.75}


def test_candidates_of_an_absent_object_are_not_compared() -> None:
    found = [candidate(2, 1, "a", 0, 4)]
    seen = mining.observe(1, TRUTH[2], mining.areas_of(TRUTH[2]), found, [], None)
    assert (seen.visible, seen.best) == (False, {})


def test_written_and_read_back(tmp_path: Path) -> None:
    """Through JSON, so that ids are text on the way; numbers in four digits."""
    found = both()
    write_audit(tmp_path / "v.json", video_of(), found, {})
    again = read_audit(tmp_path / "v.json", video_of(), {})
    assert mining.summary(list(again.values())) == mining.summary(list(found.values()))
    assert {i: o.anchors for i, o in again.items()} == {i: o.anchors for i, o in found.items()}


def test_nothing_seen_is_no_recall() -> None:
    assert mining.recall([]) == {"frames": 0, "right": None, "good": None}


def test_precision() -> None:
    found = mining.precision([a for o in both().values() for a in o.anchors])
    assert found == {
        "anchors": 4,
        "right": 2 / 4,
        "distractor": 1 / 4,
        "distances": [0, 1, 3],
        "median_distance": 1.0,
    }
    nothing = {"right": None, "distractor": None, "distances": [], "median_distance": None}
    assert mining.precision([]) == {"anchors": 0, **nothing}


def test_summary_tells_the_sources_apart() -> None:
    found = mining.summary(list(both().values()))
    assert list(found["recall"]) == ["all", "a", "b"]
    assert list(found["recall"]["a"]) == ["all", "gap", "no gap"]
    assert found["recall"]["b"]["gap"] == {"frames": 2, "right": 0.5, "good": 0.5}


def test_gaps_of_a_first_pass() -> None:
    """Lost are visible targets that are drawn elsewhere, too small, or not at all."""
    tracked = [
        labels(o1=(0, 4)),
        labels(o1=(0, 1), o2=(6, 10)),  # object 1: IoU 1/4
        labels(o1=(0, 4), o2=(6, 8)),  # object 1 is gone, object 2 at exactly 1/2
        labels(),  # object 2 lost
        labels(o1=(0, 4), o2=(6, 10)),
        labels(o1=(6, 10), o2=(0, 4)),  # swapped
    ]
    found = mining.audit(video_of(), TRUTH, CANDIDATES, Selection(ANCHORS, []), tracked)
    assert [s.frame for s in found[1].sightings if s.gap] == [1, 5]
    assert [s.frame for s in found[2].sightings if s.gap] == [3, 5]
    assert [a.distance for a in found[1].anchors] == [0, 2, 0]
    assert [a.distance for a in found[2].anchors] == [0]


@pytest.mark.parametrize(
    ("visible", "gaps"),
    [("111", "000"), ("110011", "000011"), ("1011", "0011"), ("10101", "00101"), ("100", "000")],
)
def test_expected_gaps(visible: str, gaps: str) -> None:
    found = mining.expected_gaps(np.array([c == "1" for c in visible]))
    assert "".join("01"[int(g)] for g in found) == gaps


def test_overlaps() -> None:
    two, none = labels(o1=(0, 4), o2=(6, 10)), labels()
    found = mining.overlaps(span(2, 8), two, mining.areas_of(two))
    assert found[1] == 2 / (6 + 4 - 2)
    assert found[2] == 2 / 8
    assert found[0] == 2 / (6 + 2 - 2)  # the background too; callers leave it out
    assert not found[3:].any()
    assert not mining.overlaps(span(0, 0), none, mining.areas_of(none))[1:].any()


@pytest.fixture
def folders(tmp_path: Path) -> argparse.Namespace:
    """The same, as files."""
    video = video_of(tmp_path)
    artifacts.write_video(tmp_path / "frames" / "v.json", video)
    path = tmp_path / "candidates" / "v.jsonl.zst"
    artifacts.write_candidates(path, video, CANDIDATES)
    inputs = {"video": "digest", "candidates": sha256(path)}
    selection = Selection(ANCHORS, [])
    artifacts.write_anchors(tmp_path / "anchors" / "v.json", video, selection, inputs)
    (tmp_path / "gt").mkdir()
    for name, truth in zip(FRAMES, TRUTH, strict=True):
        Image.fromarray(truth).save(tmp_path / "gt" / f"{name}.png")
    masked(tmp_path, FRAMES)
    parser = argparse.ArgumentParser()
    audit.add_arguments(parser)
    flags = [f"--{key}={tmp_path / key}" for key in ("frames", "candidates", "anchors")]
    return parser.parse_args([*flags, "--output", str(tmp_path / "audit.json")])


NOTES = MaskNotes({1: {}, 2: {}}, {1: [], 2: []})


def masked(root: Path, frames: tuple[str, ...]) -> None:
    pngs = [(name, encode_png(labels())) for name in frames]
    write_masks(root / "masks" / "v.zip", video_of(), pngs, lambda: NOTES, {"video": "digest"})


def test_command(folders: argparse.Namespace, capsys: pytest.CaptureFixture[str]) -> None:
    audit.run(folders)
    assert capsys.readouterr().out == (
        "candidates        frames   visible  IoU 0.5 IoU 0.75\n"
        "all               all            7   42.9 %   42.9 %\n"
        "all               gap            2   50.0 %   50.0 %\n"
        "all               no gap         5   40.0 %   40.0 %\n"
        "a                 all            7   28.6 %   14.3 %\n"
        "a                 gap            2    0.0 %    0.0 %\n"
        "a                 no gap         5   40.0 %   20.0 %\n"
        "b                 all            7   28.6 %   28.6 %\n"
        "b                 gap            2   50.0 %   50.0 %\n"
        "b                 no gap         5   20.0 %   20.0 %\n"
        "\n"
        "anchors                    4\n"
        "  show the target          50.0 %\n"
        "  show another object      25.0 %\n"
        "  frames to the next gap   1 (median)\n"
    )
    written = json.loads(folders.output.read_text())
    assert written["schema"] == "audit/1"
    assert list(written["objects"]) == ["v_1", "v_2"]
    assert written["objects"]["v_2"]["anchors"] == [
        {"frame": 3, "target": 0.75, "distractor": 0.0, "distance": None}
    ]
    assert written["objects"]["v_1"]["recall"]["all"]["gap"]["frames"] == 2
    first = folders.output.read_bytes()
    audit.run(folders)
    assert folders.output.read_bytes() == first


def test_as_a_stage(folders: argparse.Namespace, tmp_path: Path) -> None:
    """One video; the same numbers as by hand, with a first pass and without."""
    audit.run(folders)
    by_hand = json.loads(folders.output.read_text())
    parser = argparse.ArgumentParser()
    audits.add_arguments(parser)
    video = video_of(tmp_path)
    found = {"candidates": "candidates/v.jsonl.zst", "anchors": "anchors/v.json"}
    flags = [f"--frames={tmp_path / 'frames' / 'v.json'}", f"--output={tmp_path / 'v.json'}"]
    flags += [f"--{key}={tmp_path / path}" for key, path in found.items()]
    audits.run(parser.parse_args(flags))
    inputs = {key: sha256(tmp_path / path) for key, path in found.items()}
    read = read_audit(tmp_path / "v.json", video, inputs)
    assert mining.summary(list(read.values()))["recall"] == by_hand["recall"]
    pngs = [(name, encode_png(labels())) for name in FRAMES]
    made_of = {"video": "digest", "anchors": sha256(tmp_path / "anchors" / "v.json")}
    write_masks(tmp_path / "m.zip", video, pngs, lambda: NOTES, made_of)
    more = [f"--first-masks={tmp_path / 'm.zip'}", f"--first-anchors={tmp_path / found['anchors']}"]
    audits.run(parser.parse_args([*flags, *more]))
    read = read_audit(tmp_path / "v.json", video, inputs)
    assert mining.summary(list(read.values()))["recall"]["all"]["no gap"]["frames"] == 0


def test_an_audit_of_other_anchors_is_not_believed(tmp_path: Path) -> None:
    video = video_of(tmp_path)
    write_audit(tmp_path / "v.json", video, both(), {"anchors": "old"})
    with pytest.raises(ArtifactError, match="made from anchors"):
        read_audit(tmp_path / "v.json", video, {"anchors": "new"})
    write_audit(tmp_path / "v.json", video, {1: both()[1]}, {})
    with pytest.raises(ArtifactError, match=r"expected \[1, 2\], found \[1\]"):
        read_audit(tmp_path / "v.json", video, {})


def test_command_with_a_first_pass_and_without_anchors(
    folders: argparse.Namespace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first pass that shows nothing has lost every visible object-frame."""
    folders.masks, folders.anchors = folders.frames.parent / "masks", None
    audit.run(folders)
    told = capsys.readouterr().out
    assert "all               gap            7   42.9 %" in told
    assert "all               no gap         0        -        -" in told
    assert "anchors                    0\n  show the target          -\n" in told


def broken_truth(folders: argparse.Namespace) -> None:
    (folders.frames.parent / "gt" / "00003.png").unlink()


def broken_masks(folders: argparse.Namespace) -> None:
    folders.masks = folders.frames.parent / "masks"
    masked(folders.frames.parent, FRAMES[:-1])


def broken_size(folders: argparse.Namespace) -> None:
    folders.masks = folders.frames.parent / "masks"
    small = encode_png(np.zeros((1, 9), np.uint8))
    pngs = [(name, small) for name in FRAMES]
    write_masks(folders.masks / "v.zip", video_of(), pngs, lambda: NOTES, {"video": "digest"})


def other_candidates(folders: argparse.Namespace) -> None:
    artifacts.write_candidates(folders.candidates / "v.jsonl.zst", video_of(), CANDIDATES[1:])


def no_index(folders: argparse.Namespace) -> None:
    (folders.frames / "v.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (broken_truth, DataError, "00003.png: no ground truth"),
        (broken_masks, ArtifactError, "masks of 5 frames, not those of the video's 6"),
        (broken_size, ArtifactError, "mask of 00000 is 9x1, the frames are 10x1"),
        (other_candidates, ArtifactError, "made from candidates"),
        (no_index, ArtifactError, "no index of a video"),
    ],
)
def test_what_does_not_fit_is_told(
    folders: argparse.Namespace, spoil: Any, error: type[Exception], words: str
) -> None:
    spoil(folders)
    with pytest.raises(error, match=words):
        audit.run(folders)
    assert not folders.output.exists()
