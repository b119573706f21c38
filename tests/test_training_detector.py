"""The detector's training: what is sought, what is punished, and that it learns."""

import numpy as np
import pytest
import torch
from reels import Reel, generators
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from kit.core.errors import DataError
from kit.core.masks import iou
from kit.core.types import Video, VideoObject
from kit.data import synthetic
from kit.detectors import exemplar_tokens, prompting
from kit.detectors.base import Exemplar, Search
from kit.runtime import models, tiny
from kit.training import detector, exemplars, losses, matching, optimiser, seeker
from kit.training.clips import Drawn, Footage
from kit.training.detection import Weights, detection_loss
from kit.training.matching import Pairs, Targets
from kit.training.seeker import Found, Seeker

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
CPU = torch.device("cpu")


def untrained() -> models.Detector:
    model = tiny.new("sam3_detector")
    seeker.prepare(model)
    return models.Detector(model.eval(), tiny.tokenize)


# --- what is sought -------------------------------------------------------------------------------


def test_a_prompt_means_all_that_is_drawn_of_its_category() -> None:
    """Every instance of the kind that the frame shows, and nothing else."""
    config = synthetic.Config(objects=3, sibling_share=0.5, gap_share=1.0, size_max=0.15)
    kinds = set()
    for seed in range(8):
        clip = synthetic.draw(synthetic.seed_of("train", seed), config, [0, 9, 18])
        source = Reel(Footage(clip.frames, clip.instances, clip.categories))
        rng = np.random.default_rng(seed)
        scene = exemplars.sample(source, exemplars.Config(frames=3, reverse=0.0, prompts=9), rng)
        batch = exemplars.collate([scene], True, 48, CPU)
        ids = np.unique(clip.instances[clip.instances > 0])
        assert scene.exhaustive
        for exemplar, like in zip(scene.exemplars, scene.like, strict=True):
            kind = clip.categories[ids[exemplar] - 1]
            kin = {int(i) for i in ids[like]}
            assert kin == {int(i) for i in ids if clip.categories[i - 1] == kind}
            kinds.add(len(kin))
        for search, (frame, prompt) in enumerate(zip(batch.searched, batch.prompt, strict=True)):
            wanted = {int(i) for i in ids[scene.like[prompt]]}
            visible = [i for i in wanted if (clip.instances[frame] == i).sum() >= 8]
            assert int(batch.targets.valid[search].sum()) == len(visible)
    assert len(kinds) > 1


def test_without_categories_a_prompt_means_the_object_alone() -> None:
    labels = np.zeros((2, 40, 60), np.uint8)
    labels[:, 10:20, 10:20], labels[:, 25:35, 30:50] = 3, 7
    footage = Footage(np.zeros((2, 40, 60, 3), np.uint8), labels)
    rng = np.random.default_rng(0)
    scene = exemplars.sample(Reel(footage), exemplars.Config(frames=2), rng)
    assert not scene.exhaustive
    assert np.array_equal(scene.like, np.eye(2, dtype=bool)[scene.exemplars])
    batch = exemplars.collate([scene], False, 20, CPU)
    assert batch.searched == [1, 1]  # its own frame was not asked for
    assert batch.targets.valid.sum(1).tolist() == [1, 1]
    box = {3: [0.25, 0.375, 10 / 60, 0.25], 7: [40 / 60, 0.75, 20 / 60, 0.25]}
    expected = [box[[3, 7][i]] for i in scene.exemplars]
    torch.testing.assert_close(batch.boxes[:, 0], torch.tensor(expected))
    torch.testing.assert_close(batch.targets.boxes[:, 0], torch.tensor(expected))


def test_frames_without_objects_are_an_error_that_says_so() -> None:
    empty = Footage(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8))
    with pytest.raises(DataError, match="no object covered"):
        exemplars.sample(Reel(empty), exemplars.Config(), np.random.default_rng(0))


# --- the forward ----------------------------------------------------------------------------------


