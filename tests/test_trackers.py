"""The four verbs: equal to each library's own propagation beside them, true to their contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from libraries import package, session, write_frames
from tiny_models import (
    Clip,
    tiny_sam2,
    tiny_sam2_hf,
    tiny_sam3,
    with_presence,
    write_tiny_sam3,
)

from kit.core.errors import ConfigError, DataError
from kit.core.types import Prompt
from kit.propagators import greedy
from kit.trackers import rows, sam2, sam3
from kit.trackers.attention import batches, weighted_keys
from kit.trackers.base import Context, Encoded, Memory, Recall, Tracker
from kit.trackers.recorded import Recorded
from kit.trackers.square import square_mask

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTH = 19  # longer than pointers reach back (16)
CLIP = Clip(LENGTH)

# prompted frames of each object; the engine takes all objects at once, the library one by one
PLANS = {
    "later anchors": {1: [0, 6, 13], 2: [0, 9]},
    "late start": {1: [0], 2: [5, 12]},
    "more anchors than attended to": {1: [0, 2, 4, 9, 11, 17]},
}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    """Object scores of both signs occur, so that absence is part of the comparison."""
    return {
        "sam2": with_presence(tiny_sam2(), 2.4),
        "sam2.0": with_presence(tiny_sam2("configs/sam2/sam2_hiera_t.yaml"), 2.4),
        "sam3": with_presence(tiny_sam3(), -5.2),
        "sam2_hf": with_presence(tiny_sam2_hf(), -7.1),
    }


def prompts_of(plan: dict[int, list[int]]) -> list[Prompt]:
    return [
        Prompt(frame, id_, CLIP.mask(frame, id_), frame == frames[0])
        for id_, frames in plan.items()
        for frame in frames
    ]


def masks_of(id_: int, frames: list[int]) -> dict[int, np.ndarray]:
    return {frame: CLIP.mask(frame, id_) for frame in frames}


def engine(tracker: Tracker, plan: dict[int, list[int]]) -> dict[int, np.ndarray]:
    """Video-size logits of each object, float32 [frames since its start, H, W]."""
    found: dict[int, list[np.ndarray]] = {}
    for result in greedy.propagate(tracker, CLIP, prompts_of(plan), greedy.Config()):
        for id_, logits in zip(result.object_ids, result.logits, strict=True):
            found.setdefault(id_, []).append(logits)
    return {id_: np.stack(logits) for id_, logits in found.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as the package reads it."""
    return write_frames(tmp_path_factory.mktemp("frames"), [CLIP[i] for i in range(LENGTH)])


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_sam2_is_bit_equal_to_the_package(
    models: dict[str, Any], folder: Path, plan: dict[int, list[int]]
) -> None:
    ours = engine(sam2.build(models["sam2"], sam2.Config()), plan)
    for id_, frames in plan.items():
        theirs = package(models["sam2"], folder, id_, masks_of(id_, frames))
        np.testing.assert_array_equal(ours[id_], theirs)


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("sam2.0", "image_size", 128),  # its own yaml: no temporal code for pointers
        ("sam2", "max_cond_frames_in_attn", 3),  # unchosen anchors count as ordinary frames
        ("sam2", "only_obj_ptrs_in_the_past_for_eval", False),
        ("sam2", "max_obj_ptrs_in_encoder", 4),
    ],
)
def test_sam2_follows_its_yaml(
    models: dict[str, Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    setting: str,
    value: object,
) -> None:
    monkeypatch.setattr(models[name], setting, value)
    frames = PLANS["more anchors than attended to"][1]
    ours = engine(sam2.build(models[name], sam2.Config()), {1: frames})
    np.testing.assert_array_equal(ours[1], package(models[name], folder, 1, masks_of(1, frames)))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
@pytest.mark.parametrize("name", ["sam3", "sam2_hf"])
def test_sam3_is_bit_equal_to_transformers(
    models: dict[str, Any], name: str, plan: dict[int, list[int]]
) -> None:
    ours = engine(sam3.build(models[name], sam3.Config()), plan)
    for id_, frames in plan.items():
        images = [CLIP[i] for i in range(LENGTH)]
        theirs = session(models[name], images, id_, masks_of(id_, frames))
        np.testing.assert_array_equal(ours[id_], theirs)


def test_the_comparisons_above_see_presence_and_absence(models: dict[str, Any]) -> None:
    for name, module in (("sam2", sam2), ("sam3", sam3), ("sam2_hf", sam3)):
        tracker = module.build(models[name], module.Config())
        results = list(
            greedy.propagate(tracker, CLIP, prompts_of({1: [0], 2: [0]}), greedy.Config())
        )
        presence = np.array([result.presence for result in results[1:]])
        assert (presence > 0).any(), name
        assert (presence < 0).any(), name


@pytest.fixture(params=["sam2", "sam3"])
def tracker(request: pytest.FixtureRequest, models: dict[str, Any]) -> Tracker:
    module = {"sam2": sam2, "sam3": sam3}[request.param]
    return module.build(models[request.param], module.Config())


def contexts_of(tracker: Tracker) -> list[Context]:
    """Rows of two lengths: 1, 2 and 1 spatial memories, 1, 2 and 1 pointers."""
    first, second = (tracker.encode(CLIP[index]) for index in (0, 1))
    memories = [
        tracker.remember(encoded, [(tracker.condition(encoded, CLIP.mask(index, id_)),)])[0]
        for encoded, index, id_ in ((first, 0, 1), (second, 1, 1), (first, 0, 2))
    ]
    one, two, other = (Recall(memories[i], position) for i, position in ((0, 0), (1, 1), (2, 0)))
    return [
        Context((one,), (Recall(one.memory, 2),), 15),
        Context((one, two), (Recall(one.memory, 2), Recall(two.memory, 1)), 15),
        Context((other,), (Recall(other.memory, 2),), 15),
    ]


@pytest.mark.parametrize("name", ["sam2", "sam3"])
def test_rows_in_one_call_are_the_rows_one_by_one(models: dict[str, Any], name: str) -> None:
    module = {"sam2": sam2, "sam3": sam3}[name]
    single = module.build(models[name], module.Config())
    several = module.build(models[name], module.Config(rows=8))
    contexts, encoded = contexts_of(single), single.encode(CLIP[2])
    for every in (False, True):
        ones, many = (t.decode(encoded, contexts, every) for t in (single, several))
        for one, other in zip(ones, many, strict=True):
            for field in ("logits", "full", "iou", "presence", "pointers"):
                a, b = getattr(one, field), getattr(other, field)
                torch.testing.assert_close(a, b, atol=2e-4, rtol=2e-4)
        memories = [t.remember(encoded, [(h.pick(0),) for h in ones]) for t in (single, several)]
        for one, other in zip(*memories, strict=True):
            torch.testing.assert_close(one.spatial, other.spatial, atol=2e-2, rtol=2e-2)
            assert other.spatial.shape[1] == 1
    presence = [float(h.presence) for h in single.decode(encoded, contexts)]
    assert min(abs(np.diff(sorted(presence)))) > 1e-2  # rows in another order would be seen


def test_the_best_of_three_is_one_of_all_three(tracker: Tracker) -> None:
    contexts, encoded = contexts_of(tracker), tracker.encode(CLIP[2])
    for best, every in zip(
        tracker.decode(encoded, contexts), tracker.decode(encoded, contexts, True), strict=True
    ):
        chosen = every.pick(int(every.iou.argmax()))
        assert every.iou.shape == (3,)
        assert best.iou.shape == (1,)
        torch.testing.assert_close(best.logits, chosen.logits, atol=0, rtol=0)
        torch.testing.assert_close(best.pointers, chosen.pointers)


def test_weights_act_on_keys_and_leave_no_trace(tracker: Tracker) -> None:
    context, encoded = contexts_of(tracker)[1], tracker.encode(CLIP[2])
    loud = Context(
        (context.spatial[0], Recall(context.spatial[1].memory, 1, weight=1.3)),
        context.pointers,
        15,
    )
    before = tracker.decode(encoded, [context])[0].iou
    assert not torch.equal(tracker.decode(encoded, [loud])[0].iou, before)
    assert torch.equal(tracker.decode(encoded, [context])[0].iou, before)


def test_weighted_keys_scale_what_the_layer_hands_on() -> None:
    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cross_attn_image = Echo()

    class Echo(torch.nn.Module):
        def forward(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return k, v

    layer, ones = Layer(), torch.ones(1, 2, 3)
    with weighted_keys([layer], "k", torch.tensor([0.5, 2.0]).view(1, 2, 1)):
        key, value = layer.cross_attn_image(k=ones, v=ones)
        assert key[0, :, 0].tolist() == [0.5, 2.0]
        assert torch.equal(value, ones)
        assert layer.cross_attn_image(k=ones[:, None], v=ones)[0][0, 0, :, 0].tolist() == [0.5, 2.0]
    assert torch.equal(layer.cross_attn_image(k=ones, v=ones)[0], ones)


@pytest.mark.parametrize("name", ["sam2", "sam3"])
def test_bfloat16_autocast_keeps_results_in_float32(
    models: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What CUDA does, on the CPU: types must fit together wherever they meet."""
    module = {"sam2": sam2, "sam3": sam3}[name]

    @contextmanager
    def autocast(device: torch.device) -> Iterator[None]:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            yield

    tracker = module.build(models[name], module.Config(rows=4))
    exact = tracker.decode(tracker.encode(CLIP[2]), contexts_of(tracker))
    for place in (module, rows):
        monkeypatch.setattr(place, "running", autocast)
    contexts, encoded = contexts_of(tracker), tracker.encode(CLIP[2])
    for every in (False, True):
        answers = tracker.decode(encoded, contexts, every)
        memories = tracker.remember(encoded, [(answer.pick(0),) for answer in answers])
        assert all(memory.spatial.dtype == torch.bfloat16 for memory in memories)
        for field in ("logits", "full", "iou", "presence", "pointers"):
            assert all(getattr(answer, field).dtype == torch.float32 for answer in answers)
    rough = tracker.decode(encoded, contexts)
    for one, other in zip(exact, rough, strict=True):
        assert float(one.iou) == pytest.approx(float(other.iou), abs=0.05)
        assert not torch.equal(one.iou, other.iou)


def test_batches_group_rows_of_equal_length() -> None:
    memory = Memory(torch.zeros(1), torch.zeros(1))

    def context(spatial: int, pointers: int) -> Context:
        recall = (Recall(memory, 0),)
        return Context(recall * spatial, recall * pointers, 15)

    five = [context(1, 1), context(2, 1), context(1, 1), context(1, 2), context(1, 1)]
    assert list(batches(five, 2)) == [[0, 2], [4], [1], [3]]
    assert list(batches(five, 1)) == [[0], [2], [4], [1], [3]]
    assert list(batches([], 4)) == []


def test_sam3s_detector_and_tracker_share_one_trunk_pass(tmp_path: Path) -> None:
    """Both halves of one checkpoint work from one pass as they do from a pass each."""
    write_tiny_sam3(tmp_path)
    detector = transformers.Sam3Model.from_pretrained(tmp_path).eval()
    model = transformers.Sam3TrackerVideoModel.from_pretrained(tmp_path)
    tracker = sam3.build(model, sam3.Config())
    passes = []
    for half in (detector, model):
        half.vision_encoder.backbone.register_forward_hook(lambda *_: passes.append(1))
    words = torch.tensor([[62, 5, 63] + [0] * 29])
    asked = {
        "input_ids": words,
        "attention_mask": (words > 0).long(),
        "input_boxes": torch.tensor([[[0.4, 0.4, 0.3, 0.3]]]),
        "input_boxes_labels": torch.ones(1, 1, dtype=torch.int64),
    }
    with torch.inference_mode():
        vision = detector.get_vision_features(tracker.pixels(CLIP[3]))
        shared = tracker.encode_trunk(vision.last_hidden_state)
        found = detector(vision_embeds=vision, **asked)
        assert len(passes) == 1
        own = tracker.encode(CLIP[3])
        alone = detector(pixel_values=tracker.pixels(CLIP[3]), **asked)
        assert len(passes) == 3
    for a, b in ((shared.tokens, own.tokens), (shared.position, own.position)):
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(shared.fine, own.fine, strict=True))
    for name in ("pred_logits", "pred_boxes", "pred_masks", "presence_logits"):
        assert torch.equal(getattr(found, name), getattr(alone, name)), name
    assert found.pred_masks.std() > 0


def test_single_mask_pointer_changes_the_pointer_of_prompts_alone(models: dict[str, Any]) -> None:
    usual = sam3.build(models["sam3"], sam3.Config())
    upstream = sam3.build(models["sam3"], sam3.Config(single_mask_pointer=True))
    encoded, mask = usual.encode(CLIP[0]), CLIP.mask(0, 1)
    a, b = usual.condition(encoded, mask), upstream.condition(encoded, mask)
    assert a.pointers.shape == b.pointers.shape == (1, 128)
    assert not torch.allclose(a.pointers, b.pointers, atol=1e-3)
    assert torch.equal(a.logits, b.logits)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        # half of a model pixel and more is foreground
        (np.pad(np.ones((8, 8), bool), ((0, 8), (0, 8))), 16),
        # a hair thinner than half a model pixel would vanish: its core stays
        (np.eye(16, dtype=bool) & (np.arange(16) == 5), 1),
    ],
)
def test_square_mask_keeps_the_object(mask: np.ndarray, expected: int) -> None:
    square = square_mask(mask, 8, torch.device("cpu"))
    assert square.shape == (1, 1, 8, 8)
    assert set(square.unique().tolist()) == {0.0, 1.0}
    assert int(square.sum()) == expected


def test_an_empty_prompt_is_an_error(tracker: Tracker) -> None:
    with pytest.raises(DataError, match="84x60"):
        tracker.condition(tracker.encode(CLIP[0]), np.zeros((60, 84), bool))


def test_a_yaml_that_the_engine_cannot_follow_is_an_error(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models["sam2"], "memory_temporal_stride_for_eval", 2)
    with pytest.raises(ConfigError, match="stride"):
        sam2.build(models["sam2"], sam2.Config())


def test_an_encoder_that_cannot_be_recorded_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device whose memory has no room for the graph; it is tried once."""

    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")

    class OnDevice(torch.Tensor):
        is_cuda = True

    asked: list[torch.Tensor] = []
    encoded = Encoded(torch.ones(1), torch.ones(1), (torch.ones(1), torch.ones(1)))

    def work(pixels: torch.Tensor) -> Encoded:
        asked.append(pixels)
        return encoded

    encode = Recorded(work)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", full)
    pixels = torch.zeros(1, 3, 8, 8).as_subclass(OnDevice)
    with pytest.warns(UserWarning, match=r"not recorded, so it is slower \(CUDA out of memory. Tr"):
        assert encode(pixels) is encoded
    assert encode(pixels) is encoded
    assert len(asked) == 2
