"""Clips made of photographs: masks stay on what they show, and everything is repeatable."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.core.errors import ConfigError
from kit.core.masks import VOID, encode_png
from kit.data import camera, collage, photographs
from kit.training import clips

# Nothing that changes colours, so that what is red is the object.
PLAIN = camera.Config(light=0, tint=0, ramp=0, blurred=0, defocused=0, noise=0, compressed=0)
RED, GREEN = (220, 20, 20), (20, 160, 20)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of a red square on grey, with a border that nobody knows."""
    root = tmp_path_factory.mktemp("material")
    for folder in ("images", "masks", "textures"):
        (root / folder).mkdir()
    for name in ("a_one", "b_two"):
        image = np.full((120, 160, 3), 128, np.uint8)
        labels = np.zeros((120, 160), np.uint8)
        image[40:90, 50:110], labels[40:90, 50:110] = RED, 3
        labels[:5] = VOID
        Image.fromarray(image).save(root / "images" / f"{name}.jpg", quality=95)
        (root / "masks" / f"{name}.png").write_bytes(encode_png(labels))
    Image.fromarray(np.full((90, 90, 3), GREEN, np.uint8)).save(root / "textures" / "t.jpg")
    return root


def made(shelf: Path, seed: int, **changes: object) -> collage.Made:
    config = collage.Config(lens=PLAIN, size=96, **changes)  # type: ignore[arg-type]
    material = photographs.Shelf(shelf)
    return collage.make(np.random.default_rng(seed), material, config, range(0, 8, 2))


def red(frame: np.ndarray) -> np.ndarray:
    return (frame[..., 0] > 140) & (frame[..., 1] < 90)


def test_the_photographs_own_object_keeps_its_mask_while_the_camera_moves(shelf: Path) -> None:
    moved = 0
    for seed in range(6):
        clip = made(shelf, seed, still=1.0, textured=0.0)
        assert clip.frames.shape == (*clip.labels.shape, 3)
        assert set(np.unique(clip.labels)) <= {0, 3}  # the unknown border is nobody's
        for frame, labels in zip(clip.frames, clip.labels, strict=True):
            both, either = red(frame) & (labels == 3), red(frame) | (labels == 3)
            assert both.sum() > 0.85 * either.sum()
        moved += not np.array_equal(clip.labels[0], clip.labels[-1])
    assert moved == 6


def test_what_is_pasted_has_ids_of_its_own_and_hides_what_is_behind(shelf: Path) -> None:
    seen = set()
    for seed in range(8):
        clip = made(shelf, seed, still=0.0, textured=0.0, alike=1.0, gap=0.0)
        ids = {int(i) for i in np.unique(clip.labels)} - {0}
        seen |= ids
        for frame, labels in zip(clip.frames, clip.labels, strict=True):
            assert red(frame)[labels > 0].mean() > 0.8  # copies of the one red thing there is
    assert {3, 4, 5} <= seen


def test_things_leave_and_return(shelf: Path) -> None:
    config = collage.Config(lens=PLAIN, size=96, gap=1.0, still=0.0, things=1)
    gone = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        clip = collage.make(rng, photographs.Shelf(shelf), config, range(24))
        there = (clip.labels > 3).any((1, 2))
        gone.append(bool(there[0]) and not there.all() and bool(there[-1]))
    assert sum(gone) >= 3


def test_the_same_generator_makes_the_same_clip(shelf: Path) -> None:
    material = photographs.Shelf(shelf, textures=shelf / "textures")
    first, again, other = (
        collage.make(np.random.default_rng(seed), material, collage.Config(), range(3))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.labels, again.labels)
    assert first.frames.shape != other.frames.shape or (first.frames != other.frames).any()


def test_a_prefix_picks_what_is_taken(shelf: Path) -> None:
    assert [p.stem for p in photographs.Shelf(shelf, only=["b_*"]).photos] == ["b_two"]
    with pytest.raises(ConfigError, match="no photograph"):
        photographs.Shelf(shelf, only=["c_*"])


def test_a_source_of_training_clips(shelf: Path) -> None:
    source = clips.source_of([{"photos": str(shelf), "collage": {"size": 64, "gap": 0.0}}])
    clip = clips.sample(source, clips.Config(frames=3, max_gap=2), np.random.default_rng(0))
    assert clip.masks.shape[1:] == clip.frames.shape[:3]
    assert clip.masks[:, 0].any((1, 2)).all()


def test_absent_folders_are_left_out_only_where_that_is_said(
    shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = {"photos": str(shelf / "nowhere"), "optional": True}
    clips.source_of([nowhere, {"draw": {}}])
    assert "left out" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="all entries are optional"):
        clips.source_of([nowhere])
    with pytest.raises(ConfigError, match="no photograph"):
        clips.source_of([{"photos": str(shelf / "nowhere")}])
