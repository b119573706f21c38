"""Two passes as ordinary recipes: what is made again along a chain of checkpoints, what is not.

A first pass with anchors; a second one that looks for more where the first is unsure, verifies
them, and falls back. One complete run is the base; every test works on a copy of it. Nothing here
depends on what the tiny models find: what must be made again follows from what came out otherwise.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_workflow import ROOT, Project

pytestmark = pytest.mark.workflow
FIRST, FIRST_MASKS = "exemplar.dinov3.top3", "exemplar.dinov3.top3.sam3"
PROPOSED, CHOSEN = f"both.dinov3.gaps@{FIRST_MASKS}", f"both.dinov3.checked@{FIRST_MASKS}"
SECOND, SETTLED = (
    f"both.dinov3.checked.sam3@{FIRST_MASKS}",
    f"both.dinov3.checked.sam3.safe@{FIRST_MASKS}",
)
ALL = {"drawn_000", "drawn_001", "drawn_002"}


def two_passes(values: dict[str, Any]) -> None:
    """The demo's recipe, and one that goes on from it."""
    values["data"]["draw"] = {"videos": 3, "frames": 8}
    values["selectors"]["top3"].update(top_k=1, min_gap=2)
    values["detectors"] |= {
        "named": {"method": "concept", "model": "sam3", "threshold": 0.0, "max_per_frame": 2,
                  "concepts": {"drawn_000": {1: "ball"}}},
        "again": {"method": "exemplar_tokens", "model": "sam3", "threshold": 0.0,
                  "max_per_frame": 2, "accepted": True},
        "both": {"method": "union", "of": ["exemplar", "named", "again"]},
    }  # fmt: skip
    values["selectors"] |= {
        "gaps": {"method": "gaps", "min_gap": 2, "sure_iou": 0.9},
        "checked": {"method": "verified", "of": "gaps", "propagator": "sam3", "min_cycle": 0.0},
    }
    values["fallbacks"] = {"safe": {"propagator": "sam3", "probes": 1}}
    values["recipes"] = {
        "reprompted": values["recipes"]["reprompted"],
        "two_pass": {"after": "reprompted", "detector": "both", "embedder": "dinov3",
                     "selector": "checked", "propagator": "sam3", "fallback": "safe"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("passes")
    shutil.copy(ROOT / "config" / "config.yaml", folder)
    project = Project(folder)
    project.configure(two_passes)
    run = project.run()
    assert run.status == 0, run.text
    assert run.rules == {
        "draw": 3, "frames": 3, "meta": 1,
        "candidates": 9,  # exemplar; exemplar and named in one pass; again
        "union": 3, "features": 6,
        "manifest": 3, "anchors": 3,  # the first pass's, the proposals, those that lead back
        "masks": 6, "verify": 3, "rivals": 3, "fallback": 3,
        "scores": 6, "audits": 9, "results": 2, "submission": 2, "report": 1,
    }  # fmt: skip
    return folder


@pytest.fixture
def project(base: Path, tmp_path: Path) -> Project:
    return Project(Path(shutil.copytree(base, tmp_path / "project")))


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {video for video in before if before[video] != after[video]}


LAYERS = {
    "first anchors": f"anchors/{FIRST}/*.json",
    "first masks": f"masks/{FIRST_MASKS}/*.zip",
    "proposals": f"anchors/{PROPOSED}/*.json",
    "chosen": f"anchors/{CHOSEN}/*.json",
    "second masks": f"masks/{SECOND}/*.zip",
    "settled": f"masks/{SETTLED}/*.zip",
}


def layers(project: Project) -> dict[str, dict[str, str]]:
    return {name: project.digests(pattern) for name, pattern in LAYERS.items()}


def propagated(run: Any, track: str) -> set[str]:
    """Videos whose masks were propagated on one path."""
    return {video for rule, words in run.jobs if rule == "masks"
            for video, path in [words.split()] if path == f"({track})"}  # fmt: skip


def test_two_passes_leave_all_they_should(base: Path) -> None:
    project = Project(base)
    assert all(found.keys() == ALL for found in layers(project).values())
    assert project.digests(f"candidates/again@{FIRST_MASKS}/*").keys() == ALL
    assert project.digests("candidates/exemplar+named/*").keys() == ALL
    assert project.digests("submission/*.zip").keys() == {"reprompted", "two_pass"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda project: None,
        lambda project: [p.touch() for p in project.work.glob("anchors/*/*")],
        lambda project: [p.touch() for p in project.work.glob("cycles/*/*/*")],
    ],
    ids=["nothing", "touched anchors", "touched cycles"],
)
def test_no_change_no_job(project: Project, edit: Callable[[Project], object]) -> None:
    edit(project)
    run = project.run()
    assert run.status == 0, run.text
    assert run.jobs == [], run.text


def test_another_first_pass_of_one_video_goes_through_for_it_alone(project: Project) -> None:
    """A decision of the first pass edited by hand: one invocation, two gates, one video."""
    file = project.work / "anchors" / FIRST / "drawn_001.json"
    body = json.loads(file.read_text())
    body["anchors"] = []
    file.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")
    before = layers(project)
    run = project.run()
    assert run.status == 0, run.text
    after = layers(project)
    one = {"drawn_001"}
    assert propagated(run, FIRST_MASKS) == one
    assert changed(before["proposals"], after["proposals"]) == one
    assert propagated(run, SECOND) == changed(before["chosen"], after["chosen"]) == one
    assert run.videos("verify") == run.videos("audits") == one
    # Snakemake passes both gates in one round here: what does not itself name the decisions as
    # inputs would keep the mark that `masks` lost at the second gate, and run for all videos.
    for rule in ("rivals", "fallback", "scores"):
        assert run.videos(rule) == one, rule
    assert changed(before["settled"], after["settled"]) <= one
    # the second round of exemplars reads the edited anchors; other sources are not searched again
    assert {w for r, w in run.jobs if r == "candidates"} == {f"drawn_001 (again@{FIRST_MASKS})"}
    assert project.run().jobs == []


def test_a_setting_of_the_second_pass_leaves_the_first_alone(project: Project) -> None:
    before = layers(project)
    project.configure(lambda values: values["selectors"]["gaps"].update(most=0))
    run = project.run()
    assert run.status == 0, run.text
    after = layers(project)
    assert before["first masks"] == after["first masks"]
    assert propagated(run, FIRST_MASKS) == set()
    assert run.rules["candidates"] == run.rules["features"] == 0
    assert run.videos("verify") == changed(before["proposals"], after["proposals"])
    assert propagated(run, SECOND) == changed(before["chosen"], after["chosen"])
    assert project.run().jobs == []


def test_a_threshold_on_what_was_verified_needs_no_tracker(project: Project) -> None:
    before = layers(project)
    project.configure(lambda values: values["fallbacks"]["safe"].update(silence=1.0))
    run = project.run()
    assert run.status == 0, run.text
    assert run.videos("fallback") == ALL
    assert not set(run.rules) & {"candidates", "features", "masks", "verify", "rivals"}
    project.configure(lambda values: values["selectors"]["checked"].update(min_cycle=1.0))
    run = project.run()
    assert run.status == 0, run.text
    assert run.rules["verify"] == run.rules["candidates"] == run.rules["features"] == 0
    after = layers(project)
    assert propagated(run, SECOND) == changed(before["chosen"], after["chosen"])
