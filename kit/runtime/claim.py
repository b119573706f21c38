"""One workflow at a time in a folder, and none locked out by one that was killed.

Snakemake's own lock is a file, which kill -9 leaves behind. Beside it lies one with a `flock`,
which the kernel drops, and with the number of a process that has not ended in order: whoever gets
that lock and finds such a number knows that Snakemake's is a dead one's.
"""

import atexit
import os
import shutil
import sys
from pathlib import Path

from kit.runtime import devices


def claim(folder: Path) -> None:
    """Hold Snakemake's folder for this process; unlock it if the last one was killed.

    Args:
        folder: The `.snakemake` of the working directory.
    """
    folder.mkdir(exist_ok=True)
    page = folder / "mose-kit.lock"
    lock = devices.locked(page)
    if lock is None:
        print(f"process {page.read_text() or '?'} is at work in {folder.parent}", file=sys.stderr)
        return
    if page.read_text():
        shutil.rmtree(folder / "locks", ignore_errors=True)
        print("the last run was killed: its lock is removed", file=sys.stderr)
    _tell(lock, str(os.getpid()))
    atexit.register(_tell, lock, "")


def _tell(lock: int, process: str) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, process.encode(), 0)
