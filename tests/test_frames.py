"""The frames stage on input that is right, in all the forms in which it comes."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import (
    HEIGHT,
    NAMES,
    WIDTH,
    film,
    frame,
    frames_command,
    labels,
    mask,
    picture,
    relabel,
    run,
    write_clip,
)  # fmt: skip
from PIL import Image

from kit.core import artifacts
from kit.core.images import Frames
from kit.core.types import Video
from kit.data import layout
from kit.data.layout import Split


def index(root: Path, *more: str) -> Video:
    """What the stage writes about the clip."""
    output = root.parent / "index" / "clip.json"
    run(*frames_command(root, output, *more))
    return artifacts.read_video(output)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "data")


def rename(root: Path, names: list[str], suffix: str = ".jpg") -> None:
    """Give frames and label maps other names."""
    for old, new in zip(NAMES, names, strict=True):
        frame(root, f"{old}.jpg").rename(frame(root, f"{new}{suffix}"))
        mask(root, f"{old}.png").rename(mask(root, f"{new}.png"))


NAMINGS = [
    ("MOSE", NAMES),
    ("no padding: 9 before 10", ["8", "9", "10", "11", "12"]),
    ("odd padding", ["008", "009", "010", "011", "012"]),
    ("padding that ends: 099 before 100", ["98", "99", "100", "101", "102"]),
    ("mixed padding", ["7", "08", "009", "0010", "00011"]),
    ("seven digits", [f"{n:07d}" for n in range(5)]),
    ("steps of 5, as YouTube-VOS has them", ["00000", "00005", "00010", "00015", "00020"]),
    ("from any number on", ["00041", "00043", "00045", "00047", "00049"]),
    ("a prefix", ["img_8", "img_9", "img_10", "img_11", "img_12"]),
    ("a prefix with a number", ["cam2_8", "cam2_9", "cam2_10", "cam2_11", "cam2_12"]),
    ("prefixes that sort otherwise than the numbers", ["b8", "a9", "d10", "c11", "a12"]),
    ("spaces and quotes", ["it's 1", "it's 2", "it's 3", "it's 4", "it's 5"]),
]


@pytest.mark.parametrize("names", [n[1] for n in NAMINGS], ids=[n[0] for n in NAMINGS])
def test_frames_are_ordered_by_their_numbers(names: list[str], root: Path) -> None:
    first = index(root)
    rename(root, names)
    video = index(root)
    assert video.frames == tuple(names)
    assert (video.digest == first.digest) == (names == NAMES)  # frames are known by name
    for number, image in enumerate(Frames(video)):  # and hold what was drawn, in this order
        assert np.abs(image.astype(int) - picture(number)).mean() < 12


def test_the_index_says_everything(root: Path) -> None:
    video = index(root)
    assert (video.name, video.height, video.width, video.suffix) == ("clip", HEIGHT, WIDTH, ".jpg")
    assert [(o.id, o.first_frame) for o in video.objects] == [(1, "00000"), (2, "00000")]
    assert video.image("00003") == frame(root, "00003.jpg")
    assert video.annotation("00003") == mask(root, "00003.png")


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".png"])
def test_other_suffixes(suffix: str, root: Path) -> None:
    rename(root, NAMES, suffix)
    assert index(root).suffix == suffix


def test_hidden_files_and_strangers_are_passed_over(root: Path) -> None:
    video = index(root)
    frame(root, "._00001.jpg").write_bytes(b"left by another system")
    frame(root, "Thumbs.db").write_bytes(b"")
    mask(root, "._00001.png").write_bytes(b"left by another system")
    mask(root, "notes.txt").write_bytes(b"")
    assert index(root) == video


# --- objects --------------------------------------------------------------------------------------

LATE = [  # label maps that are there, ids on each, and where each object begins
    ({"00000": [1]}, [(1, "00000")]),  # MOSE valid: the first frame alone
    ({"00000": [1], "00003": [1, 2]}, [(1, "00000"), (2, "00003")]),  # one appears later
    ({"00000": [2], "00001": [1, 2], "00004": [3]}, [(1, "00001"), (2, "00000"), (3, "00004")]),
    ({"00000": [], "00002": [1]}, [(1, "00002")]),  # nothing on the first frame, but its map
    ({"00000": [254, 1]}, [(1, "00000"), (254, "00000")]),  # any id up to 254, with gaps
]


@pytest.mark.parametrize(("maps", "objects"), LATE)
def test_an_object_begins_where_a_label_map_first_shows_it(
    maps: dict[str, list[int]], objects: list[tuple[int, str]], root: Path
) -> None:
    for name in NAMES:
        mask(root, f"{name}.png").unlink()
    for name, ids in maps.items():
        pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
        for column, object_id in enumerate(ids):
            pixels[3:9, 8 * column : 8 * column + 4] = object_id
        relabel(mask(root, f"{name}.png"), pixels)
    assert [(o.id, o.first_frame) for o in index(root).objects] == objects


def test_late_objects_where_names_have_no_padding(root: Path) -> None:
    """2 comes before 10 although its name sorts after."""
    for name in NAMES:
        relabel(mask(root, f"{name}.png"), labels(0) * (labels(0) == 1))
    relabel(mask(root, "00002.png"), labels(0))
    relabel(mask(root, "00003.png"), labels(0))
    rename(root, ["8", "9", "10", "11", "12"])
    assert [(o.id, o.first_frame) for o in index(root).objects] == [(1, "8"), (2, "10")]


def test_grey_label_maps_are_read_as_they_are(root: Path) -> None:
    video = index(root)
    Image.fromarray(labels(0)).save(mask(root))
    assert index(root).objects == video.objects


def test_the_digest_follows_frames_and_first_masks(root: Path) -> None:
    digests = [index(root).digest]
    relabel(mask(root, "00004.png"), labels(3))  # not a first mask: not part of it
    assert index(root).digest == digests[0]
    relabel(mask(root), labels(1))
    digests.append(index(root).digest)
    Image.fromarray(picture(9)).save(frame(root))
    digests.append(index(root).digest)
    assert len(set(digests)) == 3


# --- meta -----------------------------------------------------------------------------------------

FACTS = {"length": 5, "height": HEIGHT, "width": WIDTH}


@pytest.mark.parametrize(
    "entry",
    [
        FACTS | {"objects": [1, 2]},
        FACTS | {"objects": [2, 1]},
        FACTS | {"objects": ["1", "2"]},
        FACTS | {"objects": {"1": {"category": "cat"}, "2": {}}},
        FACTS | {"objects": None},
        FACTS,
        {"length": 5, "frames": NAMES},
        {},
    ],
    ids=json.dumps,
)
def test_a_meta_file_that_agrees(entry: dict[str, object], root: Path) -> None:
    video = index(root)
    (root / "meta.json").write_text(json.dumps({"videos": {"clip": entry, "other": {}}}))
    assert index(root, "--meta", "meta.json") == video


# --- video files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [("clip.mp4", "mp4v"), ("clip.avi", "MJPG"), ("clip.MKV", "mp4v"), ("clip.mov", "mp4v")],
)
def test_a_video_file(name: str, code: str, root: Path, tmp_path: Path) -> None:
    shutil.rmtree(frame(root).parent)
    shutil.rmtree(mask(root).parent)
    film(root / "JPEGImages" / name, code)
    mask(root).parent.mkdir()
    relabel(mask(root), labels(0).repeat(4, 0).repeat(4, 1))
    assert Split(root).videos() == ["clip"]
    video = index(root, "--extracted", str(tmp_path / "extracted"))
    assert video.frames == tuple(f"{n:05d}" for n in range(40))
    assert video.images == tmp_path / "extracted" / "clip"
    for number in (0, 17, 39):
        drawn = cv2.resize(picture(number), (WIDTH * 4, HEIGHT * 4))[..., ::-1]  # film takes BGR
        assert np.abs(Frames(video)[number].astype(int) - drawn).mean() < 12
    assert index(root, "--extracted", str(tmp_path / "extracted")) == video  # same bytes again


# --- what the plan sees ---------------------------------------------------------------------------


def test_a_fingerprint_follows_links(root: Path) -> None:
    """Into a store, where another content has another name, and may have the same size."""
    split, store = Split(root), root / "store"
    store.mkdir()
    file = frame(root)
    bytes_ = file.read_bytes()
    (store / "one").write_bytes(bytes_)
    (store / "two").write_bytes(bytes(reversed(bytes_)))
    seen = []
    for target in ("one", "two", "none"):
        file.unlink()
        file.symlink_to(store / target)
        seen.append(split.fingerprint("clip"))
    (store / "one").touch()
    file.unlink()
    file.symlink_to(store / "one")
    assert split.fingerprint("clip") == seen[0]
    (store / "one").write_bytes(bytes_ + b"more")
    seen.append(split.fingerprint("clip"))
    assert len(set(seen)) == 4


def test_a_meta_file_is_parsed_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    parse = layout.parse_json
    meta = root / "meta.json"
    meta.write_text('{"videos": {"clip": {"length": 1}}}')
    split = Split(root, meta="meta.json")
    monkeypatch.setattr(layout, "parse_json", lambda data: (parsed.append(1), parse(data))[1])
    assert [split.entry("clip") for _ in range(5)] == [{"length": 1}] * 5
    assert len(parsed) == 1
    meta.write_text('{"videos": {"clip": {"length": 12}}}')
    assert split.entry("clip") == {"length": 12}


def test_a_fingerprint_notices_an_exchange_but_no_touch(root: Path) -> None:
    split = Split(root, meta="meta.json")
    seen = [split.fingerprint("clip")]
    frame(root).touch()
    mask(root).touch()
    mask(root, "._00000.png").write_bytes(b"")
    assert split.fingerprint("clip") == seen[0]
    frame(root).write_bytes(b"another size")
    seen.append(split.fingerprint("clip"))
    relabel(mask(root), labels(1))
    seen.append(split.fingerprint("clip"))
    mask(root, "00004.png").unlink()
    seen.append(split.fingerprint("clip"))
    (root / "meta.json").write_text(json.dumps({"videos": {"clip": {"length": 5}}}))
    seen.append(split.fingerprint("clip"))
    assert len(set(seen)) == 5
