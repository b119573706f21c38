"""Presence and overlaps decided anew, from masks and the soft scores beside them."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.cli import main
from kit.core import artifacts, masks
from kit.core.files import sha256
from kit.core.mask_archive import read_masks, read_pngs, write_masks
from kit.core.types import FrameResult, Prompt, Video, VideoObject
from kit.labelling.emission import emits
from kit.labelling.overlaps import settle
from kit.labelling.painter import Painter

SHAPE = (3, 8)


def result(frame: int, one: tuple[int, int], two: tuple[int, int], presence: tuple[float, float],
           iou: tuple[float, float]) -> FrameResult:  # fmt: skip
    """Two objects as spans of columns; the second one's logits are the higher ones."""
    logits = np.full((2, *SHAPE), -9, np.float32)
    for row, (start, stop) in enumerate((one, two)):
        logits[row, :, start:stop] = 1 + row
    return FrameResult(
        frame,
        (1, 2),
        logits,
        np.array(presence, np.float32),
        np.array(iou, np.float32),
        logits,
    )


@pytest.fixture
def video(tmp_path: Path) -> Video:
    names = ("00000", "00001", "00002")
    objects = (VideoObject(1, "00000"), VideoObject(2, "00000"))
    video = Video("v", *SHAPE, names, tmp_path, ".jpg", tmp_path, objects, "d" * 64)
    artifacts.write_video(tmp_path / "v.json", video)
    given = {1: np.zeros(SHAPE, bool), 2: np.zeros(SHAPE, bool)}
    given[1][:, :2], given[2][:, 6:] = True, True
    prompts = [Prompt(frame, i, given[i], frame == 0) for frame, i in ((0, 1), (1, 1), (0, 2))]
    painter = Painter(video, given, prompts)
    results = [
        result(0, (0, 4), (2, 8), (-9, -9), (0, 0)),
        result(1, (0, 5), (3, 8), (9, 0.2), (0.5, 0.9)),  # contested: columns 3 and 4
        result(2, (0, 2), (4, 6), (0.2, 9), (0.5, 0.9)),  # not contested
    ]
    inputs = {"video": video.digest, "anchors": "a" * 64}
    write_masks(tmp_path / "v.zip", video, painter.paint(results), painter.describe, inputs)
    return video


def emitted(folder: Path, **settings: str | float) -> dict[str, list[int]]:
    """First row of every frame."""
    import json

    out = folder / "out.zip"
    status = main([
        "emission", "--frames", str(folder / "v.json"), "--masks", str(folder / "v.zip"),
        "--settings", json.dumps(settings), "--output", str(out),
    ])  # fmt: skip
    assert status == 0
    return {
        name: np.asarray(Image.open(io.BytesIO(data)))[0].tolist() for name, data in read_pngs(out)
    }


def test_the_librarys_rule_changes_no_byte(video: Video, tmp_path: Path) -> None:
    emitted(tmp_path, presence="library", overlap="logits")
    before, after = (dict(read_pngs(tmp_path / n)) for n in ("v.zip", "out.zip"))
    assert before == after


def test_expected_score(video: Video, tmp_path: Path) -> None:
    """Presence 0.2 is p = 0.55: too little for a mask of IoU 0.5, enough for one of 0.9."""
    found = emitted(tmp_path, presence="expected_score")
    assert found["00002"] == [0, 0, 0, 0, 2, 2, 0, 0]
    assert found["00001"] == [1, 1, 1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        (0.15, [1, 1, 1, 2, 2, 2, 2, 2]),
        (0.2, [1, 1, 1, 1, 1, 0, 0, 0]),  # object 2 is not above it; object 1 is at 9
        (9, [0] * 8),
    ],
)
def test_a_logit_to_be_above(
    least: float, expected: list[int], video: Video, tmp_path: Path
) -> None:
    found = emitted(tmp_path, presence=least)
    assert found["00001"] == expected
    assert {1, 2} <= set(found["00000"])  # the given masks, whose scores are -9


