"""The resident worker: one process for all jobs of a slot, which no fault outlives.

Jobs are real commands in processes of their own. But for the last test, stand-ins take the place of
the models, and do what a test plans for them.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import Work
from night import PATIENCE, ROOT, free, wait_for

from kit.cli import main
from kit.runtime import client, devices, wire
from kit.runtime.client import Run
from kit.runtime.worker import IDLE_SECONDS

pytestmark = pytest.mark.workflow


class Machine:
    """A machine with simulated GPUs, and jobs on it that belong to a workflow."""

    def __init__(self, folder: Path, gpus: int = 1, owner: int | None = None) -> None:
        self.folder = folder
        self.gpus = gpus
        self.owner = owner or os.getpid()
        self.extra: dict[str, str] = {}
        folder.mkdir()
        (folder / "seconds").write_text("0")

    @property
    def environment(self) -> dict[str, str]:
        run = Run(self.owner, tuple(map(str, range(self.gpus))))
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("CUDA")},
            "PYTHONPATH": f"{Path(__file__).parent / 'simulated'}:{ROOT}",
            "SIMULATED_FOLDER": str(self.folder),
            "TMPDIR": str(self.folder),
            client.VARIABLE: json.dumps(run),
            **self.extra,
        }

    def fault(self, do: str, **more: Any) -> None:
        plan = {"clip": {"frame": 2, "do": do, **more}}
        (self.folder / "faults.json").write_text(json.dumps(plan))

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "kit", *command], env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def do(self, *command: str) -> tuple[int, str]:
        process = self.start(*command)
        told = process.communicate(timeout=PATIENCE)
        return process.returncode, "".join(told)

    def workers(self) -> list[tuple[str, int]]:
        """Name and process of each, as `kit worker status` has them."""
        status, told = self.do("worker", "status")
        assert status == 0
        lines = [line.split() for line in told.splitlines() if ": process " in line]
        return [(words[0].rstrip(":"), int(words[2].rstrip(","))) for words in lines]

    def lease(self, name: str) -> Path:
        return self.files / f"{name}.lock"

    @property
    def files(self) -> Path:
        (found,) = self.folder.glob("mose-kit-*")
        return found


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "machine")
    yield made
    made.do("worker", "stop", "--now")
    wait_for(lambda: not made.workers())


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


def test_one_process_does_all_jobs_of_a_slot(machine: Machine, work: Work) -> None:
    for stage in ("candidates", "features", "masks", "masks"):
        status, told = machine.do(*work.command(stage))
        assert status == 0, told
    (gpu,) = machine.workers()
    assert gpu[0] == "gpu-0"
    assert machine.do(*work.command("frames"))[0] == 0  # nothing for a GPU
    assert [name for name, _ in machine.workers()] == ["cpu-0", "gpu-0"]
    assert gpu in machine.workers()
    assert "4 jobs done, idle" in machine.do("worker", "status")[1]


def test_what_a_job_prints_lies_in_its_own_log(machine: Machine, work: Work) -> None:
    """A user's mistake keeps its words and its exit status, and the worker."""
    assert machine.do(*work.command("masks")) == (0, "")
    (before,) = machine.workers()
    work.anchors.write_text("{")
    status, told = machine.do(*work.command("masks"))
    assert status == 2
    assert told.startswith(f"kit masks: {work.anchors}: not valid JSON")
    assert "Traceback" not in told
    status, told = machine.do("masks", "--frames", "x")
    assert status == 2
    assert "the following arguments are required" in told
    assert machine.workers() == [before]


def test_a_defect_ends_the_worker(machine: Machine, work: Work) -> None:
    """And one that comes again on a fresh one is not the device's."""
    machine.fault("raise")
    status, told = machine.do(*work.command("masks"))
    assert status == 1
    assert told.count("RuntimeError: CUDA error: an illegal memory access") == 2
    assert "failed on gpu-0: trying once more" in told
    assert "failed on gpu-0, gpu-0 alike" in told
    wait_for(lambda: not machine.workers())
    assert not list(machine.files.glob("*.sock"))


