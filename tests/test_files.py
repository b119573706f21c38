"""Files appear complete or not at all, whatever ends the writing."""

import errno
import os
import resource
import shutil
import subprocess
import sys
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
from kit.core import files
from kit.core.errors import ArtifactError

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


# --- the writer itself ----------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, b"the earlier one"], ids=["new", "replaced"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_what_was_there(
    error: type[BaseException], old: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "file"
    if old is not None:
        files.write_text(path, old.decode())
    with pytest.raises(error), files.replacing(path) as stream:
        stream.write(b"half")
        raise error
    assert contents(tmp_path) == ({} if old is None else {"deep/file": old})


def test_what_a_kill_left_is_overwritten(tmp_path: Path) -> None:
    path, left = tmp_path / "file", tmp_path / ".file.part"
    left.write_bytes(b"much longer than what is written now")
    files.write_text(path, "new")
    assert contents(tmp_path) == {"file": b"new"}


def test_who_reads_the_earlier_file_reads_it_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write_text(path, "the earlier one")
    with path.open() as reader:
        files.write_text(path, "new")
        assert reader.read() == "the earlier one"
    assert path.read_text() == "new"


def test_nothing_is_revealed_before_it_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "file", []
    path.write_text("old")

    def synced(descriptor: int) -> None:
        steps.append((path.read_text(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", synced)
    files.write_text(path, "complete")
    assert steps == [("old", 8)]
    assert path.read_text() == "complete"


def test_a_limit_on_file_sizes_for_real(work: Work) -> None:
    """The kernel refuses the write; the archive of an earlier run still stands."""
    before = contents(work.folder)
    done = subprocess.run(
        [sys.executable, "-m", "kit", *work.command("submission")],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)),
    )  # fmt: skip
    assert done.returncode == 2
    holds(done.stderr, ("File too large", str(work.archive), "ulimit -f"))
    assert "Traceback" not in done.stderr
    assert contents(work.folder) == before


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    files.write_text(tmp_path / "file", "abc")
    assert files.sha256(tmp_path / "file") == files.sha256(b"abc")
    with pytest.raises(ArtifactError, match=r"other: no such file\. To rebuild it: rm -f"):
        files.sha256(tmp_path / "other")


def test_json_is_the_same_whatever_the_order() -> None:
    assert files.canonical_json({"b": 1, "a": [2]}) == files.canonical_json({"a": [2], "b": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        files.canonical_json(float("nan"))
