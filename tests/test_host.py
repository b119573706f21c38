"""The device never waits for the host, but where a policy looks: once a frame, in one transfer.

Shown on a CUDA device that is only pretended. Its tensors have shapes and no values, so whatever
needs a value on the host is an error, and so is an operation between host and device; transfers are
watched.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tiny_models import Clip, tiny_sam2, tiny_sam3, tiny_sam31
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode

from kit.core.types import Prompt
from kit.propagators import branching, dam4sam, greedy, memory_tree, rcms, samurai, seen
from kit.propagators.objects import Answers, Way, follow
from kit.propagators.stream import Outbox
from kit.trackers import rows, sam2, sam3, sam31
from kit.trackers.base import Tracker
from kit.trackers.device import uploaded
from kit.trackers.recorded import Recorded

CLIP = Clip(6)
PROMPTS = [
    Prompt(0, 1, CLIP.mask(0, 1), True),
    Prompt(1, 2, CLIP.mask(1, 2), True),
    Prompt(4, 1, CLIP.mask(4, 1), False),
]
CUDA = torch.device("cuda")
LIBRARIES = {"sam2": sam2, "sam3": sam3, "sam31": sam31}


class Transfers(TorchDispatchMode):
    """Notes transfers that the host waits for; counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self.pinned: list[Tensor] = []
        self.free, self.waiting = 0, 0

    def pin(self, values: Tensor) -> Tensor:
        """Stands in for `Tensor.pin_memory`, which needs a driver."""
        self.pinned.append(torch.empty(values.shape, dtype=values.dtype))
        return self.pinned[-1]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is torch.ops.aten._to_copy.default and args[0].device != result.device:
            from_pinned = result.is_cuda and any(args[0] is known for known in self.pinned)
            to_pinned = not result.is_cuda  # a non-blocking copy to the host is into pinned memory
            if kwargs.get("non_blocking") and (from_pinned or to_pinned):
                self.free += 1
            else:
                self.waiting += 1
        return result


class Event:
    """Stands in for `torch.cuda.Event`."""

    def record(self) -> None: ...


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {"sam2": tiny_sam2(), "sam3": tiny_sam3(), "sam31": tiny_sam31()}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Transfers]:
    """The pretended device."""
    transfers = Transfers()
    monkeypatch.setattr(Tensor, "pin_memory", lambda values: transfers.pin(values))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Recorded, "__call__", lambda self, pixels: self._work(pixels))
    for module in (sam2, sam3, sam31, rows):  # under inference mode transfers would not be seen
        monkeypatch.setattr(module, "running", lambda device: torch.no_grad())
    with FakeTensorMode(allow_non_fake_inputs=True), transfers:
        yield transfers


@contextmanager
def outside() -> Iterator[None]:
    """Models are copied without pretending."""
    with torch.utils._python_dispatch._disable_current_modes():
        yield


def tracker_of(models: dict[str, Any], library: str, batch: int) -> Tracker:
    with outside():
        model = copy.deepcopy(models[library])
    module = LIBRARIES[library]
    return module.build(model.to(CUDA), module.Config(rows=batch))


@pytest.mark.parametrize(
    "act",
    [
        lambda values: values.sum().item(),
        lambda values: float(values[0]),
        lambda values: bool(values.any()),
        lambda values: values[values > 0],
        lambda values: values.nonzero(),
        lambda values: values.repeat_interleave(values.long()),
        lambda values: values + torch.ones(4),
    ],
)
def test_what_needs_a_value_is_an_error(act: Callable[[Tensor], Any], watch: Transfers) -> None:
    expected = (DataDependentOutputException, DynamicOutputShapeException, RuntimeError)
    with pytest.raises(expected):
        act(torch.empty(4, device=CUDA))


def test_transfers_are_seen(watch: Transfers) -> None:
    host, there = torch.empty(4), torch.empty(4, device=CUDA)
    there.cpu()
    host.to(CUDA)
    host.to(CUDA, non_blocking=True)  # not pinned
    host.pin_memory().to(CUDA)
    assert (watch.waiting, watch.free) == (4, 0)
    there.to("cpu", non_blocking=True)
    uploaded(host, CUDA)
    assert (watch.waiting, watch.free) == (4, 2)


