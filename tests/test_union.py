"""Several sources as one: what is merged, what stays apart, and who shares a vision pass."""

import json
from pathlib import Path

import numpy as np
import pytest
from clips import frames_command, write_clip
from tiny_models import counted_passes

from kit.cli import main
from kit.core import artifacts
from kit.core.errors import ArtifactError
from kit.core.masks import encode_rle, iou, ious
from kit.core.types import Candidate
from kit.detectors import prompting, union
from kit.detectors.base import Exemplar
from kit.runtime import models
from kit.stages import candidates as stage

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

SHAPE = (2, 12)


def span(start: int, stop: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[:, start:stop] = True
    return mask


def candidate(
    source: str, start: int, stop: int, frame: str = "00001", object_id: int = 1
) -> Candidate:
    score = 0.9 if source == "a" else 0.5
    return Candidate(frame, object_id, score, encode_rle(span(start, stop)), SHAPE, source)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # the same region: the source named first keeps its mask, and is told who agrees
        ([[("a", 0, 10)], [("b", 0, 9)]], [("a+b", 0, 10)]),
        ([[("b", 0, 9)], [("a", 0, 10)]], [("b+a", 0, 9)]),  # not the higher score
        ([[("a", 0, 10)], [("b", 0, 7)]], [("a", 0, 10), ("b", 0, 7)]),  # IoU exactly 0.7
        ([[("a", 0, 4)], [("b", 6, 10)]], [("a", 0, 4), ("b", 6, 10)]),
        ([[], [("b", 0, 4)]], [("b", 0, 4)]),
        # the nearest survivor is the one that is confirmed
        ([[("a", 0, 10), ("a", 2, 12)], [("b", 1, 10)]], [("a+b", 0, 10), ("a", 2, 12)]),
        # the second is dropped for the first, so it cannot drop the third
        ([[("a", 0, 10), ("a", 0, 8), ("a", 0, 6)]], [("a", 0, 10), ("a", 0, 6)]),
        ([[("a", 0, 10)], [("b", 0, 10)], [("b", 0, 10), ("c", 0, 10)]], [("a+b+c", 0, 10)]),
    ],
)
def test_merging(
    found: list[list[tuple[str, int, int]]], expected: list[tuple[str, int, int]]
) -> None:
    merged = union.merge([[candidate(*c) for c in one] for one in found], union.Config())
    assert [(c.source, c.rle) for c in merged] == [
        (source, encode_rle(span(start, stop))) for source, start, stop in expected
    ]


def test_frames_and_objects_stay_apart() -> None:
    one = [candidate("a", 0, 4), candidate("a", 0, 4, "00002")]
    other = [candidate("b", 0, 4, object_id=2), candidate("b", 0, 4, "00002")]
    merged = union.merge([one, other], union.Config())
    assert [(c.frame, c.object_id, c.source) for c in merged] == [
        ("00001", 1, "a"), ("00002", 1, "a+b"), ("00001", 2, "b"),
    ]  # fmt: skip


def test_ious_of_run_lengths_are_those_of_the_masks() -> None:
    rng = np.random.default_rng(0)
    some, others = ([rng.random((7, 9)) < p for p in (0.2, 0.5, 0.9)] for _ in range(2))
    rles = [[encode_rle(m) for m in masks] for masks in (some, others[:2])]
    expected = [[iou(a, b) for b in others[:2]] for a in some]
    assert ious(*rles, (7, 9)) == pytest.approx(np.array(expected))
    assert ious([], rles[0], (7, 9)).shape == (0, 3)


def test_runs_that_do_not_fill_the_frame_are_refused() -> None:
    """pycocotools itself would believe them."""
    with pytest.raises(ArtifactError, match="runs cover 63 of 64 pixels"):
        ious([encode_rle(np.ones((7, 9), bool))], [encode_rle(np.ones((8, 8), bool))], (8, 8))


