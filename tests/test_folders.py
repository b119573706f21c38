"""Folders as people have them: each kind works, or is refused in words that lead out of it.

A table with a row per kind and at least two members of each, by command line and without models;
what needs a workflow is in `test_folders_workflow.py`.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import HEIGHT, NAMES, WIDTH, frame, frames_command, holds, labels, mask, refused, relabel
from clips import write_clip as clip_in
from PIL import Image

from kit.cli import main
from kit.core import artifacts, name_lists
from kit.core.errors import DataError
from kit.data import likeness, names
from kit.data.layout import Split

Build = Callable[[Path], Any]


def renamed(folder: Path, wanted: list[str]) -> None:
    """Give the files of a folder other names, in order; each keeps its suffix."""
    for old, new in zip(sorted(folder.iterdir()), wanted, strict=True):
        old.rename(folder / f"{new}{old.suffix}")


def named(*wanted: str) -> Build:
    """Frames and masks of the clip under these names."""

    def build(root: Path) -> None:
        renamed(frame(root).parent, list(wanted))
        renamed(mask(root).parent, list(wanted))

    return build


def split_by_object(pattern: str, *, grey: bool) -> Build:
    """A folder of masks per object in place of label maps."""

    def build(root: Path) -> None:
        for name in NAMES:
            pixels = labels(int(name))
            mask(root, f"{name}.png").unlink()
            for number in (1, 2):
                folder = mask(root).parent / (pattern % number)
                folder.mkdir(exist_ok=True)
                own = pixels == number
                picture = Image.fromarray(own.astype(np.uint8) * 255 if grey else own)
                picture.save(folder / f"{name}.png")

    return build


def later(first: int) -> Build:
    """Masks from a later frame on."""
    return lambda root: [mask(root, f"{name}.png").unlink() for name in NAMES[:first]]


def suffixed(suffix: str) -> Build:
    return lambda root: [p.rename(p.with_suffix(suffix)) for p in list(mask(root).parent.iterdir())]


def prefixed(prefix: str) -> Build:
    return lambda root: renamed(mask(root).parent, [prefix + name for name in NAMES])


def moved(where: str) -> Build:
    """The masks in another folder than the one they are looked for in."""

    def build(root: Path) -> None:
        (root / where).mkdir(parents=True)
        shutil.move(mask(root).parent, root / where / "clip")

    return build


def lowered(root: Path, name: str) -> None:
    """Frames in a folder of their own below that of the video."""
    away = frame(root).parent.rename(root / "away")
    frame(root).parent.mkdir()
    away.rename(frame(root).parent / name)


def single(root: Path) -> None:
    mask(root).rename(root / "Annotations" / "clip.png")
    shutil.rmtree(root / "Annotations" / "clip")


Row = tuple[str, str, Build, tuple[str, ...]]
REFUSED: list[Row] = [
    # kind, member, how to make it, words of the message
    ("a folder per object", "SA-V", split_by_object("%03d", grey=False),
     ("folder per object", "001, 002", "SA-V", "joined into one label map")),
    ("a folder per object", "named", split_by_object("object_%d", grey=True),
     ("folder per object", "object_1, object_2")),
    ("first mask later", "by one", later(1), ("00001.png, 1 frame", "empty label map")),
    ("first mask later", "by three", later(3), ("00003.png, 3 frame", "data.annotations")),
    ("suffixes in capitals", "PNG", suffixed(".PNG"), ("5 files", "00000.PNG", "mv")),
    ("suffixes in capitals", "Png", suffixed(".Png"), ("5 files", "00000.Png", "mv")),
    ("prefixed masks", "frame_", prefixed("frame_"), ("frame_00000.png", "frame 00000", "Rename")),
    ("prefixed masks", "of a video", prefixed("clip."), ("clip.00000.png", "Rename")),
    ("masks of another format", "npy", suffixed(".npy"), ("5 .npy", "PNG")),
    ("masks of another format", "tif", suffixed(".tif"), ("5 .tif", "PNG")),
    ("masks elsewhere", "DAVIS", moved("Annotations/480p"), ("480p", "data.annotations")),
    ("masks elsewhere", "one picture", single, ("Annotations/clip.png", "into a folder")),
    ("masks elsewhere", "nowhere", lambda r: shutil.rmtree(r / "Annotations"),
     ("no folder", "data.annotations")),
    ("other capitals", "of the video",
     lambda r: mask(r).parent.rename(r / "Annotations/Clip"), ("Annotations/Clip", "capitals")),
    ("other capitals", "of all", lambda r: (r / "Annotations").rename(r / "annotations"),
     ("no folder", "data.annotations")),
    ("something in place of the first mask", "a folder",
     lambda r: (mask(r).unlink(), mask(r).mkdir()), ("A folder of that name", "remove it")),
    ("something in place of the first mask", "a link to what was not fetched",
     lambda r: (mask(r).unlink(), mask(r).symlink_to("../annex/x.png")),
     ("link to ../annex/x.png", "fetched")),
    ("frames further down", "rgb", lambda r: lowered(r, "rgb"), ("clip/rgb", "move them up")),
    ("frames further down", "left", lambda r: lowered(r, "cam left"), ("clip/cam left", "move")),
    ("frames of another format", "webp",
     lambda r: [p.rename(p.with_suffix(".webp")) for p in list(frame(r).parent.iterdir())],
     ("no frames", "5 .webp")),
    ("frames of another format", "bmp",
     lambda r: [p.rename(p.with_suffix(".bmp")) for p in list(frame(r).parent.iterdir())],
     ("no frames", "5 .bmp")),
    ("a frame is missing", "one", lambda r: frame(r).unlink(), ("gap", "1 file(s) are missing")),
    ("a frame is missing", "two of many",
     lambda r: [shutil.copy(frame(r), frame(r, f"{n:05d}.jpg")) for n in (7, 8, 9, 10, 11)],
     ("gap", "00007.jpg follows 00004.jpg", "2 file(s) are missing")),
    ("numbers that do not order", "a suffix", named(*(f"{n}_v2" for n in NAMES)),
     ("same frame number", "last one in a name", "rename")),
    ("numbers that do not order", "a size", named(*(f"{n}-1080" for n in NAMES)),
     ("same frame number", "last one in a name")),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row[0]}: {row[1]}")
def test_what_is_refused_says_what_was_found_and_what_would_do(
    row: Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = clip_in(tmp_path / "data")
    row[2](root)
    told = refused(capsys, frames_command(root, tmp_path / "clip.json"))
    holds(told, row[3])
    assert "0 file(s)" not in told
    assert len(told) < 500
    assert not (tmp_path / "clip.json").exists()


VISOR = [f"P02_09_frame_{n:010d}" for n in (42133, 42193, 42301, 42355, 42360)]
TAKEN: list[tuple[str, str, list[str], bool]] = [
    # kind, member, names of the frames, whether their steps are told as uneven
    ("uneven steps", "VIPSeg", [f"{n:08d}" for n in (1488, 1494, 1497, 1500, 1503)], True),
    ("uneven steps", "VISOR", VISOR, True),
    ("uneven steps", "a shorter last one", ["00000", "00005", "00010", "00015", "00018"], True),
    ("uneven steps", "one step of 1", ["00000", "00001", "00061", "00120", "00180"], True),
    ("even steps", "YouTube-VOS", ["00000", "00005", "00010", "00015", "00020"], False),
    ("even steps", "VOST", [f"frame{n:05d}" for n in (12, 18, 24, 30, 36)], False),
]


@pytest.mark.parametrize(
    ("wanted", "uneven"), [r[2:] for r in TAKEN], ids=[f"{r[0]}: {r[1]}" for r in TAKEN]
)
def test_steps_as_published_are_taken_in_order(
    wanted: list[str], uneven: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = clip_in(tmp_path / "data")
    named(*wanted)(root)
    assert main(frames_command(root, tmp_path / "clip.json")) == 0
    assert artifacts.read_video(tmp_path / "clip.json").frames == tuple(wanted)
    assert ("uneven steps" in capsys.readouterr().err) == uneven


def test_a_meta_file_says_that_no_frame_is_missing(tmp_path: Path) -> None:
    root = clip_in(tmp_path / "data")
    frame(root).unlink()
    mask(root, "00002.png").unlink()
    meta = (root / "meta.json").read_text()
    command = frames_command(root, tmp_path / "clip.json", "--meta", "meta.json")
    assert main(command) == 2  # it says 5, and 4 are there
    (root / "meta.json").write_text(meta.replace('"length": 5', '"length": 4'))
    assert main(command) == 0


@pytest.mark.parametrize(
    "wanted",
    [[f"frame{n:05d}" for n in range(5)], [f"shot.{n:04d}" for n in range(5)],
     [f"img_{n:07d}" for n in range(5)], [f"{n:05d}-l" for n in range(5)]],
    ids=lambda wanted: str(wanted[0]),
)  # fmt: skip
def test_frames_that_the_server_would_not_take(
    wanted: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused first where an archive is to be made, and taken where none is."""
    root = clip_in(tmp_path / "data")
    named(*wanted)(root)
    command = frames_command(root, tmp_path / "clip.json")
    told = refused(capsys, [*command, "--names", "numbers"])
    holds(told, ("5 of 5 names", wanted[0], "submission: false", "Rename"))
    assert main(command) == 0