def run(answers: Iterator[tuple[int, Answers]], watch: Transfers) -> list[int]:
    """Frames; what the second tracked frame and those after it do must not make the host wait."""
    frames = []
    for frame, found in answers:
        if frame <= 1:  # on its first call `sam2` moves the tables of its rotary code
            watch.waiting = 0
        assert all(answer.logits.is_cuda for answer in found.values())
        Outbox(frame, found, (60, 84))
        assert watch.waiting == 0, f"frame {frame}"
        frames.append(frame)
    return frames


@pytest.mark.parametrize(
    ("library", "batch", "config"),
    [
        ("sam2", 1, greedy.Config()),
        ("sam2", 4, greedy.Config("past", keep_first_prompt=True, redecode_anchors=True)),
        ("sam3", 4, greedy.Config(clear_around_anchors=2)),
        ("sam31", 4, greedy.Config()),
        ("sam31", 1, greedy.Config(redecode_anchors=True)),
    ],
)
def test_greedy_never_waits(
    library: str, batch: int, config: greedy.Config, models: dict[str, Any], watch: Transfers
) -> None:
    tracker = tracker_of(models, library, batch)
    assert run(greedy._forward(tracker, CLIP, PROMPTS, config), watch) == list(range(6))
    assert watch.free >= 6 * 2  # images go there, results come back


def way_of(module: Any, **settings: Any) -> Callable[..., Iterator[tuple[int, Answers]]]:
    """Answers of a policy, before they are emitted."""
    config = module.Config(**settings)
    ways = {
        greedy: lambda *given: greedy._forward(*given, config),
        memory_tree: lambda *given: memory_tree._final(*given, config),
    }
    see, every = (rcms.see, False) if module is rcms else (seen.shapes, True)
    way = Way(lambda own: module._Object(own, config), see, every)
    return ways.get(module, lambda *given: follow(*given, way))


SHAPES = [0.7, 0.6, 0.5, 5.0, *[9.0] * 3, *[1, 1, 4, 4] * 3]
LOOKING = {
    # what a row of numbers says: IoUs, presence and what else the policy asks for
    "selection": (greedy, {"min_effective_iou": 0.01}, [0.9, 5.0]),
    "rcms": (rcms, {}, [5.0, 0.9]),
    "samurai": (
        samurai,
        {"warm_up": 2, "motion_weight": 0.25},
        [0.7, 0.6, 0.5, 5.0, *[9.0] * 3, *[1, 1, 4, 4] * 3],
    ),
    "dam4sam": (dam4sam, {}, [0.7, 0.6, 0.5, 5.0, *[9.0] * 3, *[1, 1, 4, 4] * 3]),
    "tree": (memory_tree, {}, [0.9, 0.6, 0.3, 1.0]),  # not sure: it branches
}


@pytest.mark.parametrize("name", LOOKING)
def test_policies_that_look_do_so_once_a_frame(
    name: str, models: dict[str, Any], watch: Transfers, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, settings, numbers = LOOKING[name]
    looks: list[int] = []

    def fetched(rows: Sequence[Tensor]) -> list[list[float]]:
        if rows:
            looks.append(len(rows))
        return [[numbers[i - (len(numbers) - len(row))] for i in range(len(row))] for row in rows]

    for place in (seen, rcms):
        monkeypatch.setattr(place, "fetched", fetched)
    monkeypatch.setattr(branching, "ramp", lambda low, high, count, dtype: [1.1] * count)
    tracker = tracker_of(models, "sam2", 4)
    prompts = [item for item in PROMPTS if item.given]  # at an anchor `samurai` looks once more
    assert run(way_of(module, **settings)(tracker, CLIP, prompts), watch) == list(range(6))
    assert len(looks) == 5
    assert max(looks) == (2 * 3 if module is memory_tree else 2)  # rows of both objects together
