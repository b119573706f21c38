"""A rollout tracks as the engine does, and its gradients reach every part of a model."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import Clip as Discs
from tiny_models import tiny_sam2, tiny_sam3, with_presence

from kit.core.types import Prompt
from kit.propagators import greedy
from kit.trackers import sam2, sam3
from kit.training import batch, clips, losses
from kit.training.rollout import Teacher, corrected, rollout
from kit.training.sam2 import Sam2Steps
from kit.training.sam3 import Sam3Steps

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

FRAMES = 6
LIBRARIES = {"sam2": (sam2, Sam2Steps), "sam3": (sam3, Sam3Steps)}


@pytest.fixture(scope="module")
def trackers() -> dict[str, Any]:
    return {"sam2": with_presence(tiny_sam2(), 20), "sam3": with_presence(tiny_sam3(), 20)}


def clip(later: tuple[tuple[int, ...], ...] = ((), ()), first: str = "mask") -> clips.Clip:
    """Two discs; what is left to chance is the same in every call."""
    discs = Discs(FRAMES)
    masks = np.stack([[discs.mask(t, i) for t in range(FRAMES)] for i in (1, 2)])
    chance = np.random.default_rng(0).random((2, FRAMES, 4))
    return clips.Clip(
        np.stack([discs[t] for t in range(FRAMES)]), masks, later, (first,) * 2, chance
    )


@pytest.fixture
def rounding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Memories in bfloat16, as the engine keeps them; training keeps what it is given."""
    for steps in (Sam2Steps, Sam3Steps):
        remember = steps.remember
        monkeypatch.setattr(
            steps, "remember", lambda *a, r=remember, **k: r(*a, **k).to(torch.bfloat16)
        )
    yield


