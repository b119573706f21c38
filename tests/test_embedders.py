"""Crops to the pixel, features to the reference."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from kit.embedders import crops, dinov3
from kit.runtime import models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    loaded: torch.nn.Module = models.load("dinov3", {"source": "tiny"}, "cpu")
    return loaded


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A frame whose pixel value tells its column and row, and a 4x4 object."""
    image = np.zeros((20, 30, 3), np.uint8)
    image[..., 0] = np.arange(30)[None] * 8
    image[..., 1] = np.arange(20)[:, None] * 12
    mask = np.zeros((20, 30), bool)
    mask[8:12, 10:14] = True
    return image, mask


def test_crop_without_padding_is_the_box() -> None:
    image, mask = scene()
    crop = crops.cut(image, mask, 4, 0.0, False)
    assert (crop.pixels == image[8:12, 10:14]).all()
    assert (crop.weights == 1).all()


def test_crop_is_square_and_padded_on_the_longer_side() -> None:
    """A 4x2 object with half its length on each side becomes 8x8."""
    image, mask = scene()
    mask[10:12] = False
    crop = crops.cut(image, mask, 8, 0.5, False)
    assert (crop.pixels == image[5:13, 8:16]).all()
    assert (crop.weights == mask[5:13, 8:16]).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 26), (16, 0), (16, 26)])
def test_crop_may_cross_the_border(corner: tuple[int, int]) -> None:
    """What lies outside is the frame's mean colour and no object."""
    image, mask = scene()
    top, left = corner
    mask[:] = False
    mask[top : top + 4, left : left + 4] = True
    crop = crops.cut(image, mask, 8, 0.5, False)
    y, x = (0 if top else 2), (0 if left else 2)
    inside = np.zeros((8, 8), bool)
    inside[y : y + 6, x : x + 6] = True
    mean = image.reshape(-1, 3).mean(0).round().astype(np.uint8)
    assert (crop.pixels[~inside] == mean).all()
    assert (crop.pixels[2:6, 2:6] == image[top : top + 4, left : left + 4]).all()
    assert crop.weights.sum() == 16


def test_background_can_be_painted_out() -> None:
    image, mask = scene()
    mask[8, 10] = False
    crop = crops.cut(image, mask, 4, 0.0, True)
    mean = image.reshape(-1, 3).mean(0).round().astype(np.uint8)
    assert (crop.pixels[0, 0] == mean).all()
    assert (crop.pixels[1, 1] == image[9, 11]).all()


def test_views_are_eight_different_and_keep_object_and_pixels_together() -> None:
    image, mask = scene()
    mask[8, 10] = False
    turned = list(crops.views(crops.cut(image, mask, 4, 0.0, False), True, True))
    assert len(turned) == 8
    assert len({v.pixels.tobytes() for v in turned}) == 8
    for view in turned:
        (hole,) = np.argwhere(view.weights == 0)
        assert (view.pixels[tuple(hole)] == image[8, 10]).all()
    assert len(list(crops.views(turned[0], True, False))) == 2
    assert len(list(crops.views(turned[0], False, True))) == 4


def test_features_are_unit_rows(model: torch.nn.Module) -> None:
    image, mask = scene()
    one = model.config.hidden_size
    for pooling, width in (("masked_mean", one), ("cls", one), ("both", 2 * one)):
        config = dinov3.Config(pooling=pooling, size=32)
        rows = dinov3.embed(model, dinov3.pool(image, mask, config), config, 3)
        assert rows.shape == (8, width)
        assert dinov3.embed(model, [], config, 4).shape == (0, width)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_both_is_class_token_and_mean_side_by_side(model: torch.nn.Module) -> None:
    """So a cosine of "both" is the mean of the two cosines."""
    image, mask = scene()
    rows = {
        pooling: dinov3.embed(model, dinov3.pool(image, mask, config), config, 8)
        for pooling in ("masked_mean", "cls", "both")
        for config in [dinov3.Config(pooling=pooling, size=32)]
    }
    halves = np.concatenate([rows["cls"], rows["masked_mean"]], axis=1)
    np.testing.assert_allclose(rows["both"], halves / np.sqrt(2), atol=1e-6)


