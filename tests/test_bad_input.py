"""What users get wrong, by command line: the message, exit status 2, and nothing lost.

A message says what, where, both values and the fix; every row lists words that it must hold.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from clips import (
    HEIGHT,
    NAMES,
    WIDTH,
    Work,
    contents,
    cut,
    film,
    frame,
    frames_command,
    holds,
    labels,
    mask,
    picture,
    refused,
    relabel,
    write_clip,
)
from PIL import Image

from kit import config
from kit.cli import main
from kit.core.errors import ConfigError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


# --- what the user brought --------------------------------------------------------------------


def empty_all(root: Path) -> None:
    for name in NAMES:
        relabel(mask(root, f"{name}.png"), np.zeros((HEIGHT, WIDTH), np.uint8))


def bomb(path: Path, side: int) -> None:
    """A PNG of 45 bytes that declares side * side pixels."""
    head = struct.pack(">2L5B", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">L", 13) + b"IHDR" + head + struct.pack(">L", zlib.crc32(b"IHDR" + head))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT\0\0\0\0")


def as_zero_and_255(root: Path) -> None:
    for number, name in enumerate(NAMES):
        relabel(mask(root, f"{name}.png"), np.where(labels(number) > 0, 255, 0).astype(np.uint8))


Row = tuple[str, Callable[[Path], Any], tuple[str, ...]]
BROUGHT: list[Row] = [
    # the given masks
    ("missing first mask", lambda r: mask(r).unlink(),
     ("Annotations/clip/00000.png", "first frame is missing", "data.annotations")),
    ("no label maps at all", lambda r: shutil.rmtree(mask(r).parent),
     ("Annotations/clip/00000.png", "first frame is missing")),
    ("mask of another size", lambda r: relabel(mask(r), labels(0)[:12, :16]),
     ("00000.png", "16x12", "32x24", "resized")),
    ("later mask of another size", lambda r: relabel(mask(r, "00003.png"), labels(0).T.copy()),
     ("00003.png", "24x32", "32x24")),
    ("RGB mask", lambda r: Image.fromarray(picture(0)).save(mask(r)),
     ("00000.png", "mode RGB", "do not tell them", "kit convert", "--labels")),
    ("0/255 masks", as_zero_and_255, ("00000.png", "255 means void", "0/255", "--labels")),
    ("JPEG named PNG", lambda r: Image.fromarray(labels(0)).save(mask(r), "JPEG"),
     ("00000.png", "a JPEG", "expected a PNG", "Lossy")),
    ("truncated mask", lambda r: cut(mask(r)),
     ("00000.png", "cannot be decoded", "bytes", "cut short", "copy or download it again")),
    ("empty file for a mask", lambda r: mask(r).write_bytes(b""), ("00000.png", "(0 bytes)")),
    ("empty first mask", empty_all, ("00000.png", "empty", "no later label map")),
    ("annotation without a frame", lambda r: relabel(mask(r, "00005.png"), labels(5)),
     ("00005.png", "no frame 00005", "00000 to 00004", "remove it")),
    # the frames
    ("truncated frame", lambda r: cut(frame(r)),
     ("00002.jpg", "cannot be decoded", "cut short", "copy or download it again")),
    ("frame cut by its last bytes", lambda r: cut(frame(r), 0.98), ("00002.jpg", "cut short")),
    ("text for a frame", lambda r: frame(r).write_text("not found"), ("00002.jpg", "(9 bytes)")),
    ("81 megapixels", lambda r: bomb(frame(r), 9000), ("00002.jpg", "9000x9000", "at most")),
    ("10 gigapixels", lambda r: bomb(frame(r), 100_000),
     ("00002.jpg", "10000000000 pixels", "exceeds limit")),
    ("frame of another size", lambda r: Image.fromarray(picture(0)[:20]).save(frame(r)),
     ("00002.jpg", "32x20", "00000.jpg", "32x24", "one size")),
    ("frame gap", lambda r: frame(r).unlink(),
     ("JPEGImages/clip", "gap", "00003.jpg follows 00001.jpg", "steps of 1", "1 file(s)")),
    ("duplicate number", lambda r: shutil.copy(frame(r), frame(r, "2.jpg")),
     ("00002.jpg and 2.jpg", "same frame number", "Keep one")),
    ("mixed suffixes", lambda r: frame(r).rename(frame(r, "00002.png")),
     ("several kinds", ".jpg, .png", "Remove")),
    ("name without a number", lambda r: frame(r).rename(frame(r, "x.jpg")),
     ("x.jpg", "must hold its number", "00000.jpg")),
    ("no frames", lambda r: [p.unlink() for p in frame(r).parent.iterdir()],
     ("JPEGImages/clip", "no frames", ".jpg, .jpeg, .png")),
    ("no such video", lambda r: shutil.rmtree(frame(r).parent),
     ("JPEGImages/clip", "no such frame folder", "deleted or renamed")),
    ("folder and video file", lambda r: (r / "JPEGImages/clip.MP4").write_bytes(b""),
     ("clip and clip.MP4", "Keep one")),
]  # fmt: skip


@pytest.fixture
def clip(tmp_path: Path) -> tuple[Path, list[str]]:
    """The clip, indexed once when all was well, and the command that indexes it again."""
    root = write_clip(tmp_path / "data")
    command = frames_command(root, tmp_path / "work" / "clip.json", "--meta", "meta.json")
    assert main(command) == 0
    return root, command


@pytest.mark.parametrize(("damage", "words"), [r[1:] for r in BROUGHT], ids=[r[0] for r in BROUGHT])
def test_what_the_user_brought(
    damage: Callable[[Path], Any],
    words: tuple[str, ...],
    clip: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    root, command = clip
    damage(root)
    before = contents(tmp_path)
    holds(refused(capsys, command), words)
    assert contents(tmp_path) == before  # the earlier index still stands, and nothing beside it
    (tmp_path / "work" / "clip.json").unlink()
    refused(capsys, command)
    assert contents(tmp_path / "work") == {}  # nor is a first one written


# --- the meta file ----------------------------------------------------------------------------


def entry(**changes: object) -> str:
    facts = {"length": 5, "height": HEIGHT, "width": WIDTH, "objects": [1, 2], **changes}
    return json.dumps({"videos": {"clip": facts}})


META: list[tuple[str, str, tuple[str, ...]]] = [
    ("length", entry(length=6), ("clip", "length is 5", "6 in meta.json", "data.meta")),
    ("height", entry(height=25), ("height is 24", "25 in meta.json")),
    ("width", entry(width=31), ("width is 32", "31 in meta.json")),
    ("size as text", entry(height="24"), ("height is 24", "'24' in meta.json")),
    ("one object more", entry(objects=[1, 2, 3]), ("objects is [1, 2]", "[1, 2, 3]", "missing?")),
    ("one object less", entry(objects={"1": {}}), ("objects is [1, 2]", "{'1': {}}")),
    ("number of objects", entry(objects=2), ("objects is [1, 2]", "but 2 in")),
    ("ids that are none", entry(objects=["a"]), ("objects is [1, 2]", "['a']")),
    ("ids of digits without end", entry(objects=["1" * 5000]), ("objects is [1, 2]", "['111")),
    ("keys of digits without end", entry(objects={"2" * 9999: {}}), ("objects is [1, 2]", "{'222")),
    ("infinite ids", entry(objects=[float("inf")]), ("objects is [1, 2]", "[inf]")),
    ("unknown video", '{"videos": {"other": {}}}', ("meta.json", "no video clip")),
    ("entry no object", '{"videos": {"clip": 5}}', ("meta.json", "clip", "but 5")),
    ("videos no object", '{"videos": ["clip"]}', ("meta.json", '"videos" is no object')),
    ("another file", "[1, 2]", ("meta.json", "not of the form")),
    ("not JSON", "{'videos'", ("meta.json", "not of the form")),
    ("not UTF-8", "\xff", ("meta.json", "not of the form")),
    ("nested too deeply", "[" * 100_000, ("meta.json", "not of the form", "nested more than")),
]


@pytest.mark.parametrize(("text", "words"), [r[1:] for r in META], ids=[r[0] for r in META])
def test_a_meta_file_that_disagrees(
    text: str,
    words: tuple[str, ...],
    clip: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    root, command = clip
    (root / "meta.json").write_bytes(text.encode("latin-1"))
    before = contents(tmp_path)
    holds(refused(capsys, command), words)
    assert contents(tmp_path) == before


def test_a_missing_meta_file(
    clip: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (clip[0] / "meta.json").unlink()
    holds(refused(capsys, clip[1]), ("meta.json", "no such meta file", "`data.meta` to null"))


# --- video files ------------------------------------------------------------------------------


FILMS: list[tuple[str, str, Callable[[Path], bytes], tuple[str, ...]]] = [
    ("zero bytes", "clip.mp4", lambda p: b"", ("clip.mp4", "no frame", "(0 bytes)", "H.264")),
    ("text", "clip.mkv", lambda p: b"not found", ("clip.mkv", "no frame", "(9 bytes)")),
    # an MP4 lists its frames at its end: nothing is left of one that is cut
    ("cut MP4", "clip.mp4", lambda p: film(p, "mp4v")[:20_000], ("no frame", "damaged")),
    # an AVI says at its start how many frames there are, and half of them still decode
    ("cut AVI", "clip.avi", lambda p: (d := film(p, "MJPG"))[: len(d) // 2],
     ("frames could be decoded", "declares 40", "cut short", "copy it again")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "words"), [r[1:] for r in FILMS], ids=[r[0] for r in FILMS]
)
def test_a_video_file_that_cannot_be_read(
    name: str,
    data: Callable[[Path], bytes],
    words: tuple[str, ...],
    clip: tuple[Path, list[str]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    root, command = clip
    shutil.rmtree(frame(root).parent)
    (root / "JPEGImages" / name).write_bytes(data(root / "JPEGImages" / name))
    before = contents(tmp_path)
    holds(refused(capsys, command), words)
    assert contents(tmp_path) == before


# --- the configuration --------------------------------------------------------------------------


def changed(path: str, value: object) -> dict[str, Any]:
    """config/config.yaml with one value set, or one key removed where the value is ..."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    *parents, last = path.split(".")
    block = values
    for key in parents:
        block = block[key]
    block[last] = value
    if value is ...:
        del block[last]
    return values