def test_a_killed_worker_costs_seconds_and_nothing_else(machine: Machine, work: Work) -> None:
    machine.fault("kill", times=1)
    start = time.monotonic()
    status, told = machine.do(*work.command("masks"))
    assert status == 0, told
    assert "the worker on gpu-0 died half-way" in told
    assert time.monotonic() - start < IDLE_SECONDS  # it is not waited for
    assert not list(work.masks.parent.glob(".*"))


def test_another_device_is_tried_and_the_bad_one_is_set_aside(machine: Machine, work: Work) -> None:
    machine.gpus = 2
    machine.fault("raise", device="0")
    for number in range(3):
        status, told = machine.do(*work.command("masks"))
        assert status == 0, told
        assert ("failed on gpu-0" in told) == (number < client.BLAMES), told
        if number == 0:  # the next one must not find the good one warm and the bad one cold
            machine.do("worker", "stop")
            wait_for(lambda: not machine.workers())
    machine.gpus = 1
    status, told = machine.do(*work.command("masks"))
    assert status == 2
    assert "no device is left: jobs failed on gpu-0" in told


def test_another_environment_or_code_is_another_worker(machine: Machine, work: Work) -> None:
    assert machine.do(*work.command("masks"))[0] == 0
    (before,) = machine.workers()
    machine.extra = {"HF_HOME": "/elsewhere"}
    assert machine.do(*work.command("masks")) == (0, "")  # and no device is blamed for it
    (after,) = machine.workers()
    assert before != after
    machine.extra |= {"EDITOR": "vi"}
    assert machine.do(*work.command("masks"))[0] == 0
    assert machine.workers() == [after]


def test_a_worker_that_ends_just_then_is_no_failure(machine: Machine, work: Work) -> None:
    """One that was killed may still be there to connect to, for a moment."""
    assert machine.workers() == []  # and the folder is there
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.chdir(machine.files):
            listener.bind("gpu-0.sock")
        listener.listen()
        job = machine.start(*work.command("masks"))
        link, _ = listener.accept()
    link.close()
    told = job.communicate(timeout=PATIENCE)
    assert (job.returncode, *told) == (0, "", "")


def test_a_silent_connection_holds_up_no_job(machine: Machine, work: Work) -> None:
    """Nor does it keep a worker from ending with its workflow."""
    owner = subprocess.Popen(["sleep", "600"])
    machine.owner = owner.pid
    assert machine.do(*work.command("masks")) == (0, "")
    with socket.socket(socket.AF_UNIX) as silent:
        with contextlib.chdir(machine.files):
            silent.connect("gpu-0.sock")
        assert machine.do(*work.command("masks")) == (0, "")
        with socket.socket(socket.AF_UNIX) as another:
            with contextlib.chdir(machine.files):
                another.connect("gpu-0.sock")
            owner.kill()
            owner.wait()
            wait_for(lambda: not machine.workers())


REQUEST = {"pid": 1, "fingerprint": "f", "folder": "/", "arguments": ["masks"]}


