"""Defaults of the policies are those of their makers' code, or the docstring says otherwise."""

import dataclasses
import importlib
from pathlib import Path

import pytest

# What the source's code does when its authors run it; where that stands is in each docstring.
# None: ours, the source has nothing of the kind.
SOURCES: dict[str, dict[str, object]] = {
    # yangchris11/samurai 76ba195, sam2/sam2/configs/samurai/*.yaml, the last ten lines
    "samurai": {
        "warm_up": 15,
        "stable_iou": 0.3,
        "motion_weight": None,  # by trunk; see test_policies
        "min_iou": 0.5,
        "min_presence": 0.0,
        "min_motion": 0.0,
    },
    # henghuiding/MOSE-api 241977a, MOSEv2/sam2_rcms/sam2/build_sam.py 107-108, README.md 50-51
    "rcms": {"promoted": 4, "min_quality": 0.6, "every": False},
    # jovanavidenovic/DAM4SAM 9c95450, sam2/sam21pp_hiera_*.yaml (stride, 4 in the DRM, of 7),
    # dam4sam_tracker.py 176 and 226-258
    "dam4sam": {
        "stride": 5,
        "recent": 3,
        "distractors": 3,
        "min_iou": 0.8,
        "max_change": 0.2,
        "max_ratio": 0.7,
        "gap": 5,
        "whole_boxes": False,
        "online": True,
    },
    # arXiv 2410.16268, section 4.3; of three sets in Mark12Ding/SAM2Long 7193b77 the one of
    # tools/vos_inference.py (484-495) is the paper's but for the uncertainty, 1 there
    "memory_tree": {
        "pathways": 3,
        "min_iou": 0.3,
        "min_presence": 0.0,
        "uncertainty": 2.0,
        "lowest_weight": 0.95,
        "highest_weight": 1.05,
        "oldest_pointer": False,
    },
}
OURS = {"anchors", "keep_first_prompt", "redecode_anchors", "most"}


@pytest.mark.parametrize("name", SOURCES)
def test_defaults_are_their_sources(name: str) -> None:
    module = importlib.import_module(f"kit.propagators.{name}")
    departures = module.__doc__.partition("Departures")[2]
    for field in dataclasses.fields(module.Config):
        if field.name not in OURS:
            told = f"`{field.name}`" in departures
            assert told or field.default == SOURCES[name][field.name], field.name


def test_each_policy_of_somebody_has_its_source_here() -> None:
    folder = Path(__file__).parents[1] / "kit" / "propagators"
    methods = {f.stem for f in folder.glob("*.py") if "\nVERSION =" in f.read_text()}
    # greedy is held to the libraries bit by bit; hold and flow are ours
    assert methods == {*SOURCES, "greedy", "hold", "flow"}
