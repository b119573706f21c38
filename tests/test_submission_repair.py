"""Mending: what can be mended without guessing becomes the good tree, the rest is refused."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_submission_check import (
    FRAME,
    MAC,
    META,
    TEAM,
    add_member,
    by_object,
    good,
    png,
    put,
    quantized,
    renamed,
    shifted,
    then,
    under,
    without,
    write_folder,
    write_zip,
    zeros,
)

from kit.core.errors import SubmissionError
from kit.core.masks import encode_png
from kit.submission.check import check
from kit.submission.repair import Fill, repair


def rgb(*labels):
    """A colour picture in the DAVIS colours."""
    values = np.zeros((6, 9), np.uint8)
    for row, label in enumerate(labels):
        values[row] = label
    image = Image.open(io.BytesIO(encode_png(values))).convert("RGB")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def labels_of(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("P")).tolist()


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


TEAM_FILE = put("team.json", json.dumps(TEAM).encode())

# What was done to the good tree, and words of the log; mending gives the good tree again.
MENDED = [
    ("good", lambda tree: tree, ""),
    ("wrapper", then(under("out"), MAC), "moved the videos to the root"),
    ("two-wrappers", then(under("a"), under("b")), "moved"),
    ("junk", then(zeros("cat/.DS_Store"), zeros("Thumbs.db")), "not part of a submission"),
    ("prefix", renamed("cat/", "cat/mask_"), "mask_00000.png: renamed to cat/00000.png"),
    ("two-numbers", renamed("cat/", "cat/take9_"), "take9_00000.png: renamed to cat/00000.png"),
    ("padding", renamed("cat/00001", "cat/1"), "cat/1.png: renamed to cat/00001.png"),
    ("two-dots", renamed("cat/00001", "cat/00001.x"), "renamed"),
    ("PNG", renamed(".png", ".PNG"), "renamed"),
    ("counted-from-1", shifted, "cat/00001.png: renamed to cat/00000.png"),
    ("number-twice", put("cat/1.png", png(2)), "cat/1.png: left out"),
    ("beyond", put("cat/00005.png", png(1)), "cat/00005.png: left out"),
    ("before-first", put("cat/-1.png", png(2)), "left out"),
    ("rgb", put(FRAME, rgb(1, 2)), "turned palette colours back into ids"),
    ("sorted", put(FRAME, quantized(1, 2)), "turned palette colours back into ids"),
    ("dropped", put("dog/00001.png", quantized(3)), "turned palette colours back into ids"),
    ("zero-255", put("dog/00001.png", png(255)), "wrote the id for 255"),
    ("one-bit", put("dog/00001.png", png(1, mode="1")), "wrote the id for 255"),
    ("bad-team", put("team.json", b"{}"), "team.json: left out"),
]


@pytest.mark.parametrize("write", [write_folder, write_zip], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("change", "words"), [row[1:] for row in MENDED], ids=[row[0] for row in MENDED]
)
def test_mended(change, words, write, tmp_path):
    output = tmp_path / "mended.zip"
    changes = repair(write(change(good()), tmp_path / "sub"), META, output)
    assert words in "\n".join(map(str, changes))
    assert bool(changes) == bool(words)
    found = members(output)
    assert found.keys() == good().keys()
    assert {n: labels_of(d) for n, d in found.items()} == {
        n: labels_of(d) for n, d in good().items()
    }
    assert check(output, META).findings == []


# What cannot be known from the files, and the defect the message names.
LEFT = [
    ("frame-missing", without("cat/00002"), "frame-missing"),
    ("video-missing", without("dog"), "video-missing"),
    ("255-of-two-objects", put(FRAME, png(255)), "zero-255"),
    ("colour-of-a-stranger", put(FRAME, rgb(9)), "colour"),
    ("strange-label", put(FRAME, png(9)), "label"),
    ("size", put(FRAME, png(1, size=(9, 6))), "size"),
    ("unreadable", put(FRAME, b"<html>"), "unreadable"),
]


@pytest.mark.parametrize(
    ("change", "code"), [row[1:] for row in LEFT], ids=[row[0] for row in LEFT]
)
def test_left_to_the_user(change, code, tmp_path):
    output = tmp_path / "out" / "mended.zip"
    with pytest.raises(SubmissionError, match=rf"\[{code}\]"):
        repair(write_folder(change(good()), tmp_path / "sub"), META, output)
    assert list(output.parent.iterdir()) == []


def test_unknown_colours_are_not_guessed(tmp_path):
    data = Image.fromarray(np.full((6, 9, 3), 77, np.uint8))
    data.save(tmp_path / "strange.png")
    tree = good() | {FRAME: (tmp_path / "strange.png").read_bytes()}
    with pytest.raises(SubmissionError, match=r"\[colour\]"):
        repair(write_folder(tree, tmp_path / "sub"), META, tmp_path / "mended.zip")


@pytest.mark.parametrize(
    ("fill", "expected"), [(Fill.EMPTY, png()), (Fill.NEAREST, png(2, 1))], ids=str
)
def test_missing_frames_are_made_up_only_when_asked(fill, expected, tmp_path):
    tree = without("cat/00002")(good()) | {"cat/00001.png": png(2, 1)}
    output = tmp_path / "mended.zip"
    changes = repair(write_folder(tree, tmp_path / "sub"), META, output, fill)
    assert [change.where for change in changes] == [FRAME]
    assert labels_of(members(output)[FRAME]) == labels_of(expected)


@pytest.mark.parametrize("fill", list(Fill), ids=str)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("dog"), "dog: not one mask of 1 of 2 videos"),
        (then(without("dog"), put("dog/notes.txt", b"")), "dog: not one mask of 1 of 2"),
        (lambda tree: {"readme.txt": b""}, "cat, dog: not one mask of 2 of 2"),
        (
            lambda tree: by_object("cat/%03d/", tree),
            "cat/001: cat has a folder of masks per object",
        ),
        (lambda tree: by_object("dog/%d/", tree), "dog/1: dog has a folder"),
    ],
)
def test_no_whole_video_is_made_up(change, words, fill, tmp_path):
    source = write_folder(change(good()), tmp_path / "sub")
    with pytest.raises(SubmissionError, match=words):
        repair(source, META, tmp_path / "mended.zip", fill)
    assert not (tmp_path / "mended.zip").exists()


def test_a_team_file_moves_to_the_root(tmp_path):
    tree = then(TEAM_FILE, under("out"))(good())
    repair(write_zip(tree, tmp_path / "sub"), META, tmp_path / "mended.zip")
    assert json.loads(members(tmp_path / "mended.zip")["team.json"]) == TEAM


def test_archives_are_mended(tmp_path):
    """Names that leave the folder are dropped, backslashes become folders."""
    tree = renamed("dog/", "dog\\")(good())
    path = add_member(write_zip(tree, tmp_path / "sub"), "../evil.png", b"x")
    changes = repair(path, META, tmp_path / "mended.zip")
    assert "../evil.png: left out (unsafe-name)" in map(str, changes)
    assert members(tmp_path / "mended.zip") == good()


def test_a_lone_video_gets_company(tmp_path):
    meta = {"videos": {"cat": META["videos"]["cat"]}}
    source = write_folder(without("dog")(good()), tmp_path / "sub")
    repair(source, meta, tmp_path / "mended.zip")
    assert "README.txt" in members(tmp_path / "mended.zip")


def test_mending_twice_gives_the_same_bytes(tmp_path):
    source = write_folder(renamed("cat/", "cat/mask_")(good()), tmp_path / "sub")
    repair(source, META, tmp_path / "a.zip")
    repair(tmp_path / "a.zip", META, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
