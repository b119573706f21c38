"""Where training clips come from."""

import numpy as np
import pytest

from kit.core.errors import ConfigError
from kit.data import synthetic
from kit.training.clips import Drawn


def test_a_cast_that_does_not_fit_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """One seed in thousands must not end a run of hours; the next one is taken, the same always."""
    draw = synthetic.draw
    asked: list[int] = []

    def picky(seed: int, config: synthetic.Config, times: list[int]) -> synthetic.Clip:
        asked.append(seed)
        if len(asked) % 3:
            raise ConfigError("does not fit")
        return draw(seed, config, times)

    monkeypatch.setattr(synthetic, "draw", picky)
    first, second = (Drawn(synthetic.Config()).take(np.random.default_rng(1), 2, 4) for _ in "ab")
    assert asked[:3] == asked[3:]
    assert len(set(asked)) == 3
    assert np.array_equal(first.frames, second.frames)


def test_a_difficulty_at_which_nothing_fits_is_still_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kit.data.scenes.ATTEMPTS", 2)
    crowd = synthetic.Config(objects=12, distractors=3)
    with pytest.raises(ConfigError, match="do not fit"):
        Drawn(crowd).take(np.random.default_rng(1), 2, 4)


def test_drawn_footage_knows_its_categories() -> None:
    footage = Drawn(synthetic.Config(objects=3)).take(np.random.default_rng(2), 3, 4)
    assert len(footage.categories) == 6
    assert footage.labels.max() <= 6
    assert footage.frames.shape == (*footage.labels.shape, 3)
