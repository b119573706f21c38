"""Leases: one job a device, freed however the job ends. The devices are pretended."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kit.core.errors import DeviceError
from kit.runtime import devices
from kit.runtime.lease import lease

HOLDER = """
import os, time
from kit.runtime import devices
from kit.runtime.lease import lease
devices.visible_devices = lambda: ["0", "1"]
with lease() as device:
    print(device, os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the machine's own lock folder: a real run may hold it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def hold() -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, process.stdout.readline().strip()


def pretend(monkeypatch: pytest.MonkeyPatch, *ids: str) -> None:
    monkeypatch.setattr(devices, "visible_devices", lambda: list(ids))


def test_no_gpu_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    with lease() as device:
        assert device == "cpu"
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


@pytest.mark.parametrize(
    ("count", "variable", "expected"),
    [
        (2, None, ["0", "1"]),
        (4, "3", ["3"]),
        (2, "1, 0", ["1", "0"]),
        (2, "0,5,1", ["0"]),  # as in CUDA, what is not there ends the list
        (2, "GPU-8c1b,MIG-41f2", ["GPU-8c1b", "MIG-41f2"]),
        (2, "", []),
        (2, "-1", []),
        (0, "0", []),  # a variable left over on a machine without a GPU
        (0, None, []),
    ],
)
def test_which_devices_are_seen(
    count: int, variable: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_gpus", lambda: count)
    if variable is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert devices.visible_devices() == expected


class Driver:
    """NVML, as far as it is used."""

    def __init__(self, count: int, broken: bool = False) -> None:
        self.count, self.broken = count, broken

    def nvmlInit_v2(self) -> int:
        return 9 * self.broken

    def nvmlShutdown(self) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, pointer: Any) -> int:
        pointer._obj.value = self.count
        return 0


@pytest.mark.parametrize(
    ("driver", "torch", "expected"),
    [
        (Driver(8), "2.12.0", 8),
        (Driver(8), "2.12.0+cu130", 8),
        (Driver(8), "2.12.0+cpu", 0),  # the GPUs are there, this torch cannot use them
        (Driver(8, broken=True), "2.12.0", 0),  # a driver that does not fit its kernel module
        (None, "2.12.0", 0),
    ],
)
def test_the_driver_is_asked(
    driver: Driver | None, torch: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> Driver:
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr("ctypes.CDLL", load)
    monkeypatch.setattr("importlib.metadata.version", lambda name: torch)
    assert devices._gpus() == expected


def test_the_place_for_leases_is_private(tmp_path: Path) -> None:
    """Another user must not be able to put files there, nor have made it first."""
    place = devices.folder()
    assert place.parent == tmp_path
    assert place.stat().st_mode & 0o777 == 0o700
    place.chmod(0o777)
    with pytest.raises(DeviceError, match=r"not a private folder of yours \(mode drwxrwxrwx"):
        devices.folder()
    place.rmdir()
    place.symlink_to(tmp_path)
    with pytest.raises(DeviceError, match="not a private folder"):
        devices.folder()


def test_two_jobs_two_devices_and_the_third_waits(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A killed job's device is free at once: the kernel drops the lock with the process."""
    first, first_device = hold()
    second, second_device = hold()
    try:
        assert {first_device, second_device} == {"cuda 0", "cuda 1"}
        pretend(monkeypatch, "0", "1")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        monkeypatch.setattr(devices, "POLL_SECONDS", 0.05)
        freed = first_device.split()[1]
        killer = threading.Timer(0.5, first.kill)
        killer.start()
        start = time.monotonic()
        with lease():
            assert time.monotonic() - start > 0.2
            assert os.environ["CUDA_VISIBLE_DEVICES"] == freed
        assert "all leased" in capfd.readouterr().err
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_a_lease_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "MIG-GPU-1/2/0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-1/2/0")
    for _ in range(2):
        with lease() as device:
            assert device == "cuda"
