"""Places that lack something: locks, permission, a folder for temporary files.

Each works, or says in one line what is needed, at the start of a run.
"""

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kit.core import locks
from kit.core.errors import ConfigError, DeviceError
from kit.core.scored import SCORE_KEYS
from kit.runtime import claim, client, devices
from kit.runtime.home import lent_cache
from kit.submission import ledger

NOBODY = 65534
KINDS = [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK]  # some FUSE, Lustre without flock, NFS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, with local disk elsewhere."""
    (tmp_path / "local").mkdir()
    (tmp_path / "project" / ".snakemake" / "locks").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "local"))
    return tmp_path / "project"


def without_locks(monkeypatch: pytest.MonkeyPatch, below: Path, number: int) -> None:
    """Files below a folder cannot be locked; others can."""
    real = fcntl.flock

    def flock(file: Any, operation: int) -> None:
        opened = file if isinstance(file, int) else file.fileno()
        if Path(f"/proc/self/fd/{opened}").resolve().is_relative_to(below):
            raise OSError(number, os.strerror(number))
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim ends with its process; here others follow in the same one."""
    monkeypatch.setattr(claim, "atexit", SimpleNamespace(register=lambda *_: None))


@pytest.mark.parametrize("number", KINDS)
def test_a_run_is_claimed_where_files_cannot_be_locked(
    number: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On local disk: a second run is seen, and the lock of a killed one removed, as elsewhere."""
    forget(monkeypatch)
    without_locks(monkeypatch, folder, number)
    snakemake = folder / ".snakemake"
    claim.claim(snakemake, folder / "work")
    told = capsys.readouterr().err
    assert f"{snakemake}: its file system has no locks" in told
    (page,) = (folder.parent / "local").glob("*/*.claim")
    assert page.read_text() == str(os.getpid())
    assert claim._locked(snakemake) == (page, None)  # held by this process
    claim.recover(snakemake, folder / "work")
    assert f"process {os.getpid()} is at work" in capsys.readouterr().err