def test_variants_follow_the_turned_views() -> None:
    """Each switch adds its own; the pool without them stands first, unchanged."""
    mask = scene()[1]
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    plain = dinov3.pool(image, mask, dinov3.Config(size=32))
    every = dinov3.Config(size=32, scale=True, blur=True, gamma=True, grey=True)
    views = dinov3.pool(image, mask, every)
    assert len(views) == 8 + 2 + 1 + 2 + 1
    for ours, theirs in zip(plain, views, strict=False):
        assert (ours.pixels == theirs.pixels).all()
        assert (ours.weights == theirs.weights).all()
    assert len({v.pixels.tobytes() for v in views}) == len(views)
    for switch, count in (("scale", 2), ("blur", 1), ("gamma", 2), ("grey", 1)):
        config = dinov3.Config(size=32, flips=False, rotations=False, **{switch: True})
        assert len(dinov3.pool(image, mask, config)) == 1 + count


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_any_turn_agrees_with_quarter_turns(quarters: int) -> None:
    """Resampled, so nearly; the object's share of pixels turns with them."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)
    image = cv2.resize(small, (90, 60), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros((60, 90), bool)
    mask[20:44, 30:50] = True
    plain = crops.cut(image, mask, 32, 0.2, False)
    turned = crops.turned(image, mask, 32, 0.2, False, 90 * quarters)
    for ours, theirs in ((turned.pixels, plain.pixels), (turned.weights, plain.weights)):
        expected = np.rot90(theirs, quarters).astype(float)
        scale = 255 if ours.dtype == np.uint8 else 1
        assert np.abs(ours - expected).mean() < 0.04 * scale
    others = [np.rot90(plain.pixels, quarters + i).astype(float) for i in (1, 2, 3)]
    assert min(np.abs(turned.pixels - other).mean() for other in others) > 0.08 * 255


def test_a_turned_object_shows_no_unseen_corner() -> None:
    """Far from the border all that comes into the crop is of the frame."""
    image = np.full((200, 200, 3), 77, np.uint8)
    mask = np.zeros((200, 200), bool)
    mask[90:110, 80:120] = True
    turned = crops.turned(image, mask, 40, 0.1, False, 45)
    assert (turned.pixels == 77).all()
    # 20 x 40 in a crop of 48 pixels, drawn at 40
    assert turned.weights.sum() == pytest.approx(20 * 40 * (40 / 48) ** 2, rel=0.02)


def test_angles_join_the_pool() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    mask = np.zeros((60, 90), bool)
    mask[20:44, 30:50] = True
    plain = dinov3.pool(image, mask, dinov3.Config())
    more = dinov3.pool(image, mask, dinov3.Config(angles=(30, -30)))
    assert len(more) == len(plain) + 2
    assert all((a.pixels == b.pixels).all() for a, b in zip(plain, more, strict=False))
    assert (more[-1].pixels != more[-2].pixels).any()


def test_scaled_object() -> None:
    """An object of 4 pixels without padding: its crop has 4 / 0.7 = 6 and 4 / 1.4 = 3 pixels."""
    image, mask = scene()
    small, _ = crops.scaled(image, mask, 6, 0.0, False)
    assert (small.pixels == image[7:13, 9:15]).all()
    assert (small.weights == mask[7:13, 9:15]).all()
    _, large = crops.scaled(image, mask, 3, 0.0, False)
    assert (large.pixels == image[9:12, 11:14]).all()
    assert (large.weights == 1).all()


def test_relit_blurred_and_grey_object() -> None:
    image, mask = scene()
    crop = crops.cut(image, mask, 4, 0.0, False)
    bright, dim = crops.relit(crop)
    value = crop.pixels[0, 0, 0] / 255
    assert bright.pixels[0, 0, 0] == round(255 * value**0.5)
    assert dim.pixels[0, 0, 0] == round(255 * value**2)
    grey = crops.greyed(crop).pixels.astype(float)
    luma = crop.pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey, np.repeat(luma[..., None], 3, 2), atol=0.51)
    point = crops.Crop(np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.float32))
    point.pixels[32, 32] = 255
    soft = crops.blurred(point).pixels[..., 0]  # a Gaussian of one pixel
    assert soft[32, 32] == pytest.approx(255 / (2 * np.pi), abs=2)
    assert soft[32, 33] == pytest.approx(255 / (2 * np.pi) * np.exp(-0.5), abs=2)


def test_batches_change_nothing(model: torch.nn.Module) -> None:
    image, mask = scene()
    config = dinov3.Config(size=32)
    views = dinov3.pool(image, mask, config)
    one, all_ = (dinov3.embed(model, views, config, n) for n in (1, 8))
    np.testing.assert_allclose(one, all_, atol=1e-5)


def test_a_candidate_that_is_the_turned_target_matches_the_pool(model: torch.nn.Module) -> None:
    """The pool is there so that a turned target has a cosine of 1 with one of its views."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[20:44, 20:44] = True
    config = dinov3.Config(size=32, padding=0.0)
    pool = dinov3.embed(model, dinov3.pool(image, mask, config), config, 8)
    turned = dinov3.crop(np.ascontiguousarray(np.rot90(image)), np.rot90(mask), config)
    row = dinov3.embed(model, [turned], config, 1)
    best = (row @ pool.T)[0]
    assert best.max() == pytest.approx(1, abs=1e-4)  # resampling rounds pixels
    assert best.argmax() == 1
    assert best[0] < 0.999


