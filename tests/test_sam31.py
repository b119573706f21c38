"""SAM 3.1's tracker under every propagator: buckets, slots, anchors, and what is kept."""

import importlib
import json
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import Work
from tiny_models import Clip, tiny_sam31, write_tiny_sam31

from kit import cli
from kit.core.errors import DataError
from kit.core.types import FrameResult, Prompt
from kit.propagators import dam4sam, greedy, memory_tree, rcms, samurai
from kit.propagators.prompts import condition
from kit.propagators.stream import EncodedFrames
from kit.trackers import sam31
from kit.trackers.base import Bucket, Context, Encoded, Hypothesis, Memory, Recall
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.reading import code_index

pytestmark = pytest.mark.usefixtures("one_thread")

POLICIES = {
    "greedy": greedy.Config(),
    "selecting": greedy.Config(min_effective_iou=0.01),
    "tree": memory_tree.Config(uncertainty=100.0),
    "rcms": rcms.Config(),
    "samurai": samurai.Config(warm_up=2),
    "dam4sam": dam4sam.Config(),
}
CLIP = Clip(12)


@pytest.fixture(scope="module")
def model() -> Network:
    return tiny_sam31()


class Noted(sam31.Sam31Tracker):
    """Notes slots that were decoded, slots that were remembered, and which memories live."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.decoded: list[list[tuple[int, ...]]] = []
        self.remembered: list[list[str]] = []
        self.recalled: list[list[tuple[int, bool]]] = []  # of the first row: position, prompted
        self._alive: list[tuple[weakref.ref[Any], weakref.ref[Any]]] = []
        self.most = (0, 0)

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        if contexts:
            self.decoded.append([context.slots for context in contexts])
            self.recalled.append([(r.position, r.prompted) for r in contexts[0].spatial])
        alive = [sum(ref() is not None for ref in refs) for refs in zip(*self._alive, strict=True)]
        self.most = (max(self.most[0], alive[0]), max(self.most[1], alive[1]))
        return super().decode(encoded, contexts, every)

    def remember(self, encoded: Encoded, buckets: Sequence[Bucket]) -> list[Memory]:
        """P a prompted slot, t a tracked one, a dot an empty one."""
        marks = [
            ["." if one is None else "P" if one.prompted else "t" for one in b] for b in buckets
        ]
        self.remembered += [["".join(row)] for row in marks]
        memories = super().remember(encoded, buckets)
        self._alive += [(weakref.ref(m.spatial), weakref.ref(m.pointer)) for m in memories]
        return memories


def tracker(model: Network, **settings: Any) -> Noted:
    return Noted(model, sam31.Config(**settings))


def mask(frame: int, object_id: int) -> np.ndarray:
    """Discs 1 and 2; objects 3 to 6 are quarters of the first."""
    disc = CLIP.mask(frame, 1 if object_id > 2 else object_id)
    if object_id <= 2:
        return disc
    rows, columns = (half[:, None] if axis == 0 else half for axis, half in enumerate(
        (np.arange(size) >= at for size, at in zip(disc.shape, _centre(disc), strict=True))
    ))  # fmt: skip
    quarter = disc & (rows == bool(object_id % 2)) & (columns == (object_id > 4))
    return quarter if quarter.any() else disc


def _centre(disc: np.ndarray) -> tuple[int, int]:
    rows, columns = np.nonzero(disc)
    return int(rows.mean()), int(columns.mean())


def prompt(frame: int, object_id: int = 1, given: bool = True) -> Prompt:
    return Prompt(frame, object_id, mask(frame, object_id), given)


def run(tracker: Any, prompts: Sequence[Prompt], config: Any, frames: Any = CLIP) -> Any:
    module = importlib.import_module(type(config).__module__)
    return list(module.propagate(tracker, frames, prompts, config))


def logits(results: Sequence[FrameResult], row: int = 0) -> np.ndarray:
    return np.stack([result.logits[row] for result in results])


@pytest.mark.parametrize("config", POLICIES.values(), ids=POLICIES)
def test_every_propagator_runs_with_one_object_and_with_several(
    model: Network, config: Any
) -> None:
    prompts = [prompt(0, 1), prompt(0, 2), prompt(6, 1, given=False)]
    for some in (prompts[:1], prompts):
        results = run(tracker(model), some, config)
        ids = sorted({p.object_id for p in some})
        assert [r.object_ids for r in results] == [tuple(ids)] * len(CLIP)
        assert all(np.isfinite(r.logits).all() and (r.iou >= 0).all() for r in results)
    assert results[6].presence[0] == 10
    assert results[6].presence[1] != 10


@pytest.mark.parametrize("config", POLICIES.values(), ids=POLICIES)
def test_only_time_lets_objects_share_a_bucket(model: Network, config: Any) -> None:
    """Where what is recalled depends on how an object looks, each has a bucket of its own."""
    noted = tracker(model)
    run(noted, [prompt(0, 1), prompt(0, 2)], config)
    used = {slots for call in noted.decoded for slots in call}
    assert used == ({(0, 1)} if config == greedy.Config() else {(0,)})


@pytest.mark.parametrize("config", POLICIES.values(), ids=POLICIES)
def test_in_buckets_of_their_own_objects_are_as_alone(model: Network, config: Any) -> None:
    prompts = [prompt(0, 1), prompt(0, 2), prompt(6, 2, given=False)]
    together = run(tracker(model, bucket=1), prompts, config)
    for row in (0, 1):
        alone = run(tracker(model), [p for p in prompts if p.object_id == row + 1], config)
        np.testing.assert_array_equal(logits(together, row), logits(alone))


def test_objects_of_a_bucket_act_on_each_other(model: Network) -> None:
    both = run(tracker(model), [prompt(0, 1), prompt(0, 2)], greedy.Config())
    alone = run(tracker(model), [prompt(0, 1)], greedy.Config())
    assert not np.array_equal(logits(both), logits(alone))


def test_an_anchor_of_one_object_is_a_prompt_for_its_slot_alone(model: Network) -> None:
    noted = tracker(model)
    run(noted, [prompt(0, 1), prompt(0, 2), prompt(4, 2, given=False)], greedy.Config())
    made = [row for (row,) in noted.remembered]
    assert made[:3] == ["PP", ".P", "tt"]  # on frame 4 the second is known ahead, in its slot
    assert made[1 + 4] == "tP"  # and then both
    # on frame 1: the first frame, and what is ahead; on frame 5 the joint memory took its place
    assert noted.recalled[0] == [(1, True), (-3, True)]
    assert noted.recalled[4][:2] == [(5, True), (1, True)]


def test_anchors_of_the_past_are_not_known_ahead(model: Network) -> None:
    noted = tracker(model)
    prompts = [prompt(0, 1), prompt(0, 2), prompt(4, 2, given=False)]
    run(noted, prompts, greedy.Config(anchors="past"))
    made = [row for (row,) in noted.remembered]
    assert made[:6] == ["PP", "tt", "tt", "tt", "tP", "tt"]
    assert [position for position, prompted in noted.recalled[3] if prompted] == [4]


def test_who_starts_later_gets_the_next_slot(model: Network) -> None:
    noted = tracker(model)
    prompts = [prompt(3, 1), prompt(0, 2), prompt(5, 3), prompt(5, 2, given=False)]
    results = run(noted, prompts, greedy.Config())
    assert [r.object_ids for r in results] == [(2,)] * 3 + [(1, 2)] * 2 + [(1, 2, 3)] * 7
    # before frame 3 the bucket knows object 2 alone; ahead, frame 5 shows it in its own slot
    assert [row for (row,) in noted.remembered][:7] == [
        "P..",
        "P..",
        "t..",
        "t..",
        "tP.",
        "tt.",
        "PtP",
    ]
    assert [slots for call in noted.decoded for slots in call][:6] == [
        (0,), (0,), (0,), (0, 1), (0, 1), (0, 1, 2),
    ]  # fmt: skip


def test_full_buckets_are_followed_by_another_one(model: Network) -> None:
    noted = tracker(model)
    results = run(noted, [prompt(0, id_) for id_ in range(1, 7)], greedy.Config())
    assert results[-1].object_ids == (1, 2, 3, 4, 5, 6)
    assert noted.decoded[0] == [(0, 1, 2, 3), (0, 1)]
    first = run(tracker(model), [prompt(0, id_) for id_ in range(1, 5)], greedy.Config())
    np.testing.assert_array_equal(  # buckets do not see each other
        np.stack([r.logits[:4] for r in results]), np.stack([r.logits for r in first])
    )


@pytest.mark.parametrize("config", [POLICIES["greedy"], POLICIES["tree"]], ids=["greedy", "tree"])
def test_buckets_in_one_call_are_as_one_by_one(model: Network, config: Any) -> None:
    prompts = [prompt(0, id_) for id_ in range(1, 7)]
    one, many = (run(tracker(model, rows=r), prompts, config) for r in (1, 8))
    for a, b in zip(one, many, strict=True):
        share = ((a.logits > 0) != (b.logits > 0)).mean()
        assert share < 1e-3


def test_redecoded_anchors_show_the_decoders_mask(model: Network) -> None:
    prompts = [prompt(0, 1), prompt(0, 2), prompt(4, 2, given=False)]
    shown = run(tracker(model), prompts, greedy.Config(redecode_anchors=True))
    plain = run(tracker(model), prompts, greedy.Config())
    assert plain[4].presence[1] == 10
    assert shown[4].presence[1] != 10
    np.testing.assert_array_equal(shown[5].logits, plain[5].logits)  # the anchor is remembered


def test_backward_is_forward_in_a_mirror(model: Network) -> None:
    last = len(CLIP) - 1
    back = run(
        tracker(model), [prompt(last, 1), prompt(last, 2)], greedy.Config(direction="backward")
    )

    class Mirrored:
        def __len__(self) -> int:
            return len(CLIP)

        def __getitem__(self, index: int) -> np.ndarray:
            return CLIP[last - index]

    prompts = [replace(prompt(last, id_), frame=0) for id_ in (1, 2)]
    forth = run(tracker(model), prompts, greedy.Config(), Mirrored())
    np.testing.assert_array_equal(logits(back), logits(forth[::-1]))


@pytest.mark.parametrize(
    ("position", "prompted", "plain", "code"),
    [(1, False, False, 0), (6, False, False, 5), (1, True, False, 5), (6, True, False, 0),
     (7, True, False, 6), (0, True, False, 6), (-2, True, False, 6), (1, True, True, 0),
     (6, True, True, 5), (7, True, True, 6), (-2, True, True, 6)],
)  # fmt: skip
def test_codes_of_time(position: int, prompted: bool, plain: bool, code: int) -> None:
    memory = Memory(torch.zeros(1), torch.zeros(1))
    assert code_index(Recall(memory, position, prompted=prompted), plain) == code


@pytest.mark.parametrize("config", POLICIES.values(), ids=POLICIES)
def test_what_is_kept_does_not_grow(model: Network, config: Any) -> None:
    """Spatial memories and pointers that are alive, and with them the frames' tokens."""
    most = []
    for length in (20, 36):
        noted = tracker(model)
        run(noted, [prompt(0, 1), prompt(0, 2)], config, Clip(length))
        most.append(noted.most)
    # what is held on to differs from frame to frame; if each left something, it were 16 more
    assert all(longer - shorter < 8 for shorter, longer in zip(*most, strict=True))