@pytest.mark.parametrize(
    ("told", "files", "taken"),
    [
        (json.dumps(REQUEST), 3, True),
        ('{"fingerprint": "f"}', 3, True),  # dismisses
        (json.dumps(REQUEST), 2, False),
        (json.dumps(REQUEST), 0, False),
        (json.dumps({**REQUEST, "pid": "1"}), 3, False),
        (json.dumps({**REQUEST, "arguments": [1]}), 3, False),
        (json.dumps({k: v for k, v in REQUEST.items() if k != "folder"}), 3, False),
        ("[" * 100_000, 3, False),
        ("GET / HTTP/1.1", 3, False),
        ("\x00\xff", 3, False),
    ],
)
def test_what_is_no_request_leaves_nothing_open(told: str, files: int, taken: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        before = len(list(Path("/proc/self/fd").iterdir()))
        socket.send_fds(theirs, [told.encode("latin-1") + b"\n"], [0] * files)
        received = wire.receive(ours)
        assert (received is not None) == taken
        for file in received[1] if received else []:
            os.close(file)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("how", ["silent", "drips", "without end", "closes", "many files"])
def test_a_request_is_bounded(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SECONDS", 0.5)
    monkeypatch.setattr(wire, "BYTES", 2**16)
    ours, theirs = socket.socketpair()
    over = threading.Event()

    def talk() -> None:
        with contextlib.suppress(OSError):
            while how != "silent" and not over.is_set():
                if how == "many files":
                    socket.send_fds(theirs, [b"x"], [0] * 3)
                else:
                    theirs.sendall(b"x" * (4096 if how == "without end" else 1))
                if how == "closes":
                    theirs.close()
                    break
                time.sleep(0.01)

    thread = threading.Thread(target=talk)
    thread.start()
    before = len(list(Path("/proc/self/fd").iterdir()))
    try:
        assert wire.receive(ours) is None
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
    finally:
        over.set()
        ours.close()
        thread.join()
        theirs.close()


def test_a_reply_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BYTES", 2**16)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                theirs.send(b"x" * 4096)
        assert len(wire.answer(ours)) <= 2**16 + 4096


def test_a_client_imports_little() -> None:
    """Every job of a run pays for it."""
    code = "import sys, kit.cli; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"argparse", "dataclasses", "inspect", "subprocess", "numpy", "yaml", "torch"}
    assert heavy.isdisjoint(told.stdout.split())


def test_code_is_known_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "kit"
    (package / "runtime").mkdir(parents=True)
    (package / "a.py").write_text("A = 1\n")
    monkeypatch.setattr(client, "__file__", str(package / "runtime" / "client.py"))
    known = [client.fingerprint({})]
    (package / "a.pyc").write_text("compiled")
    assert client.fingerprint({}) == known[0]
    (package / "a.py").write_text("A = 2\n")
    known.append(client.fingerprint({}))
    (package / "runtime" / "b.py").write_text("")
    known.append(client.fingerprint({}))
    assert len(set(known)) == 3


def test_it_ends_with_its_workflow(machine: Machine, work: Work) -> None:
    """Idle or busy: half of a job is of no use to anybody, and nothing half-written is left."""
    machine.fault("wait")
    for busy in (False, True):
        owner = subprocess.Popen(["sleep", "600"])
        machine.owner = owner.pid
        assert machine.do(*work.command("frames"))[0] == 0
        job = machine.start(*work.command("masks"))
        wait_for(lambda: (machine.folder / "clip.0").exists())
        if not busy:
            (machine.folder / "go").touch()
            assert job.wait(PATIENCE) == 0
            (machine.folder / "go").unlink()
            (machine.folder / "clip.0").unlink()
        owner.kill()
        owner.wait()
        told = job.communicate(timeout=PATIENCE)[1]
        wait_for(lambda: not machine.workers())
        assert "interrupted; nothing half-written is left" in told or not busy
        assert not list(work.masks.parent.glob(".*"))
        wait_for(
            lambda: all(map(free, machine.files.glob("*.lock")))
        )  # after its name, its locks go


def test_it_ends_when_idle(machine: Machine, work: Work) -> None:
    assert machine.workers() == []  # and the folder is there
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.chdir(machine.files):
            listener.bind("gpu-0.sock")
        listener.listen()
        file = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "kit", "worker", "serve", "gpu-0", str(file), "--idle", "1"],
            pass_fds=[file], env={**machine.environment, "CUDA_VISIBLE_DEVICES": "0"},
        )  # fmt: skip
    assert machine.do(*work.command("masks"))[0] == 0
    assert machine.workers() == [("gpu-0", process.pid)]
    assert process.wait(PATIENCE) == 0
    assert not list(machine.files.glob("*.sock"))


