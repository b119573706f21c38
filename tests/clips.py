"""A clip of five 32x24 frames with two objects, and every artifact that can be made without models.

What models would find is made up here; every file is written by the code under test.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from kit.cli import main
from kit.core import artifacts
from kit.core.files import sha256
from kit.core.mask_archive import write_masks
from kit.core.masks import encode_png, encode_rle
from kit.core.types import Candidate, Features, MaskNotes, State, Video

NAMES = [f"{number:05d}" for number in range(5)]
HEIGHT, WIDTH = 24, 32
TOP_2 = '{"method": "top_k", "top_k": 2, "min_gap": 1}'


def picture(number: int) -> np.ndarray:
    """One frame, `uint8[24, 32, 3]`."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def labels(number: int) -> np.ndarray:
    """Objects 1 and 2 of one frame, moving to the right, `uint8[24, 32]`."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[4:12, 2 + number : 10 + number] = 1
    drawn[14:20, 5 + number : 11 + number] = 2
    return drawn


def write_clip(root: Path, name: str = "clip") -> Path:
    """Frames, label maps and meta.json in MOSE layout; returns the root."""
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / name).mkdir(parents=True)
    for number, frame in enumerate(NAMES):
        Image.fromarray(picture(number)).save(root / "JPEGImages" / name / f"{frame}.jpg")
        (root / "Annotations" / name / f"{frame}.png").write_bytes(encode_png(labels(number)))
    entry = {"length": len(NAMES), "height": HEIGHT, "width": WIDTH, "objects": [1, 2]}
    (root / "meta.json").write_text(json.dumps({"videos": {name: entry}}))
    return root


def frames_command(root: Path, output: Path, *more: str) -> list[str]:
    """The command line that indexes the clip."""
    return ["frames", "--root", str(root), "--video", "clip", "--output", str(output), *more]


class Work:
    """A work folder with every artifact of the clip below it, and the commands that read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = write_clip(folder / "data")
        self.index = folder / "frames" / "clip.json"
        self.candidates = folder / "candidates" / "clip.jsonl.zst"
        self.features = folder / "features" / "clip.safetensors"
        self.manifest = folder / "manifest.json"
        self.anchors = folder / "anchors" / "clip.json"
        self.masks = folder / "masks" / "clip.zip"
        self.scores = folder / "scores" / "clip.json"
        self.meta = folder / "meta.json"
        self.archive = folder / "submission.zip"
        run(*frames_command(self.root, self.index))
        self.video: Video = artifacts.read_video(self.index)
        self._mine()
        for stage in ("manifest", "anchors"):
            run(*self.command(stage))
        self._track()
        for stage in ("scores", "results", "meta", "submission"):
            run(*self.command(stage))

    def command(self, stage: str) -> list[str]:
        """The command line that makes a stage's output again."""
        at = {k: str(v) for k, v in vars(self).items()} | {"work": str(self.folder)}
        video = ["--videos", "clip"]
        frames, masks = ["--frames", at["index"]], ["--masks", at["masks"]]
        folders = {k: str(self.folder / k) for k in ("frames", "candidates", "features", "anchors")}
        tiny = '{"method": "%s", "model": {"source": "tiny"}}'
        tracker = '{"method": "greedy", "tracker": %s}' % (tiny % "sam3")
        return {
            "draw": ["draw", "--root", f"{at['work']}/drawn", "--video", "drawn_000",
                     "--settings", '{"frames": 8, "width": 64, "height": 48}',
                     "--output", f"{at['work']}/drawn.json"],
            "frames": frames_command(self.root, self.index),
            "meta": ["meta", "--frames", folders["frames"], *video, "--output", at["meta"]],
            "candidates": ["candidates", *frames, "--settings", tiny % "exemplar_tokens",
                           "--output", at["candidates"]],
            "features": ["features", *frames, "--candidates", at["candidates"],
                         "--settings", tiny % "dinov3", "--output", at["features"]],
            "manifest": ["manifest", "--frames", folders["frames"], "--candidates",
                         folders["candidates"], "--features", folders["features"], *video,
                         "--output", at["manifest"]],
            "anchors": ["anchors", "--manifest", at["manifest"], "--settings", TOP_2,
                        "--output", folders["anchors"]],
            "masks": ["masks", *frames, "--anchors", at["anchors"], "--settings", tracker,
                      "--output", at["masks"]],
            "scores": ["scores", *frames, *masks, "--output", at["scores"]],
            "results": ["results", "--scores", f"{at['work']}/scores",
                        "--masks", f"{at['work']}/masks", *video,
                        "--output", f"{at['work']}/results"],
            "submission": ["submission", "--frames", folders["frames"], "--anchors",
                           folders["anchors"], "--masks", f"{at['work']}/masks",
                           "--meta", at["meta"], "--output", at["archive"]],
        }[stage]  # fmt: skip

    def _mine(self) -> None:
        found = [
            Candidate(f, i, 0.5 + 0.1 * i, encode_rle(labels(n) == i), self.video.shape, "made_up")
            for i in (1, 2)
            for n, f in enumerate(NAMES[1:], 1)
        ]
        artifacts.write_candidates(self.candidates, self.video, found)
        rows = np.random.default_rng(0).standard_normal((len(found) + 4, 6)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        features = Features(rows[4:], {1: rows[:2], 2: rows[2:4]})
        inputs = {"video": self.video.digest, "candidates": sha256(self.candidates)}
        artifacts.write_features(self.features, features, inputs)

    def _track(self) -> None:
        sure = dict.fromkeys(NAMES, State(1.0, 0.9))
        notes = MaskNotes({1: sure, 2: sure}, {1: NAMES[:1], 2: NAMES[:1]})
        pngs = [(name, encode_png(labels(number))) for number, name in enumerate(NAMES)]
        inputs = {"video": self.video.digest, "anchors": sha256(self.anchors)}
        write_masks(self.masks, self.video, pngs, lambda: notes, inputs)


def run(*arguments: str) -> None:
    """Run a command that must succeed."""
    assert main(list(arguments)) == 0, arguments


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, with its bytes."""
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def refused(capsys: pytest.CaptureFixture[str], command: list[str]) -> str:
    """The message of a command that must fail as a user's mistake does."""
    capsys.readouterr()
    assert main(command) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"kit {command[0]}: ")
    assert "Traceback" not in told
    return told


def holds(told: str, words: tuple[str, ...]) -> None:
    """A message must hold all these words."""
    for word in words:
        assert word in told


def frame(root: Path, name: str = "00002.jpg") -> Path:
    """A frame's file."""
    return root / "JPEGImages" / "clip" / name


def mask(root: Path, name: str = "00000.png") -> Path:
    """A label map's file."""
    return root / "Annotations" / "clip" / name


def relabel(path: Path, pixels: np.ndarray) -> None:
    """Replace a label map."""
    path.write_bytes(encode_png(pixels))


def cut(path: Path, share: float = 0.6) -> None:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def film(path: Path, code: str) -> bytes:
    """Write a video file of 40 frames with a codec; returns its bytes."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 10, (WIDTH * 4, HEIGHT * 4))
    for number in range(40):
        writer.write(cv2.resize(picture(number), (WIDTH * 4, HEIGHT * 4)))
    writer.release()
    return path.read_bytes()
