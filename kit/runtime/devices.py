"""The devices of this host and their slots, each with a file to lock.

A lease is a `flock` on a file of the slot: the kernel releases it when the last process that holds
it ends, however it ends. Files lie on local disk, apart for each user and host.
"""

import itertools
import os
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kit.core import locks
from kit.core.errors import DeviceError

POLL_SECONDS = 0.5
NOTICE_SECONDS = 30.0
CPU_SLOTS = 256  # the first free one is taken; how many are in use, the caller's cores decide


class Slot(NamedTuple):
    """One of the places for a job on a device.

    Attributes:
        name: Of its files.
        device: As `CUDA_VISIBLE_DEVICES` spells it; None: the CPU.
    """

    name: str
    device: str | None

    @property
    def unit(self) -> str:
        """What fails as one: all slots of a GPU, each one of the CPU."""
        return self.name.partition("+")[0]


def slots(devices: Sequence[str], each: int = 1) -> list[Slot]:
    """Slots of GPUs, or of the CPU where there is none."""
    if not devices:
        return [Slot(f"cpu-{number}", None) for number in range(CPU_SLOTS)]
    return [
        Slot(f"gpu-{device.replace('/', '_')}" + (f"+{number}" if number else ""), device)
        for number, device in itertools.product(range(each), devices)
    ]


def acquire(choice: Sequence[Slot]) -> tuple[Slot, int]:
    """The first free slot and its locked file; waits, and says so, while all are taken."""
    waited, place = 0.0, folder()
    while True:
        for slot in choice:
            lock = locked(place / f"{slot.name}.lock")
            if lock is not None:
                return slot, lock
        if waited % NOTICE_SECONDS < POLL_SECONDS:
            names = ", ".join(slot.name for slot in choice[:16])
            print(f"waiting for one of {names}: all leased", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
        waited += POLL_SECONDS


def locked(path: Path) -> int | None:
    """A file of a slot, locked for this process; None where another one holds it.

    Raises:
        DeviceError: There are no locks where it lies.
    """
    try:
        return locks.locked(path)
    except locks.Unsupported as error:
        raise DeviceError(
            f"{path.parent}: files cannot be locked there ({error.strerror}), by which jobs take "
            "turns on a device. Point TMPDIR to a folder on a local disk."
        ) from None


def folder() -> Path:
    """Where leases and workers of this user on this host have their files.

    Raises:
        DeviceError: There is no place, or somebody else owns it or could write to it.
    """
    name = f"mose-kit-{os.getuid()}-{os.uname().nodename}"
    try:
        path = Path(tempfile.gettempdir()) / name
    except FileNotFoundError as error:
        raise DeviceError(
            f"no folder for temporary files can be written: {error.strerror}. Leases of devices "
            "lie there: point TMPDIR to a folder of your own on a local disk."
        ) from None
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_mode & 0o077 == 0
    if found.st_uid != os.getuid() or not private:
        raise DeviceError(
            f"{path}: not a private folder of yours (mode {stat.filemode(found.st_mode)}, owner "
            f"{found.st_uid}, you are {os.getuid()}). Leases lie there, so nobody else may write "
            "to it: remove it, or point TMPDIR to a folder of your own on a local disk."
        )
    return path


def visible_devices() -> list[str]:
    """Ids of the GPUs this process may use, as `CUDA_VISIBLE_DEVICES` spells them; none: the CPU.

    As in CUDA, an index that no GPU has ends the list.
    """
    count = _gpus()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not count or allowed is None:
        return [str(index) for index in range(count)]
    ids = [part.strip() for part in allowed.split(",")]
    return list(itertools.takewhile(lambda known: _exists(known, count), ids))


def _exists(device: str, count: int) -> bool:
    return device.startswith(("GPU-", "MIG-")) or (device.isdecimal() and int(device) < count)


def _gpus() -> int:
    """GPUs that the driver shows; asks its library, which takes neither torch nor a CUDA context.

    A build of torch for the CPU sees none of them.
    """
    import ctypes
    import importlib.metadata

    try:
        driver = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    if importlib.metadata.version("torch").endswith("+cpu"):
        return 0
    count = ctypes.c_uint(0)
    if driver.nvmlInit_v2() or driver.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return 0
    driver.nvmlShutdown()
    return count.value
