"""The configuration: what it refuses, in which words, and what each stage is handed."""

import copy
import dataclasses
import importlib
import json
import math
import re
from pathlib import Path
from typing import Any

import outsiders
import pytest
import yaml

from kit import config, declared, plugins, schema
from kit.cli import main
from kit.config import Config
from kit.core import limits, shipped, validation
from kit.core.errors import ConfigError
from kit.labelling import emission, fallback

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


def test_policies_yaml_tells_every_key_with_its_default() -> None:
    text = (FOLDER / "policies.yaml").read_text()
    values = yaml.safe_load(re.sub(r"^    # (\w+: )", r"    \1", text, flags=re.MULTILINE))
    Config(values)
    told = set()
    for family in ("trackers", "propagators"):
        for preset in values[family].values():
            settings = plugins.configured(family, preset).config
            if len(preset) > 3:  # a short one beside the method's full one says nothing of defaults
                own = dataclasses.asdict(settings).keys()
                assert own <= preset.keys(), preset["method"]
                assert settings == type(settings)(), preset["method"]
                told.add(preset["method"])
    assert told, "no preset tells its keys"


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


def test_the_demo_runs_what_the_tiny_family_was_measured_with(demo: dict[str, Any]) -> None:
    """Its recipe of two passes, preset for preset, but for where the models are from."""
    measured = yaml.safe_load((FOLDER / "train_tiny.yaml").read_text())
    assert demo["recipes"]["two_pass"] == measured["recipes"]["two_pass"]
    for family, name in (
        ("detectors", "exemplar"), ("embedders", "dinov3"), ("selectors", "missing"),
        ("selectors", "checked"), ("propagators", "sam3_ways"),
    ):  # fmt: skip
        ours, theirs = (dict(values[family][name]) for values in (demo, measured))
        for preset in (ours, theirs):
            preset.pop("model", None)
        assert ours == theirs, name


