"""Which device a job runs on: one lease per GPU, or the CPU where there is none."""

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.5
NOTICE_SECONDS = 30.0


@contextmanager
def lease() -> Iterator[str]:
    """Hold one device exclusively; yields "cuda" or "cpu".

    A lease is a `flock` on a file of the device: the kernel releases it when the process ends,
    however it ends. The leased device becomes the only visible one of this process, so it must be
    taken before CUDA is initialised. `CUDA_VISIBLE_DEVICES` is honoured.
    """
    devices = visible_devices()
    if not devices:
        yield "cpu"
        return
    device, lock = _acquire(devices)
    os.environ["CUDA_VISIBLE_DEVICES"] = device
    try:
        yield "cuda"
    finally:
        os.close(lock)


def visible_devices() -> list[str]:
    """Ids of the GPUs this process may use, as `CUDA_VISIBLE_DEVICES` spells them; none: the CPU.

    Counting asks the driver without initialising CUDA.
    """
    import torch

    count = torch.cuda.device_count()
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return [str(i) for i in range(count)]
    return [part.strip() for part in allowed.split(",")][:count]


def _acquire(devices: list[str]) -> tuple[str, int]:
    """The first free device and its locked file; waits, and says so, while all are taken."""
    folder = Path(tempfile.gettempdir()) / f"mose-kit-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waited = 0.0
    while True:
        for device in devices:
            name = f"gpu-{device.replace('/', '_')}.lock"
            lock = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return device, lock
        if waited % NOTICE_SECONDS < POLL_SECONDS:
            print(f"waiting for one of the GPUs {', '.join(devices)}: all leased", file=sys.stderr)
        time.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
