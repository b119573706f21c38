"""What happens at three in the morning, and that the same command then finishes the night.

Every test breaks a run in its own way, on a simulated machine, and writes down the outcome. What
holds after each: no worker and no lock is left; `snakemake` again finishes; every file is, byte for
byte, that of an undisturbed night; and what was finished is not made again.
"""

import os
import shlex
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clips import cut
from night import TRACK, Night, Run, hit, wait_for

pytestmark = pytest.mark.workflow
TARGET = "work/clips/submission/first_frame.zip"  # all there is but for the report
AFTER = {"submission": 1}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A night in which nothing went wrong."""
    night = Night.new(tmp_path_factory.mktemp("night") / "undisturbed")
    run = night.run(TARGET)
    assert run.status == 0, run.text
    assert (
        'Provided resources: gpu=Resource("gpu", 2)' in run.text
    )  # as many jobs at once as there are devices
    assert night.settled()
    return night


@pytest.fixture
def evening(undisturbed: Night, tmp_path: Path) -> Iterator[Night]:
    """The same before the GPUs begin: anchors are chosen, masks are to be made."""
    folder = tmp_path / "evening"
    shutil.copytree(undisturbed.folder, folder)
    for made in ("masks", "tracks", "submission"):
        shutil.rmtree(folder / "work" / "clips" / made)
    night = Night(folder)
    yield night
    for process in night.workers():
        os.kill(process, signal.SIGKILL)


@pytest.fixture
def ends_well(undisturbed: Night) -> Callable[[Night, set[str]], Run]:
    """Run again after a fault: only these videos' masks are made, and all is as it should be."""

    def check(night: Night, left: set[str]) -> Run:
        assert night.settled()
        night.fault()
        (night.machine / "go").touch()
        run = night.run(TARGET)
        assert run.status == 0, run.text
        assert run.videos("masks") == left
        assert run.rules == ({"masks": len(left)} if left else {}) | AFTER
        for pattern in ("*/*/*.zip", "submission/*"):
            assert night.digests(pattern) == undisturbed.digests(pattern)
        assert night.settled()
        assert not (night.folder / ".snakemake" / "locks").exists()
        assert not [p for p in night.work.rglob(".*") if p.name.endswith(".part")]
        return run

    return check


def waiting(night: Night, video: str) -> bool:
    return (night.machine / f"{video}.0").exists()


def booked(night: Night) -> int:
    """Masks that are there and that Snakemake has noted as finished: others are made again."""
    begun = night.folder / ".snakemake" / "incomplete"
    return len(night.digests()) if len(list(begun.iterdir())) == 1 else 0


def log(night: Night, video: str) -> str:
    return (night.work / "logs" / "masks" / TRACK / f"{video}.log").read_text()


def test_a_worker_is_killed_in_the_middle_of_a_video(evening: Night, undisturbed: Night) -> None:
    """Outcome: the job goes to another device within seconds, the run does not even fail."""
    evening.fault(v1={"frame": 2, "do": "kill", "times": 1})
    run = evening.run(TARGET)
    assert run.status == 0, run.text
    assert run.rules == {"masks": 3} | AFTER  # each once: it is the job that tries again
    assert "died half-way" in log(evening, "v1")
    assert evening.digests() == undisturbed.digests()
    assert evening.settled()


