"""The shape of the house: who may import whom, and what must stay light."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

from kit.cli import STAGES

KIT = Path(__file__).parents[1] / "kit"
# A package may import those to its right, and itself.
LAYERS = {
    "core": set(),
    "data": {"core"},
    "metrics": {"core"},
    "submission": {"core", "metrics", "data"},
    "report": {"core", "layers", "metrics", "data"},  # reads every layer of a run
    "selectors": {"core"},
    "labelling": {"core"},
    "runtime": {"core"},
    "detectors": {"core", "runtime", "trackers", "propagators"},
    "embedders": {"core"},
    "trackers": {"core", "runtime"},
    "propagators": {"core", "trackers"},
    "training": {
        "core", "data", "detectors", "embedders", "plugins", "propagators", "runtime", "trackers",
    },
    "declared": {"core"},
    "methods": {"core", "detectors", "embedders", "trackers"},  # for types alone
    "plugins": {"core", "declared", "methods"},
    "recipes": {"core", "declared", "plugins"},
    "schema": {"core", "declared", "methods", "plugins"},
    "concepts": {"core"},
    "config": {"core", "declared", "paths", "plugins", "recipes", "schema", "concepts"},
    "run": {"core", "config", "runtime"},
    "layers": {"recipes"},
    "snakemake_internals": {"config", "plan", "recipes"},
    "plan": {"core", "config", "data", "layers", "plugins", "recipes"},
    "stages": {
        "core", "layers", "data", "metrics", "submission", "report", "runtime", "plugins",
        "labelling", "methods", "detectors", "embedders", "trackers", "propagators", "training",
    },
    "status": {"config", "core", "layers", "plan"},
    "arguments": set(),
    "paths": {"core"},
    "trial": {"core", "config", "data", "labelling", "runtime", "stages", "trackers"},
    "cli": {
        "status",
        "arguments", "core", "stages", "submission", "metrics", "data", "runtime", "schema", "run",
    },
    "__main__": {"cli"},
}  # fmt: skip
FILES = sorted(KIT.rglob("*.py"))


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(KIT)))
def test_imports_point_down(file: Path) -> None:
    parts = file.relative_to(KIT).with_suffix("").parts
    if parts == ("__init__",):
        return
    allowed = LAYERS[parts[0]] | {parts[0]}
    for name in imports(file):
        own = parts[0] == "snakemake_internals"  # the one that knows it
        assert own or not name.startswith("snakemake"), f"{file}: {name}"
        if name.startswith("kit."):
            assert name.split(".")[1] in allowed, f"{file} imports {name}"


def module_of(name: str, modules: set[str]) -> str | None:
    """The module that an imported name is, or is defined in; None outside the kit."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def circle(imported: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, the first one again at the end; none: empty."""
    try:
        graphlib.TopologicalSorter(imported).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_circles() -> None:
    """Imports inside functions count too: they hide a circle and do not open it."""
    files = {".".join(f.relative_to(KIT.parent).with_suffix("").parts): f for f in FILES}
    modules = {name: file for name, file in files.items() if file.name != "__init__.py"}
    imported = {
        name: {m for i in imports(file) if (m := module_of(i, set(modules)))}
        for name, file in modules.items()
    }
    assert circle(imported) == []


def test_a_circle_is_seen() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}})
    assert not circle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(KIT)))
def test_files_and_functions_stay_small(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno
            assert length <= 60, f"{file}: {node.name} has {length} lines"


def test_planning_is_light() -> None:
    """What a rule file imports must not bring in what only jobs need."""
    program = (
        "import sys\n"
        "import kit.cli, kit.plugins, kit.config, kit.plan, kit.core.artifacts, kit.data.layout\n"
        "import kit.runtime.narrator, kit.runtime.client, kit.runtime.claim\n"
        "heavy = {'torch', 'cv2', 'transformers', 'sam2', 'pandas', 'numba'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_listing_of_stages_is_the_pipeline() -> None:
    """What is no stage has an underscore."""
    listed = {p.stem for p in (KIT / "stages").glob("*.py") if not p.name.startswith("_")}
    assert listed == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_explains_itself(stage: str) -> None:
    """The help of a stage needs no model library either."""
    program = (
        "import sys\n"
        "from kit.cli import main\n"
        f"sys.argv = ['kit', '{stage}', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    heavy = {'torch', 'transformers'} & set(sys.modules)\n"
        "    sys.exit(end.code or ', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--output" in done.stdout
