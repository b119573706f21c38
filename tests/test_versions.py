"""A method whose outputs changed has another `VERSION`: else workflows keep what the old one made.

Outputs of every method on a small made-up input (`method_outputs`) are recorded in
`method_outputs.json`, with the defaults of its settings, which no workflow sees either. Record them
again by `python tests/test_versions.py FAMILY.METHOD`.

The tolerances are three times what PyTorch's kernels differ by when `ATEN_CPU_CAPABILITY` is
default, avx2 and avx512 (AMD EPYC, torch 2.14, one thread): they add up in other orders, with and
without fused multiply-add, and a memory hands the difference on for 20 frames. Kernels for Arm
(NEON: four numbers at a time, fused) differ from these in the same two respects and in no other, so
that they belong between `default` (four at a time, not fused) and avx2 (eight, fused). A change of
a method is seen if it moves a number by more, as the next policy beside it does many times over.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from method_outputs import outputs

from kit import plugins
from kit.core.types import Selection

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
FILE = Path(__file__).with_name("method_outputs.json")
METHODS = [f"{family}.{name}" for family in plugins.FAMILIES for name in plugins.names(family)]
TOLERANCE = {"presence": 0.25, "logits": 0.025, "scores": 0.015}  # by first word
OTHERS = 0.006

Summary = Mapping[str, Any]


def summary(name: str) -> Summary:
    """What is recorded of a method."""
    family, _, method = name.partition(".")
    with torch.random.fork_rng(devices=[]):
        found = outputs(family, method)
    numbers = {key: [round(float(v), 4) for v in values] for key, values in found.items()}
    return {"VERSION": plugins.version(family, method), "defaults": defaults(name), **numbers}


def defaults(name: str) -> str:
    """Settings of a method that need not be given, and what they are then."""
    family, _, method = name.partition(".")
    said = []
    for field in dataclasses.fields(plugins.load(family, method).Config):
        if field.default is not dataclasses.MISSING:
            said.append(f"{field.name}={field.default!r}")
        elif field.default_factory is not dataclasses.MISSING:
            said.append(f"{field.name}={field.default_factory()!r}")
    return " ".join(said)


def changes(old: Summary, new: Summary) -> Iterator[str]:
    """What is not the same, in words; `VERSION` is not looked at."""
    for key in sorted({*old, *new} - {"VERSION"}):
        before, after = old.get(key), new.get(key)
        if key == "defaults" or before is None or after is None or len(before) != len(after):
            if before != after:
                yield f"{key}: {before} became {after}"
            continue
        least = TOLERANCE.get(key.split()[0], OTHERS)
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            if not abs(one - other) <= least:
                yield f"{key}[{place}]: {one} became {other} (tolerance {least})"


def complaint(name: str, old: Summary | None, new: Summary) -> str | None:
    """What is to be done before a method may stay as it is; None: nothing."""
    family, _, method = name.partition(".")
    command = f"python tests/test_versions.py {name}"
    if old is None:
        return f"{name} has no recorded outputs. Record them: {command}"
    if old["VERSION"] != new["VERSION"]:
        return (
            f"{name} is recorded for VERSION {old['VERSION']} and has {new['VERSION']} now. Say in "
            f"CHANGELOG.md, under Moves scores, what moves; then record it: {command}"
        )
    found = list(changes(old, new))
    if not found:
        return None
    return (
        f"{name} gives other outputs under the same VERSION: {'; '.join(found[:4])}. If that is "
        f"meant, raise VERSION in kit/{family}/{method}.py to {new['VERSION'] + 1}, or workflows "
        f"keep what the old one made; then record it: {command}"
    )


def recorded() -> dict[str, Summary]:
    return json.loads(FILE.read_text()) if FILE.is_file() else {}


@pytest.mark.parametrize("name", METHODS)
def test_outputs_are_those_of_the_version(name: str) -> None:
    torch.set_num_threads(1)
    assert complaint(name, recorded().get(name), summary(name)) is None


def test_what_is_recorded_exists() -> None:
    assert sorted(recorded()) == sorted(METHODS)


OLD: Summary = {"VERSION": 2, "defaults": "min_iou=0.5", "iou 1": [0.5, 0.7], "presence 1": [3.0]}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (OLD, {**OLD, "iou 1": [0.504, 0.7], "presence 1": [3.2]}, None),
        (OLD, {**OLD, "iou 1": [0.5, 0.71]}, "iou 1[1]: 0.7 became 0.71 (tolerance 0.006)"),
        (OLD, {**OLD, "iou 1": [0.5, float("nan")]}, "raise VERSION in kit/trackers/sam3.py to 3"),
        (OLD, {**OLD, "iou 1": [0.5]}, "iou 1: [0.5, 0.7] became [0.5]"),
        (OLD, {**OLD, "defaults": "min_iou=0.6"}, "min_iou=0.5 became min_iou=0.6"),
        (OLD, {**OLD, "VERSION": 3, "iou 1": [0.1, 0.1]}, "recorded for VERSION 2 and has 3"),
        (None, OLD, "python tests/test_versions.py trackers.sam3"),
    ],
)
def test_what_is_said_of_a_change(old: Summary | None, new: Summary, words: str | None) -> None:
    told = complaint("trackers.sam3", old, new)
    assert told is None if words is None else words in str(told)


def test_a_method_that_changed_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that takes another one's place, and a selector that chooses nothing any more."""
    from kit.propagators import greedy, rcms
    from kit.selectors import top_k

    before = recorded()
    monkeypatch.setattr(
        rcms, "propagate", lambda t, f, p, config: greedy.propagate(t, f, p, greedy.Config())
    )
    monkeypatch.setattr(top_k, "spread", lambda *given: Selection([], []))
    for name in ("propagators.rcms", "selectors.top_k"):
        told = str(complaint(name, before[name], summary(name)))
        assert f"raise VERSION in kit/{name.replace('.', '/')}.py to" in told


# --- recording ----------------------------------------------------------------------------------


def record(names: list[str], anyway: bool) -> int:
    """Write the outputs of these methods; 2 where one changed under the same `VERSION`."""
    known = recorded()
    for name in names:
        new = summary(name)
        old = known.get(name)
        if old and old["VERSION"] == new["VERSION"] and any(changes(old, new)) and not anyway:
            print(complaint(name, old, new), file=sys.stderr)
            print("--anyway records it: a library or the made-up input changed", file=sys.stderr)
            return 2
        known[name] = new
    entries = ",\n".join(f' "{name}": {{\n{_lines(known[name])}\n }}' for name in sorted(known))
    FILE.write_text(f"{{\n{entries}\n}}\n")
    return 0


def _lines(entry: Summary) -> str:
    return ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())


if __name__ == "__main__":
    torch.set_num_threads(1)
    asked = [argument for argument in sys.argv[1:] if argument != "--anyway"]
    sys.exit(record(asked or METHODS, "--anyway" in sys.argv))
