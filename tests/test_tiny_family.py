"""What the embedded weights can do, on fixed videos of the validation split, with a margin.

The numbers of the README are of the test split, by the same code: `benchmarks/tiny.py`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import tiny as family
from tiny_retrieval import Mining, retrieval, search

from kit.core import weights
from kit.data import synthetic
from kit.propagators import greedy
from kit.runtime import models
from kit.runtime import tiny as embedded
from kit.trackers import sam2, sam3
from kit.trackers.base import Tracker

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def clips(suite: str, count: int, group: int = 0) -> list[synthetic.Clip]:
    return list(family.clips_of(suite, "validation", group, count))


@pytest.fixture(scope="module")
def trackers() -> Mapping[str, Tracker]:
    def model(kind: str) -> Any:
        return models.load(kind, {"source": "tiny"}, "cpu")

    return {
        "sam2": sam2.build(model("sam2"), sam2.Config(rows=8)),
        "sam3": sam3.build(model("sam3"), sam3.Config(rows=8)),
    }


@pytest.fixture(scope="module")
def mining() -> Mining:
    return family.recipe_mining("tiny", "tiny")


def test_it_is_small_and_whole() -> None:
    found = [path for path in embedded.WEIGHTS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in found) <= 24e6
    assert {path.parent.name for path in found if path.suffix == ".safetensors"} == {
        "dinov3", "sam2", "sam3",
    }  # fmt: skip
    assert weights.identity("tiny")


@pytest.mark.parametrize("name", ["sam2", "sam3"])
def test_trackers_follow_better_than_what_knows_nothing(
    trackers: Mapping[str, Tracker], name: str
) -> None:
    numbers = family.steady(trackers[name], clips("steady", 10))  # fewer vary too much
    others = [value for key, value in numbers.items() if key != "J"]
    assert len(others) == 3
    assert numbers["J"] > max(others) + 0.02


def test_the_detector_finds_the_target_by_tokens_of_the_first_frame(mining: Mining) -> None:
    found = search(mining.detector, clips("gap", 4), mining.search)
    assert found.recall > 0.5
    assert found.purity > 0.4


def test_the_embedder_tells_objects_of_one_category_apart(mining: Mining) -> None:
    told = retrieval(mining.embedder, clips("gap", 4), mining.describe)
    assert told.count > 50
    assert told.model > max(told.histogram + 0.2, 0.85)


def test_true_anchors_help_after_objects_come_back(trackers: Mapping[str, Tracker]) -> None:
    """What re-prompting can give the tracker."""
    numbers = family.reprompting(
        trackers["sam3"], clips("away", 4), family.true_anchors, greedy.Config()
    )
    assert numbers["gain of reappear J&F"] > 0.04


def test_found_anchors_help_after_objects_come_back(
    trackers: Mapping[str, Tracker], mining: Mining
) -> None:
    """What it does give it: from the frames alone, and without harm while the object is away."""
    tracker = trackers["sam3"]
    find = partial(family.anchors_of, mining, tracker)
    propagator, overlap = family.recipe_propagator("two_pass"), family.recipe_overlap("two_pass")
    numbers = family.reprompting(tracker, clips("away", 4, group=4), find, propagator, overlap)
    assert numbers["gain of reappear J&F"] > 0.15
    assert numbers["loss of disappear J&F"] < 0.02
    assert numbers["J&F of reprompted"] > numbers["J&F of first"] + 0.03
    assert numbers["gain over restart"] > 0.0
