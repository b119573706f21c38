"""Packing: the same bytes from run to run, and nothing defective under the final name."""

import hashlib
import json
import logging
import os
import zipfile
from pathlib import Path

import pytest
from test_submission_check import (
    FRAME,
    META,
    TEAM,
    by_object,
    good,
    linked,
    png,
    write_folder,
    write_zip,
)

from kit.core.errors import SubmissionError
from kit.submission import archive
from kit.submission import pack as packing
from kit.submission.check import check
from kit.submission.pack import by_video, pack

VIDEOS = {"cat": 5, "dog": 4}


@pytest.fixture
def masks(tmp_path):
    """cat as our own artifact, out of order and with members to leave out; dog as a folder."""
    tree = good()
    cat = {name.removeprefix("cat/"): data for name, data in tree.items() if "cat" in name}
    write_folder({n: d for n, d in tree.items() if "dog" in n}, tmp_path / "folders")
    (tmp_path / "folders/dog/.DS_Store").write_bytes(b"junk")
    others = {"objects.json": b"{}", "thumbnails/00000.png": b"x"}
    return {
        "cat": write_zip(dict(reversed(cat.items())) | others, tmp_path / "cat"),
        "dog": tmp_path / "folders/dog",
    }


def test_members_are_sorted_stored_and_copied(masks, tmp_path):
    output = tmp_path / "out" / "sub.zip"
    pack(masks, META, output)
    with zipfile.ZipFile(output) as archive:
        table = archive.infolist()
        assert [info.filename for info in table] == sorted(good())
        assert {archive.read(info) == good()[info.filename] for info in table} == {True}
    assert {info.date_time for info in table} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in table} == {0o100644}
    assert {info.compress_type for info in table} == {zipfile.ZIP_STORED}
    assert check(output, META).findings == []
    assert sorted(path.name for path in output.parent.iterdir()) == ["sub.manifest.json", "sub.zip"]


def test_bytes_do_not_depend_on_order_time_or_container(masks, tmp_path):
    pack(masks, META, tmp_path / "a.zip")
    unpacked = tmp_path / "unpacked" / "cat"
    with zipfile.ZipFile(masks["cat"]) as archive:
        archive.extractall(unpacked)
    os.utime(unpacked / "00000.png", (1, 1))
    pack({"dog": masks["dog"], "cat": unpacked}, META, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_manifest_names_what_was_packed(masks, tmp_path):
    manifest = pack(masks, META, tmp_path / "sub.zip")
    data = (tmp_path / "sub.zip").read_bytes()
    written = json.loads((tmp_path / "sub.manifest.json").read_text())
    assert written["sha256"] == hashlib.sha256(data).hexdigest() == manifest.sha256
    assert written["bytes"] == len(data)
    assert {name: video["frames"] for name, video in written["videos"].items()} == VIDEOS
    cat = b"".join(data for name, data in good().items() if name.startswith("cat"))
    assert written["videos"]["cat"]["sha256"] == hashlib.sha256(cat).hexdigest()
    assert written["videos"]["cat"]["bytes"] == len(cat)


def test_a_lone_video_gets_company(masks, tmp_path):
    meta = {"videos": {"cat": META["videos"]["cat"]}}
    pack({"cat": masks["cat"]}, meta, tmp_path / "sub.zip")
    with zipfile.ZipFile(tmp_path / "sub.zip") as archive:
        assert archive.namelist()[0] == "README.txt"


def test_team_stands_at_the_root(masks, tmp_path):
    team = tmp_path / "mine.json"
    team.write_text(json.dumps(TEAM))
    pack(masks, META, tmp_path / "sub.zip", team)
    with zipfile.ZipFile(tmp_path / "sub.zip") as archive:
        assert archive.read("team.json") == team.read_bytes()


# What the team file lacks, and the words of the message.
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"team_name": "Put_your_team_name_here"}, "team_name"),  # the example, unedited
        ({"email": "nobody"}, "reachable address"),
        ({"members": []}, "members is empty"),
        ({"members": [{"name": "A", "affiliation": " "}]}, r"members\[0\].affiliation"),
        ({"By submitting the test results, I agree with the challenge terms and policies.": 1},
         "is not true"),
    ],
)  # fmt: skip
def test_team_schema(change, words, masks, tmp_path):
    team = tmp_path / "team.json"
    team.write_text(json.dumps(TEAM | change))
    with pytest.raises(SubmissionError, match=words):
        pack(masks, META, tmp_path / "sub.zip", team)


