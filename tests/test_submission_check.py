"""Every defect of a submission, as a folder and as an archive, against what the server would do."""

import argparse
import io
import json
import os
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.core.errors import DataError, SubmissionError
from kit.core.masks import PALETTE
from kit.submission import rules
from kit.submission.check import Report, check
from kit.submission.check_command import add_arguments, run
from kit.submission.rules import FATAL, HARMLESS, RULES, WRONG, ZERO

H, W = 6, 9
META = {
    "videos": {
        "cat": {"length": 5, "height": H, "width": W, "objects": [1, 2]},
        "dog": {"length": 4, "height": H, "width": W, "objects": ["3"]},
    }
}
TEAM = {
    "By submitting the test results, I agree with the challenge terms and policies.": True,
    "team_name": "Otters",
    "members": [{"name": "A. Member", "affiliation": "University"}],
    "email": "otters@example.org",
}
Tree = dict[str, bytes]


def png(
    *labels: int, mode: str = "P", size: tuple[int, int] = (H, W), format: str = "PNG"
) -> bytes:
    """A picture whose upper rows hold the labels, the rest 0."""
    values = np.zeros(size, np.uint8)
    for row, label in enumerate(labels):
        values[row] = label
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    elif mode == "RGB":
        palette = Image.fromarray(values)
        palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, *[9] * 756])
        image = palette.convert("RGB")
    elif mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16))
    elif mode != "L":
        image = image.point(lambda value: value * 255).convert(mode)
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def good() -> Tree:
    tree = {f"cat/{frame:05d}.png": png(1, 2) for frame in range(5)}
    return tree | {f"dog/{frame:05d}.png": png(3) for frame in range(4)}


def write_folder(tree: Mapping[str, bytes], root: Path) -> Path:
    for name, data in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(data)
    return root


def write_zip(tree: Mapping[str, bytes], root: Path) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in tree.items():
            archive.writestr(name, data)
    return path


def codes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


def under(prefix: str) -> Callable[[Tree], Tree]:
    return lambda tree: {f"{prefix}/{name}": data for name, data in tree.items()}


def plus(**extra: bytes) -> Callable[[Tree], Tree]:
    return lambda tree: tree | extra


def put(name: str, data: bytes) -> Callable[[Tree], Tree]:
    return lambda tree: tree | {name: data}


def without(*names: str) -> Callable[[Tree], Tree]:
    return lambda tree: {name: data for name, data in tree.items() if not name.startswith(names)}


def renamed(old: str, new: str) -> Callable[[Tree], Tree]:
    return lambda tree: {name.replace(old, new): data for name, data in tree.items()}


def shifted(tree: Tree) -> Tree:
    """cat's frames counted from 1."""
    cat = {f"cat/{frame + 1:05d}.png": tree[f"cat/{frame:05d}.png"] for frame in range(5)}
    return without("cat/")(tree) | cat


def then(*changes: Callable[[Tree], Tree]) -> Callable[[Tree], Tree]:
    def change(tree: Tree) -> Tree:
        for step in changes:
            tree = step(tree)
        return tree

    return change


def zeros(name: str) -> Callable[[Tree], Tree]:
    return put(name, b"\0" * 10)


def by_object(pattern: str, tree: Tree) -> Tree:
    """A video's masks once per object, each in a folder of the object."""
    video = pattern.split("/")[0] + "/"
    moved = {
        name.replace(video, pattern % number): data
        for name, data in tree.items()
        for number in (1, 2)
        if name.startswith(video)
    }
    return without(video)(tree) | moved


def quantized(*labels, own=False):
    """As an editor saves it: the colours that are used, sorted in its own way."""
    with Image.open(io.BytesIO(png(*labels))) as image:
        values = np.asarray(image)
    colours = OWN if own else [PALETTE[3 * i : 3 * i + 3] for i in range(4)]
    return saved(Image.fromarray(np.array(colours, np.uint8)[values]).quantize(256))


def own_order(label):
    """Indices that are ids, in colours of DAVIS that are others'."""
    with Image.open(io.BytesIO(png(label))) as image:
        image.putpalette([v for i in (0, 9, 8, 7) for v in PALETTE[3 * i : 3 * i + 3]])
        return saved(image)


