"""A folder made fit for a run: claimed, unlocked if the last run was killed, its dates in order.

Snakemake's own lock is a file, which kill -9 leaves behind. Beside it lies one with a `flock`,
which the kernel drops, and with the number of a process that has not ended in order: whoever gets
that lock and finds such a number knows that Snakemake's is a dead one's.
"""

import atexit
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kit.core.errors import ConfigError
from kit.runtime import devices

AHEAD_SECONDS = 2.0  # beyond what file systems and hosts differ by


def claim(snakemake: Path, work: Path) -> None:
    """Hold a folder for the run of this process.

    Args:
        snakemake: The `.snakemake` of the working directory.
        work: Where results go.

    Raises:
        ConfigError: One of them cannot be written.
    """
    for folder in (snakemake, work):
        _check_writable(folder)
    page = snakemake / "mose-kit.lock"
    lock = devices.locked(page)
    if lock is None:  # Snakemake refuses to run, if that is what is wanted
        at_work = page.read_text() or "?"
        print(f"process {at_work} is at work in {snakemake.parent}", file=sys.stderr)
        return
    if page.read_text():
        shutil.rmtree(snakemake / "locks", ignore_errors=True)
        print("the last run was killed: its lock is removed", file=sys.stderr)
    _tell(lock, str(os.getpid()))
    atexit.register(_tell, lock, "")
    count = redate(work, time.time())
    if count:
        print(f"{count} files are dated ahead of the clock: dated anew, in order", file=sys.stderr)


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
            f"{folder}: cannot be written ({error.strerror}). Check its permissions and its disk; "
            "or point `work` in the config, and --directory of Snakemake, to where you may write."
        ) from None


def _tell(lock: int, process: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, process.encode(), 0)
