"""Leases: one job a device, freed however the job ends. The devices are pretended."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kit.runtime import devices

HOLDER = """
import os, time
from kit.runtime import devices
devices.visible_devices = lambda: ["0", "1"]
with devices.lease() as device:
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
    with devices.lease() as device:
        assert device == "cpu"
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


@pytest.mark.parametrize(
    ("count", "variable", "expected"),
    [
        (2, None, ["0", "1"]),
        (1, "3", ["3"]),  # CUDA itself counts the allowed ones only
        (2, "1, 0", ["1", "0"]),
        (0, "", []),
        (0, "-1", []),
        (0, "0", []),  # a variable left over on a machine without a GPU
        (0, None, []),
    ],
)
def test_which_devices_are_seen(
    count: int, variable: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    if variable is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert devices.visible_devices() == expected


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
        with devices.lease():
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
        with devices.lease() as device:
            assert device == "cuda"
