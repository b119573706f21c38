"""Tracks that are kept: exact, known by their digest, and put together as if all were new.

Real trackers in miniature. Also what a device does that is too small, since it uses the same means.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import NAMES, Work, labels

from kit import plugins
from kit.cli import main
from kit.core import artifacts, tracks
from kit.core.masks import encode_rle
from kit.core.tracks import Step
from kit.core.types import Anchor, Selection
from kit.propagators import greedy
from kit.propagators.stream import enlarged
from kit.runtime import models

TINY = {"source": "tiny"}


# --- the file ---------------------------------------------------------------------------------


def steps(count: int = 3) -> list[Step]:
    rng = np.random.default_rng(0)
    planes = rng.normal(-0.5, 1, (count, 9, 12)).astype(np.float32)
    return [Step(i, float(np.float32(0.1 * i)), 1 / 3, planes[i]) for i in range(count)]


def write(path: Path, key: str = "k") -> list[Step]:
    with tracks.writing(path, key) as add:
        for step in steps():
            add(step)
    return steps()


@pytest.mark.parametrize("size", [(36, 48), (90, 70), (20, 13), (9, 12), (5, 7)])
def test_what_masks_are_made_of_is_exact(tmp_path: Path, size: tuple[int, int]) -> None:
    """Enlarged, or reduced: positive logits to the last bit, and no others are positive."""
    written = write(tmp_path / "1.track")
    read = list(tracks.reading(tmp_path / "1.track", "k") or ())
    assert [(s.frame, s.presence, s.iou) for s in read] == [
        (s.frame, s.presence, s.iou) for s in written
    ]
    for before, after in zip(written, read, strict=True):
        wanted = enlarged(before.low[None], size, "cpu")
        found = enlarged(after.low.copy()[None], size, "cpu")
        assert (wanted > 0).any()
        np.testing.assert_array_equal(np.maximum(found, 0), np.maximum(wanted, 0))


def test_a_track_is_taken_whole_and_for_its_key(tmp_path: Path) -> None:
    path = tmp_path / "1.track"
    assert tracks.reading(path, "k") is None
    write(path)
    assert tracks.reading(path, "other") is None
    whole = path.read_bytes()
    assert len(list(tracks.reading(path, "k") or ())) == 3
    flipped = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in (0, 64, 100)]
    for damaged in (whole[:-1], whole[:65], b"", *flipped):
        path.write_bytes(damaged)
        assert tracks.reading(path, "k") is None


def test_half_a_track_is_none(tmp_path: Path) -> None:
    def interrupted() -> None:
        with tracks.writing(tmp_path / "1.track", "k") as add:
            add(steps()[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


# --- masks from kept tracks ---------------------------------------------------------------------


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def choose(work: Work, **anchors: str) -> None:
    """Anchors by hand: o1="00003" shows object 1 there."""
    chosen = [
        Anchor(frame, int(name[1:]), encode_rle(labels(NAMES.index(frame)) == int(name[1:])), 0.9,
               None, "by hand")
        for name, frame in sorted(anchors.items())
    ]  # fmt: skip
    inputs = artifacts.anchors_inputs(work.anchors)
    artifacts.write_anchors(work.anchors, work.video, Selection(chosen, []), inputs)


def command(
    work: Work, method: str, tracker: str, *more: str, rows: int = 1, **config: Any
) -> list[str]:
    tracking = {"method": tracker, "model": TINY, "rows": rows}
    chosen = {"method": method, "tracker": tracking, **config}
    base = work.command("masks")
    base[base.index("--settings") + 1] = json.dumps(chosen)
    return [*base, *more]


def made(work: Work, *words: str) -> tuple[bytes, dict[str, Any]]:
    """The masks' bytes and the job's record."""
    record = work.folder / "record.json"
    assert main([*words, "--record", str(record)]) == 0
    data = work.masks.read_bytes()
    work.masks.unlink()
    return data, json.loads(record.read_text())


METHODS: list[tuple[str, str, dict[str, Any]]] = [
    *[
        (name, "sam2", {})
        for name in plugins.names("propagators")
        if plugins.needs("propagators", name)
    ],  # without a model no track is kept
    ("greedy", "sam3", {}),
    ("greedy", "sam2", {"direction": "backward"}),
    ("greedy", "sam2", {"direction": "both"}),
    ("memory_tree", "sam3", {}),
]


@pytest.mark.parametrize(("method", "tracker", "config"), METHODS)
def test_only_what_changed_is_propagated(
    method: str, tracker: str, config: dict[str, Any], work: Work
) -> None:
    """And masks are, byte for byte, those of a run that knows nothing of an earlier one."""
    tracks_ = ("--tracks", str(work.folder / "tracks"))
    plain = command(work, method, tracker, **config)
    choose(work, o1="00002", o2="00003")
    first, record = made(work, *plain, *tracks_)
    assert (record["objects_propagated"], record["objects_kept"]) == (2, 0)
    assert made(work, *plain)[0] == first
    choose(work, o1="00002", o2="00004")
    changed, record = made(work, *plain, *tracks_)
    assert (record["objects_propagated"], record["objects_kept"]) == (1, 1)
    assert made(work, *plain)[0] == changed != first
    again, record = made(work, *plain, *tracks_)
    assert (record["objects_propagated"], record["objects_kept"]) == (0, 2)
    assert again == changed


def test_what_else_a_track_depends_on(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, versions; a damaged file is no file; and rows that share a call are not apart."""
    tracks_ = ("--tracks", str(work.folder / "tracks"))

    def propagated(**config: Any) -> int:
        count: int = made(work, *command(work, "greedy", "sam2", *tracks_, **config))[1][
            "objects_propagated"
        ]
        return count

    assert [propagated(), propagated()] == [2, 0]
    assert [propagated(redecode_anchors=True), propagated(redecode_anchors=True)] == [2, 0]
    monkeypatch.setattr("kit.stages.masks.VERSION", 1000)
    assert propagated(redecode_anchors=True) == 2
    file = work.folder / "tracks" / "2.track"
    file.write_bytes(file.read_bytes()[:-9])
    (work.folder / "tracks" / "7.track").touch()  # an object that the video has no more
    assert propagated(redecode_anchors=True) == 1
    assert sorted(p.name for p in file.parent.iterdir()) == ["1.track", "2.track"]
    record = made(work, *command(work, "greedy", "sam2", *tracks_, rows=4))[1]
    assert "objects_kept" not in record


