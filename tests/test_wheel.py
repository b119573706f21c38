"""An installation from a wheel: it carries the workflow, and runs it where there is no clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from night import ROOT

CARRIED = ("Snakefile", "rules", "profiles", "config")
SMALL = {
    "split": "small", "data": {"draw": {"videos": 1, "frames": 8, "width": 96, "height": 64}},
    "models": {"sam3": {"source": "tiny"}},
    "selectors": {"first": {"method": "first_frame"}},
    "trackers": {"sam3": {"method": "sam3", "model": "sam3"}},
    "propagators": {"sam3": {"method": "greedy", "tracker": "sam3"}},
    "recipes": {"first_frame": {"selector": "first", "propagator": "sam3"}},
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="wheels are built with hatchling (extra `test`)")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture
def away(wheel: Path, tmp_path: Path) -> "Away":
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    return Away(tmp_path)


class Away:
    """An empty folder, with the kit installed elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site = folder / "empty", folder / "site"

    def kit(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MOSE_KIT")}
        return subprocess.run(
            [sys.executable, "-m", "kit", *words], cwd=self.folder, text=True, check=False,
            env={**environment, "PYTHONPATH": str(self.site)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def tracked(*paths: str) -> set[str]:
    """Files of the clone that git knows."""
    told = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True)
    if told.returncode != 0:
        pytest.skip("not a clone")
    return set(told.stdout.split())


def test_a_wheel_carries_the_workflow(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in tracked(*CARRIED):
            assert archive.read(f"kit/workflow/{name}") == (ROOT / name).read_bytes(), name
    assert tracked("kit") <= names
    tops = {name.partition("/")[0].partition("-")[0] for name in names}
    assert tops == {"kit", "mose_kit"}


@pytest.mark.workflow
def test_the_demo_is_planned_without_a_clone(away: Away) -> None:
    done = away.kit("demo", "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout
    assert "draw" in done.stdout
    assert not (away.folder / "work").exists()


def test_what_is_no_configuration_is_told_with_those_to_start_from(away: Away) -> None:
    for words in (["run", "-n"], ["run", "--configfile", "absent.yaml", "-n"]):
        done = away.kit(*words)
        assert done.returncode == 2
        assert str(away.site / "kit" / "workflow" / "config" / "mosev2.yaml") in done.stdout


def test_a_file_is_checked_before_snakemake_reads_it(away: Away) -> None:
    (away.folder / "mine.yaml").write_text("split: a\nsplit: b\n")
    done = away.kit("run", "--cores", "1", "--configfile", "mine.yaml")
    assert done.returncode == 2
    assert done.stdout == "kit run: mine.yaml: the key `split` is there twice, lines 1 and 2.\n"


@pytest.mark.slow
@pytest.mark.workflow
def test_a_run_from_a_wheel(away: Away) -> None:
    """To the archive, in a folder that holds a configuration and nothing else."""
    (away.folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    done = away.kit("run", "--configfile", "small.yaml", "--cores", "2")
    assert done.returncode == 0, done.stdout
    work = away.folder / "work" / "small"
    assert (work / "submission" / "first_frame.zip").is_file()
    assert (work / "report" / "small.html").is_file()
    assert sorted(p.name for p in away.folder.iterdir()) == [".snakemake", "small.yaml", "work"]
    again = away.kit("run", "--configfile", "small.yaml", "--cores", "2")
    assert "Nothing to be done" in again.stdout
    why = away.kit("why", "work/small/report/small.html", "--configfile", "small.yaml")
    assert "up to date" in why.stdout
