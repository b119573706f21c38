"""A split of small clips, run by the workflow on a simulated machine that can be made to fail."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from clips import write_clip

from kit.core.files import sha256

ROOT = Path(__file__).parents[1]
CONFIG = {
    "split": "clips",
    "data": {"root": "data", "ground_truth": False, "meta": None},
    "models": {"any": {"source": "tiny"}},
    "detectors": {"exemplar": {"method": "exemplar_tokens", "model": "any"}},
    "embedders": {"colour": {"method": "dinov3", "model": "any"}},
    "selectors": {"first": {"method": "first_frame"},
                  "top": {"method": "top_k", "top_k": 1, "min_gap": 1}},
    "trackers": {"sam3": {"method": "sam3", "model": "any"}},
    "propagators": {"sam3": {"method": "greedy", "tracker": "sam3"}},
    "recipes": {"first_frame": {"selector": "first", "propagator": "sam3"}},
}  # fmt: skip
TRACK = "first.sam3"
PATIENCE = 240.0  # seconds, on the slowest machine; an idle worker waits longer


@dataclass
class Run:
    """A finished Snakemake call."""

    status: int
    text: str

    @property
    def jobs(self) -> list[tuple[str, str]]:
        """(rule, what its message says after the rule's name) of every job that started."""
        return re.findall(r"^\d\d:\d\d:\d\d  > (\w+) ?(.*)$", self.text, re.MULTILINE)

    @property
    def rules(self) -> Counter[str]:
        counts = Counter(rule for rule, _ in self.jobs)
        del counts["all"]
        return counts

    def videos(self, rule: str) -> set[str]:
        return {words.split()[0] for name, words in self.jobs if name == rule}


class Night:
    """A project folder, its simulated machine, and the workflow in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = folder / "machine"
        self.work = folder / "work" / "clips"
        self.gpus = 2
        self.extra: dict[str, str] = {}  # of the environment

    @classmethod
    def new(cls, folder: Path, videos: int = 3) -> "Night":
        night = cls(folder)
        night.machine.mkdir(parents=True)
        for number in range(videos):
            write_clip(folder / "data", f"v{number}")
        night.configure(lambda values: None)
        return night

    def configure(self, edit: Callable[[dict[str, Any]], object]) -> None:
        file = self.folder / "config.yaml"
        values = yaml.safe_load(file.read_text()) if file.is_file() else CONFIG
        edit(values)
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def fault(self, **faults: dict[str, Any]) -> None:
        """What goes wrong from now on, by video."""
        (self.machine / "faults.json").write_text(json.dumps(faults))

    @property
    def code(self) -> Path:
        """Where `kit` lies: this project, or a copy of its own that a test can edit."""
        own = self.folder / "code"
        return own if own.is_dir() else ROOT

    @property
    def environment(self) -> dict[str, str]:
        stands = Path(__file__).parent / "simulated"
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("CUDA", "MOSE_KIT"))},
            "PYTHONPATH": f"{stands}:{self.code}",
            "SIMULATED_GPUS": str(self.gpus),
            "SIMULATED_FOLDER": str(self.machine),
            "TMPDIR": str(self.machine),
            "OMP_NUM_THREADS": "1",
            **self.extra,
        }

    def start(self, *flags: str, cores: int = 2) -> subprocess.Popen[str]:
        command = [
            sys.executable, "-m", "snakemake", "--cores", str(cores),
            "--snakefile", ROOT / "Snakefile", "--directory", self.folder,
            "--configfile", self.folder / "config.yaml",
            "--workflow-profile", ROOT / "profiles" / "default", *flags,
        ]  # fmt: skip
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder,
            env=self.environment, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # & has it ignored
        )  # fmt: skip

    def run(self, *flags: str, cores: int = 2) -> Run:
        return self.end(self.start(*flags, cores=cores))

    def end(self, process: subprocess.Popen[str]) -> Run:
        text, _ = process.communicate(timeout=5 * PATIENCE)
        return Run(process.returncode, text)

    def digests(self, pattern: str = "*/*/*.zip") -> dict[str, str]:
        return {str(p.relative_to(self.work)): sha256(p) for p in sorted(self.work.glob(pattern))}

    @property
    def leases(self) -> Path:
        (found,) = self.machine.glob("mose-kit-*")
        return found

    def workers(self) -> list[int]:
        """Processes that serve slots of this machine, idle or busy."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    environment = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if b"serve" in words and str(self.machine).encode() in environment:
                    found.append(int(entry.name))
        return found

    def settled(self, seconds: float = PATIENCE) -> bool:
        """Whether in the end no worker is left, and no lease is held.

        A process that ends loses its name before its locks, and a client may outlive its worker.
        """
        end = time.monotonic() + seconds
        while not (over := self._still()) and time.monotonic() < end:
            time.sleep(0.05)
        return over

    def _still(self) -> bool:
        return not self.workers() and all(map(free, self.leases.glob("*.lock")))


def free(path: Path) -> bool:
    """Whether nobody holds a lock on a file."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def wait_for(what: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Return as soon as something has happened."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def hit(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """A signal to a whole process group, as Ctrl-C in a terminal."""
    os.killpg(process.pid, number)