@pytest.mark.parametrize("number", KINDS)
def test_a_killed_run_is_noticed_where_files_cannot_be_locked(
    number: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    without_locks(monkeypatch, folder, number)
    snakemake = folder / ".snakemake"
    (snakemake / claim.PAGE).touch()
    page, lock = claim._locked(snakemake)
    assert lock is not None
    page.write_text("4711")
    os.close(lock)  # as the kernel does when its holder is killed
    claim.recover(snakemake, folder / "work")
    assert "the last run was killed" in capsys.readouterr().err
    assert not (snakemake / "locks").exists()
    assert page.read_text() == ""


@pytest.mark.parametrize("number", KINDS)
def test_leases_say_what_they_need(
    number: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told when the run starts, not by each of its jobs."""
    without_locks(monkeypatch, folder.parent, number)
    with pytest.raises(DeviceError, match="Point TMPDIR to a folder on a local disk"):
        client.announce()


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(DeviceError, match=r"No usable temporary directory .* point TMPDIR"):
        client.announce()


def test_an_announcement_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(client.VARIABLE, "")
    client.announce()
    assert list(devices.folder().iterdir()) == []


@pytest.mark.parametrize("number", KINDS)
def test_a_ledger_where_files_cannot_be_locked(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch, tmp_path, number)
    with (tmp_path / "file").open("wb") as file, pytest.raises(locks.Unsupported):
        locks.wait_for(file)
    entry = ledger.Entry("2026-01-01", "a.zip", "0" * 64, dict.fromkeys(SCORE_KEYS, 51.17))
    assert ledger.add(tmp_path / "ledger.jsonl", entry)
    assert ledger.read(tmp_path / "ledger.jsonl") == [entry]


@contextmanager
def as_nobody() -> Iterator[None]:
    """This process is another user's for a while."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become another user")
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


def start(folder: Path) -> str:
    """What a user is told who starts a run in a folder; empty: it goes on."""
    with as_nobody():
        try:
            claim.recover(folder / ".snakemake", folder / "work")
            claim.claim(folder / ".snakemake", folder / "work")
        except ConfigError as error:
            return str(error)
    return ""


@pytest.mark.parametrize(
    "ours", [".snakemake", ".snakemake/metadata", ".snakemake/mose-kit.lock", "work/masks/a.b"]
)
def test_a_second_user_in_a_shared_folder_gets_one_line(
    ours: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = SimpleNamespace(register=lambda _, lock, *__: os.close(lock))
    monkeypatch.setattr(claim, "atexit", ended)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for inside in (".snakemake/metadata", "work/masks/a.b"):
            (folder / inside).mkdir(parents=True)
        (folder / ".snakemake/mose-kit.lock").touch()
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o777)
        assert start(folder) == ""  # all is shared: nothing to say
        (folder / ours).chmod(0o755 if (folder / ours).is_dir() else 0o644)
        told = start(folder)
    assert "\n" not in told
    assert f"{folder / ours}: cannot be written; it belongs to root, you are nobody" in told
    assert "--directory" in told
    assert "umask 002" in told


def test_a_working_folder_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        told = start(Path(name))
    assert "\n" not in told
    assert f"{name}: cannot be written" in told


def test_a_group_shares_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is made with the permissions that the umask leaves, as Snakemake's files are."""
    forget(monkeypatch)
    before = os.umask(0o002)
    try:
        claim.claim(folder / ".snakemake", folder / "work")
    finally:
        os.umask(before)
    assert (folder / ".snakemake" / claim.PAGE).stat().st_mode & 0o777 == 0o664


def test_files_of_others_dated_ahead_stop_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    (folder / "file").touch()
    os.utime(folder / "file", (2**40, 2**40))
    monkeypatch.setattr(os, "utime", refuse)
    claim.redate(folder, 1e9)


def test_a_disk_for_reading_only_is_not_blamed_on_another_user(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="mounted for reading only"):
        claim.recover(folder / ".snakemake", folder / "work")


@pytest.fixture
def shared_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder into which everybody can look, with one for temporary files of anybody."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        (place / "local").mkdir()
        (place / "local").chmod(0o777)
        monkeypatch.setattr(tempfile, "gettempdir", lambda: f"{name}/local")
        yield place


@pytest.mark.parametrize("cached", [False, True])
def test_a_home_that_cannot_be_written(
    cached: bool, shared_place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Snakemake gets a cache elsewhere; weights that were downloaded are still found."""
    weights = shared_place / ".cache" / "huggingface"
    if cached:
        weights.mkdir(parents=True)
    with as_nobody():
        found = lent_cache({"HOME": str(shared_place)})
    assert Path(found["XDG_CACHE_HOME"]).is_relative_to(shared_place / "local")
    assert found.get("HF_HOME") == (str(weights) if cached else None)
    assert f"{shared_place}/.cache cannot be written: caches go to" in capsys.readouterr().err


@pytest.mark.parametrize("environment", [{}, {"HOME": "/nonexistent/me"}])
def test_no_home_at_all(environment: dict[str, str], shared_place: Path) -> None:
    with as_nobody():
        found = lent_cache(environment)
    assert Path(found["XDG_CACHE_HOME"]).is_relative_to(shared_place / "local")


def test_a_home_that_can_be_written_is_used(tmp_path: Path) -> None:
    assert lent_cache({"HOME": str(tmp_path)}) == {}
    assert lent_cache({"HOME": "/nonexistent", "XDG_CACHE_HOME": str(tmp_path / "new")}) == {}


def marked(snakemake: Path, file: str) -> Path:
    """A mark as Snakemake 9.27 makes it of a file that a job has begun."""
    from base64 import urlsafe_b64encode

    text = urlsafe_b64encode(file.encode()).decode()
    parts = [text[i : i + 254] for i in range(0, len(text), 254)]
    mark = snakemake / "incomplete" / Path(*(f"@{part}" for part in parts[:-1]), parts[-1])
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text('{"external_jobid": null}')
    return mark


@pytest.mark.parametrize("name", ["clip", "a" * 200 + "/" + "b" * 100])
def test_what_was_cut_off_unrecorded_is_made_again(name: str, tmp_path: Path) -> None:
    snakemake = tmp_path / ".snakemake"
    file, other = (tmp_path / f"work/masks/{name}{end}.zip" for end in ("", "-recorded"))
    file.parent.mkdir(parents=True)
    file.touch()
    other.touch()
    mark = marked(snakemake, f"work/masks/{name}.zip")
    gone = marked(snakemake, "work/masks/never.zip")
    (snakemake / "incomplete" / "no mark!").touch()
    assert claim.drop_unrecorded(snakemake) == [file]
    assert (file.exists(), other.exists()) == (False, True)
    assert (mark.exists(), gone.exists()) == (False, False)
    assert claim.drop_unrecorded(snakemake) == []


def test_results_without_any_record_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snakemake, masks = tmp_path / ".snakemake", tmp_path / "work" / "masks" / "p"
    masks.mkdir(parents=True)
    (snakemake / "metadata").mkdir(parents=True)
    claim.recover(snakemake, tmp_path / "work")
    assert capsys.readouterr().err == ""
    (masks / "clip.zip").touch()
    claim.recover(snakemake, tmp_path / "work")
    assert "a setting changed since then is not noticed" in capsys.readouterr().err
    (snakemake / "metadata" / "eA==").touch()
    claim.recover(snakemake, tmp_path / "work")
    assert capsys.readouterr().err == ""