def test_what_becomes_free_goes_to_who_else_claimed_it(video: Video, tmp_path: Path) -> None:
    """Object 2 is left out of frame 1: the contested columns fall back to object 1."""
    with zipfile.ZipFile(tmp_path / "v.zip") as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    members["objects.json"] = members["objects.json"].replace(b'"presence":0.2', b'"presence":0.0')
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert emitted(tmp_path, presence="expected_score")["00001"] == [1, 1, 1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("logits", [1, 1, 1, 2, 2, 2, 2, 2]),
        ("surer", [1, 1, 1, 1, 1, 2, 2, 2]),  # 9 + log 0.5 beats 0.2 + log 0.9
        ("smaller", [1, 1, 1, 2, 2, 2, 2, 2]),  # equal areas: as by logits
        ("nearest", [1, 1, 1, 1, 1, 2, 2, 2]),  # object 1 has an anchor there
    ],
)
def test_overlaps(overlap: str, expected: list[int], video: Video, tmp_path: Path) -> None:
    assert emitted(tmp_path, overlap=overlap)["00001"] == expected


def test_the_strongest_claimant_wins() -> None:
    """Three claim a pixel; equals keep what they have, and the first of them takes what is free."""
    labels = np.array([[1, 2, 3, 0, 0, 2]], np.uint8)
    claims = {i: np.array([row], bool) for i, row in {
        1: [1, 1, 1, 0, 0, 0], 2: [1, 1, 1, 1, 0, 1], 3: [1, 1, 1, 1, 0, 1],
    }.items()}  # fmt: skip
    for strength, expected in (
        ({1: -5, 2: -5, 3: -5}, [1, 2, 3, 2, 0, 2]),
        ({1: -1, 2: -5, 3: -5}, [1, 1, 1, 2, 0, 2]),
        ({1: -9, 2: -5, 3: -2}, [3, 3, 3, 3, 0, 3]),
        ({1: -4, 2: -math.inf, 3: -math.inf}, [1, 1, 1, 2, 0, 2]),
    ):
        found = labels.copy()
        settle(found, claims, strength)
        assert found[0].tolist() == expected


def test_given_frames_stay_the_users(video: Video, tmp_path: Path) -> None:
    """However unsure the scores say it is."""
    for overlap in ("logits", "surer", "nearest"):
        frame = emitted(tmp_path, presence="expected_score", overlap=overlap)["00000"]
        assert frame[:2] == [1, 1]
        assert frame[6:] == [2, 2]


def test_it_knows_what_it_was_made_from(video: Video, tmp_path: Path) -> None:
    emitted(tmp_path)
    inputs = {"anchors": "a" * 64, "masks": sha256(tmp_path / "v.zip")}
    read_masks(tmp_path / "out.zip", video, inputs)


@pytest.mark.parametrize(
    ("presence", "iou", "expected"),
    [
        (0.0, 1.0, False),  # p = 1/2 is not more than 1/(1+1)
        (0.01, 1.0, True),
        (math.log(2), 0.5, False),  # p = 2/3 = 1/(1+0.5), up to rounding below it
        (math.log(2.1), 0.5, True),
        (9.0, 0.0, False),  # a mask worth nothing is never emitted
        (-1000.0, 1.0, False),
    ],
)
def test_when_it_pays_to_emit(presence: float, iou: float, expected: bool) -> None:
    assert emits(presence - 1e-12, iou) == expected


def test_unknown_choice(video: Video, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([
        "emission", "--frames", str(tmp_path / "v.json"), "--masks", str(tmp_path / "v.zip"),
        "--settings", '{"presence": "always"}', "--output", str(tmp_path / "out.zip"),
    ])  # fmt: skip
    assert status == 2
    assert "'always'" in capsys.readouterr().err
    assert not (tmp_path / "out.zip").exists()


def test_masks_are_data(video: Video) -> None:
    """The claims round trip through run lengths."""
    notes = read_masks(video.images / "v.zip", video, {})
    claim = masks.decode_rle(notes.claims["00001"][1], *SHAPE)
    assert claim[0].tolist() == [True] * 5 + [False] * 3