def saved(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


OWN = [(0, 0, 0), (236, 95, 103), (249, 145, 87), (250, 200, 99)]
MAC = put("__MACOSX/cat/._00000.png", b"x")
FRAME = "cat/00002.png"
TRUNCATED = png(1, 2)[:-25]

# The tree of good(), changed; the codes expected; the worst severity.
DEFECTS = [
    # --- accepted as they are ---
    ("good", lambda tree: tree, set(), None),
    ("grey", put(FRAME, png(1, mode="L")), set(), None),
    ("empty-mask", put(FRAME, png(0)), set(), None),
    ("team", put("team.json", json.dumps(TEAM).encode()), set(), None),
    # --- ignored by the scorer ---
    ("16-bit", put(FRAME, png(1, mode="I;16")), {"deep"}, HARMLESS),
    ("ds-store-root", zeros(".DS_Store"), {"junk"}, HARMLESS),
    ("ds-store-video", zeros("cat/.DS_Store"), {"junk"}, HARMLESS),
    ("text", zeros("cat/notes.txt"), {"junk"}, HARMLESS),
    ("nested", zeros("cat/more/00001.png"), {"junk"}, HARMLESS),
    ("macosx-beside-videos", MAC, {"junk"}, HARMLESS),
    ("extra-video", zeros("cow/00000.png"), {"video-extra"}, HARMLESS),
    ("extra-empty-video", put("cow/", b""), {"video-extra"}, HARMLESS),
    ("beyond", put("cat/00005.png", png(1)), {"frame-extra"}, HARMLESS),
    ("last-missing", without("cat/00004"), {"frame-unscored"}, HARMLESS),
    ("lone-wrapper", under("out"), {"lone-wrapper"}, HARMLESS),
    ("lone-wrapper-hidden", then(under("out"), zeros(".DS_Store")), {"lone-wrapper", "junk"},
     HARMLESS),
    # --- layouts that score zero ---
    ("wrapper-and-team", then(under("out"), put("team.json", json.dumps(TEAM).encode())),
     {"wrapper"}, ZERO),
    ("wrapper-mac", then(under("out"), MAC), {"wrapper", "junk"}, ZERO),
    ("two-wrappers", then(under("a"), under("b")), {"wrapper"}, ZERO),
    ("lone-video", without("dog"), {"video-missing", "lone-video"}, ZERO),
    ("video-missing", then(without("dog"), zeros("readme.txt")), {"video-missing", "junk"}, ZERO),
    ("none", lambda _: {"readme.txt": b""}, {"video-missing", "junk"}, ZERO),
    ("all-empty", lambda tree: dict.fromkeys(tree, png()), {"all-empty"}, WRONG),
    ("folders-of-objects", lambda tree: by_object("cat/%03d/", by_object("dog/%03d/", tree)),
     {"object-folders"}, FATAL),
    ("folders-of-objects-in-one", lambda tree: by_object("dog/object_%d/", tree),
     {"object-folders"}, FATAL),
    # --- names of frames ---
    ("prefix", renamed("cat/", "cat/mask_"), {"frame-name", "frames-missing"}, FATAL),
    ("padding", renamed("cat/00001", "cat/1"), {"frame-padding"}, FATAL),
    ("two-dots", renamed("cat/00001", "cat/00001.x"), {"frame-stem"}, FATAL),
    ("counted-from-1", shifted, {"first-index"}, WRONG),
    ("one-missing", without("cat/00002"), {"frame-missing"}, WRONG),
    ("first-missing", without("cat/00000"), {"frame-missing"}, WRONG),
    ("two-missing", without("cat/00001", "cat/00002"), {"frames-missing"}, FATAL),
    ("empty-folder", then(without("cat"), put("cat/", b"")), {"frames-missing"}, FATAL),
    # 00001 given twice: position 2 is 1 again, and frame 00003 is never scored
    ("number-twice", put("cat/1.png", png(1)), {"frame-stray"}, FATAL),
    # one short, and a number beyond the end fills the scored positions: no ground truth for it
    ("filled-up-beyond",
     then(without("cat/00001", "cat/00002"), put("cat/00008.png", b""), put("cat/00009.png", b"")),
     {"frame-missing", "frame-stray", "frame-extra", "unreadable"}, FATAL),
    ("before-first", put("cat/-1.png", png(1)), {"frame-before"}, WRONG),
    ("video-is-a-file", then(without("cat"), zeros("cat")), {"video-missing", "video-file"}, FATAL),
    ("PNG", renamed(FRAME, "cat/00002.PNG"), {"frame-missing", "junk"}, WRONG),
    # --- pictures ---
    ("rgb", put(FRAME, png(1, 2, mode="RGB")), {"colour"}, WRONG),
    ("rgba", put(FRAME, png(1, mode="RGBA")), {"colour"}, WRONG),
    ("one-bit", put(FRAME, png(1, mode="1")), {"one-bit"}, WRONG),
    ("sorted-palette", put(FRAME, quantized(1, 2)), {"palette-order"}, WRONG),
    ("dropped-colours", put("dog/00001.png", quantized(3)), {"palette-order"}, WRONG),
    ("own-colours-in-another-order", put(FRAME, quantized(1, 2, own=True)), {"palette-order"},
     WRONG),
    ("own-order-of-davis", put("dog/00001.png", own_order(3)), set(), None),
    ("zero-255", put(FRAME, png(255)), {"zero-255"}, WRONG),
    ("label-of-another-video", put(FRAME, png(3)), {"label"}, WRONG),
    ("255-and-others", put(FRAME, png(255, 9)), {"label"}, WRONG),
    ("label-below", put("dog/00001.png", png(1)), {"label"}, WRONG),
    ("jpeg", put(FRAME, png(1, mode="L", format="JPEG")), {"not-png"}, WRONG),
    ("turned", put(FRAME, png(1, size=(W, H))), {"size"}, FATAL),
    ("narrower", put(FRAME, png(1, size=(H, W - 1))), {"size"}, FATAL),
    ("one-row", put(FRAME, png(1, size=(1, W))), {"size-broadcast"}, WRONG),
    ("one-pixel", put(FRAME, png(1, size=(1, 1))), {"size-broadcast"}, WRONG),
    ("cut-short", put(FRAME, TRUNCATED), {"unreadable"}, FATAL),
    ("empty-file", put(FRAME, b""), {"unreadable"}, FATAL),
    ("no-picture", put(FRAME, b"<html>"), {"unreadable"}, FATAL),
    # --- team.json ---
    ("team-empty", put("team.json", b"{}"), {"team"}, FATAL),
    ("team-deep", put("team.json", b"[" * 100_000), {"team"}, FATAL),
]  # fmt: skip


@pytest.mark.parametrize("write", [write_folder, write_zip], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("change", "expected", "worst"), [row[1:] for row in DEFECTS], ids=[row[0] for row in DEFECTS]
)
def test_defect(change, expected, worst, write, tmp_path):
    report = check(write(change(good()), tmp_path / "sub"), META)
    assert codes(report) == expected
    assert (report.findings[0].severity if report.findings else None) == worst
    assert report.ok == (worst in {None, HARMLESS})


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def add_member(path: Path, name: str, data: bytes = b"", mode: int = 0, method: int = 0) -> Path:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, method
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, data)
    return path


