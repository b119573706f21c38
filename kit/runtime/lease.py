"""Which device a job runs on: it leases one for as long as it runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from kit.runtime import client, devices
from kit.runtime.devices import Slot

_held: str | None = None  # this process is a worker: its clients hold the lease


def hold(slot: Slot) -> None:
    """Run every later job of this process on a slot that others have leased for it."""
    global _held
    _held = "cpu" if slot.device is None else "cuda"


@contextmanager
def lease() -> Iterator[str]:
    """Hold one device exclusively; yields "cuda" or "cpu".

    The leased device becomes the only visible one of this process, so it must be taken before CUDA
    is initialised. `CUDA_VISIBLE_DEVICES` is honoured. On the CPU there is nothing to lease. An
    idle worker of a workflow, if there is one on the device, makes room.
    """
    visible = devices.visible_devices()
    if _held is not None or not visible:
        yield _held or "cpu"
        return
    slot, lock = devices.acquire(devices.slots(visible))
    client.dismiss(slot, lock)
    assert slot.device is not None
    os.environ["CUDA_VISIBLE_DEVICES"] = slot.device
    try:
        yield "cuda"
    finally:
        os.close(lock)