@pytest.fixture
def index(tmp_path: Path) -> Path:
    write_clip(tmp_path / "data")
    path = tmp_path / "frames" / "clip.json"
    assert main(frames_command(tmp_path / "data", path)) == 0
    return path


def preset(method: str = "exemplar_tokens", **keys: object) -> dict[str, object]:
    return {"method": method, "model": {"source": "tiny"}, "threshold": 0.0, **keys}


def command(index: Path, settings: object, *flags: str, stage: str = "candidates") -> list[str]:
    given = ["--frames", str(index), "--settings", json.dumps(settings)]
    return [stage, *given, *flags, "--output", str(index.parent / "found.jsonl.zst")]


def mine(index: Path, settings: object, *flags: str, stage: str = "candidates") -> list[Candidate]:
    line = command(index, settings, *flags, stage=stage)
    assert main(line) == 0
    return artifacts.read_candidates(Path(line[-1]), artifacts.read_video(index))


def test_sources_of_one_pass_find_what_they_find_alone(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five frames, two objects, two sources: five frames are encoded."""
    both = [preset(), preset(text=False, look_alikes=True, max_per_frame=3)]
    alone = [mine(index, one) for one in both]
    seen = counted_passes(monkeypatch)
    together = mine(index, both)
    assert sum(seen) == 5
    key = [(c.frame, c.object_id) for c in together]
    assert key == sorted(key)
    assert len(together) == sum(map(len, alone)) > 0
    for one in alone:
        missing = [c for c in one if not any(_same(c, other) for other in together)]
        assert not missing


def _same(one: Candidate, other: Candidate) -> bool:
    place = (one.frame, one.object_id, one.rle) == (other.frame, other.object_id, other.rle)
    return place and abs(one.score - other.score) < 1e-5


def test_the_union_as_a_stage(index: Path) -> None:
    for name, settings in (("a", preset(max_per_frame=2)), ("b", preset("dense_match"))):
        mine(index, settings)
        (index.parent / "found.jsonl.zst").rename(index.parent / name)
    files = [str(index.parent / name) for name in "ab"]
    settings = {"method": "union", "nms_iou": 0.5}
    merged = mine(index, settings, "--candidates", *files, stage="union")
    sources = {part for c in merged for part in c.source.split("+")}
    assert sources == {"exemplar_tokens", "dense_match"}
    key = [(c.frame, c.object_id) for c in merged]
    assert key == sorted(key)


@pytest.mark.parametrize(
    ("stage", "settings", "flags", "words"),
    [
        ("candidates", [preset(), preset("dense_match")], [], "`dense_match` needs a pass of its"),
        ("candidates", [preset(), preset() | {"model": {"source": "x"}}], [], "different models"),
        ("candidates", {"method": "union", "model": {"source": "x"}}, [], "searches nothing"),
        ("union", {"method": "exemplar_tokens"}, ["--candidates", "x"], "merges nothing"),
    ],
)
def test_refusals(
    index: Path,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    settings: object,
    flags: list[str],
    words: str,
) -> None:
    assert main(command(index, settings, *flags, stage=stage)) == 2
    assert words in capsys.readouterr().err


def test_views_keep_nothing_that_was_searched() -> None:
    """Features of a frame are large: those that prompts were made of go with their turn."""
    detector = models.load("sam3_detector", {"source": "tiny"}, "cpu")
    frames = [np.zeros((8, 12, 3), np.uint8)] * 4
    exemplar = Exemplar(1, 0, np.ones((8, 12), bool))
    video = stage.artifacts.Video("v", 8, 12, tuple("0123"), Path(), "", Path(), (), "")
    search = prompting.Search(video, frames, [exemplar], detector, batch=2)
    views = prompting.Views(search)
    assert views.early(0) is views.early(0)
    walked = [indices for indices, _ in views.walk(frozenset({0, 1, 2, 3}))]
    assert walked == [[0], [1, 2], [3]]
    assert not views._early
