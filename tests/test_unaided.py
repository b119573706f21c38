"""`hold` and `flow`: propagators without a model."""

from collections.abc import Iterable

import numpy as np
import pytest

from kit import plugins
from kit.core.errors import ConfigError, DataError
from kit.core.types import FrameResult, Prompt
from kit.stages._tracker import library_of


def scene(frames: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """A textured square that moves two pixels a frame over a textured ground, and its masks."""
    rng = np.random.default_rng(3)
    ground, square = rng.integers(0, 120, (64, 96, 3)), rng.integers(120, 255, (24, 24, 3))
    images = np.repeat(ground[None], frames, 0).astype(np.uint8)
    masks = np.zeros((frames, 64, 96), bool)
    for t in range(frames):
        images[t, 20:44, 10 + 2 * t : 34 + 2 * t] = square
        masks[t, 20:44, 10 + 2 * t : 34 + 2 * t] = True
    return images, masks


def run(method: str, images: np.ndarray, prompts: list[Prompt]) -> list[FrameResult]:
    return list(plugins.propagator({"method": method}).propagate(None, list(images), prompts))


def iou(told: np.ndarray, truth: np.ndarray) -> float:
    return float((told & truth).sum() / (told | truth).sum())


def masks_of(results: Iterable[FrameResult], row: int = 0) -> list[np.ndarray]:
    return [result.logits[row] > 0 for result in results]


def test_hold_stands_still_until_it_is_told_otherwise() -> None:
    images, masks = scene()
    prompts = [Prompt(0, 1, masks[0], True), Prompt(3, 1, masks[3], False)]
    results = run("hold", images, prompts)
    told = masks_of(results)
    assert [np.array_equal(told[t], masks[0]) for t in (0, 1, 2)] == [True] * 3
    assert [np.array_equal(told[t], masks[3]) for t in (3, 4, 5)] == [True] * 3
    assert [float(r.iou[0]) for r in results] == [1, 0, 0, 1, 0, 0]


def test_flow_follows_what_moves_where_hold_does_not() -> None:
    images, masks = scene()
    prompts = [Prompt(0, 1, masks[0], True)]
    flow, hold = masks_of(run("flow", images, prompts)), masks_of(run("hold", images, prompts))
    assert iou(flow[5], masks[5]) > 0.85 > 0.55 > iou(hold[5], masks[5])


def test_objects_start_when_they_are_shown_and_are_told_gone_when_nothing_is_left() -> None:
    images, masks = scene()
    prompts = [Prompt(1, 1, masks[1], True), Prompt(4, 7, masks[4], True)]
    results = run("flow", images, prompts)
    assert [result.frame for result in results] == [1, 2, 3, 4, 5]
    assert [result.object_ids for result in results] == [(1,)] * 3 + [(1, 7)] * 2
    images[3:] = images[3:, :, ::-1]  # a cut: flow finds nothing sensible
    dot = np.zeros_like(masks[0])
    dot[63, 95] = True
    gone = run("hold", images, [Prompt(0, 1, dot, True)])[-1]
    assert gone.presence[0] > 0  # hold never loses


def test_unusable_prompts_are_refused_as_by_every_propagator() -> None:
    images, masks = scene()
    with pytest.raises(DataError, match="frames 0 to 5"):
        run("hold", images, [Prompt(6, 1, masks[0], True)])


def test_who_needs_a_tracker_says_so() -> None:
    assert library_of({"method": "hold"}) is None
    assert plugins.needs("propagators", "greedy") == ("tracker",)
    with pytest.raises(ConfigError, match="tracker"):
        library_of({"method": "greedy"})