@pytest.mark.parametrize("name", ["00000", "0", "00012", "100000"])
def test_frames_that_the_server_takes(name: str) -> None:
    assert names.flaw_for_server([name]) == ""


# --- names of videos ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("take<two>", "'<two>'"), ("<results>", "'<results>'"),
        ("C:\\clip", "'\\\\'"), ("a\\b", "'\\\\'"), ("C:clip", "path of Windows"),
        ("{video}", "'{'"), ("a}", "'}'"), ("two\nlines", "'\\n'"), ("bell\a", "'\\x07'"),
        (".hidden", "dot"), ("..", "no name"), ("a/b", "no name"), ("", "no name"),
        ("é" * 101, "202 bytes"), ("x" * 240, "240 bytes"), ("caf\udce9", "not in UTF-8"),
    ],
)  # fmt: skip
def test_names_that_no_file_of_a_run_can_carry(name: str, words: str) -> None:
    assert words in names.flaw_of_video(name)


@pytest.mark.parametrize(
    "name",
    ["clip", "-QeQv9uDrYk", "--abc", "my clip", "it's", "a<b", "x>y", "$HOME", "a*b?[c]", "#1",
     "ä 日本語", "a.b", "a;b", "%d", "~", "x" * 200],
)  # fmt: skip
def test_names_that_are_odd_and_fine(name: str) -> None:
    assert names.flaw_of_video(name) == ""


