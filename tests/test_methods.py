"""Methods: what ours declare, and that one in another package is as good as ours."""

import dataclasses
import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy
import outsiders
import pytest
from clips import Work
from night import Night
from numpy.typing import NDArray

from kit import declared, methods, plugins
from kit.cli import main
from kit.core import artifacts, types
from kit.core.errors import ConfigError
from kit.core.files import sha256
from kit.detectors.base import Search
from kit.detectors.prompting import Asked, Views
from kit.embedders.crops import Crop
from kit.trackers.base import Tracker

OURS = [(family, name) for family in plugins.FAMILIES for name in plugins.names(family)]
KINDS: dict[str, type] = {
    "detectors": methods.Detector,
    "embedders": methods.Embedder,
    "selectors": methods.Selector,
    "trackers": methods.TrackerLibrary,
    "propagators": methods.Propagator,
}
TYPES = vars(types) | {c.__name__: c for c in (Search, Asked, Views, Crop, Tracker)}
TYPES |= {"np": numpy, "NDArray": NDArray}


def functions(family: str, name: str) -> list[Callable[..., Any]]:
    """Those that the type of a method's family declares."""
    kind = KINDS[family]
    if plugins.flag(family, {"method": name}, "MERGES"):
        kind = methods.Merger
    found = list(methods.FUNCTIONS[kind])
    if plugins.flag(family, {"method": name}, "SHARES_PASS"):
        found.append(methods.Detector.asked)
    return found


