"""Ctrl-C and kill -9 in the middle of every stage, then the same command again.

A stage is stopped at a call that it makes half-way: when it syncs its output, encodes a frame, or
adds a picture to an archive. Run again, it must leave byte for byte what an undisturbed run leaves.
"""

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import Work, contents, film, frame

from kit.cli import main

ROOT = Path(__file__).parents[1]

STOPS = [  # stage, the call at which it is stopped, and how many of them pass before
    ("draw", "PIL.Image.Image.save", 3),  # some frames lie in the scratch folder
    ("draw", "os.fsync", 0),  # the frames are there, the meta entry is not
    ("film", "cv2.imencode", 3),  # `frames` of a video file, half unpacked
    ("frames", "os.fsync", 0),
    ("meta", "os.fsync", 0),
    ("manifest", "os.fsync", 0),
    ("anchors", "os.fsync", 0),
    ("scores", "os.fsync", 0),
    ("results", "os.fsync", 1),  # one of three files is new
    ("submission", "os.fsync", 0),  # the archive is complete but has no name yet
    ("submission", "os.fsync", 1),  # the archive is there, its manifest is not
]
MODEL_STOPS = [
    ("candidates", "os.fsync", 0),
    ("features", "os.fsync", 0),
    ("masks", "zipfile.ZipFile.writestr", 2),  # two of five frames are in the archive
]

DRIVER = """
import pkgutil, sys, time
from kit.cli import main
owner, _, name = sys.argv[1].rpartition(".")
target = pkgutil.resolve_name(owner)
genuine, left = getattr(target, name), int(sys.argv[2])
def stopping(*arguments, **named):
    global left
    left -= 1
    if left < 0:
        print("half-way", flush=True)
        time.sleep(600)
    return genuine(*arguments, **named)
setattr(target, name, stopping)
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    """Ctrl-C is heard, also where the tests run in the background, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def prepared(folder: Path, stage: str) -> tuple[Work, list[str]]:
    """A work folder in which the stage has run once, and its command."""
    work = Work(folder)
    if stage == "film":
        for file in frame(work.root).parent.iterdir():
            file.unlink()
        frame(work.root).parent.rmdir()
        film(work.root / "JPEGImages" / "clip.avi", "MJPG")
        for file in (work.root / "Annotations" / "clip").iterdir():
            file.unlink()
        label_film(work.root)
    command = work.command("frames" if stage == "film" else stage)
    assert main(command) == 0
    return work, command


def label_film(root: Path) -> None:
    from clips import HEIGHT, WIDTH, labels, mask, relabel

    grown = labels(0).repeat(4, 0).repeat(4, 1)
    assert grown.shape == (HEIGHT * 4, WIDTH * 4)
    relabel(mask(root), grown)


def revealed(folder: Path) -> dict[str, bytes]:
    """Files under their final names: what a later stage could read."""
    found = contents(folder).items()
    return {k: v for k, v in found if not any(p.startswith(".") for p in Path(k).parts)}


def interrupt(command: list[str], where: str, passing: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command and send it SIGINT, as Ctrl-C does, at a call that it makes."""
    owner, _, name = where.rpartition(".")
    target: Any = pkgutil.resolve_name(owner)
    genuine, left = getattr(target, name), [passing]

    def stopping(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            signal.raise_signal(signal.SIGINT)
        return genuine(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(target, name, stopping)
        return main(command)


def kill(command: list[str], where: str, passing: int, number: int) -> tuple[int, str]:
    """Run a command in a process of its own and end it half-way by a signal."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, where, str(passing), *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "half-way\n":
            break
    process.send_signal(number)
    told = process.communicate(timeout=600)[1]
    return process.returncode, told


def check_interrupt(
    stage: str, where: str, passing: int, folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    work, command = prepared(folder, stage)
    before = contents(work.folder)
    capsys.readouterr()
    assert interrupt(command, where, passing, monkeypatch) == 130
    assert capsys.readouterr().err.endswith("interrupted; nothing half-written is left\n")
    assert contents(work.folder) == before  # the earlier output still stands, nothing beside it
    assert main(command) == 0
    assert contents(work.folder) == before


def check_kill(stage: str, where: str, passing: int, folder: Path) -> None:
    work, command = prepared(folder, stage)
    before = contents(work.folder)
    assert kill(command, where, passing, signal.SIGKILL)[0] == -signal.SIGKILL
    assert revealed(work.folder) == before  # whatever is left over is hidden ...
    assert main(command) == 0
    assert contents(work.folder) == before  # ... and goes with the next run


@pytest.mark.parametrize(("stage", "where", "passing"), STOPS)
def test_ctrl_c(
    stage: str, where: str, passing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    check_interrupt(stage, where, passing, tmp_path / "work", monkeypatch, capsys)


@pytest.mark.parametrize(("stage", "where", "passing"), STOPS)
def test_kill_9(stage: str, where: str, passing: int, tmp_path: Path) -> None:
    check_kill(stage, where, passing, tmp_path / "work")


def test_ctrl_c_from_outside(tmp_path: Path) -> None:
    """The status that a shell expects, one line, no traceback."""
    work, command = prepared(tmp_path / "work", "meta")
    status, told = kill(command, "os.fsync", 0, signal.SIGINT)
    assert (status, told) == (130, "kit meta: interrupted; nothing half-written is left\n")
    assert not list(work.folder.rglob(".*"))


def test_ctrl_c_while_a_stage_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def importing(name: str) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(importlib, "import_module", importing)
    assert main(["meta"]) == 130
    assert capsys.readouterr().err.startswith("kit meta: interrupted")


@pytest.mark.slow  # four times torch and transformers are imported
@pytest.mark.parametrize(("stage", "where", "passing"), MODEL_STOPS)
def test_model_stages(
    stage: str, where: str, passing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    check_interrupt(stage, where, passing, tmp_path / "int", monkeypatch, capsys)
    check_kill(stage, where, passing, tmp_path / "kill")