def test_masked_mean_ignores_patches_without_object(model: torch.nn.Module) -> None:
    """By hand: the object on the second patch of the first row alone."""
    patch = model.config.patch_size
    config = dinov3.Config(size=32)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    weights = np.zeros((32, 32), np.float32)
    weights[:patch, patch : 2 * patch] = 1
    row = dinov3.embed(model, [crops.Crop(pixels, weights)], config, 1)[0]
    mean, std = np.array(dinov3._MEAN), np.array(dinov3._STD)
    batch = torch.from_numpy(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None]).float()
    with torch.inference_mode():
        second = model(batch).last_hidden_state[0, 1 + 4 + 1].numpy()
    np.testing.assert_allclose(row, second / np.linalg.norm(second), atol=1e-4)


def test_golden_dinov3(golden: Path) -> None:
    """transformers' own outputs on a real clip: our batch of normalised pixels gives the same."""
    from safetensors.torch import load_file
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    folder = golden / "tracker" / "dinov3_features"
    case = json.loads((folder / "case.json").read_text())["input"]
    config = DINOv3ViTConfig.from_dict(json.loads((folder / "config.json").read_text()))
    model = DINOv3ViTModel(config).eval()
    model.load_state_dict(load_file(golden / "tracker" / "weights" / "dinov3_features.safetensors"))
    expected = np.load(folder / "expected.npz")
    clip = golden / "tracker" / "clips" / "dogs_jump" / "frames"
    for index, crop in enumerate(case["crops"]):
        image = Image.open(clip / f"{crop['frame']:05d}.png").convert("RGB")
        image = image.crop(crop["box_xyxy"]).resize(crop["resize"], Image.Resampling.BICUBIC)
        pixels = np.array(image)
        whole = crops.Crop(pixels, np.ones(pixels.shape[:2], np.float32))
        cls = dinov3.embed(model, [whole], dinov3.Config(pooling="cls"), 1)[0]
        mean = dinov3.embed(model, [whole], dinov3.Config(), 1)[0]
        for ours, wanted in (
            (cls, expected[f"crop{index}.pooler_output"]),
            (mean, expected[f"crop{index}.patch_tokens"].mean(0)),
        ):
            np.testing.assert_allclose(ours, wanted / np.linalg.norm(wanted), atol=1e-4)