@pytest.mark.parametrize("later", [((), ()), ((4,), (2, 5))], ids=["first frame", "anchors"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_rollout_is_what_the_engine_does(
    name: str, later: tuple[tuple[int, ...], ...], trackers: dict[str, Any], rounding: None
) -> None:
    library, steps_of = LIBRARIES[name]
    material = clip(later)
    model = trackers[name].eval()
    steps = steps_of(model)
    with torch.no_grad():
        spoken = rollout(steps, batch.collate([material], steps, torch.device("cpu")), Teacher())
    told = {
        (s.frame, row): (s.answer.best()[0][i, 0], s.answer.presence[i])
        for s in spoken if not s.prompt for i, row in enumerate(s.rows)
    }  # fmt: skip
    prompts = [Prompt(0, i + 1, material.masks[i, 0], True) for i in range(2)]
    prompts += [Prompt(t, i + 1, material.masks[i, t], False) for i in range(2) for t in later[i]]
    present = 0
    tracker = library.build(model, library.Config())
    for result in greedy.propagate(tracker, list(material.frames), prompts, greedy.Config()):
        for row in range(2):
            if (result.frame, row) not in told:
                continue  # a given mask
            low, presence = told[result.frame, row]
            assert float(presence) == pytest.approx(float(result.presence[row]), abs=2e-3)
            gated = low if presence > 0 else torch.full_like(low, -1024.0)
            full = torch.nn.functional.interpolate(
                gated[None, None], result.logits.shape[-2:], mode="bilinear", align_corners=False
            )[0, 0]
            np.testing.assert_allclose(full.numpy(), result.logits[row], atol=0.02)
            present += int(presence > 0)
    assert present  # the comparison saw masks, not constants alone
    assert len(told) == 2 * (FRAMES - 1) - sum(map(len, later))


@pytest.mark.parametrize("first", ["mask", "point", "box"])
@pytest.mark.parametrize("name", LIBRARIES)
def test_gradients_reach_every_part(name: str, first: str, trackers: dict[str, Any]) -> None:
    model = trackers[name].train()
    model.zero_grad()
    steps = LIBRARIES[name][1](model)
    material = batch.collate([clip(((3,), ()), first)], steps, torch.device("cpu"))
    total = torch.zeros(())
    for item in rollout(steps, material, Teacher()):
        truth = material.masks[list(item.rows), item.frame][:, None]
        total = total + losses.track_loss(item.answer, truth, losses.Weights()).total
    total.backward()
    parts = {
        "memory_attention",
        "memory_encoder",
        "obj",
        "mask_decoder",
        "encoder",
        "tpos|temporal",
    }
    learned = [n for n, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    for part in parts:
        assert any(any(key in n for key in part.split("|")) for n in learned), part
    model.zero_grad()
    model.eval()


@pytest.mark.parametrize("name", LIBRARIES)
def test_corrections_are_clicks_into_what_is_wrong(name: str, trackers: dict[str, Any]) -> None:
    """Each further answer counts in the loss; the last one is what is remembered."""
    steps = LIBRARIES[name][1](trackers[name].eval())
    material = batch.collate([clip(first="point")], steps, torch.device("cpu"))
    with torch.no_grad():
        alone = rollout(steps, material, Teacher())
        mended = rollout(steps, material, Teacher(), corrections=2)
    assert [s.frame for s in alone] == [0, *range(1, FRAMES)]
    assert [s.frame for s in mended] == [0, 0, 0, *range(1, FRAMES)]
    assert torch.equal(alone[0].answer.logits, mended[0].answer.logits)
    assert not torch.equal(mended[1].answer.logits, mended[2].answer.logits[:, :1])


def test_where_a_correction_goes() -> None:
    """Half of the object was missed, and as much beside it taken for it."""
    mask, low = torch.zeros(2, 8, 8), torch.full((2, 8, 8), -5.0)
    mask[:, 2:6, 2:6] = 1
    low[0, 2:6, 2:4] = 5  # the right half is missed
    low[1, 2:6, 2:6] = 5  # all is right
    low[1, 7, 0] = 5  # but for a corner
    for chance in (0.0, 0.5, 0.99):
        points, labels = corrected(low, mask, torch.tensor([chance, chance]))
        (missed,), (taken,) = points.tolist()
        assert missed[0] in (4, 5) and 2 <= missed[1] < 6
        assert taken == [0, 7]
        assert labels.tolist() == [[1], [0]]
    _, labels = corrected(mask * 10 - 5, mask, torch.tensor([0.3, 0.3]))
    assert labels.tolist() == [[1], [1]]


def test_the_teacher_replaces_what_is_remembered(trackers: dict[str, Any]) -> None:
    steps = Sam2Steps(trackers["sam2"].eval())
    material = batch.collate([clip()], steps, torch.device("cpu"))

    def last(teacher: Teacher) -> torch.Tensor:
        with torch.no_grad():
            return rollout(steps, material, teacher)[-1].answer.logits

    alone, taught = last(Teacher()), last(Teacher(mask=1.0, presence=1.0))
    assert not torch.equal(alone, taught)
    assert torch.equal(last(Teacher(0.5, 0.5)), last(Teacher(0.5, 0.5)))


def test_clips_do_not_see_each_other(trackers: dict[str, Any]) -> None:
    """What a clip is told in a batch is what it is told alone."""
    steps = Sam2Steps(trackers["sam2"].eval())
    one, other = clip(), clip(((2,), (3,)), "box")
    cpu = torch.device("cpu")
    with torch.no_grad():
        both = rollout(steps, batch.collate([one, other], steps, cpu), Teacher(0.5, 0.5))
        alone = rollout(steps, batch.collate([other], steps, cpu), Teacher(0.5, 0.5))

    def by_place(spoken: Any, shift: int) -> dict[tuple[int, int, bool], torch.Tensor]:
        return {
            (s.frame, row - shift, s.prompt): s.answer.logits[i]
            for s in spoken for i, row in enumerate(s.rows) if row >= shift
        }  # fmt: skip

    mixed, single = by_place(both, 2), by_place(alone, 0)
    assert mixed.keys() == single.keys()
    for place, logits in single.items():
        torch.testing.assert_close(mixed[place], logits, atol=5e-3, rtol=1e-3)
