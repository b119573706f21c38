"""Hands a job to the resident worker of a device: starts one if need be, tries another if it dies.

Every job of a run pays for what is imported here: the standard library alone, and of that neither
`dataclasses` nor `argparse` nor `subprocess`, with which it took nearly twice as long. A slot's
files are its lock, its socket, and a page that its worker keeps; see `worker`. The lock travels to
the worker with the job: a slot stays leased until neither of the two runs on it.
"""

import contextlib
import hashlib
import json
import os
import select
import socket
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kit.core.errors import DeviceError
from kit.runtime import devices, wire
from kit.runtime.devices import Slot
from kit.runtime.guard import INTERRUPTED, Outcome

VARIABLE = "MOSE_KIT_RUN"  # holds the `Run` for the jobs of a workflow; unset: no workers
ATTEMPTS = 3  # devices that one job is tried on
BLAMES = 2  # jobs that failed on a device and not on another, after which the run does without it
# What a worker took from its environment when it started; another value needs another worker.
INHERITED = (
    "CUDA", "CUBLAS", "NVIDIA", "NCCL", "TORCH", "PYTORCH", "OMP", "MKL", "KMP", "OPENBLAS", "HF_",
    "HUGGING", "TRANSFORMERS", "TOKENIZERS", "NUMBA", "PYTHON", "LD_", "XDG_", "HOME", "TMP",
)  # fmt: skip


class Run(NamedTuple):
    """The workflow that jobs belong to.

    Attributes:
        pid: Its process; workers end with it.
        devices: Its GPUs; none: the CPU.
        slots: Jobs at once on each GPU.
    """

    pid: int
    devices: tuple[str, ...]
    slots: int = 1


def announce(slots: int = 1, resident: bool = True) -> Run | None:
    """Let the jobs of this process find their workers.

    Args:
        slots: Jobs at once on each GPU.
        resident: False: every job does its own work, as by hand.

    Returns:
        None where there are no workers; they need Linux 5.3.

    Raises:
        DeviceError: Leases of devices cannot be had: better said now than by every job.
    """
    probe = devices.locked(devices.folder() / f"probe-{os.getpid()}.lock")
    if probe is not None:
        os.close(probe)
        (devices.folder() / f"probe-{os.getpid()}.lock").unlink(missing_ok=True)
    os.environ.pop(VARIABLE, None)  # a job of another workflow may have started this one
    if not resident or not _can_follow():
        return None
    run = Run(os.getpid(), tuple(devices.visible_devices()), slots)
    for page in devices.folder().glob("*.blame"):
        if str(run.pid) in page.read_text().split():  # of an earlier process of that number
            page.unlink()
    os.environ[VARIABLE] = json.dumps(run)
    return run


def current() -> Run | None:
    """The workflow that this job belongs to; None: it was started by hand."""
    told = os.environ.get(VARIABLE)
    if not told:
        return None
    pid, found, slots = json.loads(told)
    return Run(pid, tuple(found), slots)


def forward(run: Run, arguments: Sequence[str], gpu: bool) -> Outcome:
    """Run a command in a worker; what it prints goes where this process prints.

    Args:
        run: The workflow.
        arguments: Of `kit`, the command first.
        gpu: On a GPU if there is one, else on the CPU.

    Returns:
        How the command ended; with status 1 if it failed alike wherever it was tried.

    Raises:
        DeviceError: The run does without every one of its devices by now.
    """
    failed: list[Slot] = []
    while True:
        slot, lock = devices.acquire(_choice(run, gpu, failed))
        try:
            outcome, sound = _ask(run, slot, lock, arguments)
        finally:
            os.close(lock)
        if sound or outcome.status == INTERRUPTED:
            if outcome.status == 0:
                _blame(run, failed)
            return outcome
        if has_ended(run.pid):
            return Outcome(INTERRUPTED, outcome.why)
        failed.append(slot)
        names = ", ".join(s.name for s in failed)
        if len(failed) == ATTEMPTS or not _choice(run, gpu, failed):
            print(f"failed on {names} alike: the device is not to blame", file=sys.stderr)
            return outcome
        print(f"failed on {names}: trying once more elsewhere", file=sys.stderr, flush=True)


def set_aside(run: Run) -> list[str]:
    """Devices that this run does without, since jobs failed there that did well elsewhere."""
    counts: Counter[str] = Counter()
    for page in devices.folder().glob("*.blame"):
        counts[page.stem] = page.read_text().split().count(str(run.pid))
    return sorted(name for name, count in counts.items() if count >= BLAMES)


