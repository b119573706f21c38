"""The plan as a table: what is made of what, what waits for what, and under which name."""

import difflib
from pathlib import Path
from typing import Any

import pytest
import yaml
from dump_plan import CONFIGS, ROOT, lines

from kit import layers
from kit.config import Config, load
from kit.layers import LAYERS, Part, gates, needs, part
from kit.plan import Plan, version_of

FIRST = "exemplar.dinov3.top3"
CHOSEN = f"both.dinov3.checked@{FIRST}.sam3"


def two_passes(**data: Any) -> Plan:
    """The demo's recipe, and one that goes on from it, verifies and falls back."""
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    values["data"] = data or {"draw": {"videos": 2}}
    values["detectors"] |= {
        "again": {"method": "exemplar_tokens", "model": "sam3", "accepted": True},
        "both": {"method": "union", "of": ["exemplar", "again"]},
    }
    values["selectors"] |= {
        "gaps": {"method": "gaps"},
        "checked": {"method": "verified", "of": "gaps", "propagator": "sam3"},
    }
    values["emissions"] = {"near": {"overlap": "nearest"}}
    values["fallbacks"] = {"safe": {"propagator": "sam3", "probes": 1}}
    values["recipes"] = {
        "one": {"detector": "exemplar", "embedder": "dinov3", "selector": "top3",
                "propagator": "sam3"},
        "two": {"after": "one", "detector": "both", "embedder": "dinov3", "selector": "checked",
                "propagator": "sam3", "emission": "near", "fallback": "safe"},
    }  # fmt: skip
    return Plan(Config(values))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return two_passes()


def rests_on(of: Part) -> set[str]:
    """Minings whose decisions a part is made from, however far below; told without `gates`."""
    found: set[str] = set()
    for _, below in needs(of):
        found |= {below.key} if below.layer.name == "anchors" else set()
        found |= rests_on(below)
    return found


def test_whatever_rests_on_a_decision_waits_for_it(plan: Plan) -> None:
    """Each part waits for the decisions behind it, but proposals stand behind those they lead to.

    A gate that is missing makes a whole split run again; none can be forgotten, they are derived.
    """
    for parts in plan.parts.values():
        for one in parts.values():
            if one.layer.name == "anchors":  # made with the manifest as only input
                continue
            awaited = {recipe.mining for recipe in gates(one)}
            behind = {m for m in rests_on(one) if m not in awaited}
            assert awaited <= rests_on(one)
            assert all(m.startswith("both.dinov3.gaps") and CHOSEN in awaited for m in behind), one


def test_earlier_decisions_are_awaited_first(plan: Plan) -> None:
    masks = part("scores", plan.recipes["two"])
    assert [recipe.mining for recipe in gates(masks)] == [FIRST, CHOSEN]
    manifest = part("manifest", plan.recipes["two"])
    assert [recipe.mining for recipe in gates(manifest)] == [
        FIRST,
        f"both.dinov3.gaps@{FIRST}.sam3",
    ]


def test_recipes_share_what_they_have_in_common(plan: Plan) -> None:
    assert set(plan.parts["candidates"]) == {"exemplar", f"again@{FIRST}.sam3"}
    assert set(plan.parts["union"]) == {f"both@{FIRST}.sam3"}
    assert len(plan.parts["frames"]) == 1


def test_inputs_are_files_of_the_same_video(plan: Plan) -> None:
    found = plan.inputs(part("fallback", plan.recipes["two"]), "drawn_001")
    work, second = "work/demo", f"both.dinov3.checked.sam3.near@{FIRST}.sam3"
    assert found == {
        "frames": f"{work}/frames/drawn_001.json",
        "masks": [f"{work}/masks/{FIRST}.sam3/drawn_001.zip",
                  f"{work}/masks/{second}/drawn_001.zip"],
        "cycles": f"{work}/rivals/{second}/sam3-1/drawn_001.json",
        "decided": [f"{work}/anchors/{FIRST}/drawn_001.json",
                    f"{work}/anchors/{CHOSEN}/drawn_001.json"],
        "models": [],
    }  # fmt: skip


def test_a_file_tells_whose_it_is(plan: Plan) -> None:
    for parts in plan.parts.values():
        for one in parts.values():
            if not one.layer.whole:
                (file,) = plan.files(one, ["drawn_001"])
                assert plan.find(one.layer.name, file) == {"key": one.key, "video": "drawn_001"}
    assert plan.find("masks", f"work/demo/masks/{FIRST}.sam3/drawn_002.zip") is None
    assert plan.find("masks", "work/demo/masks/other/drawn_001.zip") is None
    assert plan.find("frames", f"work/demo/masks/{FIRST}.sam3/drawn_001.zip") is None
    assert plan.place("results") is plan.place("no layer") is None


def test_what_sums_up_reads_all_videos(plan: Plan) -> None:
    found = plan.inputs(part("results", plan.recipes["one"]))
    assert found["scores"] == [
        f"work/demo/scores/{FIRST}.sam3/drawn_{i:03d}.json" for i in range(2)
    ]
    assert "decided" not in found


def test_a_run_asks_for_every_layer_but_means_to_an_end(plan: Plan) -> None:
    asked = {one.layer.name for one in plan.targets()}
    assert set(LAYERS) - asked == {"manifest", "meta", "submission"}


def test_without_ground_truth_nothing_is_scored(tmp_path: Path) -> None:
    (tmp_path / "JPEGImages" / "v").mkdir(parents=True)
    plan = two_passes(root=str(tmp_path))
    assert plan.videos == ["v"]
    assert not any(plan.parts[name] for name in ("scores", "results", "audits"))


def test_versions_name_the_code_behind_a_part(plan: Plan) -> None:
    words = plan.version(part("rivals", plan.recipes["two"])).split()
    assert [word.split("=")[0] for word in words] == ["verify", "greedy", "sam3", "weights"]
    assert version_of("draw", ("data", "synthetic")).split("=")[0] == "draw"


def test_one_place_knows_where_files_lie() -> None:
    assert layers.file("w", "verify", "a/b", "v") == "w/cycles/a/b/v.json"
    assert layers.file("w", "meta", "") == "w/meta.json"
    assert layers.file("w", "results", "r") == "w/results/r/results.json"


def test_every_layer_is_a_rule() -> None:
    text = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    for name in LAYERS:
        assert f"rule {name}:" in text or f"checkpoint {name}:" in text, name


@pytest.mark.workflow
def test_params_and_commands_are_those_of_the_last_release() -> None:
    """Byte for byte, or all of a user's split is made again: see `dump_plan`."""
    wanted = (ROOT / "tests" / "plan.txt").read_text().splitlines()
    changed = [*difflib.unified_diff(wanted, list(lines()), "tests/plan.txt", "now", n=1)]
    assert not changed, "\n".join(
        ["Jobs would run again. If that is meant, say why in CHANGELOG.md and run",
         "`python tests/dump_plan.py > tests/plan.txt`.", *changed[:60]]
    )  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda file: file.stem)
def test_every_part_of_the_shipped_configurations_has_a_version(config: Path) -> None:
    loaded = load(config)
    ends = [part("submission", recipe) for recipe in loaded.recipes.values()]
    for parts in layers.closure(ends).values():
        for one in parts.values():
            assert version_of(one.layer.stage or one.layer.name)
            if one.preset:
                assert loaded.settings(one.preset[0], one.preset[1].split("+")[0])
