"""Damaged and hostile input never raises anything but findings, and is bounded."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_submission_check import META, H, W, codes, good, png, write_zip

from kit.core import png as evaluator_png
from kit.core.errors import SubmissionError
from kit.submission import frames
from kit.submission import png as pictures
from kit.submission.check import check
from kit.submission.expected import Video
from kit.submission.rules import RULES
from kit.submission.stored import StoredZip

FIXTURE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FIXTURE
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_flipped_bytes_of_an_archive(tmp_path, flips):
    data = bytearray(write_zip(good(), tmp_path / "sub").read_bytes())
    for at, value in flips:
        data[at % len(data)] = value
    (tmp_path / "bad.zip").write_bytes(data)
    check(tmp_path / "bad.zip", META)  # reports, whatever it is


@FIXTURE
@given(st.integers(0, 10_000))
def test_archives_cut_anywhere(tmp_path, at):
    data = write_zip(good(), tmp_path / "sub").read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: at % len(data)])
    assert codes(check(tmp_path / "cut.zip", META)) == {"not-an-archive"}


def by_pillow(data: bytes) -> tuple[set[int] | None, str]:
    """What the scorer would see."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            return set(np.unique(np.asarray(image.convert("P"))).tolist()), image.mode
    except Exception:
        return None, ""


@FIXTURE
@given(st.lists(st.tuples(st.integers(8, 10_000), st.integers(0, 255)), max_size=3))
def test_damaged_pictures_are_seen_as_pillow_sees_them(flips):
    data = bytearray(png(1, 2, 200))
    for at, value in flips:
        data[8 + at % (len(data) - 8)] = value
    wanted, mode = by_pillow(bytes(data))
    try:
        picture = pictures.look(bytes(data), None, frozenset({0, 1}))
    except pictures.NotAPicture:
        assert wanted is None
    else:
        assert wanted is not None
        assert (picture.mode, picture.strangers) == (mode, wanted - {0, 1})


def raw_png(rows: bytes, depth: int = 8, colour: int = 3, width: int = W) -> bytes:
    """A PNG made by hand from filtered rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        )

    head = struct.pack(">2L5B", width, H, depth, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows))
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + palette + body + chunk(b"IEND", b"")


# Pictures that the fast path must not misread: labels as Pillow decodes them.
@pytest.mark.parametrize(
    ("data", "labels"),
    [
        (raw_png((b"\0" + bytes(range(9))) * H), set(range(9))),  # plain
        (raw_png((b"\1" + b"\1" * 9) * H), set(range(1, 10))),  # differences from the left
        (raw_png((b"\2" + b"\1" * 9) * H), set(range(1, 7))),  # differences from above
        (raw_png((b"\0" + b"\x1b" + bytes(2)) * H, depth=2), {0, 1, 2, 3}),  # 2-bit palette
        (
            raw_png((b"\0" + b"\x1b" + bytes(2)) * H, depth=2, colour=0),
            {0, 85, 170, 255},
        ),  # 2-bit grey
    ],
)
def test_ways_of_storing_labels(data, labels):
    assert by_pillow(data)[0] == labels
    assert pictures.look(data, (H, W), frozenset()).strangers == labels
    assert pictures.look(data, (H, W), frozenset(labels)).strangers == set()


def test_one_bit_in_a_byte_of_its_own():
    """Here a row of packed bits is as long as a row of bytes."""
    data = raw_png(b"\0\x80" * H, depth=1, width=1)
    assert by_pillow(data)[0] == {1}
    assert pictures.look(data, (H, 1), frozenset()).strangers == {1}


def test_pictures_of_another_size_are_not_decoded(monkeypatch):
    assert pictures.look(png(9), (H, W), frozenset({0})).strangers == {9}
    assert pictures.look(png(9), (W, H), frozenset({0})).strangers == set()
    monkeypatch.setattr("kit.submission.rules.MAX_PIXELS", H * W - 1)
    assert pictures.look(png(9), None, frozenset({0})).strangers == set()


@pytest.mark.parametrize("slow", [False, True])
def test_data_of_another_length(slow, monkeypatch):
    if slow:  # as where libdeflate is not installed
        monkeypatch.setattr("kit.core.png.zlib_decompress", evaluator_png._inflate_slowly)
        monkeypatch.setattr("kit.core.png.DeflateError", zlib.error)
    look = pictures.look.__wrapped__
    assert look(png(1, 5), (H, W), frozenset({0, 1})).strangers == {5}
    bomb = raw_png(bytes(10 * H * (W + 1)))  # more rows than declared: never inflated whole
    assert look(bomb, (H, W), frozenset({0})).strangers == set()
    with pytest.raises(pictures.NotAPicture, match="truncated"):
        look(raw_png(bytes(W)), (H, W), frozenset({0}))


def test_huge_pictures_are_not_decoded():
    head = struct.pack(">2L5B", 100_000, 100_000, 8, 3, 0, 0, 0)
    data = raw_png(b"").replace(struct.pack(">2L5B", W, H, 8, 3, 0, 0, 0), head)
    crc = struct.pack(">L", zlib.crc32(b"IHDR" + head))
    data = data[:29] + crc + data[33:]
    with pytest.raises(pictures.NotAPicture, match="Bomb"):
        pictures.look(data, None, frozenset({0}))


EXPECTED = Video("cat", tuple(f"{at:05d}" for at in range(6)), (H, W), frozenset({0, 1}))


def scorer(names: list[str]) -> str:
    """What score.py's process_video_chunk does with a list of files, in its own words."""
    listed = sorted(
        (x for x in names if not x.startswith(".") and x.endswith(".png")),
        key=lambda x: int(x.split(".")[0]),
    )
    opened = []
    for index in range(1, len(EXPECTED.frames) - 1):
        if index >= len(listed):
            return "stops"
        stem = listed[index].split(".")[0]
        if stem not in EXPECTED.frames or f"{stem}.png" not in names:
            return "stops"
        opened.append(stem)
    return "as meant" if opened == list(EXPECTED.frames[1:-1]) else "shifted"


