"""SAM 3.1's tracker against recordings of the makers' code, every case folder that is there.

Each folder tells its steps and its limits; nothing here knows a case by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from golden_sam31 import CASES, REASON, Case, Session

from kit.core.types import Prompt
from kit.propagators import greedy
from kit.trackers import sam31
from kit.trackers.base import Tracker

pytestmark = [pytest.mark.skipif(not CASES, reason=REASON), pytest.mark.usefixtures("one_thread")]


def tracker_of(case: Case, **changes: Any) -> Tracker:
    told = case.told
    config = sam31.Config(door=told["door"], memory=told["settings"]["memory_dtype"], **changes)
    return sam31.build(case.network(), config)


@dataclass(frozen=True)
class Found:
    """What came out: by frame, then by object id."""

    low: Mapping[int, Mapping[int, np.ndarray]]
    presence: Mapping[int, Mapping[int, float]]


def of_session(session: Session) -> Found:
    answers = session.answers
    return Found(
        {f: {i: a.logits[0].numpy() for i, a in own.items()} for f, own in answers.items()},
        {f: {i: float(a.presence) for i, a in own.items()} for f, own in answers.items()},
    )


def difference(case: Case, found: Found) -> tuple[float, float]:
    """Largest and mean |change| of the logits; who is there must be equal."""
    low, score = case.expected["low"].numpy(), case.expected["score"].numpy()
    changes = []
    for frame, row in np.argwhere(np.isfinite(score)):
        id_ = case.told["objects"][row]
        presence = found.presence[frame][id_]
        assert (presence > 0) == (score[frame, row] > 0), f"frame {frame}, object {id_}: presence"
        changes.append(np.abs(found.low[frame][id_] - low[frame, row]))
    assert sum(len(own) for own in found.presence.values()) == len(changes)
    return float(np.max(changes)), float(np.mean(changes))


def check(case: Case, found: Found) -> None:
    largest, mean = difference(case, found)
    limits = case.told["limits"]
    assert mean <= limits["low_mean"], f"{case.name}: mean {mean:.1e}"
    assert largest <= limits["low_max"], f"{case.name}: largest {largest:.1e}"


@pytest.mark.parametrize("name", CASES)
def test_steps_of_a_case(name: str) -> None:
    case = Case(name)
    session = Session(case, tracker_of(case))
    session.run()
    check(case, of_session(session))
    assert [[*own, *[None] * (session.tracker.span.slots - len(own))] for own in session.slots] == (
        case.told["slots"]
    )
    best = case.expected["best"]
    for frame, own in session.best.items():
        assert [own.get(i, -1) for i in case.told["objects"]] == best[frame].tolist()
    first = next(step["frame"] for step in case.told["steps"] if step["do"] == "prompt")
    expected = case.expected["pointer"][first]
    for bucket, memory in session.anchors[first].items():
        change = (memory.pointer - expected[bucket]).abs().max()
        assert change <= case.told["limits"]["first_pointer"]


class Frames:
    """The frames of a clip."""

    def __init__(self, case: Case) -> None:
        self._images, self._length = case.clip["frames"], case.told["frames"]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images[index]


def as_greedy(case: Case) -> tuple[list[Prompt], greedy.Config] | str:
    """The steps of a case as prompts and settings of `greedy`, or why it has no such thing."""
    steps = case.told["steps"]
    tracks = [step for step in steps if step["do"] == "track"]
    ways = {step["first"] > step["last"] for step in tracks if step["first"] != step["last"]}
    if len(ways) > 1:
        return "one pass goes one way"
    ahead = {(s["frame"], i) for s in steps if s["do"] == "anchor memory" for i in s["objects"]}
    given = [(s["do"], s["frame"], i) for s in steps if s["do"] != "track" and "frame" in s
             for i in s["objects"] if s["do"] != "anchor memory"]  # fmt: skip
    later = [(frame, i) for do, frame, i in given if do == "reprompt"]
    if len(case.told["slots"]) > 1 and any(do != "prompt" for do, *_ in given):
        return "the kit makes a frame a conditioning frame of the prompted bucket alone"
    first = {i: frame for _, frame, i in reversed(given)}
    if [i for own in case.told["slots"] for i in own if i] != sorted(
        first, key=lambda i: (first[i], i)
    ):
        return "the kit orders objects that start together by their numbers"
    starts = {frame for do, frame, _ in given if do == "prompt"}
    past = [item for item in later if item not in ahead]
    if past and (ahead or len(starts) > 1):
        return "some prompts act on the frames before them and others do not"
    prompts = [
        Prompt(frame, i, case.mask(frame, i), given=frame == min(starts)) for _, frame, i in given
    ]
    config = greedy.Config(
        anchors="past" if past else "both", direction="backward" if ways == {True} else "forward"
    )
    return prompts, config


@pytest.mark.parametrize("name", CASES)
def test_greedy_is_the_makers_way(name: str) -> None:
    case = Case(name)
    plan = as_greedy(case)
    if isinstance(plan, str):
        pytest.skip(plan)
    results = list(greedy.propagate(tracker_of(case), Frames(case), *plan))
    found = Found(
        {r.frame: dict(zip(r.object_ids, r.low, strict=True)) for r in results},
        {r.frame: dict(zip(r.object_ids, r.presence, strict=True)) for r in results},
    )
    check(case, found)