def has_ended(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(process)


def dismiss(slot: Slot, lock: int) -> None:
    """Have the worker of a leased slot end, and its models leave the device."""
    link = connect(slot)
    if link is not None:
        with link:
            _exchange(link, {"fingerprint": "none of yours"}, lock)


def connect(slot: Slot) -> socket.socket | None:
    """A connection to the worker of a slot; None if there is none."""
    link = socket.socket(socket.AF_UNIX)
    with contextlib.chdir(devices.folder()):  # the path of a socket must be short
        try:
            link.connect(f"{slot.name}.sock")
        except (FileNotFoundError, ConnectionRefusedError):
            link.close()
            return None
    return link


def fingerprint(environment: dict[str, str]) -> str:
    """What a worker's code and environment must have in common with its client's."""
    code = sorted(_looks(str(Path(__file__).parents[1])))
    installed = Path(sysconfig.get_path("purelib")).stat().st_mtime_ns
    inherited = sorted((k, v) for k, v in environment.items() if k.startswith(INHERITED))
    told = json.dumps([sys.version, installed, code, inherited])
    return hashlib.sha256(told.encode()).hexdigest()


def _looks(folder: str) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of each source file; to read them all would take every job longer."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _looks(entry.path)
            elif entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_size, found.st_mtime_ns


def _can_follow() -> bool:
    """Whether processes can be followed here: not on macOS, old kernels, in some containers."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _choice(run: Run, gpu: bool, failed: Sequence[Slot]) -> list[Slot]:
    """Slots that a job may be tried on, those with a worker first."""
    aside = set_aside(run)
    slots = devices.slots(run.devices if gpu else (), run.slots)
    usable = [slot for slot in slots if slot.unit not in aside]
    if not usable:
        raise DeviceError(
            f"no device is left: jobs failed on {', '.join(aside)} that did well elsewhere. The "
            "logs of those jobs say how; what is finished stays, so fix that and run again."
        )
    tried = {slot.unit for slot in failed}
    left = [slot for slot in usable if slot.unit not in tried]
    if not left and len(failed) == 1:
        left = usable  # there is no other device: a fresh worker on the same one
    warm = {path.stem for path in devices.folder().glob("*.sock")}
    return sorted(left, key=lambda slot: slot.name not in warm)


def _blame(run: Run, failed: Sequence[Slot]) -> None:
    """Note down devices on which a job failed that did well on another one."""
    for slot in failed:
        with (devices.folder() / f"{slot.unit}.blame").open("a") as page:
            page.write(f"{run.pid}\n")


def _ask(run: Run, slot: Slot, lock: int, arguments: Sequence[str]) -> tuple[Outcome, bool]:
    """One request, one reply: how the job ended, and whether the worker is sound after it."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": slot.device or ""}
    request = {
        "pid": run.pid,
        "fingerprint": fingerprint(environment),
        "folder": str(Path.cwd()),
        "arguments": list(arguments),
    }
    for _ in range(2):  # the first worker may be of other code, or about to end: another begins
        with connect(slot) or _start(slot, environment) as link:
            reply = _exchange(link, request, lock)
        if reply:
            return Outcome(reply["status"], reply["why"]), reply["sound"]
        if reply is None:
            break
    how = "died half-way" if reply is None else "does not begin"
    why = f"the worker on {slot.name} {how}"
    print(why, file=sys.stderr)
    return Outcome(1, why), False


def _exchange(link: socket.socket, request: dict[str, Any], lock: int) -> dict[str, Any] | None:
    """Send a request, with what the job prints to and the lease, and wait for the reply.

    Empty: the worker has ended without having begun. None: it died.
    """
    with contextlib.suppress(ConnectionError):
        socket.send_fds(link, [json.dumps(request).encode() + b"\n"], [1, 2, lock])
    begun, _, reply = wire.answer(link).partition(b"\n")
    with contextlib.suppress(ValueError):  # half a reply is of a worker that died
        return dict(json.loads(reply))
    return None if begun else {}


def _start(slot: Slot, environment: dict[str, str]) -> socket.socket:
    """Start a worker; it finds what is sent to it when it is ready."""
    import subprocess

    name = f"{slot.name}.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.chdir(devices.folder()):
            Path(name).unlink(missing_ok=True)  # left by one that was killed
            listener.bind(name)
            listener.listen()
        file = listener.fileno()
        subprocess.Popen(
            [sys.executable, "-u", "-m", "kit", "worker", "serve", slot.name, str(file)],
            pass_fds=[file], env=environment, stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for its client
        )  # fmt: skip
        link = connect(slot)
    if link is None:
        raise DeviceError(f"{devices.folder()}: the files there were removed under a running job.")
    return link