def test_a_stage_reads_its_own_block_resolved(demo: dict[str, Any]) -> None:
    settings = json.loads(Config(demo).settings("propagators", "sam3"))
    assert settings == {
        "method": "greedy",
        "anchors": "past",
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


def several(demo: dict[str, Any]) -> dict[str, Any]:
    """The demo with a union of three sources, two of which share a vision pass."""
    demo["detectors"] |= {
        "mute": {"method": "exemplar_tokens", "model": "sam3", "text": False},
        "canvas": {"method": "canvas", "model": "sam3"},
        "all": {"method": "union", "of": ["exemplar", "canvas", "mute"], "nms_iou": 0.6},
    }
    return edited(demo, "recipes.reprompted.detector", "all")


def test_a_union_is_planned_by_vision_pass(demo: dict[str, Any]) -> None:
    values = several(demo)
    plan = Config(values)
    recipe = plan.recipes["reprompted"]
    assert recipe.is_union
    assert recipe.passes == ("exemplar+mute", "canvas")
    assert recipe.features == "all.dinov3"
    assert json.loads(plan.settings("detectors", "all")) == {"method": "union", "nms_iou": 0.6}
    both = json.loads(plan.pass_settings("exemplar+mute", "v"))
    assert [one["method"] for one in both] == ["exemplar_tokens"] * 2
    assert both[1]["model"] == {"source": "tiny"}
    assert "exemplar_tokens=" in plan.versions("detectors", "exemplar+mute")
    other = edited(values, "models.old", {"source": "tiny", "revision": "x"})
    other = edited(other, "detectors.mute.model", "old")
    assert Config(other).recipes["reprompted"].passes == ("exemplar", "canvas", "mute")


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (["exemplar", "canvass"], "no preset `canvass`"),
        (["all"], "`all` is itself made of others"),
        ([], "detectors.all.of"),
        (["exemplar", "exemplar"], "detectors.all.of"),
    ],
)
def test_unions_that_cannot_be(demo: dict[str, Any], of: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config(edited(several(demo), "detectors.all.of", of))


def passes(demo: dict[str, Any]) -> dict[str, Any]:
    """A second pass over the demo's recipe: verified anchors for its gaps, and a fallback."""
    demo = several(demo)
    demo["detectors"] |= {
        "again": {"method": "exemplar_tokens", "model": "sam3", "accepted": True},
        "both": {"method": "union", "of": ["canvas", "again"]},
    }
    demo["selectors"] |= {
        "gaps": {"method": "gaps"},
        "checked": {"method": "verified", "of": "gaps", "propagator": "sam2", "min_cycle": 0.4},
    }
    demo["fallbacks"] = {"safe": {"propagator": "sam3", "probes": 5, "silence": 0.6}}
    demo["recipes"]["second"] = {
        "after": "first_frame", "detector": "both", "embedder": "dinov3", "selector": "checked",
        "propagator": "sam3", "fallback": "safe",
    }  # fmt: skip
    return demo


def test_a_second_pass_carries_the_path_of_the_first(demo: dict[str, Any]) -> None:
    plan = Config(passes(demo))
    recipe = plan.recipes["second"]
    assert [recipe.source(one) for one in recipe.passes] == ["canvas", "again@first.sam3"]
    assert recipe.candidates == "both@first.sam3"
    assert recipe.features == "both.dinov3@first.sam3"
    assert [m.mining for m in recipe.minings] == [
        "both.dinov3.gaps@first.sam3", "both.dinov3.checked@first.sam3",
    ]  # fmt: skip
    assert recipe.cycles == "both.dinov3.gaps@first.sam3/sam2"
    assert recipe.track == recipe.emitted == "both.dinov3.checked.sam3@first.sam3"
    assert recipe.rivals == "both.dinov3.checked.sam3@first.sam3/sam3-5"
    assert recipe.path == "both.dinov3.checked.sam3.safe@first.sam3"
    # what is decided without a tracker is not told to it, and the other way round
    assert json.loads(plan.settings("selectors", "checked")) == {
        "method": "verified", "min_cycle": 0.4,
    }  # fmt: skip
    assert json.loads(plan.settings("fallbacks", "safe")) == {"probes": 5, "silence": 0.6}


def test_what_does_not_read_the_first_pass_is_shared(demo: dict[str, Any]) -> None:
    values = edited(passes(demo), "recipes.second.detector", "all")
    recipe = Config(values).recipes["second"]
    assert recipe.candidates == Config(values).recipes["reprompted"].candidates == "all"
    assert recipe.features == "all.dinov3"
    assert recipe.mining == "all.dinov3.checked@first.sam3"
    third = {"after": "second", "selector": "first", "propagator": "sam2"}
    recipe = Config(edited(values, "recipes.third", third)).recipes["third"]
    assert recipe.path == "first.sam2@all.dinov3.checked.sam3.safe@first.sam3"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("recipes.second.after", "frist_frame", "Did you mean `first_frame`?"),
        ("recipes.second.after", "second", "recipes wait for each other: second -> second"),
        ("recipes.first_frame.after", "second", "wait for each other: first_frame -> second"),
        ("recipes.second.after", ..., "recipes.second: .* say from which recipe with `after`"),
        ("recipes.first_frame.fallback", "safe", "recipes.first_frame: .* with `after`"),
        ("recipes.reprompted.detector", "again", "recipes.reprompted: .* with `after`"),
        ("recipes.reprompted.selector", "gaps", "recipes.reprompted: .* with `after`"),
        ("recipes.reprompted.selector", "checked", "recipes.reprompted: .* with `after`"),
        ("selectors.checked.of", "gap", "no preset `gap` under `selectors`.*Did you mean `gaps`"),
        ("selectors.checked.of", "checked", "`checked` is itself made of others"),
        ("selectors.checked.of", ..., "selectors.checked: the key `of` is missing"),
        ("selectors.checked.propagator", "sam4", "no preset `sam4` under `propagators`"),
        ("fallbacks.safe.propagator", "sam4", "no preset `sam4` under `propagators`"),
        ("fallbacks.safe.silence", 2, "fallbacks.safe.silence"),
    ],
)
def test_second_passes_that_cannot_be(
    demo: dict[str, Any], path: str, value: object, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        Config(edited(passes(demo), path, value))


def named(demo: dict[str, Any], concepts: object) -> dict[str, Any]:
    demo["detectors"]["named"] = {"method": "concept", "model": "sam3", "concepts": concepts}
    return edited(demo, "recipes.reprompted.detector", "named")


@pytest.mark.parametrize("as_file", [False, True])
def test_a_stage_is_told_the_phrases_of_its_video(
    demo: dict[str, Any], as_file: bool, tmp_path: Path
) -> None:
    concepts: Any = {"v": {1: "red umbrella", 2: "dog"}, "w": {1: "cat"}}
    if as_file:
        (tmp_path / "concepts.json").write_text(json.dumps(concepts))
        concepts = str(tmp_path / "concepts.json")
    plan = Config(named(demo, concepts))
    told = [json.loads(plan.pass_settings("named", v))["concepts"] for v in ("v", "w", "x")]
    assert told == [{"1": "red umbrella", "2": "dog"}, {"1": "cat"}, {}]


@pytest.mark.parametrize(
    ("concepts", "words"),
    [
        ("nowhere.json", "nowhere.json: no such file of concepts"),
        ({"v": "dog"}, "v: expected object id to phrase"),
        ({"v": {1: 7}}, "v: expected object id to phrase"),
    ],
)
def test_concepts_that_are_none(demo: dict[str, Any], concepts: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Config(named(demo, concepts)).pass_settings("named", "v")


@pytest.mark.parametrize(("text", "words"), [("[", "not valid JSON"), ("[1]", "expected video to")])
def test_files_of_concepts_that_are_none(
    demo: dict[str, Any], text: str, words: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{len(text)}.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        Config(named(demo, str(file)))


def methods() -> list[tuple[str, str]]:
    return [(family, name) for family in plugins.FAMILIES for name in plugins.names(family)]


def test_there_are_methods_in_every_family() -> None:
    assert {family for family, _ in methods()} == set(plugins.FAMILIES)


def test_the_schema_says_what_methods_take() -> None:
    """A setting is written once, in its method's file; the schema's part on it is made."""
    _, _, stands = shipped.SCHEMA.read_text().partition(schema.MARK)
    command = "python -m kit schema --write config/schema.yaml"
    assert stands == schema.made(), f"config/schema.yaml is behind the methods. Run: {command}"


@pytest.mark.parametrize(("family", "method"), methods())
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_settings_are_read_from_the_source_as_python_reads_them(family: str, method: str) -> None:
    config = plugins.load(family, method).Config
    assert declared.settings(f"kit.{family}.{method}") == limits.settings_of(config)


def test_the_command_that_makes_the_schema(tmp_path: Path) -> None:
    file = tmp_path / "schema.yaml"
    by_hand, mark, _ = shipped.SCHEMA.read_text().partition(schema.MARK)
    file.write_text(f"{by_hand}{mark}  selector: {{}}\n")
    assert main(["schema", "--write", str(file)]) == 0
    assert file.read_text() == shipped.SCHEMA.read_text()
    file.write_text("a: 1\n")
    assert main(["schema", "--write", str(file)]) == 2


OTHERS = {
    **schema.BLOCKS,
    **{f"{objective}_phase": f"kit.training.{objective}" for objective in schema.PHASES},
}


@pytest.mark.parametrize("block", OTHERS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_blocks_of_drawing_and_training_are_read_as_python_reads_them(block: str) -> None:
    """Dataclasses within dataclasses too."""
    config = importlib.import_module(OTHERS[block]).Config
    read = limits.object_schema(declared.settings(OTHERS[block]))
    assert read == limits.object_schema(limits.settings_of(config))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("optimiser.lr", 0, "optimiser.lr: 0 is not allowed; it must be more than 0"),
        ("run.save_evry", 9, "run: unknown key `save_evry`. Did you mean `save_every`?"),
        ("phases", [{"steps": 1, "clips": {}}], "phases.0: unknown key `clips`. Did you mean `c"),
        ("phases", [{"steps": 1, "clip": {"frames": "8"}}], "phases.0.clip.frames: '8' is not"),
        ("phases", [{"steps": 0}], "phases.0.steps: 0 is not allowed; it must be at least 1"),
        ("data", [{"draw": {"speed": -1}}], "data.0.draw.speed: -1 is not allowed"),
        ("data", [{"root": "x", "augment": {"crop": 2}}], "augment.crop: 2 is not allowed"),
        ("data", [{"photos": "x", "collage": {"lens": {"fan": 1}}}], "Did you mean `pan`?"),
    ],
)
def test_a_training_is_checked_before_anything_starts(path: str, value: object, words: str) -> None:
    values = yaml.safe_load((FOLDER / "finetune_mosev2.yaml").read_text())
    (name,) = values["trainings"]
    where = f"trainings.{name}"
    values["trainings"][name] |= {"optimiser": {}, "run": {}}
    with pytest.raises(ConfigError) as refusal:
        Config(edited(values, f"{where}.{path}", value))
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(where)


# What a method may not be told: preset in a configuration, key, value, and the words for it.
WRONG: list[tuple[str, str, object, str]] = [
    ("selectors.top3", "top_k", -5, "-5 is not allowed; it must be at least 0."),
    ("selectors.top3", "top_k", 101, "101 is not allowed; it must be at most 100."),
    ("selectors.top3", "top_k", "3", "'3' is not allowed; it must be of type integer."),
    ("selectors.top3", "top_k", True, "True is not allowed; it must be of type integer."),
    ("selectors.top3", "top_k", 3.0, "3.0 is not allowed; it must be of type integer."),
    ("selectors.top3", "min_score", 7, "7 is not allowed; it must be at most 1."),
    ("selectors.top3", "min_score", math.nan, "nan is not allowed; it must be of type number."),
    ("selectors.top3", "topk", 3, "unknown key `topk`. Did you mean `top_k`? Known:"),
    ("selectors.missing", "max_ratio", 0, "0 is not allowed; it must be more than 0."),
    ("selectors.checked", "min_absence", 0, "0 is not allowed; it must be at least 1."),
    ("detectors.exemplar", "max_per_frame", 0, "0 is not allowed; it must be at least 1."),
    ("detectors.exemplar", "text", "no", "'no' is not allowed; it must be of type boolean."),
    ("embedders.dinov3", "size", 100, "100 is not allowed; it must be a multiple of 16."),
    ("embedders.dinov3", "pooling", "max", "'max' is not allowed; choose one of masked_mean, cls"),
    ("embedders.dinov3", "angles", 30, "30 is not allowed; it must be of type array."),
    ("embedders.dinov3", "angles", [900], "900 is not allowed; it must be at most 359."),
    ("trackers.sam3", "rows", 0, "0 is not allowed; it must be at least 1."),
    ("propagators.sam3", "direction", "up", "'up' is not allowed; choose one of forward, back"),
    ("propagators.sam3", "min_effective_iou", 2, "2 is not allowed; it must be at most 1."),
    ("emissions.nearest", "overlap", "last", "'last' is not allowed; choose one of logits, small"),
    ("emissions.nearest", "presence", -1, "-1 is not allowed; it must be at least 0."),
    ("emissions.nearest", "presense", 1, "unknown key `presense`. Did you mean `presence`?"),
    ("fallbacks.safe", "silence", 2, "2 is not allowed; it must be at most 1."),
    ("fallbacks.safe", "probes", 0, "0 is not allowed; it must be at least 1."),
    ("fallbacks.safe", "silense", 1, "unknown key `silense`. Did you mean `silence`?"),
]


@pytest.mark.parametrize(("preset", "key", "value", "words"), WRONG)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_by_hand_and_in_a_configuration_the_same_is_refused(
    demo: dict[str, Any], preset: str, key: str, value: object, words: str
) -> None:
    """The same sentence, after a path that says where it stands."""
    demo["fallbacks"] = {"safe": {"propagator": "sam3"}}
    with pytest.raises(ConfigError) as refusal:
        Config(edited(demo, f"{preset}.{key}", value))
    assert any(words in line for line in str(refusal.value).splitlines())
    assert str(refusal.value).startswith(preset)
    family, name = preset.split(".")
    with pytest.raises(ConfigError) as refusal:
        by_hand(family, {"method": demo[family][name].get("method"), key: value})
    assert any(words in line for line in str(refusal.value).splitlines())


def by_hand(family: str, values: dict[str, Any]) -> None:
    """What a stage does with its settings."""
    singles = {"emissions": emission.Config, "fallbacks": fallback.Config}
    if family in singles:
        del values["method"]
        validation.parse(singles[family], values, family)
    else:
        plugins.configured(family, values)


def test_what_must_be_given_is_asked_for() -> None:
    with pytest.raises(ConfigError, match=r"detectors\.concept: the key `concepts` is missing"):
        plugins.configured("detectors", {"method": "concept"})


def test_methods_of_other_packages_are_checked_alike(demo: dict[str, Any], outside: Path) -> None:
    """Nothing of them is imported for that: the package would raise an error."""
    outsiders.install(outside)
    demo["selectors"]["top3"] = {"method": "loudest", "most": 2}
    plan = Config(demo)
    assert json.loads(plan.settings("selectors", "top3")) == {"method": "loudest", "most": 2}
    assert plan.versions("selectors", "top3") == "loudest=7"
    for key, value, words in (
        ("mots", 2, "selectors.top3: unknown key `mots`. Did you mean `most`?"),
        ("most", 0, "selectors.top3.most: 0 is not allowed; it must be at least 1"),
        ("least", 2, "selectors.top3.least: 2 is not allowed; it must be at most 1"),
    ):
        with pytest.raises(ConfigError, match=re.escape(words)):
            Config(edited(demo, f"selectors.top3.{key}", value))


def test_a_type_that_cannot_be_read_without_running_the_file(outside: Path) -> None:
    unread = outsiders.MODULE.replace("least: Share", "least: numpy.float32")
    outsiders.install(outside, module=unread)
    with pytest.raises(ConfigError, match=r"loudest\.py: the type `numpy\.float32` of a setting"):
        declared.settings("their_team.loudest")