@pytest.mark.parametrize(("family", "name"), OURS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_our_methods_are_what_their_family_says(family: str, name: str) -> None:
    """The same parameters of the same types, and `config`, of the module's own `Config`."""
    module = plugins.load(family, name)
    for like in functions(family, name):
        own = getattr(module, like.__name__)
        wanted, found = get_type_hints(like, localns=TYPES), get_type_hints(own)
        assert found.pop("config") is module.Config
        if family == "propagators":  # each says which of the two it is handed
            needed = "tracker" in plugins.needs(family, name)
            wanted["tracker"] = Tracker if needed else type(None)
        returned, meant = found.pop("return"), wanted.pop("return")
        assert found == wanted, like.__name__
        assert covers(meant, returned), (like.__name__, returned)
        assert set(inspect.signature(own).parameters) == {*wanted, "config"}


def covers(meant: Any, returned: Any) -> bool:
    """Whether a return type is the one that was meant, or one that promises more."""
    if meant is Tracker:
        verbs = ("encode", "condition", "decode", "remember")
        return all(hasattr(returned, verb) for verb in verbs)
    outer, inner = (get_origin(t) or t for t in (meant, returned))
    return get_args(meant) == get_args(returned) and issubclass(inner, outer)


@pytest.mark.parametrize(("family", "name"), OURS)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_flags_name_what_the_config_has(family: str, name: str) -> None:
    module = f"kit.{family}.{name}"
    config = plugins.load(family, name).Config
    for flag, usual in methods.FLAGS.items():
        said = declared.constant(module, flag, usual)
        assert isinstance(said, bool) or hasattr(config, said), flag
    known = {field.name for field in dataclasses.fields(config)}
    assert set(declared.constant(module, "NEEDS", ())) <= {*methods.NAMED, *known}


@pytest.mark.parametrize(
    ("settings", "flag", "value"),
    [
        ({"method": "exemplar_tokens"}, "READS_FIRST", False),
        ({"method": "exemplar_tokens", "accepted": True}, "READS_FIRST", True),
        ({"method": "tracker_hypotheses"}, "READS_FIRST", True),
        ({"method": "canvas"}, "SHARES_PASS", False),
        ({"method": "concept"}, "SHARES_PASS", True),
        ({"method": "union"}, "MERGES", True),
    ],
)
def test_flags_are_known_before_anything_is_imported(
    settings: dict[str, Any], flag: str, value: bool
) -> None:
    assert plugins.flag("detectors", settings, flag) is value


def test_flags_that_settings_decide() -> None:
    assert not plugins.tracker({"method": "sam3"}).objects_interact
    assert plugins.tracker({"method": "sam3", "rows": 8}).objects_interact
    assert plugins.propagator({"method": "greedy"}).runs_forward
    assert not plugins.propagator({"method": "greedy", "direction": "both"}).runs_forward
    assert plugins.propagator({"method": "samurai"}).runs_forward


def test_detectors_that_merge_and_those_that_search() -> None:
    with pytest.raises(ConfigError, match="`union` searches nothing"):
        plugins.detector({"method": "union"})
    with pytest.raises(ConfigError, match="`canvas` merges nothing"):
        plugins.merger({"method": "canvas"})


def test_a_method_of_another_package_chooses_anchors(outside: Path, tmp_path: Path) -> None:
    """One file and one line of its package's metadata; its settings are checked as ours are."""
    work = Work(tmp_path / "work")
    outsiders.usable(outsiders.install(outside))
    command = work.command("anchors")
    at = command.index("--settings") + 1
    command[at] = json.dumps({"method": "loudest", "most": 2})
    assert main(command) == 0
    found = artifacts.read_anchors(work.anchors, work.video, {"video": work.video.digest})
    assert [a.reason for a in found.anchors] == ["loud"] * 4
    command[at] = json.dumps({"method": "loudest", "mots": 2})
    assert main(command) == 2


class Outfitted(Night):
    """A project folder on a machine where another package is installed."""

    @property
    def environment(self) -> dict[str, str]:
        usual = super().environment
        return {**usual, "PYTHONPATH": f"{usual['PYTHONPATH']}:{self.folder / 'site'}"}


@pytest.mark.workflow
def test_a_method_of_another_package_in_a_run(tmp_path: Path) -> None:
    """Its settings and its version decide, as ours do, what is made again."""
    night = Outfitted.new(tmp_path / "night", videos=1)
    file = outsiders.install(night.folder / "site")
    outsiders.usable(file)

    def loudest(values: dict[str, Any]) -> None:
        values["selectors"]["loud"] = {"method": "loudest", "most": 1}
        values["recipes"] = {
            "loud": {"detector": "exemplar", "embedder": "colour", "selector": "loud",
                     "propagator": "sam3"},
        }  # fmt: skip

    night.configure(loudest)
    first = night.run()
    assert first.status == 0, first.text
    anchors = json.loads((night.work / "anchors" / "exemplar.colour.loud" / "v0.json").read_text())
    assert {anchor["reason"] for anchor in anchors["anchors"]} == {"loud"}
    file.write_text(outsiders.MODULE.replace("VERSION = 7", "VERSION = 8"))
    again = night.run()
    assert again.rules["anchors"] == 1
    assert again.rules["candidates"] == 0
    night.configure(lambda values: values["selectors"]["loud"].update(most=99))
    refused = night.run()
    assert "selectors.loud.most: 99 is not allowed; it must be at most 9." in refused.text


def test_weights_of_a_kind_of_their_own(outside: Path, tmp_path: Path) -> None:
    """An embedder in another package loads what its `load` makes of the model's settings."""
    file = outsiders.install(outside, outsiders.COLOUR, family="embedders", name="colour")
    outsiders.usable(file)
    work = Work(tmp_path / "work")
    command = work.command("features")
    at = command.index("--settings") + 1
    command[at] = json.dumps({"method": "colour", "model": {"source": "0.5"}})
    assert main(command) == 0
    candidates = artifacts.read_candidates(work.candidates, work.video)
    made_of = {"video": work.video.digest, "candidates": sha256(work.candidates)}
    found = artifacts.read_features(work.features, made_of, work.video, len(candidates))
    assert found.candidates.shape == (len(candidates), 3)
    grey = 3**-0.5  # equal weights make all colours that
    assert numpy.allclose(found.candidates, grey, atol=1e-3)


def test_what_is_planned_with_imports_no_method(outside: Path) -> None:
    file = outsiders.install(outside)
    assert plugins.version("selectors", "loudest") == 7
    assert plugins.identity("selectors", {"method": "loudest"}) == "loudest=7"
    assert not plugins.flag("selectors", {"method": "loudest"}, "READS_FIRST")
    assert not file.with_name("imported").exists()
    with pytest.raises(ConfigError, match="Did you mean `loudest`"):
        plugins.version("selectors", "loudset")


def test_packages_are_searched_for_other_names_alone() -> None:
    """Looking through all that is installed takes longer than planning with our own methods."""
    program = (
        "import sys\n"
        "from kit import plugins\n"
        "assert plugins.version('selectors', 'top_k') and plugins.version('trackers', 'sam3')\n"
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("VERSION = 7\n", ""), "lacks a line such as `VERSION = 1`"),
        (("VERSION = 7\n", "VERSION = int(7)\n"), "`VERSION` must be a literal"),
        (("def select", "def choose"), r"needs a function select\(video, evidence, config\)"),
        (("evidence: Evidence, ", ""), r"needs a function select\(video, evidence, config\)"),
        (("def select", "def select("), "not readable as Python"),
    ],
)
def test_methods_that_are_none(outside: Path, edit: tuple[str, str], words: str) -> None:
    outsiders.usable(outsiders.install(outside, module=outsiders.MODULE.replace(*edit)))
    with pytest.raises(ConfigError, match=words):
        assert plugins.version("selectors", "loudest")
        plugins.selector({"method": "loudest"})


def test_two_packages_with_one_name(outside: Path) -> None:
    outsiders.install(outside)
    outsiders.install(outside, by="rivals")
    with pytest.raises(
        ConfigError, match=r"two installed packages .*`loudest`: (their_team|rivals)\."
    ):
        plugins.version("selectors", "loudest")


def test_an_entry_that_leads_nowhere(outside: Path) -> None:
    outsiders.install(outside).unlink()
    with pytest.raises(ConfigError, match=r"no module `their_team\.loudest` is installed"):
        plugins.version("selectors", "loudest")
