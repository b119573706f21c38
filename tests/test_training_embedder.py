"""The embedder's training: its loss, crops of masks as detectors draw them, and that it learns."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from reels import Reel, generators

from kit.core.errors import DataError
from kit.core.masks import iou
from kit.data import synthetic
from kit.embedders import crops, dinov3
from kit.runtime import tiny
from kit.training import embedder, loop, optimiser
from kit.training.clips import Drawn, Footage

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
CROP = dinov3.Config(size=tiny.DINOV3_SIZE)
# Crops as they are: nothing is left to chance.
PLAIN = embedder.Config(crop=CROP, turned=0.0, damage=0.0, light=0.0, tint=0.0, grey=0.0)


def batch_of(clip: list[int], identity: list[int]) -> embedder.Batch:
    return embedder.Batch([], torch.tensor(clip), torch.tensor(identity))


# Two clips; object 3 is seen once and has no like, object 1 of the second clip stands alone in it.
CLIP = [0, 0, 0, 0, 0, 1, 1]
IDENTITY = [1, 2, 1, 3, 1, 257, 257]


def test_the_loss_is_its_definition() -> None:
    """Mean over the like of -log of the softmax over like and others, of the same clip."""
    rows = torch.nn.functional.normalize(
        torch.randn(7, 5, generator=torch.Generator().manual_seed(3)), dim=1
    )
    logits = rows @ rows.T / 0.1
    ours = embedder.contrast(logits, *embedder.relations(batch_of(CLIP, IDENTITY)))
    expected = []
    for i in range(7):
        clip = [j for j in range(7) if j != i and CLIP[j] == CLIP[i]]
        like = [j for j in clip if IDENTITY[j] == IDENTITY[i]]
        if not like or len(like) == len(clip):
            continue
        total = sum(math.exp(logits[i, j]) for j in clip)
        expected.append(-sum(math.log(math.exp(logits[i, j]) / total) for j in like) / len(like))
    assert len(expected) == 3
    assert ours.tolist() == pytest.approx(expected, rel=1e-5)


def test_top1_counts_crops_whose_nearest_is_their_like() -> None:
    alike, others = embedder.relations(batch_of([0] * 4, [1, 1, 2, 2]))
    cosines = torch.eye(4)
    cosines[0, 1] = cosines[1, 0] = 0.9  # the first two find each other
    cosines[2, 3] = cosines[3, 2] = 0.1  # the third and fourth are nearer to the first
    cosines[2, 0] = cosines[3, 0] = 0.5
    assert embedder.top1(cosines, alike, others) == 0.5


def test_damaged_masks_stay_near() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    rng = np.random.default_rng(0)
    overlaps = [iou(mask, embedder.damaged(mask, 0.15, rng)) for _ in range(50)]
    assert 0.4 < min(overlaps) < 0.8 < max(overlaps) <= 1
    assert np.array_equal(embedder.damaged(mask, 0.0, rng), mask)
    corner = np.zeros((60, 80), bool)
    corner[59, 79] = True
    assert all(embedder.damaged(corner, 0.9, rng).any() for _ in range(20))


def test_crops_are_those_of_the_stage() -> None:
    """Without chance, a training crop is what the embedder cuts at inference."""
    clip = synthetic.draw(synthetic.seed_of("train", 1), synthetic.Config(), [0, 5])
    source = Reel(Footage(clip.frames, clip.instances, clip.categories))
    phase = replace(PLAIN, frames=2)
    seen = embedder.sample(source, phase, np.random.default_rng(0))
    first = next(crop for identity, crop in seen if identity == 1)
    expected = dinov3.crop(clip.frames[0], clip.instances[0] == 1, CROP)
    assert np.array_equal(first.pixels, expected.pixels)
    assert np.array_equal(first.weights, expected.weights)
    turned = replace(phase, turned=1.0)
    views = [v.pixels.tobytes() for v in crops.views(expected, True, True)]
    found = set()
    for seed in range(40):
        again = embedder.sample(source, turned, np.random.default_rng(seed))
        found.add(views.index(next(c for i, c in again if i == 1).pixels.tobytes()))
    assert found == set(range(8))


def test_the_light_of_a_crop_is_left_to_chance() -> None:
    """Brightness for all channels, a tint for each, within their bounds; now and then no colour."""
    pixels = np.full((4, 4, 3), 100, np.uint8)
    crop = crops.Crop(pixels, np.ones((4, 4), np.float32))

    def relit(**config: float) -> np.ndarray:
        chosen = replace(PLAIN, **config)
        rng = np.random.default_rng(0)
        return np.stack([embedder.relit(crop, chosen, rng).pixels[0, 0] for _ in range(200)])

    assert (relit() == 100).all()
    light, tint = relit(light=0.4), relit(tint=0.12)
    assert (light == light[:, :1]).all()
    assert 60 <= light.min() < 65 < 135 < light.max() <= 140
    assert 88 <= tint.min() < 90 < 110 < tint.max() <= 112
    assert (tint != tint[:, :1]).any(1).mean() > 0.8
    grey = relit(tint=0.12, grey=0.5)
    assert 0.4 < (grey == grey[:, :1]).all(1).mean() < 0.6


def test_one_object_cannot_be_told_from_another() -> None:
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, 5:15, 5:15] = 1
    alone = Reel(Footage(np.zeros((2, 20, 20, 3), np.uint8), labels))
    with pytest.raises(DataError, match="no two objects"):
        embedder.sample(alone, embedder.Config(frames=2), np.random.default_rng(0))


def test_a_batch_is_a_sum_over_its_clips() -> None:
    embedding = embedder.Embedding(tiny.new("dinov3").eval(), Drawn(synthetic.Config()), {})
    phase = embedder.Config(crop=CROP)
    together = embedding.loss(phase, embedding.batch(phase, generators(1, 2)))
    apart = [embedding.loss(phase, embedding.batch(phase, generators(seed))) for seed in (1, 2)]
    assert together.count == sum(one.count for one in apart)
    assert float(together.loss.detach()) == pytest.approx(
        sum(float(one.loss.detach()) for one in apart), rel=1e-4
    )


@pytest.mark.parametrize("pooling", ["masked_mean", "cls"])
def test_both_poolings_learn(pooling: str) -> None:
    """The gradient of the objective lowers the loss of each pooling, taken by itself."""
    model = tiny.new("dinov3")
    embedding = embedder.Embedding(model.eval(), Drawn(synthetic.Config()), {})
    phase = embedder.Config(crop=CROP)
    batch = embedding.batch(phase, generators(4))

    def alone() -> float:
        config = replace(CROP, pooling=pooling)
        rows = dinov3.vectors(model, batch.crops, config, torch.device("cpu"))
        logits = rows @ rows.T / phase.temperature
        return float(embedder.contrast(logits, *embedder.relations(batch)).detach().mean())

    before = alone()
    outcome = embedding.loss(phase, batch)
    (outcome.loss / outcome.count).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 * parameter.grad.sign()
    assert alone() < before


def test_it_overfits_two_clips() -> None:
    """In seconds the objects of two clips are told apart, by the class token and by the patches."""
    clips = [
        synthetic.draw(synthetic.seed_of("train", seed), synthetic.Config(), [0, 6, 12, 18])
        for seed in (1, 2)
    ]
    source = Reel(*(Footage(c.frames, c.instances) for c in clips))
    embedding = embedder.build({"model": {"source": "scratch"}}, source, loop.Config(), "cpu")
    embedding.model.train()
    rates = optimiser.Config(lr=1e-3, vision=(), weight_decay=0.0, beta2=0.98)
    adam = optimiser.optimiser(embedding.model, rates)
    shown = []
    for _ in range(60):
        outcome = embedding.loss(PLAIN, embedding.batch(PLAIN, generators(0, 1)))
        adam.zero_grad()
        (outcome.loss / outcome.count).backward()
        adam.step()
        shown.append(outcome.shown)
    for key in ("cls_top1", "mean_top1"):
        assert np.mean([s[key] for s in shown[:5]]) < 0.9
        assert np.mean([s[key] for s in shown[-5:]]) > 0.95