CONFIGS: list[tuple[str, str, object, tuple[str, ...]]] = [
    ("key", "selector", {}, ("unknown key `selector`", "Did you mean `selectors`?")),
    ("nested key", "selectors.top3.topk", 3, ("selectors.top3", "`topk`", "mean `top_k`?")),
    ("key of data", "data.rot", "x", ("data: unknown key `rot`", "mean `root`?")),
    ("key of a recipe", "recipes.reprompted.tracker", "sam3", ("recipes.reprompted", "`tracker`")),
    ("missing key", "recipes.reprompted.selector", ..., ("`selector` is missing",)),
    ("missing block", "trackers", ..., ("`trackers` is missing",)),
    ("half a miner", "recipes.reprompted.embedder", ..., ("`embedder` is missing",)),
    ("preset", "recipes.reprompted.selector", "top5", ("no preset `top5`", "Did you mean `top3`?")),
    ("model", "trackers.sam3.model", "sam4", ("no preset `sam4`", "`models`", "mean `sam3`?")),
    ("tracker", "propagators.sam3.tracker", "sm2", ("no preset `sm2`", "mean `sam2`?")),
    ("method", "selectors.top3", {"method": "topk"}, ("selectors: no method `topk`", "`top_k`?")),
    ("type", "selectors.top3.top_k", "2", ("selectors.top3.top_k", "'2'", "type integer")),
    ("range", "detectors.exemplar.threshold", 30, ("threshold", "30", "at most 1")),
    ("choice", "embedders.dinov3.pooling", "mean", ("pooling", "'mean'", "masked_mean, cls")),
    ("name", "split", "../x", ("split", "'../x'", "must match")),
    ("name with a line's end", "split", "x\n", ("split", r"'x\n'", "must match")),
    ("preset with a line's end", "selectors.x\n", {"method": "top_k"}, (r"'x\n'", "must match")),
    ("nothing for a file", "data.meta", "", ("data.meta", "at least 1 characters")),
    ("number for a name", "split", 5, ("split: 5", "type string")),
]


