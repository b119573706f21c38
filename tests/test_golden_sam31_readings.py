"""Each wrong reading of the model, made on purpose, breaks the case that tells it.

The table of the recordings' README: without these, an equal case would say little.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from golden_sam31 import CASES, REASON, Case, Session
from test_golden_sam31 import difference, of_session, tracker_of

from kit.trackers.base import Bucket, Recall
from kit.trackers.multiplex import memory_attention, reading, slots
from kit.trackers.multiplex.memory_attention import Remembered
from kit.trackers.multiplex.network import RECENT, Network
from kit.trackers.multiplex.reading import MemoryReader
from kit.trackers.sam31 import Sam31Tracker

pytestmark = [
    pytest.mark.skipif(not {"three_loop", "vanish"} <= set(CASES), reason=REASON),
    pytest.mark.usefixtures("one_thread"),
]
Patch = pytest.MonkeyPatch
maps, absent, read = slots.maps, slots.absent, MemoryReader.read


def always_out_of_range(patch: Patch) -> None:
    def code(recall: Recall, plain: bool) -> int:
        return RECENT if recall.prompted else recall.position - 1

    patch.setattr(reading, "code_index", code)


def empty_masks_are_background(patch: Patch) -> None:
    def wrong(masks: Any, bucket: Bucket, count: int, side: int) -> torch.Tensor:
        planes = maps(masks, bucket, count, side)
        for slot in set(range(count)) - set(masks):
            planes[slot] = -1
        return planes

    patch.setattr(slots, "maps", wrong)


def empty_slots_are_not_absent(patch: Patch) -> None:
    def wrong(bucket: Bucket, count: int) -> torch.Tensor:
        told = absent(bucket, count)
        told[len(bucket) :] = 0
        return told

    patch.setattr(slots, "absent", wrong)


def empty_pointers_are_left_out(patch: Patch) -> None:
    def wrong(reader: MemoryReader, contexts: Any) -> Remembered:
        told = read(reader, contexts)
        ends = told.memory.shape[1] - told.pointers
        full = (told.memory[0] != 0).any(-1)
        full[:ends] = True
        kept = int(full[ends:].sum())
        return Remembered(told.memory[:, full], told.image[:, full], told.code[:, full], kept)

    patch.setattr(MemoryReader, "read", wrong)


def no_prompt_channels(patch: Patch) -> None:
    def wrong(masks: Any, bucket: Bucket, count: int, side: int) -> torch.Tensor:
        planes = maps(masks, bucket, count, side)
        planes[count:] = 0
        return planes

    patch.setattr(slots, "maps", wrong)


def images_are_no_keys(patch: Patch) -> None:
    def wrong(reader: MemoryReader, contexts: Any) -> Remembered:
        for layer in reader._network.transformer.encoder.layers:
            layer.image_cross_attn_k_proj.weight.zero_()
            layer.image_cross_attn_k_proj.bias.zero_()
        return read(reader, contexts)

    patch.setattr(MemoryReader, "read", wrong)


def masks_are_resized_once(patch: Patch) -> None:
    patch.setattr(Sam31Tracker, "_enlarged", lambda _, low: low)


def absent_pointers_stay(patch: Patch) -> None:
    patch.setattr(Network, "pointers", lambda net, tokens, _: net.obj_ptr_proj(tokens))


def full_input_code(patch: Patch) -> None:
    patch.setattr(memory_attention, "_INPUT_CODE", 1.0)


def no_memory_embedding(patch: Patch) -> None:
    network = Case.network

    def wrong(case: Case) -> Network:
        model = network(case)
        model.interactivity_no_mem_embed.data.zero_()
        return model

    patch.setattr(Case, "network", wrong)


def test_with_nothing_wrong_the_case_is_equal() -> None:
    assert mean_of("three_loop") < Case("three_loop").told["limits"]["low_mean"]


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        (always_out_of_range, "three_loop"),
        (empty_masks_are_background, "three_loop"),
        (empty_slots_are_not_absent, "three_loop"),
        (empty_pointers_are_left_out, "three_loop"),
        (no_prompt_channels, "three_loop"),
        (images_are_no_keys, "three_loop"),
        (masks_are_resized_once, "three_loop"),
        (absent_pointers_stay, "vanish"),
        (no_memory_embedding, "three_loop"),
        (full_input_code, "three_loop"),
    ],
)
def test_a_wrong_reading_is_seen(
    monkeypatch: Patch, mistake: Callable[[Patch], None], name: str
) -> None:
    mistake(monkeypatch)
    assert mean_of(name) > 2 * Case(name).told["limits"]["low_mean"]


def test_plain_counting_is_another_model() -> None:
    """A setting, and not how the model was trained."""
    assert mean_of("three_loop", plain_codes=True) > 1e-3


def mean_of(name: str, **changes: Any) -> float:
    """Mean |change| of the logits; a presence told otherwise counts as infinite."""
    case = Case(name)
    session = Session(case, tracker_of(case, **changes))
    session.run()
    try:
        return difference(case, of_session(session))[1]
    except AssertionError:
        return float("inf")