# --- a device that is too small -----------------------------------------------------------------


def small(genuine: Callable[..., Iterator[Any]], most: int) -> Callable[..., Iterator[Any]]:
    """A propagator that runs out of memory with more than so many objects, some frames on."""

    def propagate(tracker: Any, frames: Any, prompts: Any, config: Any) -> Iterator[Any]:
        for number, result in enumerate(genuine(tracker, frames, prompts, config)):
            if number == 2 and len({p.object_id for p in prompts}) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            yield result

    return propagate


def shortages(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.startswith("out of memory")]


def test_too_many_objects_at_once(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other models go first, then objects go one by one; the masks are the same."""
    plain = command(work, "greedy", "sam2")
    whole, _ = made(work, *plain)
    models.load("dinov3", TINY, "cpu")
    monkeypatch.setattr(greedy, "propagate", small(greedy.propagate, 1))
    capsys.readouterr()
    found, _ = made(work, *plain, "--tracks", str(work.folder / "tracks"))
    told = capsys.readouterr().err
    assert found == whole
    assert shortages(told) == [
        "out of memory (CUDA out of memory. Tried to allocate 2.00 GiB); again with 2 objects at "
        "once, other models put away",
        "out of memory (CUDA out of memory. Tried to allocate 2.00 GiB); again with 1 objects at "
        "once",
    ]


def test_too_small_for_one_object(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The end of the ladder is an error that says what to lower; nothing half-written is left."""
    monkeypatch.setattr(greedy, "propagate", small(greedy.propagate, 0))
    before = sorted(work.folder.rglob("*"))
    for more, words in ((("--tracks", "t"), "a smaller model"), ((), "give --tracks a folder")):
        named = [str(work.folder / word) if word == "t" else word for word in more]
        assert main(command(work, "greedy", "sam2", *named)) == 2
        told = capsys.readouterr().err
        assert "kit masks: out of memory with one of the objects at once" in told
        assert words in told
    assert [p for p in sorted(work.folder.rglob("*")) if p.name != "t"] == before


def test_too_many_masks_to_track_back_at_once(
    work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choose(work, o1=NAMES[2], o2=NAMES[3])
    output = work.folder / "cycles.json"
    verify = command(work, "greedy", "sam2")
    verify[0], verify[verify.index("--output") + 1] = "verify", str(output)
    assert main(verify) == 0
    whole = output.read_bytes()
    monkeypatch.setattr(greedy, "propagate", small(greedy.propagate, 1))
    assert main(verify) == 0
    assert output.read_bytes() == whole
    told = capsys.readouterr().err
    assert [line.split("; ")[1].split()[2] for line in shortages(told)] == ["2", "1"]


@pytest.mark.parametrize("stage", ["candidates", "features"])
def test_too_many_frames_at_once(
    stage: str, work: Work, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    family, name = {
        "candidates": ("detectors", "exemplar_tokens"), "features": ("embedders", "dinov3"),
    }[stage]  # fmt: skip
    assert main([*work.command(stage), "--batch", "2"]) == 0  # the size decides the last bits
    output = Path(work.command(stage)[-1])
    whole = output.read_bytes()
    method, function = plugins.load(family, name), {"candidates": "detect", "features": "embed"}
    genuine = getattr(method, function[stage])

    def failing(*arguments: Any, **named: Any) -> Any:
        batch = arguments[0].batch if stage == "candidates" else named["batch"]
        if batch > 2:
            raise RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)")
        return genuine(*arguments, **named)

    monkeypatch.setattr(method, function[stage], failing)
    assert main([*work.command(stage), "--batch", "8"]) == 0
    assert output.read_bytes() == whole
    told = capsys.readouterr().err
    assert [line.split("; ")[1].split()[2] for line in shortages(told)] == ["8", "4", "2"]


def test_any_other_error_is_none_of_memory(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(greedy, "propagate", failing)
    with pytest.raises(RuntimeError, match="mat1"):
        main(command(work, "greedy", "sam2"))