LISTS: list[tuple[str, bytes, list[str]]] = [
    ("a blank inside", b"my clip\nother\n", ["my clip", "other"]),
    ("ls -d */", b"b/\na/\n", ["b", "a"]),
    ("ls -d PATH/*/", b"data/JPEGImages/a/\n./b\n", ["a", "b"]),
    ("a name twice", b"a\nb\na\n", ["a", "b"]),
    ("twice, once with a slash", b"a\na/\n", ["a"]),
    ("Notepad", "\ufeffa\r\nbü\r\n".encode(), ["a", "bü"]),
    ("PowerShell", "\ufeffa\r\nbü\r\n".encode("utf-16-le"), ["a", "bü"]),
    ("no newline at the end", b"a\nb", ["a", "b"]),
    ("empty lines", b"\n a \n\n\tb\n\n", ["a", "b"]),
]


@pytest.mark.parametrize(("data", "found"), [r[1:] for r in LISTS], ids=[r[0] for r in LISTS])
def test_lists_of_videos(data: bytes, found: list[str], tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    assert name_lists.read_list(path) == found


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "holds no name"), (b"\n \n/\n", "holds no name"), (b"\xef\xbb\xbf", "holds no name"),
     (b"caf\xe9\n", "UTF-8"), (None, "no such file")],
)  # fmt: skip
def test_lists_of_no_videos(data: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(DataError, match=words) as caught:
        name_lists.read_list(path)
    assert str(path) in str(caught.value)


# --- folders that are no videos, and of other layouts -------------------------------------------

CLUTTER = [
    "@eaDir", "#recycle", "#snapshot", "@Recycle", "@__thumb", "$RECYCLE.BIN", "lost+found",
    "System Volume Information", "__MACOSX", "__pycache__", ".ipynb_checkpoints", ".Trash-1000",
    ".AppleDouble", ".thumbnails", "Network Trash Folder", "Temporary Items",
]  # fmt: skip


def test_folders_of_systems_are_no_videos(tmp_path: Path) -> None:
    root = clip_in(tmp_path / "data")
    images = root / "JPEGImages"
    for name in CLUTTER:
        (images / name).mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._clip", "._film.mp4"):
        (images / name).write_bytes(b"")
    split = Split(root)
    assert split.videos() == ["clip"]
    assert split.passed_over() == sorted(CLUTTER)


@pytest.mark.parametrize("name", ["@home", "recycle", "thumbs", "lost and found", "MACOSX", "#1"])
def test_videos_named_nearly_like_them(name: str, tmp_path: Path) -> None:
    root = clip_in(tmp_path / "data", name)
    assert Split(root).videos() == [name]
    assert Split(root).passed_over() == []


def test_clutter_between_frames_and_masks_is_no_frame_and_no_mask(tmp_path: Path) -> None:
    """Nor is a video made again because somebody has looked into its folder."""
    root = clip_in(tmp_path / "data")
    before = Split(root).fingerprint("clip")
    for folder in (frame(root).parent, mask(root).parent):
        for name in ("@eaDir", ".thumbnails", "__MACOSX"):
            (folder / name).mkdir()
        for name in (".DS_Store", "Thumbs.db", "._00000.jpg", "._00000.png", "desktop.ini"):
            (folder / name).write_bytes(b"x")
    assert Split(root).fingerprint("clip") == before
    assert main(frames_command(root, tmp_path / "clip.json")) == 0
    assert artifacts.read_video(tmp_path / "clip.json").frames == tuple(NAMES)


def tree(*files: str) -> Build:
    def build(root: Path) -> None:
        for name in files:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    return build


LAYOUTS: list[tuple[str, Build, str, str]] = [
    # member, how to make it, the layout, a word of the advice
    ("SA-V val", tree("JPEGImages_24fps/v/00000.jpg", "Annotations_6fps/v/000/00000.png"), "sa-v",
     "joined"),
    ("SA-V train", tree("sav_000/sav_000001.mp4", "sav_000/sav_000001_manual.json"), "sa-v",
     "joined"),
    ("VIPSeg", tree("imgs/v/00001488.jpg", "panomasks/v/00001488.png"), "vipseg", "joined"),
    ("OVIS", tree("train/v/img_0000001.jpg", "annotations_train.json"), "ovis", "joined"),
    ("DAVIS", tree("JPEGImages/480p/v/00000.jpg", "Annotations/480p/v/00000.png",
                   "ImageSets/2017/val.txt"), "davis2017", "JPEGImages/480p"),
    ("VISOR", tree("JPEGImages/480p/v/a_frame_1.jpg", "Annotations/480p/v/a_frame_1.png",
                   "ImageSets/2022/val.txt"), "visor", "JPEGImages/480p"),
    ("VOST", tree("JPEGImages/v/frame00012.jpg", "Annotations/v/frame00012.png",
                  "ImageSets/val.txt"), "vost", "submission: false"),
    ("LVOS", tree("JPEGImages/v/00000001.jpg", "Annotations/v/00000001.png", "valid_meta.json"),
     "lvos", "as it is"),
    ("YouTube-VOS", tree("JPEGImages/v/00000.jpg", "JPEGImages/v/00005.jpg",
                         "Annotations/v/00000.png", "meta.json"), "youtube-vos", "as it is"),
    ("MOSE", tree("JPEGImages/v/00000.jpg", "JPEGImages/v/00001.jpg", "JPEGImages/v/00005.jpg",
                  "Annotations/v/00000.png", "meta.json"), "mose", "as it is"),
    ("one folder too high", tree("valid/JPEGImages/v/00000.jpg", "valid/Annotations/v/00000.png"),
     "", "data/valid"),
    ("one folder too low", tree("v/00000.jpg", "w/00000.jpg"), "", "data.images"),
    ("films alone", tree("v.mp4", "w.MP4"), "", "data.images"),
    ("one video", tree("00000.jpg", "00001.jpg"), "", "ROOT/JPEGImages/data"),
]  # fmt: skip


@pytest.mark.parametrize("row", LAYOUTS, ids=lambda row: row[0])
def test_layouts_are_known_by_their_files(row: tuple[str, Build, str, str], tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    row[1](root)
    found = likeness.of_root(root)
    assert found is not None
    assert found.layout == row[2]
    assert row[3] in str(found)
    if not (root / "JPEGImages").is_dir():  # and a reader of another layout says so
        with pytest.raises(DataError, match="It looks like"):
            Split(root).videos()


def test_folders_of_other_capitals_and_files_in_their_place(tmp_path: Path) -> None:
    root = clip_in(tmp_path / "data")
    (root / "JPEGImages").rename(root / "jpegimages")
    with pytest.raises(DataError, match="jpegimages: write it with the same capitals"):
        Split(root).videos()
    (root / "JPEGImages").touch()
    with pytest.raises(DataError, match="A file stands there instead"):
        Split(root).videos()


@pytest.mark.parametrize("build", [tree("notes.txt"), tree("a/b/c.txt"), lambda root: None])
def test_folders_of_no_layout(build: Build, tmp_path: Path) -> None:
    build(tmp_path)
    assert likeness.of_root(tmp_path) is None
    assert likeness.of_root(tmp_path / "missing") is None


def test_an_empty_first_label_map_is_all_that_a_later_object_takes(tmp_path: Path) -> None:
    root = clip_in(tmp_path / "data")
    later(2)(root)
    relabel(mask(root), np.zeros((HEIGHT, WIDTH), np.uint8))
    assert main(frames_command(root, tmp_path / "clip.json")) == 0
    video = artifacts.read_video(tmp_path / "clip.json")
    assert {o.first_frame for o in video.objects} == {"00002"}


# --- ground truth that is not quite that of the meta file ---------------------------------------

VIDEOS = ("a", "b", "c")


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    """Ground truth of three videos, predictions and a meta file of two of them."""
    for name in VIDEOS:
        clip_in(tmp_path / "train", name)
    entry = json.loads((tmp_path / "train/meta.json").read_text())["videos"]["c"]
    (tmp_path / "meta.json").write_text(json.dumps({"videos": {"a": entry, "c": entry}}))
    for name in ("a", "c"):
        shutil.copytree(tmp_path / "train/Annotations" / name, tmp_path / "pred" / name)
    return tmp_path


def scored(folder: Path, workers: int = 1) -> int:
    return main([
        "score", "--gt", str(folder / "train/Annotations"), "--pred", str(folder / "pred"),
        "--meta", str(folder / "meta.json"), "--output", str(folder / "out"),
        "--workers", str(workers),
    ])  # fmt: skip


def finder_was_here(root: Path) -> None:
    for folder in (root / "train/Annotations", root / "train/Annotations/a"):
        (folder / ".DS_Store").write_bytes(b"")
        (folder / "Thumbs.db").write_bytes(b"")
        (folder / "@eaDir").mkdir()


def in_one_only(root: Path) -> None:
    shutil.rmtree(root / "train/Annotations/a")


TRUTHS: list[tuple[str, Build, tuple[str, ...]]] = [
    ("a hold-out against all of train", lambda root: None, ("1 videos are not in", "such as b")),
    ("files of systems beside the videos", finder_was_here, ("1 videos are not in",)),
    ("files of systems alone",
     lambda r: (shutil.rmtree(r / "train/Annotations/b"), finder_was_here(r)), ()),
    ("less truth than meta", in_one_only, ("no ground truth of 1 of 2", "such as a")),
]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("build", "words"), [r[1:] for r in TRUTHS], ids=[r[0] for r in TRUTHS])
def test_a_score_is_of_the_videos_that_truth_and_meta_share(
    build: Build,
    words: tuple[str, ...],
    workers: int,
    held_out: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build(held_out)
    assert scored(held_out, workers) == 0
    told = capsys.readouterr()
    holds(told.err, words)
    assert ("Annotations: " in told.err) == bool(words)  # a warning about the truth
    assert "\nJ: 100.0\n" in told.out


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda r: shutil.rmtree(r / "train"), ("train/Annotations", "no such folder")),
        (lambda r: (r / "meta.json").write_text('{"videos": {"x": {"length": 5}}}'),
         ("holds no video of", "'x'")),
        (lambda r: (r / "meta.json").write_text("[]"), ("meta.json", "meta file")),
        (lambda r: (r / "train/Annotations/c/00004.png").unlink(),
         ("train/Annotations/c: 4 label maps", "5 frames")),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_truth_is_not_blamed_on_the_prediction(
    build: Build, words: tuple[str, ...], held_out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(held_out)
    assert scored(held_out) == 2
    told = capsys.readouterr().err
    holds(told, words)
    assert "pred" not in told