@pytest.mark.parametrize(
    ("path", "value", "words"), [r[1:] for r in CONFIGS], ids=[r[0] for r in CONFIGS]
)
def test_a_configuration_that_cannot_be_meant(
    path: str, value: object, words: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)))
    with pytest.raises(ConfigError) as told:
        config.load(file)
    holds(str(told.value), words)


@pytest.mark.parametrize(
    ("text", "words"),
    [("split: [", "not valid YAML"), ("", "`split` is missing"), ("- 1", "type object")],
)
def test_a_configuration_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        config.load(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match=r"other\.yaml: no such configuration"):
        config.load(tmp_path / "other.yaml")


@pytest.mark.workflow
def test_snakemake_shows_what_is_wrong(tmp_path: Path) -> None:
    values = changed("selectors.top3.topk", 3) | {"work": str(tmp_path / "work")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--snakefile", str(ROOT / "Snakefile"),
         "--directory", str(tmp_path), "--configfile", str(tmp_path / "config.yaml")],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "selectors.top3: unknown key `topk`. Did you mean `top_k`?" in told
    assert "Traceback" not in told
    assert not (tmp_path / "work").exists()


# --- settings by hand ---------------------------------------------------------------------------

SETTINGS: list[tuple[str, str, tuple[str, ...]]] = [
    ("anchors", '{"method": "topk"}', ("no method `topk`", "`top_k`")),
    ("anchors", '{"method": "top_k", "topk": 1}', ("selectors.top_k", "`topk`", "mean `top_k`?")),
    ("anchors", '{"method": "top_k", "top_k": "1"}', ("top_k.top_k", "type integer", "'1'")),
    ("anchors", "{}", ("no method `None`", "first_frame", "top_k")),
    ("candidates", '{"method": "exemplar_tokens"}', ("`model` must be", '"source"', "got None")),
    ("features", '{"method": "dinov3", "model": "dinov3"}', ("`model` must be", "got 'dinov3'")),
    ("masks", '{"method": "greedy"}', ("`tracker` must be", '"method"', "got None")),
    ("masks", '{"tracker": {"method": "sam3"}}', ("no method `None`", "greedy")),
    ("masks", '{"method": "greedy", "tracker": {"method": "sam3"}}', ("`model` must", "got None")),
    ("draw", '{"frame": 9}', ("data.draw: unknown key `frame`", "mean `frames`?")),
    ("draw", '{"frames": "9"}', ("data.draw.frames", "type integer", "'9'")),
]


@pytest.mark.parametrize(("stage", "settings", "words"), SETTINGS)
def test_settings_given_by_hand(
    stage: str,
    settings: str,
    words: tuple[str, ...],
    work: Work,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = work.command(stage)
    command[command.index("--settings") + 1] = settings
    before = contents(work.folder)
    holds(refused(capsys, command), words)
    assert contents(work.folder) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [("top_k", "not valid JSON"), ("[1]", "expected a JSON object"), ("[" * 100_000, "not valid")],
)
def test_settings_that_are_no_object(
    text: str, words: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["anchors", "--manifest", "m", "--settings", text, "--output", "o"])
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_a_drawn_video_is_named_with_its_number(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["drawn_x" if word == "drawn_000" else word for word in work.command("draw")]
    holds(refused(capsys, command), ("drawn_x", "drawn_000"))
