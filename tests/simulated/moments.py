"""A signal right before or after the renaming or removal of a file, in any process of a run.

SIMULATED_MOMENT=NUMBER:WHEN:WHOM:SIGNAL, for example 12:after:job:SIGKILL. Moments are counted over
all processes, in F/moments, a byte each (F is SIMULATED_FOLDER); only files of the project's folder
count. 0 is never met: such a run is only counted.
"""

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = os.environ["SIMULATED_FOLDER"]
PROJECT = os.path.dirname(FOLDER)  # noqa: PTH120  (before pathlib is patched)
LINGER_SECONDS = 0.5  # what was signalled must not go on before it hears of it


def install() -> None:
    """Watch what this process renames and removes."""
    for name in ("rename", "replace", "remove", "unlink"):
        setattr(os, name, _watched(getattr(os, name)))


def _watched(call: Callable[..., Any]) -> Callable[..., Any]:
    def watched(path: Any, *more: Any, **named: Any) -> Any:
        if "dir_fd" in named or not _counts(os.fspath(more[0] if more else path)):
            return call(path, *more, **named)
        wanted, when, whom, number = os.environ["SIMULATED_MOMENT"].split(":")
        met = _next() == int(wanted)
        if met and when == "before":
            _strike(whom, signal.Signals[number])
        try:
            return call(path, *more, **named)
        finally:  # also where there was nothing to remove
            if met and when == "after":
                _strike(whom, signal.Signals[number])

    return watched


def _counts(path: str | bytes) -> bool:
    place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
    return place.startswith(f"{PROJECT}/") and not place.startswith(f"{FOLDER}/")


def _next() -> int:
    with open(f"{FOLDER}/moments", "ab") as page:  # noqa: PTH123
        fcntl.flock(page, fcntl.LOCK_EX)
        page.write(b".")
        return page.tell()


def _strike(whom: str, number: signal.Signals) -> None:
    Path(FOLDER, "struck").touch()
    snakemake = int(os.environ["SIMULATED_SNAKEMAKE"])
    if whom == "snakemake":
        os.kill(snakemake, number)
    if whom == "all":  # a worker has a session of its own
        os.killpg(snakemake, number)
    if whom == "job" or (whom == "all" and os.getpgid(0) != snakemake):
        os.kill(os.getpid(), number)
    time.sleep(LINGER_SECONDS)
