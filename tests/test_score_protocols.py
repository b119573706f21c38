"""`kit score --protocol NAME` on small sets in the layouts that the protocols are for."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.cli import main
from kit.metrics.benchmark import NAMES
from kit.metrics.protocols import PROTOCOLS

SHAPE = (8, 12)


def draw(file, x, value=1):
    """A 2x2 square at column x (nothing if None) as a palette PNG."""
    labels = np.zeros(SHAPE, np.uint8)
    if x is not None:
        labels[2:4, x : x + 2] = value
    image = Image.fromarray(labels)
    image.putpalette(bytes(768))
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file)


def score(root, name, *more):
    arguments = ["score", "--protocol", name, "--gt", root / "gt", "--pred", root / "pred"]
    return main([str(a) for a in (*arguments, "--output", root / "out", *more)])


def results(root):
    return json.loads((root / "out" / "protocol.json").read_text())


@pytest.fixture
def clip(tmp_path):
    """Five frames; on one of the three inner ones the prediction is a pixel off: J = 1/3."""
    for t in range(5):
        draw(tmp_path / "gt" / "v" / f"{t:05d}.png", 2)
        draw(tmp_path / "pred" / "v" / f"{t:05d}.png", 3 if t == 2 else 2)
    return tmp_path


@pytest.mark.parametrize("name", ["davis2017", "mosev1", "vost", "vos-benchmark"])
def test_label_maps(clip, name, capsys):
    assert score(clip, name) == 0
    assert results(clip)["scores"]["J"] == pytest.approx((1 + 1 / 3 + 1) / 3)
    text = (clip / "out" / "scores.txt").read_text()
    assert capsys.readouterr().out == text
    assert PROTOCOLS[name].source in text and "J: 77.78" in text


def test_pumavos_evaluates_all_frames(clip):
    assert score(clip, "pumavos") == 0
    assert results(clip)["scores"]["J"] == pytest.approx((4 + 1 / 3) / 5)


def test_sa_v_has_a_folder_per_object(tmp_path, clip, capsys):
    assert score(clip, "sa-v") == 2
    assert "v: no folders of objects" in capsys.readouterr().err
    (clip / "gt" / "v").rename(clip / "gt" / "000")
    (clip / "pred" / "v").rename(clip / "pred" / "000")
    for side in ("gt", "pred"):
        (clip / side / "v").mkdir()
        (clip / side / "000").rename(clip / side / "v" / "000")
    assert score(clip, "sa-v") == 0
    assert results(clip)["objects"] == {"v_000": {"J": pytest.approx(7 / 9), "F": 1.0}}


@pytest.fixture
def spans(tmp_path):
    """LVOS: video `seen` is perfect, of video `other` nothing is predicted right."""
    objects = {"1": {"frame_range": {"start": "0", "end": "21", "frame_nums": "5"}}}
    meta = {"videos": {v: {"objects": objects} for v in ("seen", "other")}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "unseen.txt").write_text("other\n")
    for video in meta["videos"]:
        for number in range(0, 21, 5):
            draw(tmp_path / "gt" / video / f"{number:08d}.png", 2)
            draw(tmp_path / "pred" / video / f"{number:08d}.png", 2 if video == "seen" else 9)
    return tmp_path


def lists(root):
    return "--meta", root / "meta.json", "--unseen", root / "unseen.txt"


def test_lvos(spans):
    assert score(spans, "lvos-v2", *lists(spans)) == 0
    scores = results(spans)["scores"]
    assert (scores["J_seen"], scores["J_unseen"], scores["J"]) == (1, 0, 0.5)


def test_a_list_of_unseen_videos_as_powershell_saves_it(spans):
    """Lists of names are read alike, whatever they are for."""
    (spans / "unseen.txt").write_bytes("\ufeffJPEGImages/other/\r\n".encode("utf-16-le"))
    assert score(spans, "lvos-v2", *lists(spans)) == 0
    assert results(spans)["scores"]["J_unseen"] == 0


def test_youtube_vos_goes_by_category(spans):
    meta = json.loads((spans / "meta.json").read_text())
    for video, category in (("seen", "cat"), ("other", "yak")):
        meta["videos"][video]["objects"] = {"1": {"category": category}}
    (spans / "meta.json").write_text(json.dumps(meta))
    (spans / "unseen.txt").write_text("yak\n")
    assert score(spans, "youtube-vos", *lists(spans)) == 0
    assert results(spans)["scores"]["J_unseen"] == 0
    assert results(spans)["scores"]["J_seen"] == 1


@pytest.fixture
def boxed(tmp_path):
    """A sequence of three frames; the second is right, the third has half of the box."""
    folder = tmp_path / "gt" / "bear-1"
    folder.mkdir(parents=True)
    (folder / "groundtruth.txt").write_text("10,10,20,10\n10,10,20,10\n10,10,20,10\n")
    (folder / "meta_info.ini").write_text("[METAINFO]\nresolution: (100, 50)\n")
    (folder / "cover.label").write_text("8\n8\n8\n")
    (folder / "full_occlusion.txt").write_text("0,0,0\n")
    (folder / "out_of_view.txt").write_text("0,0,0\n")
    (tmp_path / "pred").mkdir()
    (tmp_path / "pred" / "bear-1.txt").write_text("0 0 1 1\n10\t10\t20\t10\n10 10 10 10\n")
    return tmp_path


def test_boxes(boxed):
    assert score(boxed, "got10k") == 0
    assert results(boxed)["scores"]["AO"] == pytest.approx(0.75)
    assert score(boxed, "lasot") == 0
    assert results(boxed)["scores"]["success_AUC"] == pytest.approx((20 + 20 + 10) / 21 / 3)
    (boxed / "gt" / "bear-1" / "out_of_view.txt").write_text("0,0,1\n")
    assert score(boxed, "lasot") == 0
    assert results(boxed)["scores"]["success_AUC"] == pytest.approx((20 + 20) / 21 / 3)


TRUTH, META = Path("gt", "bear-1", "groundtruth.txt"), Path("gt", "bear-1", "meta_info.ini")
COVER = Path("gt", "bear-1", "cover.label")


@pytest.mark.parametrize(
    ("file", "text", "name", "said"),
    [
        (TRUTH, "10,10,20,10\n10,10,20\n", "lasot", "groundtruth.txt, line 2: expected 4 numbers"),
        (TRUTH, "10,10,20,10\nx,1,1,1\n", "got10k", "line 2: expected 4 numbers, found 'x,1,1,1'"),
        (TRUTH, "1,1,1,1\n", "got10k", "cover.label: 3 flags, but groundtruth.txt has 1 boxes"),
        (COVER, "8\n8\nx\n", "got10k", "cover.label, line 3: expected 1 number"),
        (META, "nothing", "got10k", "meta_info.ini: expected `resolution"),
        (Path("pred", "bear-1.txt"), "1,1,1,1\n", "lasot", "bear-1.txt: 1 boxes, 3 frames"),
        (Path("pred", "bear-1.txt"), None, "lasot", "bear-1: no result. Expected is bear-1.txt"),
        (TRUTH, None, "lasot", "groundtruth.txt: cannot be read"),
    ],
)
def test_malformed_box_files(boxed, file, text, name, said, capsys):
    """The file and its line are named, and nothing is written."""
    if text is None:
        (boxed / file).unlink()
    else:
        (boxed / file).write_text(text)
    assert score(boxed, name) == 2
    assert said in capsys.readouterr().err
    assert not (boxed / "out").exists()


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ("[]", "no meta file of lvos-v2"),
        ('{"videos": 3}', "no meta file of lvos-v2"),
        ('{"videos": {"seen": {"objects": {"1": {}}}}}', "seen: object 1 in the meta file"),
        ('{"videos": {"seen": {"objects": {"900": {}}}}}', "ids go from 1 to 255"),
    ],
)
def test_malformed_meta_files(spans, meta, said, capsys):
    (spans / "meta.json").write_text(meta)
    assert score(spans, "lvos-v2", *lists(spans)) == 2
    assert said in capsys.readouterr().err


def test_options_that_a_protocol_lacks_or_needs(spans, capsys):
    assert score(spans, "davis2017", *lists(spans)) == 2
    assert score(spans, "lvos-v2") == 2
    assert score(spans, "mosev2") == 2
    errors = capsys.readouterr().err
    assert "davis2017 takes neither" in errors and "lvos-v2 needs the data set's meta" in errors
    assert "the MOSEv2 score needs --meta" in errors


def test_a_video_that_was_not_predicted(clip, capsys):
    (clip / "gt" / "w").mkdir()
    for t in range(3):
        draw(clip / "gt" / "w" / f"{t:05d}.png", 2)
    assert score(clip, "davis2017") == 2
    assert "w: frame 00001 is annotated but not predicted" in capsys.readouterr().err


def test_every_row_can_be_asked_for():
    assert set(PROTOCOLS) < set(NAMES)
