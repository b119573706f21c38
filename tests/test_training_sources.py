"""Where training clips come from."""

from pathlib import Path

import numpy as np
import pytest

from kit.core.errors import ConfigError
from kit.data import synthetic
from kit.training import augment
from kit.training.clips import Drawn, Mixture, source_of


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


def test_videos_set_aside_are_not_taken(tmp_path: Path) -> None:
    config = synthetic.Config(frames=2, width=64, height=48, gap_share=0.0, objects=1)
    for name in ("seen", "kept"):
        synthetic.write_video(tmp_path, name, 1, config)
    both = source_of([{"root": str(tmp_path)}])
    fewer = source_of([{"root": str(tmp_path), "without": ["kept"]}])
    assert isinstance(both, Mixture) and (both.videos(), fewer.videos()) == (2, 1)


def test_changed_footage_keeps_masks_on_their_objects() -> None:
    frames = np.zeros((3, 40, 60, 3), np.uint8)
    labels = np.zeros((3, 40, 60), np.uint8)
    for t in range(3):
        frames[t, 10:20, 10 + t : 30 + t] = 200
        labels[t, 10:20, 10 + t : 30 + t] = 1
    config = augment.Config(mirror=0.5, crop=0.4, light=0.3, tint=0.1)
    shapes, sides = set(), set()
    for seed in range(12):
        changed, maps = augment.apply(np.random.default_rng(seed), frames, labels, config)
        assert changed.shape == (*maps.shape, 3) and changed.dtype == np.uint8
        assert np.array_equal(changed.max(-1) > 0, maps > 0)  # what is lit is the object
        shapes.add(maps.shape)
        sides.add(
            bool(np.sign(np.argwhere(maps[2]).mean(0)[1] - np.argwhere(maps[0]).mean(0)[1]) > 0)
        )
    assert len(shapes) > 5 and sides == {True, False}
    same, kept = augment.apply(np.random.default_rng(0), frames, labels, augment.Config())
    assert np.array_equal(same, frames) and np.array_equal(kept, labels)