def test_a_video_that_kills_every_worker(
    evening: Night, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: it fails alone, after two devices have tried; neither is blamed."""
    evening.fault(v1={"frame": 2, "do": "kill"})
    run = evening.run(TARGET)
    assert run.status == 1
    assert "FAILED masks v1" in run.text
    assert "the device is not to blame" in run.text
    assert "set aside" not in run.text
    ends_well(evening, {"v1"})


def test_snakemake_is_killed(evening: Night, ends_well: Callable[[Night, set[str]], Run]) -> None:
    """Outcome: workers end by themselves; the next run takes the dead one's lock away."""
    evening.fault(v1={"frame": 2, "do": "wait"})
    snakemake = evening.start(TARGET)
    wait_for(lambda: waiting(evening, "v1") and booked(evening) == 2)
    snakemake.kill()
    snakemake.communicate()
    run = ends_well(evening, {"v1"})
    assert "the last run was killed: its lock is removed" in run.text


def test_ctrl_c(evening: Night, ends_well: Callable[[Night, set[str]], Run]) -> None:
    """Outcome: it ends within seconds, and says that nothing half-written is left."""
    evening.fault(v1={"frame": 2, "do": "wait"})
    snakemake = evening.start(TARGET)
    wait_for(lambda: waiting(evening, "v1") and booked(evening) == 2)
    hit(snakemake, signal.SIGINT)
    run = evening.end(snakemake)
    assert run.status != 0
    assert "Traceback" not in run.text
    assert "interrupted; nothing half-written is left" in log(evening, "v1")
    ends_well(evening, {"v1"})


def test_the_disk_is_full(evening: Night, ends_well: Callable[[Night, set[str]], Run]) -> None:
    """Outcome: jobs fail with the file's name and what to do; freed space is all that is needed."""
    folder = evening.work / "masks" / TRACK
    folder.mkdir(parents=True)
    with mounted(folder, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        (folder / "filler").write_bytes(bytes(60_000))
        run = evening.run(TARGET)
        assert run.status == 1
        assert "FAILED masks v0" in run.text
        assert f"No space left on device (work/clips/masks/{TRACK}/v0.zip)" in run.text
        assert "Free some space" in run.text
        (folder / "filler").unlink()
        ends_well(evening, {"v0", "v1", "v2"})


def test_the_disk_of_the_logs_is_full(
    evening: Night, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: jobs whose words are lost fail with that reason."""
    folder = evening.work / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with mounted(folder, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
        evening.fault(v0={"frame": 2, "do": "raise"})
        (folder / "filler").write_bytes(bytes(65_536))
        run = evening.run(TARGET)
        assert run.status == 1
        assert "FAILED masks v0" in run.text
        assert "nothing can be written beside this log (No space left on device)" in run.text
        (folder / "filler").unlink()
        evening.fault()
        run = evening.run(TARGET)
        assert run.status == 0, run.text


def test_an_artifact_is_cut_short(
    undisturbed: Night, tmp_path: Path, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: whoever reads it names it, with the command that has it made again."""
    shutil.copytree(undisturbed.folder, tmp_path / "evening")
    night = Night(tmp_path / "evening")
    cut(night.work / "masks" / TRACK / "v1.zip")
    run = night.run(TARGET)
    assert run.status == 1
    assert f"work/clips/masks/{TRACK}/v1.zip: damaged masks" in run.text
    (command,) = {line.split("To rebuild it: ")[1].split(" and run")[0]
                  for line in run.text.splitlines() if "To rebuild it" in line}  # fmt: skip
    assert command == f"rm -f 'work/clips/masks/{TRACK}/v1.zip'"
    subprocess.run(shlex.split(command), cwd=night.folder, check=True)
    ends_well(night, {"v1"})


def test_a_gpu_that_fails_at_every_job(evening: Night, undisturbed: Night) -> None:
    """Outcome: every job finishes on the other one; the bad one is set aside, and that is said."""
    fault = {"frame": 2, "do": "raise", "device": "0"}
    evening.fault(v0=fault, v1=fault, v2={"frame": 3, "do": "wait"})
    snakemake = evening.start(TARGET)
    wait_for(lambda: waiting(evening, "v2"))
    with (evening.leases / "gpu-0.blame").open("a") as page:  # as if there had been more videos
        page.write(f"{snakemake.pid}\n" * 2)
    (evening.machine / "go").touch()
    run = evening.end(snakemake)
    assert run.status == 0, run.text
    assert evening.digests() == undisturbed.digests()
    assert "gpu-0 was set aside: jobs failed there that did well elsewhere" in run.text
    assert evening.settled()


def test_the_only_gpu_fails_at_every_job(
    evening: Night, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: jobs fail with the device's own words, one after the other, and none hangs."""
    evening.gpus = 1
    every = {"frame": 2, "do": "raise"}
    evening.fault(v0=every, v1=every, v2=every)
    run = evening.run(TARGET)
    assert run.status == 1
    assert run.text.count("FAILED masks") == 3
    assert "CUDA error: an illegal memory access" in run.text
    ends_well(evening, {"v0", "v1", "v2"})


def test_two_runs_in_one_folder(
    evening: Night, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: the second is refused and told who is at work; the first does not notice."""
    evening.fault(v1={"frame": 2, "do": "wait"})
    first = evening.start(TARGET)
    wait_for(lambda: waiting(evening, "v1"))
    second = evening.run(TARGET)
    assert second.status == 1
    assert f"process {first.pid} is at work in {evening.folder}" in second.text
    assert "LockException" in second.text
    assert second.jobs == []
    assert evening.run(TARGET, "--dry-run").status == 0  # looking is allowed
    (evening.machine / "go").touch()
    run = evening.end(first)
    assert run.status == 0, run.text
    assert run.rules == {"masks": 3} | AFTER
    assert evening.run(TARGET).jobs == []


def test_the_clock_goes_backwards(
    evening: Night, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: what is dated ahead is dated anew, and nothing is made twice."""
    hour = 3600 * 10**9
    for file in [*evening.work.glob("*/*.json"), *evening.work.glob("anchors/*/*.json")]:
        seen = file.stat()
        os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns + hour))
    run = ends_well(evening, {"v0", "v1", "v2"})
    assert "files are dated ahead of the clock" in run.text
    run = evening.run(TARGET)
    assert run.status == 0
    assert run.jobs == []


def test_a_folder_that_cannot_be_written(
    evening: Night, ends_well: Callable[[Night, set[str]], Run]
) -> None:
    """Outcome: refused before any job, in one line that names it."""
    work = evening.folder / "work"
    with mounted(work, "--bind", str(work)), mounted(work, "-o", "remount,ro,bind", str(work)):
        run = evening.run(TARGET)
    assert run.status == 1
    assert "work/clips: cannot be written (Read-only file system)" in run.text
    assert "Traceback" not in run.text
    assert run.jobs == []
    ends_well(evening, {"v0", "v1", "v2"})


def test_a_video_is_deleted_in_the_middle(evening: Night) -> None:
    """Outcome: its job says so, the others finish; the next run packs the videos that are there."""
    videos = ["v0", "v1", "v2"]  # equally long: any of them may come first
    evening.fault(**{video: {"frame": 2, "do": "wait"} for video in videos})
    snakemake = evening.start(TARGET, cores=1)
    wait_for(lambda: any(waiting(evening, video) for video in videos))
    lost = next(video for video in videos if not waiting(evening, video))
    shutil.rmtree(evening.folder / "data" / "JPEGImages" / lost)
    (evening.machine / "go").touch()
    run = evening.end(snakemake)
    assert run.status == 1
    assert f"FAILED masks {lost}" in run.text
    assert f"data/JPEGImages/{lost}/00000.jpg: no such file. Was it deleted or renamed?" in run.text
    assert evening.settled()
    again = evening.run(TARGET)
    assert again.status == 0, again.text
    assert again.videos("masks") == set()
    with zipfile.ZipFile(evening.work / "submission" / "first_frame.zip") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {*videos} - {lost}
    assert evening.settled()


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    """A file system at a folder, for a while; where that is not allowed, there is no test."""
    done = subprocess.run(["mount", *how, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        if "remount" not in " ".join(how):
            subprocess.run(["umount", "-l", str(folder)], check=True)
