"""The engine on a real CUDA device (deselected where there is none): no waiting, the same bits."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import Clip, tiny_sam2, tiny_sam3, tiny_sam31

from kit.core.types import Prompt
from kit.propagators import greedy, memory_tree
from kit.trackers import sam2, sam3, sam31
from kit.trackers.base import Encoded, Tracker

pytestmark = pytest.mark.gpu
CLIP = Clip(24)
PROMPTS = [
    Prompt(0, 1, CLIP.mask(0, 1), True),
    Prompt(3, 2, CLIP.mask(3, 2), True),
    Prompt(12, 1, CLIP.mask(12, 1), False),
]
LIBRARIES: dict[str, tuple[Any, Any]] = {
    "sam2": (sam2, tiny_sam2),
    "sam3": (sam3, tiny_sam3),
    "sam31": (sam31, tiny_sam31),
}


@pytest.fixture(params=LIBRARIES)
def tracker(request: pytest.FixtureRequest) -> Tracker:
    module, build = LIBRARIES[request.param]
    return module.build(build().cuda(), module.Config(rows=8))


def parts(encoded: Encoded) -> tuple[torch.Tensor, ...]:
    return (encoded.tokens, encoded.position, *encoded.fine)


@pytest.fixture
def watched() -> Iterator[None]:
    """Whatever makes the host wait is an error."""
    yield
    torch.cuda.set_sync_debug_mode("default")


def test_the_recorded_encoder_gives_the_same_bits(tracker: Any) -> None:
    """On frames that it was not recorded on, and with earlier results still in use."""
    recorded = [tracker.encode(CLIP[t]) for t in range(4)]
    tracker._encode = tracker._encode._work
    for t, found in enumerate(recorded):
        plain = tracker.encode(CLIP[t])
        for ours, theirs in zip(parts(found), parts(plain), strict=True):
            assert torch.equal(ours, theirs)
    assert not torch.equal(recorded[0].tokens, recorded[3].tokens)


@pytest.mark.usefixtures("watched")
def test_greedy_never_waits(tracker: Tracker) -> None:
    for frame, _ in greedy._forward(tracker, CLIP, PROMPTS, greedy.Config()):
        if frame == 1:  # `sam2` has moved the tables of its rotary code
            torch.cuda.set_sync_debug_mode("error")


@pytest.mark.parametrize("module", [greedy, memory_tree], ids=["greedy", "tree"])
def test_the_same_run_gives_the_same_bits(tracker: Tracker, module: Any) -> None:
    runs = [
        np.stack([result.logits[0] for result in module.propagate(tracker, CLIP, PROMPTS, config)])
        for config in [module.Config()] * 2
    ]
    np.testing.assert_array_equal(*runs)


def test_device_memory_is_bounded(tracker: Tracker) -> None:
    peaks = []
    for length in (24, 24, 96):  # the first run warms up
        torch.cuda.reset_peak_memory_stats()
        prompt = Prompt(0, 1, CLIP.mask(0, 1), True)
        for _ in greedy.propagate(tracker, Clip(length), [prompt], greedy.Config()):
            pass
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[2] <= 1.1 * peaks[1]