def test_memories_without_place_let_the_frame_go(model: Network) -> None:
    own = tracker(model)
    encoded = own.encode(CLIP[0])
    (memory,) = own.remember(encoded, [(own.condition(encoded, mask(0, 1)),)])
    assert memory.image is encoded.tokens
    assert memory.spatial.dtype == torch.bfloat16
    bare = memory.without_place()
    assert bare.image is None
    assert len(bare.spatial) == 0
    assert bare.pointer.shape == (4, 32)
    assert not bare.pointer[1:].any()


def test_an_empty_prompt_is_refused(model: Network) -> None:
    own = tracker(model)
    with pytest.raises(DataError, match="empty"):
        own.condition(own.encode(CLIP[0]), np.zeros((60, 84), bool))


def test_what_is_thinner_than_a_model_pixel_is_remembered(model: Network) -> None:
    own = tracker(model)
    image, speck = np.zeros((1200, 1600, 3), np.uint8), np.zeros((1200, 1600), bool)
    speck[600, 800] = True
    answer = own.condition(own.encode(image), speck)
    assert 0 < int((answer.full > 0).sum()) < 10


def test_a_trunk_pass_can_be_shared(model: Network) -> None:
    own = tracker(model)
    with torch.inference_mode():
        hidden = model.vision.trunk(pixel_values=own.pixels(CLIP[0])).last_hidden_state
    one, other = own.encode(CLIP[0]), own.encode_trunk(hidden)
    assert torch.equal(one.tokens, other.tokens)
    assert one.prompt is not None
    assert other.prompt is not None
    assert torch.equal(one.prompt, other.prompt)


