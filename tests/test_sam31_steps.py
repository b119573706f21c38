"""Two ways through the same steps: the recordings' step by step, and `greedy`.

The recordings do not have all that a video can bring; where both ways of keeping books come to the
same, it is not because of one of them.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
from golden_sam31 import Case, Session
from test_golden_sam31 import Frames, as_greedy, of_session
from tiny_models import Clip, tiny_sam31

from kit.propagators import greedy
from kit.trackers import sam31
from kit.trackers.multiplex.network import Network

pytestmark = pytest.mark.usefixtures("one_thread")

T = 16


@dataclass(frozen=True)
class Made(Case):
    """A case with random weights, of steps that are given."""

    steps: tuple[dict[str, Any], ...] = ()
    slots: tuple[tuple[int | None, ...], ...] = ()
    door: str = "loop"

    @cached_property
    def told(self) -> dict[str, Any]:
        objects = [id_ for bucket in self.slots for id_ in bucket if id_]
        return {"frames": T, "steps": list(self.steps), "slots": [list(b) for b in self.slots],
                "objects": objects}  # fmt: skip

    @cached_property
    def clip(self) -> dict[str, np.ndarray]:
        """Five objects: upper and lower halves of both discs, and a piece of the edge."""
        drawn = Clip(T)
        labels = np.zeros((T, 60, 84), np.uint8)
        for t in range(T):
            for id_ in (1, 2):
                mask = drawn.mask(t, id_)
                middle = int(np.nonzero(mask.any(1))[0].mean())
                labels[t][mask] = id_
                labels[t, middle:][mask[middle:]] = id_ + 2
            labels[t, :6, 30:50] = 5
        return {"frames": np.stack([drawn[t] for t in range(T)]), "labels": labels}


def prompt(frame: int, *objects: int) -> dict[str, Any]:
    return {"do": "prompt", "frame": frame, "objects": list(objects)}


def track(first: int, last: int) -> dict[str, Any]:
    return {"do": "track", "first": first, "last": last}


def step(do: str, frame: int, *objects: int) -> dict[str, Any]:
    return {"do": do, "frame": frame, "objects": list(objects)}


ONE = ((1, 2, None, None),)
CASES = [
    Made("six prompted frames",
         (*(prompt(f, 1, 2) for f in (0, 3, 4, 8, 11, 14)), track(1, T - 1)), ONE),
    Made("two buckets", (prompt(0, 1, 2, 3, 4, 5), track(1, T - 1)), ((1, 2, 3, 4), (5,)),
         "state"),
    Made("late object", (prompt(0, 2), track(1, 5), step("new objects", 5, 1), track(6, T - 1)),
         ((2, 1),), "state"),
    Made("late object and prompts on arrival",
         (prompt(0, 1, 2), track(1, 4), step("reprompt", 4, 2), track(5, 7),
          step("new objects", 7, 3), track(8, 12), step("reprompt", 12, 1, 3), track(13, T - 1)),
         ((1, 2, 3),)),
    Made("backwards", (prompt(T - 1, 1, 2), prompt(7, 1, 2), track(T - 2, 0)), ONE),
    Made("backwards, on arrival", (prompt(T - 1, 1, 2), track(T - 2, 6), step("reprompt", 6, 1),
                                   track(5, 0)), ONE, "state"),
    Made("known ahead", (prompt(0, 1, 2), step("anchor memory", 6, 1), step("anchor memory", 9, 2),
                         track(1, 6), step("reprompt", 6, 1), track(7, 9),
                         step("reprompt", 9, 2), track(10, T - 1)), ONE),
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> Network:
    return tiny_sam31()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_step_by_step_and_greedy_come_to_the_same(case: Made, model: Network) -> None:
    tracker = sam31.build(model, sam31.Config(door=case.door))
    session = Session(case, tracker)
    session.run()
    assert [tuple(own) for own in session.slots] == [
        tuple(id_ for id_ in bucket if id_) for bucket in case.slots
    ]
    found, plan = of_session(session), as_greedy(case)
    assert not isinstance(plan, str), plan
    results = list(greedy.propagate(tracker, Frames(case), *plan))
    assert {r.frame: set(r.object_ids) for r in results} == {
        frame: set(own) for frame, own in found.low.items()
    }
    for result in results:
        for row, id_ in enumerate(result.object_ids):
            np.testing.assert_allclose(
                result.low[row], found.low[result.frame][id_], atol=2e-3, err_msg=str(result.frame)
            )
