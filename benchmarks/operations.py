"""Operations per frame at full size, counted on tensors that have a shape and no content."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from kit.trackers import sam3, sam31
from kit.trackers.base import Bucket, Context, Recall
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.sizes import PUBLIC

RECALLED, POINTERS = 6, 15  # tracked frames, as later in a video, beside one prompted frame


def _sam3() -> Any:
    from transformers import Sam3TrackerVideoConfig, Sam3TrackerVideoModel

    with torch.device("meta"):
        return sam3.build(Sam3TrackerVideoModel(Sam3TrackerVideoConfig()), sam3.Config())


def _sam31() -> Any:
    with torch.device("meta"):
        return sam31.build(Network(PUBLIC), sam31.Config())


TRACKERS: dict[str, Callable[[], Any]] = {"sam3": _sam3, "sam31": _sam31}


def show_operations(objects: list[int]) -> None:
    """TFLOP (two for a multiplication with its addition) of the verbs, model by model."""
    print("TFLOP a frame at full size: encode, decode, remember, in all (times one object's)")
    for name, build in TRACKERS.items():
        tracker = build()
        first = 0.0
        for count in objects:
            parts = count_frame(tracker, count)
            total = sum(parts)
            first = first or total
            cells = "".join(f"{part:9.3f}" for part in (*parts, total))
            print(f"{name:>6}, {count:2} objects {cells} ({total / first:.2f}x)", flush=True)


def count_frame(tracker: Any, objects: int) -> list[float]:
    """TFLOP of encode, decode and remember for one tracked frame of so many objects."""
    image, mask = np.zeros((270, 480, 3), np.uint8), np.ones((270, 480), bool)
    slots = tracker.span.slots
    rows = [min(slots, objects - start) for start in range(0, objects, slots)]
    encoded = tracker.encode(image)
    given = tracker.condition(encoded, mask)
    (memory,) = tracker.remember(encoded, [[given]])
    contexts = [_context(memory, range(row)) for row in rows]

    def buckets() -> list[Bucket]:
        answers = iter(tracker.decode(encoded, contexts))
        return [[next(answers) for _ in range(row)] for row in rows]

    found = buckets()
    return [
        _counted(lambda: tracker.encode(image)),
        _counted(buckets),
        _counted(lambda: tracker.remember(encoded, found)),
    ]


def _context(memory: Any, slots: range) -> Context:
    prompted = Recall(memory, 20, prompted=True)
    spatial = (prompted, *(Recall(memory, age) for age in range(RECALLED, 0, -1)))
    pointers = (prompted, *(Recall(memory, age) for age in range(1, POINTERS + 1)))
    return Context(spatial, pointers, POINTERS, tuple(slots))


def _counted(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e12