def test_weights_on_keys_act_on_the_whole_sum(model: Network) -> None:
    own = tracker(model)
    source = EncodedFrames(own, CLIP)
    (bucket,) = condition(own, source, [prompt(0), prompt(1)], len(CLIP))
    encoded = own.encode(CLIP[2])

    def asked(weight: float) -> torch.Tensor:
        spatial = tuple(
            Recall(memory, 2 - frame, weight, prompted=True)
            for frame, memory in bucket.memories.items()
        )
        (answer,) = own.decode(encoded, [Context(spatial, (), 11)])
        return answer.logits

    assert torch.equal(asked(1.0), asked(1.0))
    assert not torch.equal(asked(1.0), asked(1.3))


# --- the stage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bucket", [None, 1])
def test_masks_of_a_video(
    bucket: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a checkpoint laid out as the public one; who shares a bucket is not kept apart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tiny_sam31(tmp_path / "sam3.1_multiplex.pt")
    work, record = Work(tmp_path / "work"), tmp_path / "record.json"
    source = {"source": str(tmp_path / "sam3.1_multiplex.pt")}
    chosen = {"method": "sam31", "model": source, "bucket": bucket}
    words = work.command("masks")
    words[words.index("--settings") + 1] = json.dumps({"method": "greedy", "tracker": chosen})
    words += ["--tracks", str(tmp_path / "tracks"), "--record", str(record)]
    made = []
    for _ in range(2):
        work.masks.unlink()
        assert cli.main(words) == 0
        made.append(work.masks.read_bytes())
    assert made[0] == made[1]
    kept = json.loads(record.read_text()).get("objects_kept")
    assert kept == (None if bucket is None else 2)
