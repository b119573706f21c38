"""What an edit has made again: plans and runs on a simulated machine, in one invocation each.

tests/test_workflow.py holds the same for edits of the configuration, with the real models.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from night import ROOT, Night

from kit.core.files import sha256

pytestmark = pytest.mark.workflow
VIDEOS = 2
MODELS = {  # names of tensors by which a run knows what it is given
    "detector": ("vision_encoder.backbone.layers.0.a", "detr_decoder.b"),
    "embedder": ("embeddings.register_tokens", "model.layer.0.attention.c"),
    "tracker": ("vision_encoder.backbone.layers.0.a", "memory_encoder.d"),
}


def configured(values: dict[str, Any]) -> None:
    """Models of their own for detector, embedder and tracker, from local folders."""
    for name in ("detector", "embedder", "tracker"):
        values["models"][name] = {"source": f"weights/{name}", "revision": None}
    values["detectors"]["exemplar"]["model"] = "detector"
    values["embedders"]["colour"]["model"] = "embedder"
    values["trackers"]["sam3"]["model"] = "tracker"
    values["recipes"] = {
        "reprompted": {"detector": "exemplar", "embedder": "colour", "selector": "top",
                       "propagator": "sam3"},
    }  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Night:
    night = Night.new(tmp_path_factory.mktemp("caching") / "night", VIDEOS)
    shutil.copytree(ROOT / "kit", night.folder / "code" / "kit", ignore=BYTECODE)
    (night.folder / "code" / "config").mkdir()
    shutil.copy(ROOT / "config" / "schema.yaml", night.folder / "code" / "config")
    for name, tensors in MODELS.items():
        folder = night.folder / "weights" / name
        folder.mkdir(parents=True)
        head = {"__metadata__": {"told": f"weights of the {name}"}}
        head |= {t: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for t in tensors}
        body = json.dumps(head).encode().ljust(512) + bytes(4)
        (folder / "model.safetensors").write_bytes((512).to_bytes(8, "little") + body)
    night.configure(configured)
    images = night.folder / "data" / "JPEGImages" / "v1"
    shutil.copy(images / "00004.jpg", images / "00005.jpg")
    run = night.run("--verbose", cores=1)
    assert run.status == 0, run.text
    assert run.text.count("Ready jobs:") <= len(run.jobs) + 1  # one look for ready jobs a job
    for rule in ("frames", "candidates", "masks"):  # the longest first: it must not be left alone
        assert [words.split()[0] for name, words in run.jobs if name == rule] == ["v1", "v0"]
    assert night.settled()
    return night


BYTECODE = shutil.ignore_patterns("__pycache__")


@pytest.fixture
def night(finished: Night, tmp_path: Path) -> Night:
    return Night(Path(shutil.copytree(finished.folder, tmp_path / "night")))


def bump(method: str) -> Callable[[Night], None]:
    """The next `VERSION` of a method or stage."""

    def edit(night: Night) -> None:
        file = night.folder / "code" / "kit" / f"{method}.py"
        text, count = re.subn(
            r"^VERSION = (\d+)$",
            lambda m: f"VERSION = {int(m[1]) + 1}",
            file.read_text(),
            flags=re.M,
        )
        assert count == 1
        file.write_text(text)

    return edit


def revise(model: str) -> Callable[[Night], None]:
    return lambda night: night.configure(lambda v: v["models"][model].update(revision="abc"))


def exchange(model: str) -> Callable[[Night], None]:
    """Other weights under the same path, of the same size."""

    def edit(night: Night) -> None:
        file = night.folder / "weights" / model / "model.safetensors"
        file.write_text(file.read_text().replace("weights", "Weights"))

    return edit


def touch(night: Night) -> None:
    for file in night.folder.rglob("*.safetensors"):
        file.touch()


CANDIDATES = {"candidates": VIDEOS, "features": VIDEOS, "manifest": 1, "anchors": 1}
FEATURES = {"features": VIDEOS, "manifest": 1, "anchors": 1}
MASKS = {"masks": VIDEOS, "submission": 1, "report": 1}
EDITS: list[tuple[str, Callable[[Night], None], dict[str, int]]] = [
    ("stage's version", bump("stages/features"), FEATURES),
    ("selector's version", bump("selectors/top_k"), {"anchors": 1}),
    ("tracker's version", bump("trackers/sam3"), MASKS),
    ("version of another method", bump("propagators/memory_tree"), {}),
    ("detector's weights", exchange("detector"), CANDIDATES),
    ("tracker's weights", exchange("tracker"), MASKS),
    ("weights touched", touch, {}),
    ("embedder's revision", revise("embedder"), FEATURES),
]


@pytest.mark.parametrize(("edit", "expected"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_what_an_edit_plans(
    edit: Callable[[Night], None], expected: dict[str, int], night: Night
) -> None:
    """That stage and what follows; behind a choice of anchors its outcome decides."""
    edit(night)
    told = night.run("--dry-run")
    assert told.status == 0, told.text
    jobs = Counter(re.findall(r"^Job \d+: (\w+)", told.text, re.M))
    del jobs["all"]
    if "anchors" in expected:
        for rule in ("masks", "submission", "report"):
            del jobs[rule]
    assert jobs == expected, told.text


def test_an_anchor_edited_by_hand_propagates_its_object_alone(night: Night) -> None:
    """The other object's track is that of the last result; the masks are those of a full run."""
    file = night.work / "anchors" / "exemplar.colour.top" / "v0.json"
    decision = json.loads(file.read_text())
    assert {anchor["object"] for anchor in decision["anchors"]} == {1, 2}
    decision["anchors"] = [a for a in decision["anchors"] if a["object"] == 1]
    file.write_text(json.dumps(decision))
    run = night.run()
    assert run.status == 0, run.text
    assert run.videos("masks") == {"v0"}
    path = "exemplar.colour.top.sam3"
    told = (night.work / "logs" / "masks" / path / "v0.log").read_text()
    assert told == "objects to propagate: [2]; kept from the last time: [1]\n"
    made = sha256(night.work / "masks" / path / "v0.zip")
    shutil.rmtree(night.work / "tracks")
    (night.work / "masks" / path / "v0.zip").unlink()
    assert night.run(f"work/clips/masks/{path}/v0.zip").status == 0
    assert sha256(night.work / "masks" / path / "v0.zip") == made


def test_another_method_that_decides_alike_propagates_nothing(night: Night) -> None:
    """New candidates and features, the same anchors: in one invocation, and it is settled then."""
    bump("detectors/exemplar_tokens")(night)
    run = night.run()
    assert run.status == 0, run.text
    assert run.rules == CANDIDATES
    assert night.run().jobs == []
