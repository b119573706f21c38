"""What Snakemake makes again, and what it leaves alone, on a small drawn split.

One complete run is the base; every test works on a copy of it. Jobs are counted by the lines that
a run prints, so the tests hold for what a user sees.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from night import ROOT, Run

from kit.core.files import sha256

pytestmark = pytest.mark.workflow
MINED = "exemplar.dinov3.top3"
PATH = f"{MINED}.sam3"


class Project:
    """A folder with a configuration in which the workflow runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work" / "demo"

    def configure(self, edit: Callable[[dict[str, Any]], object]) -> None:
        file = self.folder / "config.yaml"
        values = yaml.safe_load(file.read_text())
        edit(values)
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def run(self, *flags: str) -> Run:
        command = [
            sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", ROOT / "Snakefile",
            "--directory", self.folder, "--configfile", self.folder / "config.yaml",
            "--workflow-profile", ROOT / "profiles" / "default", *flags,
        ]  # fmt: skip
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout)

    def digests(self, pattern: str) -> dict[str, str]:
        return {p.name.split(".")[0]: sha256(p) for p in sorted(self.work.glob(pattern))}

    def masks_inputs(self, video: str) -> dict[str, str]:
        import zipfile

        with zipfile.ZipFile(self.work / "masks" / PATH / f"{video}.zip") as archive:
            inputs: dict[str, str] = json.loads(archive.read("objects.json"))["inputs"]
        return inputs


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of three short videos, run to the end."""
    folder = tmp_path_factory.mktemp("base")
    shutil.copy(ROOT / "config" / "config.yaml", folder)
    project = Project(folder)

    def small(values: dict[str, Any]) -> None:
        values["data"]["draw"] = {"videos": 3, "frames": 10}
        values["selectors"]["top3"].update(top_k=1, min_gap=3, min_score=0.952)
        del values["recipes"]["two_pass"]

    project.configure(small)
    run = project.run()
    assert run.status == 0, run.text
    assert run.rules == {
        "draw": 3, "frames": 3, "meta": 1, "candidates": 3, "features": 3, "manifest": 2,
        "anchors": 2, "masks": 6, "scores": 6, "audits": 3, "results": 2, "submission": 2,
        "report": 1,
    }  # fmt: skip
    return folder


@pytest.fixture
def project(base: Path, tmp_path: Path) -> Project:
    return Project(Path(shutil.copytree(base, tmp_path / "project")))  # copy2: times are kept


def set_top_k(values: dict[str, Any]) -> None:
    values["selectors"]["top3"]["top_k"] = 2  # one video has a second that is similar enough


def test_a_new_top_k_propagates_the_changed_videos_alone(project: Project) -> None:
    """In one invocation: the choice, then only the videos whose anchors came out otherwise."""
    before = project.digests(f"anchors/{MINED}/*.json")
    project.configure(set_top_k)
    run = project.run()
    after = project.digests(f"anchors/{MINED}/*.json")
    changed = {video for video in before if before[video] != after[video]}
    assert 0 < len(changed) < 3, "the case must have changed and unchanged videos"
    assert run.status == 0, run.text
    assert run.videos("masks") == run.videos("scores") == changed
    assert run.rules == {
        "anchors": 1, "masks": len(changed), "scores": len(changed), "audits": len(changed),
        "results": 1, "submission": 1, "report": 1,
    }  # fmt: skip


def reorder(values: dict[str, Any]) -> None:
    for family in ("selectors", "detectors", "recipes"):
        values[family] = {
            name: dict(reversed(block.items())) for name, block in reversed(values[family].items())
        }


def unrelated(values: dict[str, Any]) -> None:
    values["run"] = {"batch": 2}
    values["selectors"]["top9"] = {"method": "top_k", "top_k": 9}


@pytest.mark.parametrize(
    "edit",
    [
        lambda project: None,
        lambda project: project.configure(reorder),
        lambda project: project.configure(unrelated),
        lambda project: [p.touch() for p in project.work.glob("data/*/*/*")],
        lambda project: [p.touch() for p in project.work.glob("frames/*.json")],
        lambda project: [p.touch() for p in project.work.glob("candidates/*/*")],
        lambda project: (project.folder / "config.yaml").touch(),
    ],
    ids=["nothing", "reordered", "unrelated key", "touched images", "touched indices",
         "touched candidates", "touched config"],
)  # fmt: skip
def test_no_change_no_job(project: Project, edit: Callable[[Project], object]) -> None:
    edit(project)
    run = project.run()
    assert run.status == 0, run.text
    assert run.jobs == [], run.text
    assert "Nothing to be done" in run.text


def test_a_new_video_runs_alone(project: Project) -> None:
    """Its own stages, the two choices over all videos, and what sums up all videos."""
    project.configure(lambda values: values["data"]["draw"].update(videos=4))
    run = project.run()
    assert run.status == 0, run.text
    for rule in ("draw", "frames", "candidates", "features", "masks", "scores"):
        assert run.videos(rule) == {"drawn_003"}, rule
    assert run.rules["anchors"] == run.rules["manifest"] == 2
    assert run.rules["masks"] == 2


def test_a_failed_job_never_leaves_an_older_result(project: Project) -> None:
    """`top_k` edited, one mask job fails, its cause is mended, run again: nothing stays stale.

    Plain rules report success here and keep scores of the old anchors.
    """
    before = project.digests(f"anchors/{MINED}/*.json")
    project.configure(set_top_k)
    probe = Project(Path(shutil.copytree(project.folder, project.folder.with_name("probe"))))
    expected = probe.run()
    assert expected.status == 0, expected.text
    changed = {v for v, d in probe.digests(f"anchors/{MINED}/*.json").items() if d != before[v]}
    victim = min(changed)
    frame = project.work / "data" / "JPEGImages" / victim / "00005.jpg"
    whole = frame.read_bytes()
    frame.write_bytes(whole[: len(whole) // 2])

    failed = project.run()
    assert failed.status != 0
    assert f"FAILED masks {victim}" in failed.text
    assert "cannot be decoded" in failed.text
    assert "Traceback" not in failed.text
    frame.write_bytes(whole)
    mended = project.run()

    assert mended.status == 0, mended.text
    assert victim in mended.videos("masks")
    for layer in (f"anchors/{MINED}/*", f"masks/{PATH}/*", f"scores/{PATH}/*", "submission/*"):
        assert project.digests(layer) == probe.digests(layer), layer
    anchors = project.digests(f"anchors/{MINED}/*.json")
    assert all(project.masks_inputs(v)["anchors"] == d for v, d in anchors.items())
    assert project.run().jobs == []


def test_a_lost_file_is_made_again_and_nothing_beside_it(project: Project) -> None:
    """A missing intermediate is rebuilt although what was made from it still lies there."""
    (project.work / "features" / "exemplar.dinov3" / "drawn_001.safetensors").unlink()
    (project.work / "masks" / "first.sam3" / "drawn_002.zip").unlink()
    run = project.run()
    assert run.status == 0, run.text
    assert run.videos("features") == {"drawn_001"}
    assert run.videos("candidates") == set()
    assert "drawn_002" in run.videos("masks")
    assert project.run().jobs == []


def test_archives_are_the_same_bytes_from_run_to_run(project: Project) -> None:
    before = project.digests("submission/*.zip")
    for file in project.work.glob("submission/*"):
        file.unlink()
    assert project.run().status == 0
    assert project.digests("submission/*.zip") == before
