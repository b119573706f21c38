"""A real Slurm on this host alone, for a test: a controller, a node with fake GPUs, and munge.

    python tests/slurm_cluster.py COMMAND ...    sets it up, runs the command in it, tears it down

Needs root, and Debian's `slurm-wlm` and `munge`. Everything lies in one temporary folder but for
links in /etc/slurm, where jobs look for it; where a Slurm is configured already, nothing is done.
"""

import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

GPUS = 2
ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scancel")

CONFIGURATION = """\
ClusterName=night
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
MinJobAge=3600
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} CPUs=4 RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=night Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """What keeps a cluster from being set up here; empty if nothing does."""
    if os.getuid() != 0:
        return "Slurm is set up as root only"
    if (ETC / "slurm.conf").exists():
        return f"a Slurm is configured here already ({ETC}/slurm.conf)"
    lacking = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if not lacking:
        return ""
    return f"no {', '.join(lacking)}: apt-get install slurm-wlm munge"


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """A running cluster; yields the environment in which its commands find it."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="mose-kit-slurm-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
        _configure(folder)
        stack.enter_context(_linked(folder))
        for command in _daemons(folder):
            log = stack.enter_context((folder / f"{command[0]}.out").open("w"))
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            stack.callback(_end, process)
        _wait_until_idle(environment, folder)
        yield environment


def _configure(folder: Path) -> None:
    folder.chmod(0o755)
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    for number in range(GPUS):
        os.mknod(folder / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))  # as /dev/null
    (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n")
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(
            folder=folder, host=socket.gethostname(), gpus=GPUS,
            controller_port=_free_port(), node_port=_free_port(),
        )
    )  # fmt: skip


@contextmanager
def _linked(folder: Path) -> Iterator[None]:
    ETC.mkdir(exist_ok=True)
    for name in FILES:
        (ETC / name).unlink(missing_ok=True)  # a dangling link, of one that was killed
        (ETC / name).symlink_to(folder / name)
    try:
        yield
    finally:
        for name in FILES:
            (ETC / name).unlink()


def _daemons(folder: Path) -> list[list[str]]:
    munge = folder / "munge"
    return [
        ["munged", "--foreground", "--force", f"--key-file={munge}/key", f"--socket={munge}/socket",
         f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]  # fmt: skip


def _wait_until_idle(environment: dict[str, str], folder: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        command = ["sinfo", "--noheader", "--format", "%T"]
        told = subprocess.run(command, env=environment, capture_output=True, text=True)
        if told.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    outputs = "".join(f"{p.name}:\n{p.read_text()[-2000:]}\n" for p in folder.glob("*.out"))
    raise RuntimeError(f"the cluster did not come up\n{outputs}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


if __name__ == "__main__":
    if missing():
        sys.exit(missing())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and tear it down
    with cluster() as found:
        sys.exit(subprocess.run(sys.argv[1:], env=found, check=False).returncode)
