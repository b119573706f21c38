"""Files appear complete or not at all, whatever ends the writing."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from clips import (
    Work,
    contents,
    film,
    frame,
    holds,
    refused,
)

from kit.cli import main

ROOT = Path(__file__).parents[1]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


WRITERS = ["frames", "meta", "manifest", "anchors", "scores", "results", "submission"]
DISKS = [
    (errno.ENOSPC, ("No space left", "Free some space", "`work`")),
    (errno.EDQUOT, ("quota", "free some space")),
    (errno.EIO, ("Input/output error", "disk itself")),
]


@pytest.mark.parametrize("stage", WRITERS)
@pytest.mark.parametrize(("code", "words"), DISKS, ids=["full", "quota", "failing"])
def test_a_disk_that_cannot_take_more(
    stage: str,
    code: int,
    words: tuple[str, ...],
    work: Work,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = contents(work.folder)

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        told = refused(capsys, work.command(stage))
    holds(told, (*words, f"({work.folder}", "Nothing half-written is left", "run the same command"))
    assert contents(work.folder) == before
    assert main(work.command(stage)) == 0


def test_a_full_disk_for_real(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    """The temporary file leads to the device that is always full."""
    before = contents(work.folder)
    work.scores.with_name(f".{work.scores.name}.part").symlink_to("/dev/full")
    told = refused(capsys, work.command("scores"))
    holds(told, ("No space left on device", str(work.scores), "Free some space"))
    assert contents(work.folder) == before
    assert not list(work.folder.rglob(".*.part"))


def test_a_full_disk_while_a_video_file_is_unpacked(
    work: Work, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    shutil.rmtree(frame(work.root).parent)
    film(work.root / "JPEGImages" / "clip.avi", "MJPG")
    before = contents(work.folder)
    written = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "00007.jpg":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return written(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    holds(refused(capsys, work.command("frames")), ("No space left", "00007.jpg", "Free some"))
    assert contents(work.folder) == before


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EROFS, "a disk that can be written"), (errno.EACCES, "permissions")],
    ids=["disk", "folder"],
)
def test_a_work_folder_that_is_read_only(
    code: int, words: str, work: Work, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = contents(work.folder)
    opened = Path.open

    def read_only(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        if "w" in mode:
            raise OSError(code, os.strerror(code), str(path))
        return opened(path, mode, *more, **named)

    monkeypatch.setattr(Path, "open", read_only)
    holds(refused(capsys, work.command("meta")), (str(work.meta.name), words))
    assert contents(work.folder) == before


def test_a_file_where_a_folder_is_needed(work: Work, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        str(work.meta / "x.json") if w == str(work.meta) else w for w in work.command("meta")
    ]
    holds(refused(capsys, command), (str(work.meta), "rename or remove it"))
    command = [str(work.folder) if w == str(work.meta) else w for w in work.command("meta")]
    holds(refused(capsys, command), (str(work.folder), "rename or remove it"))