def test_the_last_layer_is_what_the_public_call_says() -> None:
    """Of prompts on their own frame and on another, in one batch; boxes need no fine levels."""
    detector_ = untrained()
    trained = Seeker(detector_)
    source = Drawn(synthetic.Config())
    scene = exemplars.sample(source, exemplars.Config(prompts=2), np.random.default_rng(1))
    batch = exemplars.collate([scene], True, 48, CPU)
    assert len(set(batch.searched)) == 2
    with torch.no_grad():
        vision = trained.see(batch.frames, True)
        prompt = trained.prompt(vision, batch.shown, batch.boxes, exemplar_tokens.Config())
        found = trained.seek(vision, batch.searched, prompt, batch.prompt, True)
        coarse = trained.see(batch.frames, False)
        again = trained.prompt(coarse, batch.shown, batch.boxes, exemplar_tokens.Config())
        quick = trained.seek(coarse, batch.searched, again, batch.prompt, False)
        for n, (frame, p) in enumerate(zip(batch.searched, batch.prompt, strict=True)):
            seen = prompting.encode(detector_, [batch.frames[frame]])
            shown = prompting.encode(detector_, [batch.frames[batch.shown[p]]])
            boxes = [(shown, batch.boxes[p : p + 1])]
            token = exemplar_tokens.exemplar_prompt(detector_, boxes, exemplar_tokens.Config())
            said = prompting.detect_prompted(detector_, seen, token)
            corners = matching.box_convert(found.boxes[-1, n], "cxcywh", "xyxy")
            for ours, theirs in (
                (found.logits[-1, n], said.pred_logits[0]),
                (corners, said.pred_boxes[0]),
                (found.presence[-1, n], said.presence_logits[0, 0]),
                (found.masks[n], said.pred_masks[0]),
                (found.area[n], said.semantic_seg[0, 0]),
            ):
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(quick.logits, found.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(quick.boxes, found.boxes, rtol=1e-4, atol=1e-4)
    assert quick.masks is None


def test_a_prepared_detector_begins_on_a_grid_and_doubts() -> None:
    detector_ = untrained()
    trained = Seeker(detector_)
    scene = exemplars.sample(
        Drawn(synthetic.Config()), exemplars.Config(), np.random.default_rng(1)
    )
    batch = exemplars.collate([scene], True, 48, CPU)
    with torch.no_grad():
        vision = trained.see(batch.frames, False)
        prompt = trained.prompt(vision, batch.shown, batch.boxes, exemplar_tokens.Config())
        found = trained.seek(vision, batch.searched, prompt, batch.prompt, False)
    queries = found.boxes.shape[2]
    expected = seeker.grid(queries).sigmoid().expand_as(found.boxes)
    torch.testing.assert_close(found.boxes, expected, atol=2e-3, rtol=0)
    assert -6 < float(found.logits.mean()) < -1
    centres = seeker.grid(queries)[:, :2].sigmoid()
    assert len({tuple(c) for c in (centres * 100).round().tolist()}) == queries


# --- the losses -----------------------------------------------------------------------------------


def world(exhaustive: bool = True, visible: bool = True) -> tuple[Found, Targets, Pairs]:
    """One layer, one search, three queries: on the target, on it as well, and far away."""
    target = torch.tensor([0.3, 0.5, 0.2, 0.4])
    boxes = torch.stack([target + torch.tensor([0.1, 0, 0, 0]), target, 1 - target])
    found = Found(
        logits=torch.tensor([[[0.5, -0.5, 1.0]]]),
        boxes=boxes[None, None],
        presence=torch.tensor([[0.7]]),
        masks=torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)),
        area=torch.zeros(1, 4, 4),
    )
    masks = torch.zeros(1, 1, 4, 4)
    masks[..., :2] = 1
    targets = Targets(
        target[None, None], masks, torch.tensor([[visible]]), torch.tensor([exhaustive])
    )
    one = torch.zeros(1 if visible else 0, dtype=torch.int64)
    return found, targets, Pairs(one, one, one, one)


def test_losses_by_hand() -> None:
    """The first query answers: its box is shifted by half its width, so that IoU is a third."""
    found, targets, pairs = world()
    weights = Weights(silence=0.5)
    parts = detection_loss(found, targets, pairs, weights)
    assert float(parts["box"]) == pytest.approx(5 * 0.1)
    assert float(parts["giou"]) == pytest.approx(2 * (1 - 1 / 3))
    sure = torch.tensor(0.5).sigmoid() ** 0.25 * (1 / 3) ** 0.75
    some = binary_cross_entropy_with_logits(torch.tensor(0.5), sure)
    logits = torch.tensor([-0.5, 1.0])
    none = (logits.sigmoid() ** 2 * softplus(logits)).sum()
    assert float(parts["score"]) == pytest.approx(float(some + 0.5 * none), rel=1e-5)
    assert float(parts["presence"]) == pytest.approx(20 * float(softplus(torch.tensor(-0.7))))
    drawn, mask = found.masks[0, :1], targets.masks[0, :1]
    expected = 200 * losses.focal(drawn, mask) + 10 * losses.dice(drawn, mask)
    assert float(parts["mask"]) == pytest.approx(float(expected), rel=1e-5)
    area = 20 * losses.focal(found.area, mask, 0.6) + 30 * losses.dice(found.area, mask)
    assert float(parts["area"]) == pytest.approx(float(area), rel=1e-5)


