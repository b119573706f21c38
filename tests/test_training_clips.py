"""Training clips: which frames, which objects, and how they are shown."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from kit.core.errors import ConfigError, DataError
from kit.data import layout, synthetic
from kit.trackers.square import square_mask
from kit.training import batch, clips
from kit.training.rollout import clicks

SMALL = synthetic.Config(frames=12, width=64, height=48, size_min=0.2, size_max=0.3, gap_share=1.0)


@pytest.mark.parametrize("total", [1, 3, 10])
@pytest.mark.parametrize("length", [1, 4, 8])
def test_windows_are_evenly_apart_and_inside(total: int, length: int) -> None:
    for seed in range(30):
        times = clips.window(np.random.default_rng(seed), total, length, 3)
        assert len(times) == length
        assert all(0 <= t < total for t in times)
        steps = np.diff(times)
        if total >= length:  # longer videos are not turned around in
            assert len(set(steps)) <= 1 and all(1 <= s <= 3 for s in steps)
        elif total > 1:
            assert all(abs(s) == 1 for s in steps)


def test_a_window_may_start_anywhere_and_reaches_the_end() -> None:
    starts = {clips.window(np.random.default_rng(s), 10, 4, 1)[0] for s in range(200)}
    assert starts == set(range(7))
    gaps = {tuple(np.diff(clips.window(np.random.default_rng(s), 10, 4, 3))) for s in range(50)}
    assert gaps == {(1, 1, 1), (2, 2, 2), (3, 3, 3)}


def clip_of(seed: int, **changes: object) -> clips.Clip:
    config = dataclasses.replace(clips.Config(frames=6, max_gap=2, later=1.0), **changes)
    return clips.sample(clips.Drawn(SMALL), config, np.random.default_rng(seed))


def test_a_clip_shows_its_objects_and_gives_masks_where_they_are_seen() -> None:
    given = 0
    for seed in range(20):
        clip = clip_of(seed)
        assert clip.frames.shape == (6, 48, 64, 3)
        assert clip.masks.shape == (len(clip.first), 6, 48, 64)
        assert 1 <= len(clip.first) <= 3
        assert clip.masks[:, 0].any((1, 2)).all()
        for mask, later in zip(clip.masks, clip.later, strict=True):
            assert 0 not in later and len(later) <= 3
            assert all(mask[t].any() for t in later)
            given += len(later)
    assert given > 20


def test_a_clip_is_a_function_of_its_generator() -> None:
    one, same, other = clip_of(3), clip_of(3), clip_of(4)
    for field in dataclasses.fields(clips.Clip):
        a, b = getattr(one, field.name), getattr(same, field.name)
        assert_array_equal(a, b) if isinstance(a, np.ndarray) else None
        assert isinstance(a, np.ndarray) or a == b
    assert not np.array_equal(one.frames, other.frames)


@pytest.mark.parametrize(
    ("points", "boxes", "expected"),
    [(1.0, 0.0, {"point"}), (0.0, 1.0, {"box"}), (0.0, 0.0, {"mask"}),
     (0.3, 0.3, {"point", "box", "mask"})],
)  # fmt: skip
def test_how_objects_are_shown(points: float, boxes: float, expected: set[str]) -> None:
    kinds = {kind for seed in range(30) for kind in clip_of(seed, points=points, boxes=boxes).first}
    assert kinds == expected


def test_time_can_run_backward() -> None:
    ahead, back = (clip_of(5, reverse=share) for share in (0.0, 1.0))
    assert not np.array_equal(ahead.frames, back.frames)
    # the same window, as both are drawn by the same generator, if its last frame shows something
    assert_array_equal(ahead.frames[::-1], back.frames)


def test_folders_in_mose_layout(tmp_path: Path) -> None:
    for number in range(2):
        synthetic.write_video(tmp_path, f"v{number}", number, SMALL)
    source = clips.Folder(layout.Split(tmp_path, "JPEGImages", "Annotations", None))
    assert source.videos() == 2
    clip = clips.sample(source, clips.Config(frames=4), np.random.default_rng(0))
    assert clip.frames.shape == (4, 48, 64, 3)
    assert clip.masks[:, 0].any((1, 2)).all()


def test_frames_of_a_folder_go_by_number(tmp_path: Path) -> None:
    """Outcome: the order in which stages take them, and nothing that systems leave among them."""
    synthetic.write_video(tmp_path, "v", 0, SMALL)
    source = clips.Folder(layout.Split(tmp_path, "JPEGImages", "Annotations", None))
    rng = np.random.default_rng
    before = source.take(rng(0), 12, 1)
    for folder in (tmp_path / "JPEGImages/v", tmp_path / "Annotations/v"):
        for number, file in enumerate(sorted(folder.iterdir())):
            file.rename(folder / f"{number}{file.suffix}")
    (tmp_path / "JPEGImages/v/._0.jpg").touch()
    again = clips.Folder(layout.Split(tmp_path, "JPEGImages", "Annotations", None))
    assert_array_equal(again.take(rng(0), 12, 1).frames, before.frames)


class Empty:
    """A source that never shows an object."""

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> clips.Footage:
        return clips.Footage(
            np.zeros((length, 8, 8, 3), np.uint8), np.zeros((length, 8, 8), np.uint8)
        )


def test_no_object_anywhere() -> None:
    with pytest.raises(DataError, match="no object covered"):
        clips.sample(Empty(), clips.Config(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "at least one entry"),
        ([{"weight": 1}], "has one of draw, root, photos"),
        ([{"draw": {}, "root": "x"}], "has one of draw, root, photos"),
        ([{"draw": {"object": 2}}], "Did you mean `objects`?"),
    ],
)
def test_sources_that_cannot_be(blocks: list[dict[str, object]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        clips.source_of(blocks)


def test_drawn_videos_have_no_epochs() -> None:
    with pytest.raises(ConfigError, match="no epochs"):
        clips.source_of([{"draw": {}}]).videos()


def test_squares_are_the_prompts_of_the_trackers() -> None:
    masks = np.stack([clip_of(seed).masks[0] for seed in range(3)])
    masks[1, 2] = False
    masks[2, 3] = False
    masks[2, 3, 5, 7] = True  # thinner than a pixel of the model
    found = batch.squares(masks, 32, torch.device("cpu"))
    assert not found[1, 2].any()
    for o, t in np.ndindex(masks.shape[:2]):
        if masks[o, t].any():
            expected = square_mask(masks[o, t], 32, torch.device("cpu"))[0, 0]
            assert torch.equal(found[o, t], expected)


def test_clicks_lie_on_the_object_and_boxes_around_it() -> None:
    mask = torch.zeros(40, 40)
    mask[10:20, 5:25] = 1
    for seed in range(50):
        chance = torch.rand(1, 4, generator=torch.Generator().manual_seed(seed)).double()
        (point,), labels = clicks("point", mask[None], chance)
        x, y = point[0].int().tolist()
        assert mask[y, x] == 1 and labels.tolist() == [[1]]
        (box,), labels = clicks("box", mask[None], chance)
        assert labels.tolist() == [[2, 3]]
        assert (box - torch.tensor([[5.0, 10.0], [25.0, 20.0]])).abs().amax(0).tolist() <= [2, 1]
    centre = torch.full((1, 4), 0.5).double()
    (box,), _ = clicks("box", mask[None], centre)
    assert box.tolist() == [[5, 10], [25, 20]]