def cut(path: Path) -> Path:
    return patched(path, lambda data: data.__delitem__(slice(len(data) // 2, None)))


def encrypt(path: Path) -> Path:
    def set_flags(data: bytearray) -> None:
        at = data.rfind(b"PK\1\2")
        data[at + 8] |= 1

    return patched(path, set_flags)


def flip_byte(path: Path) -> Path:
    def change(data: bytearray) -> None:
        data[data.find(b"IDAT") + 6] ^= 0xFF

    return patched(path, change)


def rename_locally(path: Path) -> Path:
    """One name in the table, another beside the data: unpackers disagree."""

    def change(data: bytearray) -> None:
        at = data.find(FRAME.encode())
        data[at : at + len(FRAME)] = b"cat/00009.png"

    return patched(path, change)


def declare_count(path: Path) -> Path:
    def change(data: bytearray) -> None:  # ZIP64 end of directory that declares 2**40 entries
        end = data.rfind(b"PK\5\6")
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2**40, 2**40, 0, 0)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
        data[end + 10 : end + 12] = b"\xff\xff"
        data[end:end] = record + locator

    return patched(path, change)


def duplicate(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return add_member(path, FRAME, png(1))


# Defects that only an archive can have.
ARCHIVES = [
    (lambda path: add_member(path, "../evil.png"), {"unsafe-name"}),
    (lambda path: add_member(path, "cat/../../evil.png"), {"unsafe-name"}),
    (lambda path: add_member(path, "/etc/evil.png"), {"unsafe-name"}),
    (lambda path: add_member(path, "C:\\evil.png"), {"unsafe-name"}),
    (lambda path: add_member(path, "cow\\00000.png"), {"backslash"}),
    (lambda path: add_member(path, "cat/00005.png", b"/etc/passwd", stat.S_IFLNK | 0o777),
     {"not-a-file", "frame-extra"}),
    (lambda path: add_member(path, "cat/00005.png", png(1), method=zipfile.ZIP_BZIP2),
     {"compression", "frame-extra"}),
    (lambda path: add_member(path, FRAME + "/x"), {"name-clash", "junk"}),
    (duplicate, {"duplicate-name"}),
    (encrypt, {"encrypted"}),
    (cut, {"not-an-archive"}),
    (lambda path: patched(path, bytearray.clear), {"not-an-archive"}),
    (flip_byte, {"unreadable-entry"}),
    (rename_locally, {"unreadable-entry"}),
    (declare_count, {"too-many-entries"}),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "expected"), ARCHIVES)
def test_archive_defect(spoil, expected, tmp_path):
    report = check(spoil(write_zip(good(), tmp_path / "sub")), META)
    assert codes(report) == expected
    assert len(report.findings) == len(expected)
    assert not report.ok


def test_names_with_dots_and_slashes_unpack_to_the_plain_path(tmp_path):
    tree = {f"./{name}": data for name, data in good().items()}
    assert check(write_zip(tree, tmp_path / "sub"), META).findings == []


def test_a_bomb_is_never_inflated(tmp_path, monkeypatch):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in good().items():
            archive.writestr(name, data if name != FRAME else bytes(3 << 20))
    monkeypatch.setattr(rules, "MAX_ENTRY_BYTES", 1 << 20)
    monkeypatch.setattr(zipfile.ZipExtFile, "read", _bounded_read(zipfile.ZipExtFile.read))
    assert codes(check(path, META)) == {"too-large"}


def test_archives_that_claim_too_much_are_not_read(tmp_path, monkeypatch):
    path = write_zip(good() | {FRAME: b"no picture"}, tmp_path / "sub")
    monkeypatch.setattr("kit.submission.check.MAX_TOTAL_BYTES", 10)
    assert codes(check(path, META)) == {"too-large"}


def _bounded_read(read):
    def bounded(self, n=-1):
        data = read(self, n)
        assert len(data) <= 1 << 20
        return data

    return bounded


def linked(root: Path, *names: str) -> Path:
    """Move these files or folders away and leave links to them."""
    for number, name in enumerate(names):
        away = root.parent / f"away_{number}{Path(name).suffix}"
        (root / name).rename(away)
        (root / name).symlink_to(away)
    return root


@pytest.mark.parametrize("links", [("cat",), ("cat", "dog"), (FRAME,), ("dog", FRAME)], ids=str)
def test_links_lead_to_what_they_mean(links, tmp_path):
    """As hub caches, DVC and shared disks leave them; `kit pack` and `zip -r` follow them too."""
    root = write_folder(good(), tmp_path / "sub")
    assert check(linked(root, *links), META).findings == []
    (root / FRAME).write_bytes(TRUNCATED)  # what lies at the end is looked at
    assert codes(check(root, META)) == {"unreadable"}


def test_links_that_lead_nowhere_and_special_files_stay_shut(tmp_path):
    root = write_folder(good(), tmp_path / "sub")
    (root / FRAME).unlink()
    (root / FRAME).symlink_to(tmp_path / "gone.png")
    (root / "cat" / "again").symlink_to(root)  # a circle
    (root / "cat" / "itself").symlink_to("itself")
    os.mkfifo(root / "cat" / "pipe.png")  # opening it would wait for ever
    report = check(root, META)
    assert codes(report) == {"not-a-file", "frame-name", "junk"}
    assert sum(f.count for f in report.findings if f.code == "not-a-file") == 4


def test_many_files_of_one_kind_are_one_finding(tmp_path):
    tree = good() | {f"cat/{frame:05d}.png": png(1, mode="RGB") for frame in range(5)}
    (finding,) = check(write_folder(tree, tmp_path / "sub"), META).findings
    assert (finding.code, finding.count, finding.where) == ("colour", 5, "cat/00000.png")
    assert "(and 4 more)" in str(finding)


def test_workers_do_not_change_the_report(tmp_path):
    change = then(put(FRAME, png(9)), without("cat/00001"), put("dog/00001.png", b""), MAC)
    path = write_zip(change(good()), tmp_path / "sub")
    alone = check(path, META)
    assert check(path, META, workers=2) == alone
    assert len(alone.findings) == 4


def test_frame_names_come_from_meta(tmp_path):
    meta = json.loads(json.dumps(META))
    meta["videos"]["dog"]["frames"] = ["00000.jpg", "00005.jpg", "00010.jpg", "00015.jpg"]
    tree = without("dog")(good())
    tree |= {f"dog/{5 * frame:05d}.png": png(3) for frame in range(4)}
    assert check(write_folder(tree, tmp_path / "sub"), meta).findings == []
    tree["dog/00001.png"] = tree.pop("dog/00005.png")
    report = check(write_folder(tree, tmp_path / "other"), meta)
    assert codes(report) == {"frame-stray", "frame-missing"}


def test_open_size_accepts_any_size_and_still_reads_labels(tmp_path):
    meta = json.loads(json.dumps(META))
    meta["videos"]["cat"] |= {"height": None, "width": None}
    tree = good() | {FRAME: png(1, size=(W, H)), "cat/00001.png": png(7)}
    assert codes(check(write_folder(tree, tmp_path / "sub"), meta)) == {"label"}


# Meta that cannot be used: what is wrong, and the words of the message.
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"length": 5, "height": 1, "width": 1}, "objects"),
        ({"length": 0, "height": 1, "width": 1, "objects": []}, "length 0"),
        ({"length": 2, "height": 1, "width": 1, "objects": [], "frames": ["00000.jpg"]}, "1 names"),
        (
            {"length": 2, "height": 1, "width": 1, "objects": [], "frames": ["0.jpg", "0.png"]},
            "1 of them different",
        ),
        ({"length": 1, "height": 1, "width": 1, "objects": [], "frames": ["a.jpg"]}, "numbers"),
        ({"length": "x", "height": 1, "width": 1, "objects": []}, "ValueError"),
        ({"length": 1, "height": 10**9, "width": 10**9, "objects": []}, "no video's"),
        ({"length": 1, "height": 0, "width": 1, "objects": []}, "no video's"),
        ([], "expected an object"),
    ],
)
def test_unusable_meta(entry, words, tmp_path):
    with pytest.raises(DataError, match=words):
        check(tmp_path, {"videos": {"cat": entry}})


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden"])
def test_video_names_that_leave_the_folder(name, tmp_path):
    with pytest.raises(DataError, match="cannot be a folder's name"):
        check(tmp_path, {"videos": {name: META["videos"]["cat"]}})