def test_a_defect_leaves_the_old_archive_and_no_traces(masks, tmp_path):
    output = tmp_path / "out" / "sub.zip"
    pack(masks, META, output)
    before = output.read_bytes()
    (masks["dog"] / "00001.png").write_bytes(png(1))
    with pytest.raises(SubmissionError, match=r"dog/00001.png: labels \[1\]"):
        pack(masks, META, output)
    assert output.read_bytes() == before
    assert len(list(output.parent.iterdir())) == 2


@pytest.mark.parametrize("links", [("cat",), ("cat", "dog"), (FRAME,), ("dog", FRAME)], ids=str)
def test_check_and_pack_agree_on_links(links, tmp_path):
    """Both take what links lead to, and both refuse one that leads nowhere."""
    root = write_folder(good(), tmp_path / "sub")
    whole = pack(by_video([root], set(VIDEOS)), META, tmp_path / "whole.zip")
    linked(root, *links)
    found = by_video([root], set(VIDEOS))
    assert check(root, META).findings == []
    assert pack(found, META, tmp_path / "linked.zip").sha256 == whole.sha256
    (root / FRAME).unlink()
    (root / FRAME).symlink_to(root / "gone.png")
    assert not check(root, META).ok
    with pytest.raises(SubmissionError, match="put the file itself there"):
        pack(found, META, tmp_path / "sub.zip")


@pytest.mark.parametrize("write", [write_folder, write_zip], ids=["folder", "zip"])
@pytest.mark.parametrize("pattern", ["cat/%03d/", "cat/object_%d/"])
def test_folders_of_masks_per_object_are_told(pattern, write, masks, tmp_path):
    inside = {n[4:]: d for n, d in by_object(pattern, good()).items() if n.startswith("cat/")}
    (tmp_path / "sub").mkdir()
    masks["cat"] = write(inside, tmp_path / "sub" / "cat")
    with pytest.raises(SubmissionError, match=r"masks of cat: .* a folder per object"):
        pack(masks, META, tmp_path / "sub.zip")


def test_an_archive_of_empty_masks_is_told(masks, tmp_path):
    root = write_folder(dict.fromkeys(good(), png()), tmp_path / "sub")
    with pytest.raises(SubmissionError, match="all 9 masks are empty"):
        pack(by_video([root], set(VIDEOS)), META, tmp_path / "sub.zip")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda masks: {"cat": masks["cat"]}, r"missing \['dog'\]"),
        (lambda masks: masks | {"cow": masks["dog"]}, r"unknown \['cow'\]"),
        (lambda masks: masks | {"dog": masks["dog"] / "nothing"}, "no such file"),
    ],
)
def test_masks_of_other_videos(change, words, masks, tmp_path):
    with pytest.raises(SubmissionError, match=words):
        pack(change(masks), META, tmp_path / "sub.zip")
    assert not (tmp_path / "sub.zip").exists()


def test_damaged_masks_name_the_video(masks, tmp_path):
    masks["cat"].write_bytes(masks["cat"].read_bytes()[:100])
    with pytest.raises(SubmissionError, match=r"masks of cat: .*cut short"):
        pack(masks, META, tmp_path / "sub.zip")


def test_large_archives_are_announced(masks, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(archive, "WARN_ARCHIVE_BYTES", 100)
    with caplog.at_level(logging.WARNING):
        pack(masks, META, tmp_path / "sub.zip")
    assert "1 GB and more hang" in caplog.text


def test_masks_are_found_by_name(masks, tmp_path):
    folder = tmp_path / "all"
    folder.mkdir()
    for path in masks.values():
        (folder / path.name).symlink_to(path)
    (folder / "notes.txt").write_text("no video")
    expected = {"cat": folder / "cat.zip", "dog": folder / "dog"}
    assert by_video([folder], set(VIDEOS)) == expected
    assert by_video([masks["cat"], masks["dog"]], set(VIDEOS)) == masks
    with pytest.raises(SubmissionError, match="give one"):
        by_video([masks["cat"], folder], set(VIDEOS))


def test_run_prints_the_digest(masks, tmp_path, capsys):
    import argparse

    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps(META))
    parser = argparse.ArgumentParser()
    packing.add_arguments(parser)
    output = tmp_path / "sub.zip"
    args = [str(p) for p in masks.values()] + ["--meta", str(meta), "--output", str(output)]
    assert packing.run(parser.parse_args(args)) == 0
    assert capsys.readouterr().out.startswith(hashlib.sha256(output.read_bytes()).hexdigest())
    assert Path(tmp_path / "sub.manifest.json").exists()
