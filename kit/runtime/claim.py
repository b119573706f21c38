"""A folder made fit for a run: unlocked if the last run was killed, its dates in order, claimed.

Snakemake's own lock is a file, which kill -9 leaves behind. Beside it lies one with a `flock`,
which the kernel drops, and with the number of a process that has not ended in order: a run that
gets that lock and finds such a number knows that Snakemake's is a dead one's.

Of a job that is begun Snakemake keeps a mark until it has recorded how its files were made. A file
that has its name and no record would be kept whatever the configuration says later: Snakemake asks
for marks only where it knows from the start that there will be a job. So what is marked is removed
here, and made again.
"""

import atexit
import base64
import hashlib
import os
import pwd
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kit.core import broken, locks
from kit.core.errors import ConfigError
from kit.runtime import devices

PAGE = "mose-kit.lock"
AHEAD_SECONDS = 2.0  # beyond what file systems and hosts differ by


def recover(snakemake: Path, work: Path) -> None:
    """Put right what an earlier run left wrong; says so, and who is at work if somebody is.

    Args:
        snakemake: The `.snakemake` of the working directory.
        work: Where results go.

    Raises:
        ConfigError: Snakemake's own files cannot be written, such as in another user's folder.
    """
    for folder in (snakemake, *snakemake.glob("*")) if snakemake.exists() else [snakemake.parent]:
        _check_access(folder)
    if (snakemake / PAGE).is_file() and not _unlock(snakemake):
        return
    dropped = drop_unrecorded(snakemake)
    if dropped:
        print(f"{len(dropped)} files of jobs that were cut off are made again", file=sys.stderr)
    if _is_unknown(snakemake, work):
        print(
            f"{work} holds results, and {snakemake}, which says how they were made, is empty: a "
            f"setting changed since then is not noticed. If one was, remove {work} and run again",
            file=sys.stderr,
        )
    count = redate(work, time.time()) if os.access(work, os.W_OK) else 0
    tried = broken.forget(work) if os.access(work, os.W_OK) else 0
    if tried:
        print(f"videos that broke in the last run and are tried again: {tried}", file=sys.stderr)
    if count:
        print(f"{count} files are dated ahead of the clock: dated again, in order", file=sys.stderr)


def _unlock(snakemake: Path) -> bool:
    """Remove the lock of a run that was killed; False if there is one at work."""
    page, lock = _locked(snakemake)
    if lock is None:  # Snakemake refuses to run, if that is what is wanted
        print(f"process {page.read_text()} is at work in {snakemake.parent}", file=sys.stderr)
        return False
    if page.read_text():
        shutil.rmtree(snakemake / "locks", ignore_errors=True)
        print("the last run was killed: its lock is removed", file=sys.stderr)
    _tell(lock, "")
    os.close(lock)
    return True


def drop_unrecorded(snakemake: Path) -> list[Path]:
    """Remove what jobs made that were cut off before Snakemake had recorded it.

    Args:
        snakemake: The `.snakemake` of a working directory in which nobody is at work.

    Returns:
        The files that were removed.
    """
    found, marks = [], snakemake / "incomplete"
    for mark in [path for path in marks.rglob("*") if path.is_file()]:
        file = _marked(mark.relative_to(marks))
        if file is None:
            continue
        path = snakemake.parent / file
        if path.is_file():
            path.unlink()
            found.append(path)
        mark.unlink(missing_ok=True)  # last: who is killed in between finds it again
    return found


def _marked(mark: Path) -> str | None:
    """The file that a mark of Snakemake 9.27 stands for: base64, cut where names get too long."""
    text = "".join(part.removeprefix("@") for part in mark.parts)
    try:
        return base64.urlsafe_b64decode(text).decode()
    except ValueError:
        return None


def _is_unknown(snakemake: Path, work: Path) -> bool:
    """Whether there are results, and no record of any."""
    masks = next((work / "masks").glob("*/*.zip"), None) if work.is_dir() else None
    records = snakemake / "metadata"
    return masks is not None and not any(path.is_file() for path in records.rglob("*"))


def claim(snakemake: Path, work: Path) -> None:
    """Hold a folder until this process ends.

    Raises:
        ConfigError: Nothing can be written where results go.
    """
    page, lock = _locked(snakemake)
    if lock is not None:  # at once: who is killed before has left Snakemake's lock and no number
        _tell(lock, str(os.getpid()))
        atexit.register(_tell, lock, "")
        if page.parent != snakemake:
            print(
                f"{snakemake}: its file system has no locks; the run's lies in {page.parent}: "
                "start no second one from another host",
                file=sys.stderr,
            )
    _check_writable(work)


def _locked(snakemake: Path) -> tuple[Path, int | None]:
    """The page of a folder and its lock; on local disk where the file system has no locks."""
    page = snakemake / PAGE
    try:
        return page, locks.locked(page, 0o666)  # in a project of a group, others go on
    except locks.Unsupported:
        name = hashlib.sha256(str(snakemake.absolute()).encode()).hexdigest()[:16]
        page = devices.folder() / f"{name}.claim"
        return page, devices.locked(page)
    except PermissionError:
        raise _not_yours(page) from None


def redate(folder: Path, now: float) -> int:
    """Date files that are ahead of the clock after all others, in the order in which they are.

    Where the clock has gone back, Snakemake would take new results for older than their sources.

    Returns:
        How many there were.
    """
    dates = {file: file.stat().st_mtime_ns for file in _files(folder)}
    limit = int((now + AHEAD_SECONDS) * 1e9)
    ahead = sorted((date, file) for file, date in dates.items() if date > limit)
    newest = max((date for date in dates.values() if date <= limit), default=0)
    for number, (_, file) in enumerate(ahead, 1):
        date = min(newest, int(now * 1e9)) + 1000 * number
        with suppress(PermissionError):  # the owner's alone
            os.utime(file, ns=(date, date))
    return len(ahead)


def _files(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            if file.is_file():
                yield file


def _check_writable(folder: Path) -> None:
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written ({error.strerror}). Check its permissions and its disk, "
            "or point `work` in the config to where you may write."
        ) from None
    for pattern in ("*", "*/*"):  # layers, and the recipes in them
        for inside in folder.glob(pattern):
            _check_access(inside)


def _check_access(path: Path) -> None:
    if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
        raise _not_yours(path)


def _not_yours(path: Path) -> ConfigError:
    try:
        owner = path.owner()
    except KeyError:
        owner = f"user {path.stat().st_uid}"
    if owner == _me():
        return ConfigError(
            f"{path}: cannot be written. Check its permissions, and whether its disk is mounted "
            "for reading only; or run in another folder (snakemake --directory DIR)."
        )
    return ConfigError(
        f"{path}: cannot be written; it belongs to {owner}, you are {_me()}. Run in a folder of "
        "your own (snakemake --directory DIR), or have it shared by a group: chmod -R g+w, and "
        "umask 002 for all who run in it."
    )


def _me() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _tell(lock: int, process: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, process.encode(), 0)
