"""What the workflow itself costs: planning, jobs, a run without work, a changed `top_k`.

A simulated split (a small clip under many names), models replaced by timed stand-ins of the same
interface (tests/simulated), everything else real: Snakemake, clients, workers, files. The peer is
the plain way: a fresh Python process per job that imports torch and transformers.

    python benchmarks/workflow.py --videos 433 1000
    python benchmarks/workflow.py --videos 433 --plan-only          # no jobs
    python benchmarks/workflow.py --busy 160 --devices 8 --seconds 5

CPU seconds count every process of a run, workers too; on a loaded machine they are what to read.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))
from night import Night, wait_for  # noqa: E402

PR_SET_CHILD_SUBREAPER = 36
PEER = "import torch, transformers; from transformers import Sam3TrackerVideoModel"


@dataclass
class Cost:
    """Of one Snakemake call."""

    wall: float
    cpu: float
    first_job: float | None  # seconds to its start
    memory: int  # bytes of the Snakemake process at its peak
    jobs: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--videos", type=int, nargs="+", default=[], help="sizes of the split")
    parser.add_argument("--plan-only", action="store_true", help="a dry run instead of jobs")
    parser.add_argument("--busy", type=int, help="videos of the run with busy devices")
    parser.add_argument("--devices", type=int, default=8, help="simulated (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="of the model (%(default)s)")
    parser.add_argument("--peer", type=int, default=0, metavar="N", help="processes of the peer")
    args = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every process compiles what it imports
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # workers are waited for, and so counted
    if args.videos:
        print(
            "| videos | what | wall s | CPU s | to first job s | jobs | CPU ms a job | memory MB |"
        )
        print("|---|---|---|---|---|---|---|---|")
    for count in args.videos:
        with split(count) as night:
            scale(night, args.plan_only)
    if args.busy:
        with split(args.busy) as night:
            busy(night, args.devices, args.seconds)
    if args.peer:
        peer(args.peer)


def scale(night: Night, plan_only: bool) -> None:
    """Everything, nothing, and one changed decision."""
    if plan_only:
        show(night, "plan", measure(night, "--dry-run", "--quiet", "all"))
        return
    show(night, "everything", measure(night))
    show(night, "nothing to do", measure(night))
    night.configure(lambda values: values["selectors"]["top"].update(top_k=2))
    show(night, "top_k, 1 video changes", measure(night))


def busy(night: Night, devices: int, seconds: float) -> None:
    """Share of the time from the first mask job's start to the last one's end."""
    night.gpus = devices
    (night.machine / "seconds").write_text("0")
    run = night.run("--until", "anchors", cores=devices)
    assert run.status == 0, run.text
    (night.machine / "seconds").write_text(str(seconds))
    run = night.run("--resources", f"gpu={devices}", cores=devices)
    assert run.status == 0, run.text
    wait_for(lambda: not night.workers())
    times = [json.loads(line) for line in (night.machine / "timeline").read_text().splitlines()]
    times = [(start, end) for what, start, end in times if what == "masks"]
    whole = max(end for _, end in times) - min(start for start, _ in times)
    share = sum(end - start for start, end in times) / devices / whole
    print(f"{devices} devices, {len(times)} jobs of {seconds:g} s: {share:.1%} busy, {whole:.0f} s")


def peer(count: int) -> None:
    """CPU and wall seconds before the first line of a job's own work."""
    before, start = spent(), time.monotonic()
    for _ in range(count):
        subprocess.run([sys.executable, "-c", PEER], check=True)
    wall, cpu = (time.monotonic() - start) / count, (spent() - before) / count
    print(f"fresh process, torch and transformers imported: {cpu:.1f} s CPU, {wall:.1f} s wall")


@contextmanager
def split(count: int) -> Iterator[Night]:
    """A split of so many videos; one of them is long enough for a second anchor."""
    folder = Path(tempfile.mkdtemp(prefix="mose-kit-benchmark-"))
    try:
        night = Night.new(folder / "run", videos=1)
        data = folder / "run" / "data"
        for kind in ("JPEGImages", "Annotations"):
            for number in range(1, count):
                shutil.copytree(
                    data / kind / "v0", data / kind / f"v{number}", copy_function=os.link
                )
        for number in range(5, 12):
            shutil.copy(data / "JPEGImages/v0/00004.jpg", data / f"JPEGImages/v0/{number:05d}.jpg")
        night.configure(configured)
        yield night
    finally:
        shutil.rmtree(folder)


def configured(values: dict[str, Any]) -> None:
    """One recipe with all stages; a second anchor only far from the first."""
    mined = {"detector": "exemplar", "embedder": "colour", "selector": "top", "propagator": "sam3"}
    values["selectors"]["top"].update(min_gap=4)
    values["recipes"] = {"reprompted": mined}


def measure(night: Night, *flags: str) -> Cost:
    before, start = spent(), time.monotonic()
    process = night.start(*flags, cores=1)
    first, text, memory = None, [], 0
    assert process.stdout is not None
    for line in process.stdout:
        text.append(line)
        if re.match(r"\d\d:\d\d:\d\d  > ", line):
            first = first or time.monotonic() - start
            memory = peak(process.pid) or memory
    assert process.wait() == 0, "".join(text)
    wall = time.monotonic() - start
    reap()
    jobs = sum(bool(re.match(r"\d\d:\d\d:\d\d  > ", line)) for line in text)
    return Cost(wall, spent() - before, first, memory, jobs)


def peak(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", status)[0])


def reap() -> None:
    """Wait for the workers that were left to this process; they end as the workflow has ended."""
    with suppress(ChildProcessError):
        while True:
            os.wait()


def spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def show(night: Night, what: str, cost: Cost) -> None:
    videos = len(list((night.folder / "data" / "JPEGImages").iterdir()))
    numbers = [
        videos, what, f"{cost.wall:.1f}", f"{cost.cpu:.1f}",
        "" if cost.first_job is None else f"{cost.first_job:.1f}", cost.jobs,
        "" if cost.jobs < 2 else f"{1000 * cost.cpu / cost.jobs:.0f}", f"{cost.memory / 1e6:.0f}",
    ]  # fmt: skip
    print("|", " | ".join(map(str, numbers)), "|", flush=True)


if __name__ == "__main__":
    main()