def test_a_job_that_is_killed_takes_its_worker_along(machine: Machine, work: Work) -> None:
    """Nobody would read the answer; until it has stopped, the slot stays leased."""
    machine.fault("wait")
    job = machine.start(*work.command("masks"))
    wait_for(lambda: (machine.folder / "clip.0").exists())
    assert not free(machine.lease("gpu-0"))
    job.kill()
    job.communicate()
    wait_for(lambda: free(machine.lease("gpu-0")))
    assert machine.workers() == []
    assert not list(work.masks.parent.glob(".*"))


def test_stop_waits_for_the_job_and_now_does_not(machine: Machine, work: Work) -> None:
    machine.fault("wait")
    job = machine.start(*work.command("masks"))
    wait_for(lambda: (machine.folder / "clip.0").exists())
    assert "busy with masks --frames" in machine.do("worker", "stop")[1]
    time.sleep(0.2)
    assert job.poll() is None
    (machine.folder / "go").touch()
    assert job.wait(PATIENCE) == 0
    job.communicate()
    wait_for(lambda: not machine.workers())
    (machine.folder / "go").unlink()
    (machine.folder / "clip.0").unlink()
    job = machine.start(*work.command("masks"))
    wait_for(lambda: (machine.folder / "clip.0").exists())
    machine.do("worker", "stop", "--now")
    told = job.communicate(timeout=PATIENCE)[1]
    assert (job.returncode, "interrupted" in told) == (130, True)
    assert "no worker is running" in machine.do("worker", "status")[1]


BY_HAND = """
from kit.runtime import devices
from kit.runtime.lease import lease
devices._gpus = lambda: 1
with lease() as device:
    print(device)
"""


def test_a_job_by_hand_finds_the_gpu_empty(machine: Machine, work: Work) -> None:
    assert machine.do(*work.command("masks"))[0] == 0
    assert machine.workers()
    done = subprocess.run(
        [sys.executable, "-c", BY_HAND], env=machine.environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "cuda\n"), done.stderr
    assert not machine.workers()
    assert free(machine.lease("gpu-0"))


def test_without_pidfd_every_job_does_its_own_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old kernels, macOS, some containers."""
    monkeypatch.setenv(client.VARIABLE, "of another run")

    def refused(pid: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "pidfd_open", refused)
    assert client.announce() is None
    assert client.current() is None
    monkeypatch.undo()
    assert client.announce(resident=False) is None


def test_slots_of_a_gpu() -> None:
    names = [slot.name for slot in devices.slots(["0", "MIG-1/2"], 2)]
    assert names == ["gpu-0", "gpu-MIG-1_2", "gpu-0+1", "gpu-MIG-1_2+1"]  # spread out first
    assert {slot.unit for slot in devices.slots(["0"], 2)} == {"gpu-0"}  # and fails as one


def test_the_same_bytes_with_and_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real models in miniature, job after job on the same loaded ones."""
    work = Work(tmp_path / "work")
    sam2 = [word.replace("sam3", "sam2") for word in work.command("masks")]
    commands = [work.command("candidates"), work.command("features"), work.command("masks"), sam2]
    commands += [commands[2], commands[0]]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = json.dumps(Run(os.getpid(), ()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), client.VARIABLE: run}
    for number, command in enumerate(commands):
        output = Path(command[-1])
        assert main(command) == 0
        alone = output.read_bytes()
        output.unlink()
        subprocess.run([sys.executable, "-m", "kit", *command], env=environment, check=True)
        assert output.read_bytes() == alone, (number, command[0])
    (page,) = tmp_path.glob("mose-kit-*/cpu-0.json")
    process = json.loads(page.read_text())
    assert process["done"] == len(commands)
    os.kill(process["pid"], signal.SIGTERM)