def test_missing_source(tmp_path):
    with pytest.raises(SubmissionError, match="no such file"):
        check(tmp_path / "nothing.zip", META)


def test_every_rule_is_reached_by_a_row():
    reached = set().union(*(row[2] for row in DEFECTS), *(row[1] for row in ARCHIVES))
    assert reached | {"too-large"} == set(RULES)


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(argument) for argument in arguments]))


def test_command_line(tmp_path, capsys):
    """Exit status, both forms of the report, and mending."""
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps(META))
    junk = write_folder(zeros("cat/.DS_Store")(good()), tmp_path / "junk")
    bad = write_zip(renamed("cat/", "cat/mask_")(good()), tmp_path / "bad")
    assert command(junk, "--meta", meta) == 0
    assert capsys.readouterr().out == (
        "harmless: cat/.DS_Store: not listed by the scorer; the server ignores it while the videos"
        " are at the root. Fix: remove it. [junk]\n0 fatal, 0 scores zero, 0 scores wrong,"
        " 1 harmless\n"
    )
    assert command(bad, "--meta", meta, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert report["findings"][0] | {"what": "", "fix": ""} == {
        "severity": "fatal", "code": "frames-missing", "where": "cat", "what": "", "fix": "",
        "count": 1,
    }  # fmt: skip
    assert command(bad, "--meta", meta, "--repair", tmp_path / "mended.zip") == 0
    assert "renamed to cat/00000.png" in capsys.readouterr().err
    assert command(tmp_path / "mended.zip", "--meta", meta) == 0


def test_unreadable_meta_file(tmp_path, monkeypatch):
    (tmp_path / "meta.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="cannot read meta"):
        command(tmp_path, "--meta", tmp_path / "meta.json")
    monkeypatch.setattr("kit.submission.expected.MAX_JSON_BYTES", 1000)
    with pytest.raises(DataError, match="100,000 bytes"):
        command(tmp_path, "--meta", tmp_path / "meta.json")