NAMES = st.one_of(
    st.integers(-1, 9).map(lambda at: f"{at:05d}.png"),
    st.integers(0, 7).map(lambda at: f"{at}.png"),
    st.integers(0, 7).map(lambda at: f"{at:05d}.x.png"),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(NAMES, max_size=3), st.sets(st.integers(0, 5), max_size=2))
def test_lists_of_frames_are_judged_as_the_scorer_treats_them(extra, missing):
    """Never milder than the scorer, and silent only where it scores as meant."""
    names = {f"{at:05d}.png" for at in range(6)} - {f"{at:05d}.png" for at in missing} | set(extra)
    found = {RULES[code].severity.value for code, _, _ in frames.judge(sorted(names), EXPECTED)}
    outcome = scorer(sorted(names))
    if outcome == "stops":
        assert "fatal" in found
    elif outcome == "shifted":
        assert found & {"fatal", "scores wrong"}
    if not found:
        assert outcome == "as meant"


def test_more_members_than_a_plain_zip_can_count(tmp_path):
    """66,526 masks are in MOSEv2's validation set; 65,535 is the most without ZIP64."""
    path = tmp_path / "many.zip"
    with path.open("wb") as stream:
        archive = StoredZip(stream)
        for at in range(66_526):
            archive.add(f"{at}.png", b"%d" % at)
        archive.finish()
    with zipfile.ZipFile(path) as read:
        assert len(read.infolist()) == 66_526
        assert read.read("66525.png") == b"66525"


def test_four_gigabytes_are_refused():
    class Counter(io.RawIOBase):
        def write(self, data):
            return len(data)

    archive = StoredZip(Counter())
    archive._offset = 0xFFFF_FFFF - (1 << 20)
    with pytest.raises(SubmissionError, match="passes 4 GB"):
        archive.add("a.png", b"x")


def test_names_beyond_ascii_survive(tmp_path):
    path = tmp_path / "a.zip"
    with path.open("wb") as stream:
        archive = StoredZip(stream)
        archive.add("v\u00efd/1.png", b"x")
        archive.finish()
    with zipfile.ZipFile(path) as read:
        assert read.namelist() == ["v\u00efd/1.png"]
