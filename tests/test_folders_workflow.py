"""Folders as people have them, in a run: odd names run, impossible ones are told, others go on."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import NAMES, write_clip
from night import CONFIG, TRACK, Night, Run

from kit.config import Config
from kit.core import broken
from kit.core.errors import ConfigError, DataError
from kit.core.files import sha256
from kit.plan import Plan

ODD = ["-QeQv9uDrYk", "--abcdefghi", "my clip", "it's", "a<b", "$HOME", "#1", "ä 日本", "*", "~"]


def prefix(root: Path, video: str) -> None:
    """Frames and masks as VOST names them."""
    for folder in (root / "JPEGImages" / video, root / "Annotations" / video):
        for file in list(folder.iterdir()):
            file.rename(file.with_name(f"frame{file.name}"))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """A folder with videos of odd names, and what systems leave there."""
    night = Night.new(tmp_path_factory.mktemp("odd"), videos=0)
    for name in ODD:
        write_clip(night.folder / "data", name)
    for name in ("@eaDir", "#recycle", ".Trash-1000", "lost+found", "__MACOSX"):
        (night.folder / "data" / "JPEGImages" / name).mkdir()
    return night


@pytest.fixture(scope="module")
def done(night: Night) -> Run:
    return night.run()


@pytest.mark.workflow
def test_videos_of_odd_names_run_to_the_end(night: Night, done: Run) -> None:
    assert done.status == 0, done.text
    for layer, suffix in (("frames", ".json"), (f"masks/{TRACK}", ".zip")):
        found = {p.name.removesuffix(suffix) for p in (night.work / layer).iterdir()}
        assert found == set(ODD), layer
    assert (night.work / "submission" / "first_frame.zip").is_file()
    assert "passed over, as no videos: #recycle, .Trash-1000, @eaDir, __MACOSX, lost+found" in (
        done.text
    )


@pytest.mark.workflow
def test_and_are_not_made_again(night: Night, done: Run) -> None:
    again = night.run()
    assert (again.status, again.jobs) == (0, []), again.text


IMPOSSIBLE = ["take<two>", "C:\\clip", "x" * 240]


@pytest.mark.workflow
def test_a_name_that_cannot_be_run_stops_no_other(tmp_path: Path) -> None:
    """Others run; it is said first and last, in results and report; no archive goes without it."""
    night = Night.new(tmp_path, videos=2)
    night.configure(lambda values: values["data"].update(ground_truth=True))
    for name in IMPOSSIBLE:
        write_clip(night.folder / "data", name)
    run = night.run()
    assert run.status != 0
    assert "Traceback" not in run.text
    assert run.videos("masks") == run.videos("scores") == {"v0", "v1"}
    assert "video 'take<two>' is refused: it holds '<two>'" in run.text
    assert "Incomplete: 3 of 5 videos are missing." in run.text
    made = {p.name for p in (night.work / "submission").glob("*.zip")}
    assert made == {"first_frame.incomplete.zip"}
    told = (night.work / "results/first_frame/scores.txt").read_text()
    assert "3 of 5 videos are missing" in told
    assert "take<two>: plan: 'take<two>' holds" in told
    assert "take&lt;two&gt;" in (night.work / "report/clips.html").read_text()
    for name in IMPOSSIBLE:
        shutil.rmtree(night.folder / "data" / "JPEGImages" / name)
    mended = night.run()
    assert mended.status == 0, mended.text
    assert mended.rules["masks"] == mended.rules["scores"] == 0
    assert [p.name for p in (night.work / "submission").glob("*.zip")] == ["first_frame.zip"]
    assert "missing" not in (night.work / "results/first_frame/scores.txt").read_text()
    assert not (night.work / "frames" / "take<two>.json").exists()


@pytest.mark.workflow
def test_frames_that_the_archive_would_be_refused_for(tmp_path: Path) -> None:
    """Refused before anything of them is tracked; fine where no archive is asked for."""
    night = Night.new(tmp_path, videos=2)
    prefix(night.folder / "data", "v1")
    run = night.run()
    assert run.status != 0
    assert "5 of 5 names are no plain numbers, such as 'frame0000" in run.text
    made = {p.name for p in (night.work / "submission").glob("*.zip")}
    assert made == {"first_frame.incomplete.zip"}
    night.configure(lambda values: values.update(submission=False))
    shutil.rmtree(night.work / "submission")
    run = night.run()
    assert run.status == 0, run.text
    assert run.videos("frames") == {"v1"}
    assert not (night.work / "submission").exists()


@pytest.mark.workflow
def test_weights_that_cannot_be_had_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    night = Night.new(tmp_path / "night", videos=3)
    night.extra = {"SIMULATED_WEIGHTS": "checked"}
    night.configure(
        lambda v: v["models"].update(any={"source": "facebook/none", "revision": "main"})
    )
    run = night.run()
    assert run.status != 0
    assert run.jobs == []
    assert run.text.count("facebook/none: ") == 1
    assert "HF_HUB_OFFLINE" in run.text


# --- the plan, without Snakemake ----------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        write_clip(tmp_path / "data", name)
    yield tmp_path / "data"


def plan(**values: Any) -> Plan:
    return Plan(Config({**json.loads(json.dumps(CONFIG)), **values}))


def test_only_frames_that_would_be_refused_have_another_command(root: Path) -> None:
    """Those of others stay what they were, byte for byte: nothing is made again."""
    before = plan().sources("a")
    assert "--names" not in before
    prefix(root, "b")
    assert plan().sources("a") == before
    assert plan().sources("b") == f"{before} --names numbers"
    assert plan(submission=False).sources("b") == before
    assert plan(submission=True).sources("b") == f"{before} --names numbers"


@pytest.mark.parametrize("what", ["-l.jpg", "cover.png"])
def test_one_odd_name_among_the_frames_is_enough(what: str, root: Path) -> None:
    shutil.copy(root / "JPEGImages/b" / f"{NAMES[0]}.jpg", root / "JPEGImages/b" / f"00009{what}")
    assert plan().sources("b").endswith("--names numbers")
    for name in (".DS_Store", "Thumbs.db", "._00000.jpg", "notes.txt"):
        (root / "JPEGImages/a" / name).touch()
    assert "--names" not in plan().sources("a")


def test_refused_videos_are_named_and_not_run(root: Path) -> None:
    before = plan()
    assert before.named == before.videos == ["a", "b"]
    for name in ("take<two>", "x" * 240):
        (root / "JPEGImages" / name).mkdir()
    made = plan()
    assert made.videos == ["a", "b"]
    assert set(made.named) - {"a", "b", "take<two>"} == {f"{'x' * 40}-{sha256(b'x' * 240)[:8]}"}
    made.record_refused()
    assert {record.why.split()[0] for record in broken.records(Path(made.work))} == {
        "'take<two>'", repr("x" * 240),
    }  # fmt: skip
    assert broken.forget(Path(made.work)) == 2
    assert not list(Path(made.work).rglob("*.json"))


def test_without_an_archive_all_else_is_made(root: Path) -> None:
    parts = {name for name, found in plan().parts.items() if found}
    assert parts - {n for n, found in plan(submission=False).parts.items() if found} == {
        "submission", "meta",
    }  # fmt: skip
    assert plan(submission={"team": "team.json"}).team == "team.json"
    assert plan(submission=False).team is None


def test_videos_are_chosen_by_a_list(root: Path) -> None:
    Path("list.txt").write_text("b/\nb\n")
    data = {**CONFIG["data"], "videos": "list.txt"}  # type: ignore[dict-item]
    assert plan(data=data).videos == ["b"]
    Path("list.txt").write_text("")
    with pytest.raises(DataError, match=r"list\.txt: holds no name"):
        plan(data=data)
    with pytest.raises(DataError, match="an empty list"):
        plan(data={**CONFIG["data"], "videos": []})  # type: ignore[dict-item]


def test_results_go_where_the_path_says(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    made = plan(work="~/out/", data={**CONFIG["data"], "root": str(root)})  # type: ignore[dict-item]
    assert made.work == "/home/me/out/clips"
    with pytest.raises(ConfigError, match="work: out<two>"):
        plan(work="out<two>")


@pytest.mark.parametrize(
    "split", ["valid\n", "my split", "valid.v2", "a/b", "", "ä", "x" * 101, 2017]
)
def test_splits_of_odd_names(split: object, root: Path) -> None:
    with pytest.raises(ConfigError, match=r"split: .* is not allowed"):
        plan(split=split)


def test_what_a_split_may_be_called_is_said(root: Path) -> None:
    with pytest.raises(ConfigError, match="letters, digits, - and _"):
        plan(split="valid.v2")
    with pytest.raises(ConfigError, match='write "2017" in quotes'):
        plan(split=2017)
    assert plan(split="2017").work == "work/2017"