def test_a_target_with_several_queries_counts_once() -> None:
    found, targets, single = world()
    both = Pairs(*(torch.tensor(x) for x in ([0, 0], [0, 0], [0, 1], [0, 0])))
    one, two = (detection_loss(found, targets, pairs, Weights()) for pairs in (single, both))
    assert float(two["box"]) == pytest.approx(float(one["box"]) / 2)  # the second box is perfect
    assert float(two["giou"]) == pytest.approx(float(one["giou"]) / 2)


def punished(exhaustive: bool, visible: bool, unknown: float) -> list[bool]:
    """Which scores, and whether presence, feel a gradient."""
    found, targets, pairs = world(exhaustive, visible)
    found.logits.requires_grad_()
    found.presence.requires_grad_()
    parts = detection_loss(found, targets, pairs, Weights(unknown=unknown))
    torch.stack(list(parts.values())).sum().backward()
    return [bool(g) for g in (*found.logits.grad[0, 0], found.presence.grad[0, 0])]


def test_what_nobody_knows_is_not_punished() -> None:
    """Where other things of the kind may be unlabelled, only finding the target twice is wrong."""
    assert punished(exhaustive=True, visible=True, unknown=0.0) == [True] * 4
    assert punished(exhaustive=False, visible=True, unknown=0.0) == [True, True, False, True]
    assert punished(exhaustive=False, visible=True, unknown=0.1) == [True] * 4


def test_where_no_target_is_seen_presence_alone_learns() -> None:
    assert punished(exhaustive=True, visible=False, unknown=0.0) == [False, False, False, True]
    assert punished(exhaustive=False, visible=False, unknown=0.0) == [False] * 4


def test_a_batch_is_a_sum_over_its_scenes() -> None:
    """However the scenes of a step are shared out among processes, gradients add up to the same."""
    detection = detector.Detection(untrained(), Drawn(synthetic.Config()), {})
    phase = detector.Config(exemplars.Config(max_gap=4))
    together = detection.loss(phase, detection.batch(phase, generators(1, 2)))
    apart = [detection.loss(phase, detection.batch(phase, generators(seed))) for seed in (1, 2)]
    assert together.count == sum(one.count for one in apart)
    assert float(together.loss.detach()) == pytest.approx(
        sum(float(one.loss.detach()) for one in apart), rel=1e-4
    )


# --- learning -------------------------------------------------------------------------------------


def clip(seed: int) -> synthetic.Clip:
    return synthetic.draw(
        synthetic.seed_of("train", seed), synthetic.Config(sibling_share=0), [0, 8]
    )


def test_it_overfits_two_clips() -> None:
    """After a minute the stage's own code finds in both clips what was asked for, by its tokens."""
    clips = [clip(3), clip(5)]
    source = Reel(*(Footage(c.frames, c.instances, c.categories) for c in clips))
    detection = detector.Detection(untrained(), source, {})
    model = detection.model.train()
    settings = exemplars.Config(frames=2, reverse=0.0, prompts=4)
    rates = optimiser.Config(lr=1e-3, vision_lr=1e-3, layer_decay=1.0, weight_decay=0.0, beta2=0.98)
    adam = optimiser.optimiser(model, rates)
    for step in range(130):
        phase = detector.Config(settings, masks=step >= 20, weights=Weights(silence=0.5))
        outcome = detection.loss(phase, detection.batch(phase, generators(0, 1)))
        adam.zero_grad()
        (outcome.loss / outcome.count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
    found, wanted, wrong = count_found(models.Detector(model.eval(), tiny.tokenize), clips)
    assert found >= 0.8 * wanted
    assert wrong <= 0.3 * found


def count_found(trained: models.Detector, clips: list[synthetic.Clip]) -> tuple[int, int, int]:
    """On the later frame: instances of the kinds found, those visible, and candidates beside."""
    found = wanted = wrong = 0
    for one in clips:
        names = ("0", "1")
        ids = (1, 2)
        video = Video(
            "v", *one.labels.shape[1:], names, tiny.WEIGHTS, ".jpg", tiny.WEIGHTS,
            tuple(VideoObject(i, "0") for i in ids), "digest",
        )  # fmt: skip
        targets = [Exemplar(i, 0, one.labels[0] == i) for i in ids]
        limits = exemplar_tokens.Config(threshold=0.3, nms_iou=0.5)
        for target in targets:
            kind = one.categories[target.object_id - 1]
            kin = [one.instances[1] == i + 1 for i, c in enumerate(one.categories) if c == kind]
            seen = [mask for mask in kin if mask.sum() >= 8]
            search = Search(video, list(one.frames), [target], trained)
            said = exemplar_tokens.detect(search, limits)
            masks = [candidate.mask for candidate in said]
            hits = [[iou(mask, true) >= 0.5 for true in seen] for mask in masks]
            found += sum(any(column) for column in zip(*hits, strict=True))
            wanted += len(seen)
            wrong += sum(not any(row) for row in hits)
    return found, wanted, wrong
