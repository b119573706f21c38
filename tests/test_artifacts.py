"""Our own files: round trips, damage of every kind, and results of older inputs.

Whatever lies in a file, a reader returns what was written or raises an ArtifactError that names the
file and how to rebuild it.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from clips import (
    HEIGHT,
    NAMES,
    WIDTH,
    Work,
    contents,
    cut,
    holds,
    labels,
    mask,
    refused,
    relabel,
    run,
)  # fmt: skip
from safetensors.numpy import save

from kit.core import artifacts, files, grounds, mask_archive
from kit.core.errors import ArtifactError
from kit.core.files import sha256
from kit.core.masks import encode_png, encode_rle
from kit.core.scored import read_scores
from kit.core.types import Features

ROOT = Path(__file__).parents[1]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


# --- round trips and damage, byte by byte -------------------------------------------------------


def plain(value: Any) -> Any:
    """A value that `==` compares: arrays as lists."""
    if isinstance(value, Features):
        return value.candidates.tolist(), {i: rows.tolist() for i, rows in value.pools.items()}
    return value


def read(work: Work, kind: str) -> Any:
    """What the reader of a kind returns."""
    made = {"video": work.video.digest, "candidates": sha256(work.candidates)}
    return {
        "index": lambda: artifacts.read_video(work.index),
        "candidates": lambda: artifacts.read_candidates(work.candidates, work.video),
        "features": lambda: plain(artifacts.read_features(work.features, made, work.video, 8)),
        "manifest": lambda: grounds.read_manifest(work.manifest),
        "anchors": lambda: artifacts.read_anchors(work.anchors, work.video, {}),
        "masks": lambda: (
            mask_archive.read_masks(work.masks, work.video, {}),
            list(mask_archive.read_pngs(work.masks)),
        ),
        "scores": lambda: read_scores(work.scores, "clip", (1, 2), {}),
    }[kind]()


KINDS = ("index", "candidates", "features", "manifest", "anchors", "masks", "scores")
CHECKSUMMED = ("candidates", "masks")  # their formats know when a byte is wrong; text is for people
POINTS = 60  # of a file at which it is cut or a byte is turned


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """One work folder for tests that put back what they damage."""
    return Work(tmp_path_factory.mktemp("shared") / "work")


def test_what_is_written_is_read(shared: Work) -> None:
    video = read(shared, "index")
    assert (video.name, video.shape, video.frames) == ("clip", (HEIGHT, WIDTH), tuple(NAMES))
    assert [(o.id, o.first_frame) for o in video.objects] == [(1, "00000"), (2, "00000")]
    found = read(shared, "candidates")
    assert [(c.object_id, c.frame) for c in found] == [(i, f) for i in (1, 2) for f in NAMES[1:]]
    assert all((c.mask == (labels(int(c.frame)) == c.object_id)).all() for c in found)
    rows, pools = read(shared, "features")
    assert np.shape(rows) == (8, 6)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert {i: np.shape(pool) for i, pool in pools.items()} == {1: (2, 6), 2: (2, 6)}
    chosen = read(shared, "anchors")
    assert [a.object_id for a in chosen.anchors] == [1, 1, 2, 2]
    assert all(a.rle == encode_rle(labels(int(a.frame)) == a.object_id) for a in chosen.anchors)
    described, pngs = read(shared, "masks")
    assert pngs == [(name, encode_png(labels(n))) for n, name in enumerate(NAMES)]
    assert sorted(described.states) == [1, 2]
    for result in read(shared, "scores").objects.values():
        assert result.measures["J"] == 1.0  # the made-up masks are the truth


@pytest.mark.parametrize("kind", KINDS)
def test_writing_again_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    work = Work(tmp_path / "work")
    path: Path = getattr(work, kind)
    before = path.read_bytes()
    shutil.rmtree(tmp_path / "work")
    assert getattr(Work(tmp_path / "work"), kind).read_bytes() == before


def outcome(work: Work, kind: str, data: bytes) -> Any:
    """What is read from other bytes; None where the reader refuses them as it should."""
    path: Path = getattr(work, kind)
    good = path.read_bytes()
    path.write_bytes(data)
    try:
        return read(work, kind)
    except ArtifactError as error:
        holds(str(error), (str(path), f"rm -f '{path}'"))
        return None
    finally:
        path.write_bytes(good)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_refused(kind: str, shared: Work) -> None:
    """Or nothing is lost: a missing newline, or zstd's checksum when all lines are there."""
    data, good = getattr(shared, kind).read_bytes(), read(shared, kind)
    step = max(1, len(data) // POINTS)
    for length in {*range(0, len(data), step), *range(len(data) - 9, len(data))}:
        found = outcome(shared, kind, data[:length])
        assert found is None or (found == good and length >= len(data) - 4), length


@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_turned_anywhere_is_refused_or_harmless(kind: str, shared: Work) -> None:
    """None ends in another exception; where the format has a checksum, none in other values."""
    data, good = getattr(shared, kind).read_bytes(), read(shared, kind)
    step = max(1, len(data) // POINTS)
    refusals = 0
    for position in {*range(0, len(data), step), *range(40), *range(len(data) - 60, len(data))}:
        bad = bytearray(data)
        bad[position % len(data)] ^= (0xFF, 0x01, 0x20, 0x80)[position % 4]
        found = outcome(shared, kind, bytes(bad))
        refusals += found is None
        if kind in CHECKSUMMED:
            assert found is None or found == good, position
    assert refusals > 20


# --- hostile content ----------------------------------------------------------------------------


def edited(kind: str, edit: Callable[[Any], Any]) -> Callable[[Work], bytes]:
    """A JSON artifact with a change."""

    def make(work: Work) -> bytes:
        body = json.loads(getattr(work, kind).read_bytes())
        edit(body)
        return json.dumps(body).encode()

    return make


def lines(*more: str, rows: int | None = None) -> Callable[[Work], bytes]:
    """Candidates with other lines than those written, and a fitting checksum."""

    def make(work: Work) -> bytes:
        header = {"schema": "candidates/1", "inputs": {"video": work.video.digest}}
        end = {"rows": len(more) if rows is None else rows}
        text = "\n".join([json.dumps(header), *more, json.dumps(end)])
        return zstandard.compress(text.encode())

    return make


def tensors(**arrays: np.ndarray) -> Callable[[Work], bytes]:
    """Features with other arrays, made from the right candidates."""

    def make(work: Work) -> bytes:
        made = {"video": work.video.digest, "candidates": sha256(work.candidates)}
        named = {name.replace("_", "."): array for name, array in arrays.items()}
        return save(named, {"header": json.dumps({"schema": "features/1", "inputs": made})})

    return make


def zipped(body: bytes, method: int = zipfile.ZIP_DEFLATED) -> Callable[[Work], bytes]:
    """A masks archive with another description."""

    def make(work: Work) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as archive:
            archive.writestr("objects.json", body)
        return stream.getvalue()

    return make


DEEP = b"[" * 200_000
EIGHT, POOL = np.ones((8, 6), np.float16), np.ones((2, 6), np.float16)
RLE = json.dumps(encode_rle(labels(1) == 1))
HOSTILE: list[tuple[str, str, Callable[[Work], bytes], str]] = [
    ("index: no frames", "index", edited("index", lambda b: b.update(frames=[])), "0 frames"),
    ("index: a frame twice", "index",
     edited("index", lambda b: b.update(frames=["00000", "00000"])), "not all of them different"),
    ("index: 10 gigapixels", "index",
     edited("index", lambda b: b.update(height=100_000, width=100_000)), "100000x100000"),
    ("index: no height", "index", edited("index", lambda b: b.update(height=0)),
     "`height`: expected an integer from 1 on, found 0"),
    ("index: infinite width", "index",
     edited("index", lambda b: b.update(width=float("inf"))), "found Infinity"),
    ("index: object 255", "index", edited("index", lambda b: b["objects"][0].update(id=255)),
     "`objects[0].id`: expected an integer from 1 to 254, found 255"),
    ("index: object on no frame", "index",
     edited("index", lambda b: b["objects"][0].update(first_frame="00009")), "00009"),
    ("index: nested deeply", "index", lambda w: DEEP, "not valid JSON"),
    ("index: a list", "index", lambda w: b"[]", "expected schema frames/1, found None"),
    ("index: wrong types", "index", edited("index", lambda b: b.update(objects=5)),
     "`objects`: expected a list, found 5"),
    ("index: not UTF-8", "index", lambda w: b'{"schema": "\xff"}', "not valid JSON"),
    ("candidates: nested deeply", "candidates",
     lambda w: zstandard.compress(DEEP), "nested more than 32 deep"),
    ("candidates: endless zeros", "candidates",
     lambda w: zstandard.compress(b"\0" * (1 << 22)), "more than"),
    ("candidates: lost rows", "candidates", lines(rows=3), "0 rows, the last line says"),
    ("candidates: unknown object", "candidates",
     lines(f'[3, "00001", 0.5, "x", {RLE}]'), "object 3 on frame 00001"),
    ("candidates: unknown frame", "candidates",
     lines(f'[1, "00009", 0.5, "x", {RLE}]'), "object 1 on frame 00009"),
    ("candidates: NaN", "candidates", lines(f'[1, "00001", NaN, "x", {RLE}]'), "found NaN"),
    ("candidates: text for a score", "candidates",
     lines('[1, "00001", "1", "x", ""]'),
     '`line 2[2]`: expected a number from 0 to 1, found "1"'),
    ("candidates: short row", "candidates", lines("[1]"),
     "`line 2[1]`: expected a text, found nothing"),
    ("features: NaN", "features",
     tensors(candidates=EIGHT * np.nan, pool_1=POOL, pool_2=POOL), "no finite numbers"),
    ("features: a pool too few", "features", tensors(candidates=EIGHT, pool_1=POOL),
     "expected ['candidates', 'pool.1', 'pool.2']"),
    ("features: a pool of no object", "features",
     tensors(candidates=EIGHT, pool_1=POOL, pool_x=POOL), "'pool.x'"),
    ("features: other widths", "features",
     tensors(candidates=EIGHT, pool_1=POOL[:, :5], pool_2=POOL), "(5,)"),
    ("features: no rows' axis", "features",
     tensors(candidates=EIGHT[:, 0], pool_1=POOL, pool_2=POOL), "rows of shape ()"),
    ("features: rows too few", "features",
     tensors(candidates=EIGHT[:7], pool_1=POOL, pool_2=POOL), "7 feature rows for 8"),
    ("features: a header of 8 EiB", "features",
     lambda w: b"\xff" * 7 + b"\x7f{}", "damaged features"),
    ("manifest: no videos", "manifest", lambda w: b'{"schema": "evidence/1"}',
     "`videos`: expected an object, found nothing"),
    ("manifest: an entry no object", "manifest",
     edited("manifest", lambda b: b.update(videos={"clip": 5})),
     "`videos.clip.frames`: expected a text, found nothing"),
    ("anchors: unknown object", "anchors",
     edited("anchors", lambda b: b["anchors"][0].update(object=9)), "object 9"),
    ("anchors: infinite score", "anchors",
     edited("anchors", lambda b: b["rejected"][0].update(score=-float("inf"))), "found -Infinity"),
    ("anchors: a mask of another size", "anchors",
     edited("anchors", lambda b: b["anchors"][0].update(rle="1")), "does not fit 32x24"),
    ("anchors: no mask", "anchors",
     edited("anchors", lambda b: b["anchors"][0].update(rle=None)), "damaged anchors"),
    ("masks: no description", "masks",
     lambda w: b"PK\x05\x06" + b"\0" * 18, "no item named 'objects.json'"),
    ("masks: nested deeply", "masks", zipped(DEEP), "nested more than 32 deep"),
    ("masks: a bomb", "masks", zipped(b" " * (1 << 22)), "declares 4194304 bytes"),
    ("scores: NaN", "scores",
     edited("scores", lambda b: b["objects"]["1"]["measures"].update(J=float("nan"))), "found NaN"),
    ("scores: text", "scores",
     edited("scores", lambda b: b["objects"]["1"]["measures"].update(J="1.0")),
     "`objects.1.measures.J`: expected a number from 0 to 1, found \"1.0\""),
    ("scores: no measures", "scores",
     edited("scores", lambda b: b["objects"].update({"1": 5})),
     "`objects.1.measures.J`: expected a number from 0 to 1, found nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "make", "words"), [r[1:] for r in HOSTILE], ids=[r[0] for r in HOSTILE]
)
def test_hostile_content_is_refused(
    kind: str, make: Callable[[Work], bytes], words: str, work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(artifacts, "_MAX_LINES", 1 << 20)  # bombs need not be large then
    monkeypatch.setattr(mask_archive, "_MAX_MEMBER", 1 << 20)
    path: Path = getattr(work, kind)
    path.write_bytes(make(work))
    with pytest.raises(ArtifactError) as told:
        read(work, kind)
    holds(str(told.value), (str(path), words, f"rm -f '{path}'"))


READ_BY = {  # what each reader builds in the end
    "index": "kit.core.artifacts.Video", "candidates": "kit.core.artifacts.Candidate",
    "features": "kit.core.artifacts.Features", "manifest": "kit.core.grounds.Entry",
    "anchors": "kit.core.artifacts.Selection", "masks": "kit.core.mask_archive.MaskNotes",
    "scores": "kit.core.scored.VideoScores",
}  # fmt: skip


@pytest.mark.parametrize("error", [AttributeError, KeyError, TypeError, ValueError, IndexError])
@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_of_the_kit_is_not_told_as_damage(
    kind: str, error: type[Exception], shared: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is advised to remove a good file because a reader is wrong."""

    def broken(*values: object, **named: object) -> None:
        raise error("a bug of ours")

    monkeypatch.setattr(READ_BY[kind], broken)
    with pytest.raises(error, match="a bug of ours"):
        read(shared, kind)


def test_a_renamed_index_is_refused(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """And that it will be is said when it is written."""
    other = work.index.rename(work.index.with_name("other.json"))
    with pytest.raises(ArtifactError, match="of video `clip`, but read as that of `other`"):
        artifacts.read_video(other)
    command = [str(other) if w == str(work.index) else w for w in work.command("frames")]
    run(*command)
    holds(capsys.readouterr().err, (str(other), str(work.index), "named like its video"))


@pytest.mark.parametrize("kind", ["anchors", "masks", "scores"])
def test_a_file_of_another_video_is_refused(kind: str, work: Work) -> None:
    """Of one with the very same frames, whose digests do not tell them apart."""
    path: Path = getattr(work, kind)
    if kind == "masks":
        body = json.loads(zipfile.ZipFile(path).read("objects.json"))
        path.write_bytes(zipped(json.dumps({**body, "video": "twin"}).encode())(work))
    else:
        path.write_text(json.dumps({**json.loads(path.read_text()), "video": "twin"}))
    with pytest.raises(ArtifactError, match=f"{path}: of video `twin`, but read as that of `clip`"):
        read(work, kind)


def test_an_encrypted_or_unknown_member_is_refused(shared: Work) -> None:
    """Flags and methods that `zipfile` meets with four different exceptions."""
    data = bytearray(shared.masks.read_bytes())
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    for method in (*range(1, 20), 93, 95, 99):
        bad = bytearray(data)
        bad[local + 8] = bad[central + 10] = method
        assert outcome(shared, "masks", bytes(bad)) is None, method
    bad = bytearray(data)
    bad[local + 6] |= 1
    bad[central + 8] |= 1
    assert outcome(shared, "masks", bytes(bad)) is None


def test_a_file_too_large_is_not_read(shared: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 100)
    with pytest.raises(ArtifactError, match="at most 100"):
        read(shared, "index")


def test_features_that_are_no_numbers_are_not_written(shared: Work, tmp_path: Path) -> None:
    rows = np.full((1, 6), np.nan, np.float32)
    with pytest.raises(ValueError, match="NaN"):
        artifacts.write_features(tmp_path / "f", Features(rows, {}), {})
    assert not list(tmp_path.iterdir())


# --- the stages that read them ------------------------------------------------------------------

READERS = [  # an artifact, and the stage that reads it
    ("index", "meta"), ("index", "candidates"), ("index", "submission"),
    ("candidates", "features"), ("candidates", "anchors"), ("features", "anchors"),
    ("manifest", "anchors"), ("anchors", "masks"), ("masks", "scores"), ("masks", "submission"),
    ("scores", "results"),
]  # fmt: skip
DAMAGES: dict[str, Callable[[Path], Any]] = {
    "gone": lambda p: p.unlink(),
    "empty": lambda p: p.write_bytes(b""),
    "cut": cut,
    "another file": lambda p: p.write_text('{"schema": "nothing/1"}\n'),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("artifact", "stage"), READERS)
def test_a_damaged_artifact_says_how_to_rebuild_it(
    artifact: str, stage: str, damage: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    path: Path = getattr(work, artifact)
    DAMAGES[damage](path)
    before = contents(work.folder)
    told = refused(capsys, work.command(stage))
    holds(told, (f"rm -f '{path}'", "run the same snakemake command again"))
    assert told.startswith(f"kit {stage}: {path}: ")
    assert contents(work.folder) == before


MISSING = [  # a file that is not read but hashed
    ("candidates", "manifest"), ("features", "manifest"), ("anchors", "submission"),
    ("masks", "results"),
]  # fmt: skip


@pytest.mark.parametrize(("artifact", "stage"), MISSING)
def test_a_missing_artifact_says_how_to_rebuild_it(
    artifact: str, stage: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    path: Path = getattr(work, artifact)
    path.unlink()
    holds(refused(capsys, work.command(stage)), (str(path), "no such file", f"rm -f '{path}'"))


STALE = [  # what was edited, what was made from it, and the stage that notices
    ("candidates", "features", "anchors"),
    ("features", "manifest", "anchors"),
    ("anchors", "masks", "submission"),
    ("masks", "scores", "results"),
]


@pytest.mark.parametrize(("edited", "made", "stage"), STALE)
def test_older_inputs_are_noticed(
    edited: str, made: str, stage: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    EDITS[edited](work)
    before = contents(work.folder)
    told, path = refused(capsys, work.command(stage)), getattr(work, made)
    holds(told, (f"{path}: made from {edited} ", f"the {edited} at hand is", f"rm -f '{path}'"))
    assert contents(work.folder) == before


def _edit_candidates(work: Work) -> None:
    rows = artifacts.read_candidates(work.candidates, work.video)
    artifacts.write_candidates(work.candidates, work.video, rows[::-1])


def _edit_features(work: Work) -> None:
    made_of = {"video": work.video.digest, "candidates": sha256(work.candidates)}
    found = artifacts.read_features(work.features, made_of, work.video, 8)
    turned = Features(-found.candidates, found.pools)
    artifacts.write_features(work.features, turned, made_of)


def _edit_anchors(work: Work) -> None:
    body = json.loads(work.anchors.read_text())
    body["anchors"].pop()
    work.anchors.write_text(json.dumps(body))


def _edit_masks(work: Work) -> None:
    with work.masks.open("ab") as stream:
        stream.write(b"\0")


EDITS = {
    "candidates": _edit_candidates,
    "features": _edit_features,
    "anchors": _edit_anchors,
    "masks": _edit_masks,
}


@pytest.mark.parametrize("stage", ["candidates", "features", "masks"])
def test_a_first_mask_exchanged_since_it_was_indexed(
    stage: str, work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    relabel(mask(work.root), np.minimum(labels(0), 1))
    told = refused(capsys, work.command(stage))
    holds(told, ("00000.png", "no object 2", "Run the frames stage again"))


TRUTHS: list[tuple[str, Callable[[Path], Any], tuple[str, ...]]] = [
    ("missing", lambda p: p.unlink(), ("no ground truth", "data.ground_truth: false")),
    ("cut", cut, ("cannot be decoded", "copy or download it again")),
    ("of another size", lambda p: relabel(p, labels(0).T.copy()), ("24x32", "32x24")),
]


@pytest.mark.parametrize(("damage", "words"), [r[1:] for r in TRUTHS], ids=[r[0] for r in TRUTHS])
def test_ground_truth_damaged_after_the_frames_stage(
    damage: Callable[[Path], Any],
    words: tuple[str, ...],
    work: Work,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(mask(work.root, "00002.png"))
    holds(refused(capsys, work.command("scores")), ("00002.png", *words))


def test_no_model_is_loaded_for_bad_input(work: Work) -> None:
    """A wrong mask is told within a second, not after the minutes that weights take."""
    mask(work.root).unlink()
    lines = (
        "import sys; from kit.cli import main; print(main(sys.argv[1:]), 'torch' in sys.modules)"
    )
    for stage in ("candidates", "features", "masks"):
        done = subprocess.run(
            [sys.executable, "-c", lines, *work.command(stage)],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert (stage, done.stdout) == (stage, "2 False\n")
