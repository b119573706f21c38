"""The configuration: what it refuses, in which words, and what each stage is handed."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kit import config, plugins
from kit import config as config_file
from kit.config import Config
from kit.core.errors import ConfigError
from kit.data import synthetic
from kit.training import loop, optimiser

FOLDER = Path(__file__).parents[1] / "config"
SHIPPED = sorted(p.name for p in FOLDER.glob("*.yaml") if p.name != "schema.yaml")


@pytest.fixture
def demo() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((FOLDER / "config.yaml").read_text())
    return values


def edited(values: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy with one value set, or removed if it is `...`."""
    values = copy.deepcopy(values)
    *parents, last = path.split(".")
    block = values
    for key in parents:
        block = block[key]
    if value is ...:
        del block[last]
    else:
        block[last] = value
    return values


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configurations_are_valid(name: str) -> None:
    assert config.load(FOLDER / name).recipes


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        # a wrong key names the right one
        ("selectors.top3.topk", 3, ["selectors.top3", "`topk`", "Did you mean `top_k`?"]),
        ("recipe", {}, ["config", "`recipe`", "Did you mean `recipes`?"]),
        ("recipes.reprompted.embeder", "x", ["recipes.reprompted", "Did you mean `embedder`?"]),
        ("data.draw.video", 3, ["data.draw", "Did you mean `videos`?"]),
        # a wrong value names its path, itself, and what is allowed
        ("selectors.top3.top_k", "3", ["selectors.top3.top_k", "'3'", "integer"]),
        ("selectors.top3.top_k", -1, ["selectors.top3.top_k", "-1", "at least 0"]),
        ("selectors.top3.min_gap", 1.5, ["selectors.top3.min_gap", "1.5", "integer"]),
        ("detectors.exemplar.threshold", 2, ["detectors.exemplar.threshold", "2", "at most 1"]),
        ("embedders.dinov3.pooling", "max", ["pooling", "'max'", "masked_mean, cls"]),
        ("embedders.dinov3.size", 100, ["embedders.dinov3.size", "100", "16"]),
        ("split", "a/b", ["split", "'a/b'", "must match"]),
        # a missing key
        ("split", ..., ["`split` is missing"]),
        ("recipes.reprompted.selector", ..., ["recipes.reprompted", "`selector` is missing"]),
        ("recipes.reprompted.embedder", ..., ["recipes.reprompted", "`embedder` is missing"]),
        ("models.sam3.source", ..., ["models.sam3", "`source` is missing", "`trained` is missing"]),
        # names that lead nowhere
        ("recipes.reprompted.selector", "top4", ["selectors", "`top4`", "Did you mean `top3`?"]),
        ("models.sam3", {"trained": "mine"}, ["no training `mine`", "Known: none"]),
        ("detectors.exemplar.model", "sam33", ["models", "`sam33`", "Did you mean `sam3`?"]),
        ("propagators.sam3.tracker", "sam", ["trackers", "`sam`", "Known: sam2, sam3"]),
        ("selectors.top3.method", "top_kk", ["selectors", "`top_kk`", "Did you mean `top_k`?"]),
    ],
)
def test_refusals(demo: dict[str, Any], path: str, value: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        Config(edited(demo, path, value))
    for word in words:
        assert word in str(refusal.value)


def test_all_mistakes_are_told_at_once(demo: dict[str, Any]) -> None:
    wrong = edited(edited(demo, "selectors.top3.topk", 3), "data.draw.frames", 1)
    with pytest.raises(ConfigError) as refusal:
        Config(wrong)
    assert "topk" in str(refusal.value)
    assert "data.draw.frames" in str(refusal.value)


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2", "", "7"])
def test_what_is_no_configuration(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        config.load(file)
    with pytest.raises(ConfigError, match="no such"):
        config.load(tmp_path / "absent.yaml")


def test_a_stage_reads_its_own_block_resolved(demo: dict[str, Any]) -> None:
    settings = json.loads(Config(demo).settings("propagators", "sam3"))
    assert settings == {
        "method": "greedy",
        "tracker": {"method": "sam3", "model": {"source": "tiny"}},
    }


def test_order_and_strangers_change_nothing(demo: dict[str, Any]) -> None:
    """Snakemake compares this text: it must not move with what the stage does not read."""
    shuffled = {k: demo[k] for k in reversed(demo)}
    shuffled["selectors"] = {
        name: dict(reversed(block.items())) for name, block in demo["selectors"].items()
    }
    shuffled = edited(shuffled, "detectors.exemplar.threshold", 0.5)
    before, after = Config(demo), Config(shuffled)
    assert before.settings("selectors", "top3") == after.settings("selectors", "top3")
    assert before.settings("detectors", "exemplar") != after.settings("detectors", "exemplar")


def test_recipe_paths(demo: dict[str, Any]) -> None:
    recipes = Config(demo).recipes
    assert recipes["first_frame"].path == "first.sam3"
    assert recipes["reprompted"].mining == "exemplar.dinov3.top3"
    assert recipes["reprompted"].path == "exemplar.dinov3.top3.sam3"


def methods() -> list[tuple[str, str]]:
    return [(family, name) for family in plugins.FAMILIES for name in plugins.names(family)]


def test_there_are_methods_in_every_family() -> None:
    assert {family for family, _ in methods()} == set(plugins.FAMILIES)


@pytest.mark.parametrize(("family", "method"), methods())
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_schema_knows_the_keys_of_every_method(family: str, method: str) -> None:
    """A new setting is written twice, in its dataclass and in config/schema.yaml."""
    schema = yaml.safe_load(config.SCHEMA.read_text())["$defs"][family.removesuffix("s")]
    blocks = [
        rule["then"]["properties"]
        for rule in schema["allOf"]
        if rule["if"]["properties"]["method"]["const"] == method
    ]
    assert len(blocks) == 1, f"config/schema.yaml: {family}.{method} stands there {len(blocks)}x"
    fields = {field.name for field in dataclasses.fields(plugins.load(family, method).Config)}
    assert set(blocks[0]) - {"method", "model", "tracker"} == fields


@pytest.mark.parametrize(
    ("block", "config"),
    [
        ("drawing", synthetic.Config),
        ("training.properties.optimiser", optimiser.Config),
        ("training.properties.run", loop.Config),
    ],
)
def test_schema_knows_the_keys_of_drawing_and_training(block: str, config: type[Any]) -> None:
    found = yaml.safe_load(config_file.SCHEMA.read_text())["$defs"]
    for key in block.split("."):
        found = found[key]
    assert set(found["properties"]) == {field.name for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"topk": 3}, ["top_k: unknown key `topk`", "Did you mean `top_k`?"]),
        ({"top_k": "3"}, ["top_k.top_k: expected int, got '3'"]),
        ({"top_k": True}, ["expected int, got True"]),
        ({"min_score": "high"}, ["expected float"]),
    ],
)
def test_settings_given_by_hand_are_checked_too(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        plugins.configured("selectors", {"method": "top_k", **values})
    for word in words:
        assert word in str(refusal.value)
