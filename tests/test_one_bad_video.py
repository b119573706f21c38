"""One bad video stops nobody: all others go to the end, and after the mend it alone runs.

Three videos, of which one or two are bad in some way, on a simulated machine; two recipes, of which
the second mines and goes on from the first.
"""

import json
import os
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clips import HEIGHT, WIDTH, write_clip
from night import Night, wait_for
from PIL import Image

from kit.cli import main
from kit.core import broken
from kit.core.broken import Broken
from kit.core.files import sha256
from kit.runtime import guard
from kit.runtime.guard import INTERRUPTED, Outcome

RECIPES = ("first_frame", "two_pass")


# --- a job ----------------------------------------------------------------------------------------


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a split, as the jobs of a workflow know it."""
    monkeypatch.setenv(broken.VARIABLE, str(tmp_path / "work"))
    return tmp_path / "work"


def job(work: Path, name: str = "masks/r/a.b.zip") -> list[str]:
    return ["masks", "--frames", str(work / "frames/a.b.json"), "--output", str(work / name)]


def test_a_failure_becomes_a_record(work: Path) -> None:
    assert guard.guarded(job(work), work, lambda: Outcome(2, "too large")) == 0
    path = work / "masks/r/a.b.zip"
    assert broken.read(path) == Broken("a.b", "masks", "too large", str(path))
    assert broken.records(work) == [broken.read(path)]


def test_a_defect_becomes_a_record(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def defect() -> Outcome:
        raise RuntimeError("CUDA error")

    assert guard.guarded(job(work), work, defect) == 0
    assert broken.records(work)[0].why == "RuntimeError: CUDA error"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("status", [0, INTERRUPTED])
def test_success_and_interruption_leave_none(work: Path, status: int) -> None:
    assert guard.guarded(job(work), work, lambda: Outcome(status)) == status
    assert broken.records(work) == []
    assert not list(work.rglob("*.tries"))


def test_what_would_be_made_from_a_record_is_the_same_record(work: Path) -> None:
    earlier = Broken("a.b", "frames", "cut short", "frames/a.b.json")
    broken.write(work / "frames/a.b.json", earlier, work)
    assert guard.guarded(job(work), work, lambda: pytest.fail("there was nothing to do")) == 0
    assert broken.read(work / "masks/r/a.b.zip") == earlier
    assert broken.records(work) == [earlier]  # one reason, wherever it was passed on to


def test_a_job_that_kills_its_process_is_given_up(work: Path) -> None:
    def dies() -> Outcome:
        raise KeyboardInterrupt  # what no `except Exception` sees, as SIGKILL

    for _ in range(guard.TRIES):
        with pytest.raises(KeyboardInterrupt):
            guard.guarded(job(work), work, dies)
    assert guard.guarded(job(work), work, dies) == 0
    assert "killed 2 times" in broken.records(work)[0].why


def test_all_records_are_forgotten_and_no_artifact(work: Path) -> None:
    for name in ("frames/v.json", "masks/r/v.zip", "anchors/m/v.json"):
        broken.write(work / name, Broken("v", "frames", "cut", "frames/v.json"), work)
    (work / "anchors/m/v.json").write_text("made by hand")
    assert broken.forget(work) == 1
    assert [p.name for p in work.rglob("*") if p.is_file()] == ["v.json"]
    assert (work / "anchors/m/v.json").read_text() == "made by hand"
    assert broken.forget(work) == 0


def test_by_hand_a_stage_fails_as_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, output = write_clip(tmp_path / "data"), tmp_path / "work/frames/clip.json"
    cut(root, "clip")
    command = ["frames", "--root", str(root), "--video", "clip", "--output", str(output)]
    monkeypatch.delenv(broken.VARIABLE, raising=False)
    assert main(command) == 2
    assert not output.exists()
    monkeypatch.setenv(broken.VARIABLE, str(tmp_path / "work"))
    assert main(command) == 0
    monkeypatch.delenv(broken.VARIABLE)
    capsys.readouterr()
    found = ["meta", "--frames", str(output.parent), "--videos", "clip"]
    assert main([*found, "--output", str(tmp_path / "meta.json")]) == 0
    assert "left out" in capsys.readouterr().out
    scores = ["scores", "--frames", str(output), "--masks", "m.zip", "--output", "s.json"]
    assert main(scores) == 2
    assert "stands for a video that broke. clip: frames: " in capsys.readouterr().err


def test_many_records_are_not_all_shown() -> None:
    lost = [Broken(f"v{i}", "frames", "cut", f"v{i}") for i in range(60)]
    lines = broken.told(lost, 433)
    assert lines[0] == "Incomplete: 60 of 433 videos are missing."
    assert lines[-1] == "  and 10 more"
    assert broken.told([], 433) == []


# --- a run ----------------------------------------------------------------------------------------


def cut(root: Path, video: str) -> None:
    path = root / "JPEGImages" / video / "00002.jpg"
    path.write_bytes(path.read_bytes()[:300])


def foreign(root: Path, video: str) -> None:
    (root / "JPEGImages" / video / "00002.jpg").write_bytes(b"<html>not found</html>")


def larger_mask(root: Path, video: str) -> None:
    path = root / "Annotations" / video / "00000.png"
    with Image.open(path) as picture:
        picture.resize((WIDTH + 2, HEIGHT)).save(path)


def mask_that_is_none(root: Path, video: str) -> None:
    (root / "Annotations" / video / "00000.png").write_bytes(b"no picture")


def no_mask(root: Path, video: str) -> None:
    shutil.rmtree(root / "Annotations" / video)


def folder_for_a_frame(root: Path, video: str) -> None:
    path = root / "JPEGImages" / video / "00003.jpg"
    path.unlink()
    path.mkdir()


def no_truth(root: Path, video: str) -> None:
    (root / "Annotations" / video / "00003.png").unlink()


DATA: dict[str, tuple[Callable[[Path, str], None], str]] = {
    "cut picture": (cut, "frames"),
    "foreign picture": (foreign, "frames"),
    "larger mask": (larger_mask, "frames"),
    "mask that is none": (mask_that_is_none, "frames"),
    "no mask": (no_mask, "frames"),
    "folder for a frame": (folder_for_a_frame, "frames"),
    "no truth": (no_truth, "scores"),
}
FAULTS = {
    "out of memory": ("oom", "masks"),
    "full disk": ("full", "masks"),
    "defect": ("raise", "masks"),
    "kills every worker": ("kill", "masks"),
}


def configured(values: dict[str, Any]) -> None:
    """A recipe that mines and goes on from the first one, its masks scored."""
    values["data"]["ground_truth"] = True
    values["selectors"]["gaps"] = {"method": "gaps", "min_gap": 1, "sure_iou": 1.0}
    values["recipes"]["two_pass"] = {
        "after": "first_frame", "detector": "exemplar", "embedder": "colour",
        "selector": "gaps", "propagator": "sam3",
    }  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Night:
    night = Night.new(tmp_path_factory.mktemp("bad") / "undisturbed")
    night.configure(configured)
    run = night.run()
    assert run.status == 0, run.text
    return night


@pytest.fixture
def night(undisturbed: Night, tmp_path: Path) -> Night:
    """The same before anything was made."""
    made = Night(tmp_path / "night")
    made.machine.mkdir(parents=True)
    shutil.copytree(undisturbed.folder / "data", made.folder / "data")
    shutil.copy(undisturbed.folder / "config.yaml", made.folder)
    return made


def spoil(night: Night, **kinds: str) -> dict[str, str]:
    """Make videos bad; returns the stage at which each breaks."""
    faults = {v: {"frame": 2, "do": FAULTS[k][0]} for v, k in kinds.items() if k in FAULTS}
    night.fault(**faults)
    for video, kind in kinds.items():
        if kind in DATA:
            DATA[kind][0](night.folder / "data", video)
    return {video: (DATA.get(kind) or FAULTS[kind])[1] for video, kind in kinds.items()}


def mend(night: Night, undisturbed: Night) -> None:
    night.fault()
    shutil.rmtree(night.folder / "data")
    shutil.copytree(undisturbed.folder / "data", night.folder / "data")


def check_incomplete(night: Night, undisturbed: Night, stages: dict[str, str], text: str) -> None:
    """Everything of the other videos is there, and says at its top what is missing."""
    bad = set(stages)
    verb = "is" if len(bad) == 1 else "are"
    for place in (text, (night.work / "results/two_pass/scores.txt").read_text()):
        assert f"Incomplete: {len(bad)} of 3 videos {verb} missing.\n" in place
        assert all(f"\n  {video}: " in place for video in bad)
    assert all(f"\n  {video}: {stage}: " in text for video, stage in stages.items())
    page = (night.work / "report/clips.html").read_text()
    assert page.index(f"Incomplete: {len(bad)} of 3 videos {verb} missing.") < page.index("<h2")
    assert all(text.count(f"FAILED {stage} {video}") >= 1 for video, stage in stages.items())
    lost = {f"{video}.zip" for video in bad}
    for name, digest in undisturbed.digests("masks/*/*.zip").items():
        if Path(name).name not in lost:
            assert sha256(night.work / name) == digest, name
    results = json.loads((night.work / "results/two_pass/results.json").read_text())
    assert results["missing"].keys() == bad
    assert {name.split("_")[0] for name in results["objects"]} == {"v0", "v1", "v2"} - bad


def check_archives(night: Night, bad: set[str]) -> None:
    """What there is has a name that no one takes for the whole."""
    for recipe in RECIPES:
        folder = night.work / "submission"
        assert (folder / f"{recipe}.zip").exists() == (not bad)
        assert (folder / f"{recipe}.incomplete.zip").exists() == bool(bad)
        name = f"{recipe}.incomplete.zip" if bad else f"{recipe}.zip"
        with zipfile.ZipFile(folder / name) as archive:
            assert {n.split("/")[0] for n in archive.namelist()} >= {"v0", "v1", "v2"} - bad
            assert not {n.split("/")[0] for n in archive.namelist()} & bad


def check_mended(night: Night, undisturbed: Night, bad: set[str]) -> None:
    """Only the bad videos run again, then what sums up; all is as in an undisturbed night."""
    run = night.run()
    assert run.status == 0, run.text
    for rule in ("frames", "candidates", "features", "masks", "scores", "audits"):
        assert run.videos(rule) <= bad, rule
    assert run.videos("scores") == bad
    assert night.digests("masks/*/*.zip") == undisturbed.digests("masks/*/*.zip")
    assert night.digests("submission/*") == undisturbed.digests("submission/*")
    assert night.digests("results/*/*") == undisturbed.digests("results/*/*")
    assert broken.records(night.work) == []


@pytest.mark.workflow
@pytest.mark.parametrize("kind", [*DATA, *FAULTS])
def test_one(night: Night, undisturbed: Night, kind: str) -> None:
    stages = spoil(night, v1=kind)
    run = night.run()
    assert run.status == 1
    check_incomplete(night, undisturbed, stages, run.text)
    check_archives(night, set() if kind == "no truth" else {"v1"})
    mend(night, undisturbed)
    check_mended(night, undisturbed, {"v1"})
    assert night.run().jobs == []


@pytest.mark.workflow
@pytest.mark.parametrize("kinds", [("cut picture", "out of memory"), ("full disk", "no mask")])
def test_two_at_once(night: Night, undisturbed: Night, kinds: tuple[str, str]) -> None:
    stages = spoil(night, v0=kinds[0], v2=kinds[1])
    run = night.run()
    assert run.status == 1
    check_incomplete(night, undisturbed, stages, run.text)
    check_archives(night, {"v0", "v2"})
    mend(night, undisturbed)
    check_mended(night, undisturbed, {"v0", "v2"})


@pytest.mark.workflow
def test_all_videos_bad(night: Night, undisturbed: Night) -> None:
    """Nothing is left to sum up, and the list says why."""
    spoil(night, v0="cut picture", v1="no mask", v2="folder for a frame")
    run = night.run()
    assert run.status == 1
    assert "Incomplete: 3 of 3 videos are missing." in run.text
    assert "Traceback" not in run.text
    assert not list(night.work.glob("submission/*.zip"))


@pytest.mark.workflow
def test_an_older_archive_is_not_taken_for_the_whole(night: Night, undisturbed: Night) -> None:
    """A video goes bad after a complete run; the mend may take two runs."""
    shutil.rmtree(night.folder)
    shutil.copytree(undisturbed.folder, night.folder)
    cut(night.folder / "data", "v1")
    for _ in range(2):
        run = night.run()
        assert run.status == 1
        check_archives(night, {"v1"})
    mend(night, undisturbed)
    check_mended(night, undisturbed, {"v1"})
    check_archives(night, set())


@pytest.mark.workflow
def test_a_job_is_killed(night: Night, undisturbed: Night) -> None:
    """It is the process of the job that dies, not its worker: it is tried again."""
    night.fault(v1={"frame": 2, "do": "wait"})
    snakemake = night.start()
    wait_for(lambda: (night.machine / "v1.0").exists())
    os.kill(client_of("v1"), signal.SIGKILL)
    (night.machine / "go").touch()
    run = night.end(snakemake)
    assert run.status == 0, run.text
    assert night.digests("masks/*/*.zip") == undisturbed.digests("masks/*/*.zip")


def client_of(video: str) -> int:
    """The process that waits for a worker to do its job of a video."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            named = len(words) > 2 and f"/{video}.".encode() in words[-2]
            if named and words[1:3] == [b"-m", b"kit"] and words[3] in (b"masks", b"candidates"):
                return int(entry.name)
    raise AssertionError("no such job")
