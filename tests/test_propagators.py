"""Ways of propagating: what is recalled, what lives on, and what leaves when."""

import errno
import gc
import importlib
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import Clip, tiny_sam2, tiny_sam3, with_presence

from kit.core.errors import DataError
from kit.core.types import FrameResult, Prompt
from kit.propagators import branching, greedy, memory_tree, rcms
from kit.propagators.prompts import by_object
from kit.propagators.recall import Course, History, Kept, by_rank, closest, forget
from kit.propagators.shelf import Shelf
from kit.propagators.stream import EncodedFrames
from kit.propagators.trail import Node, Trail
from kit.trackers import sam2, sam3
from kit.trackers.base import Context, Encoded, Hypothesis, Memory, Recall, Span, Tracker

pytestmark = pytest.mark.usefixtures("one_thread")

SPAN = Span(recent=6, pointers=16, anchors=None, past_pointers=True, far_pointers=False)
ONE = np.ones((4, 4), bool)


class Frames:
    """A video whose frames hold their own number; counts how often each is read."""

    def __init__(self, length: int) -> None:
        self.reads = [0] * length

    def __len__(self) -> int:
        return len(self.reads)

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads[index] += 1
        return np.full((4, 4, 3), index, np.uint8)


class Script:
    """A tracker that says what it is told to and notes what it is asked.

    Memories are numbered in `frame_of` by the frame they were made in; logits hold the same.
    """

    def __init__(self, span: Span = SPAN, **numbers: Any) -> None:
        self.span = span
        self.ious = numbers.get("ious", {})  # frame: IoUs of the three masks
        self.presence = numbers.get("presence", {})  # frame: object score logit
        self.asked: dict[int, list[Context]] = {}
        self.frame_of: dict[int, int] = {}
        self.encoded: list[int] = []
        self._alive: list[Memory] = []  # so that ids stay unique

    def encode(self, image: np.ndarray) -> Encoded:
        self.encoded.append(int(image[0, 0, 0]))
        tokens = torch.tensor(float(image[0, 0, 0]))
        return Encoded(tokens, tokens, (tokens, tokens))

    def condition(self, encoded: Encoded, mask: np.ndarray) -> Hypothesis:
        return self._hypothesis(encoded, [1.0], 10.0, prompted=True)

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        frame = int(encoded.tokens)
        self.asked.setdefault(frame, []).extend(contexts)
        ious = list(self.ious.get(frame, (0.9, 0.5, 0.1)))
        presence = self.presence.get(frame, 5.0)
        used = ious if every else [max(ious)]
        return [self._hypothesis(encoded, used, presence) for _ in contexts]

    def remember(self, encoded: Encoded, hypotheses: Sequence[Hypothesis]) -> list[Memory]:
        frame = float(encoded.tokens)
        memories = [Memory(torch.full((1,), frame), torch.full((1,), frame)) for _ in hypotheses]
        self._alive += memories
        return memories

    def recalled(self, frame: int, row: int = 0) -> tuple[list[tuple[int, int]], ...]:
        """Of the context of a row: (frame, position) of spatial memories, and of pointers."""
        context = self.asked[frame][row]
        return ages(context), [(int(r.memory.pointer), r.position) for r in context.pointers]

    @staticmethod
    def _hypothesis(
        encoded: Encoded, ious: list[float], presence: float, prompted: bool = False
    ) -> Hypothesis:
        marks = torch.arange(len(ious)) + 10 * encoded.tokens  # tells frame and mask
        maps = marks[:, None, None].expand(-1, 4, 4)
        return Hypothesis(
            maps, maps, torch.tensor(ious), torch.tensor(presence), marks[:, None], prompted
        )


def ages(context: Context) -> list[tuple[int, int]]:
    """(frame, age) of spatial memories; 0 for that of a prompted frame."""
    spatial = context.spatial
    return [(int(r.memory.pointer), 0 if r.prompted else r.position) for r in spatial]


def prompt(frame: int, object_id: int = 1, given: bool = True) -> Prompt:
    return Prompt(frame, object_id, ONE, given)


def run(
    tracker: Tracker, length: int, prompts: Sequence[Prompt], config: Any = None
) -> list[FrameResult]:
    module = importlib.import_module(type(config).__module__) if config else greedy
    return list(module.propagate(tracker, Frames(length), prompts, config or module.Config()))


# --- prompts -----------------------------------------------------------------------------------


def test_an_anchor_never_takes_the_place_of_the_given_mask() -> None:
    given, anchor = prompt(0), prompt(0, given=False)
    for order in ([given, anchor], [anchor, given]):
        assert by_object(order, 5)[1][0] is given


def test_prompts_are_ordered_by_object_and_frame() -> None:
    plan = by_object([prompt(4, 2), prompt(3, 1, False), prompt(0, 1)], 5)
    assert [(id_, list(frames)) for id_, frames in plan.items()] == [(1, [0, 3]), (2, [4])]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "none"),
        ([prompt(5)], "frames 0 to 4"),
        ([prompt(-1)], "frames 0 to 4"),
        ([Prompt(0, 1, np.zeros((4, 4), bool), True)], "object 1, frame 0: the mask is empty"),
        (
            [prompt(0), Prompt(1, 1, np.ones((4, 5), bool), False)],
            r"\(4, 5\), another one \(4, 4\)",
        ),
        ([prompt(2), prompt(2)], "two masks on frame 2"),
    ],
)
def test_prompts_that_cannot_be_used(prompts: list[Prompt], message: str) -> None:
    for config in (greedy.Config(), memory_tree.Config()):
        with pytest.raises(DataError, match=message):
            run(Script(), 5, prompts, config)


# --- what is recalled --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "most", "keep_first", "expected"),
    [
        (50, None, False, [0, 20, 40, 60, 80]),  # no limit: in order
        (50, 5, False, [0, 20, 40, 60, 80]),
        (50, 2, False, [40, 60]),  # nearest before, nearest after
        (50, 3, False, [40, 60, 20]),  # ties go to the earlier one
        (95, 3, False, [80, 60, 40]),  # none after
        (60, 2, False, [40, 60]),  # at the frame counts as after
        (95, 3, True, [0, 80, 60]),
        (1, 2, True, [0, 20]),
    ],
)
def test_closest(frame: int, most: int | None, keep_first: bool, expected: list[int]) -> None:
    anchors = {a: Memory(torch.zeros(1), torch.zeros(1)) for a in (0, 20, 40, 60, 80)}
    assert closest(anchors, frame, most, keep_first) == expected


def test_greedy_recalls_by_distance() -> None:
    script = Script()
    run(script, 22, [prompt(0), prompt(9, given=False)])
    spatial, pointers = script.recalled(3)
    assert spatial == [(0, 0), (9, 0), (1, 2), (2, 1)]  # the anchor ahead is spatial memory only
    assert pointers == [(0, 3), (2, 1), (1, 2)]
    spatial, pointers = script.recalled(12)
    assert spatial == [(0, 0), (9, 0), (6, 6), (7, 5), (8, 4), (10, 2), (11, 1)]
    assert pointers[:4] == [(0, 12), (9, 3), (11, 1), (10, 2)]
    spatial, pointers = script.recalled(21)
    assert pointers[2:] == [(21 - d, d) for d in range(1, 16) if d != 12]


def test_greedy_past_anchors_only() -> None:
    script = Script()
    run(script, 12, [prompt(0), prompt(9, given=False)], greedy.Config(anchors="past"))
    assert script.recalled(3)[0] == [(0, 0), (1, 2), (2, 1)]
    assert (9, 0) in script.recalled(10)[0]


def test_greedy_clears_memory_before_an_anchor() -> None:
    script = Script()
    config = greedy.Config(clear_around_anchors=2)
    run(script, 12, [prompt(0), prompt(9, given=False)], config)
    assert script.recalled(10)[0] == [(0, 0), (9, 0), (4, 6), (5, 5), (6, 4)]  # not 7, 8


def test_greedy_memory_selection_recalls_trusted_frames_by_rank() -> None:
    # effective IoU (2 sigmoid(o) - 1) IoU: negative on 4 and 5, where the object is hidden
    script = Script(presence={4: -3.0, 5: -3.0, 7: 0.0001})
    run(script, 9, [prompt(0)], greedy.Config(min_effective_iou=0.01))
    assert script.recalled(5)[0] == [(0, 0), (1, 4), (2, 3), (3, 2), (4, 1)]  # the last in any case
    assert script.recalled(7)[0] == [(0, 0), (1, 4), (2, 3), (3, 2), (6, 1)]
    assert script.recalled(8)[1] == [(0, 8), (7, 1), (6, 2), (3, 3), (2, 4)]  # one short of 1


@pytest.mark.parametrize(
    ("presence", "iou", "expected"), [(0.0, 0.9, 0.0), (100.0, 0.9, 0.9), (-100.0, 0.9, -0.9)]
)
def test_effective_iou(presence: float, iou: float, expected: float) -> None:
    assert greedy.effective_iou(presence, iou) == pytest.approx(expected)


def test_forgetting_keeps_what_can_be_recalled() -> None:
    course = Course(100, SPAN)
    tracked = {f: Memory(torch.ones(2), torch.ones(1)) for f in range(30)}
    kept = forget(tracked, 29, course)
    assert list(kept) == list(range(15, 30))  # the next frame is 30, pointers reach 15 back
    assert [f for f, memory in kept.items() if len(memory.spatial)] == list(range(24, 30))


def test_history_is_bounded_and_keeps_identities() -> None:
    course, history = Course(100, SPAN), History()
    for frame in range(40):
        memory = Memory(torch.ones(2), torch.ones(1))
        history = history.then(Kept(frame, memory, 1.0), frame % 2 == 0, course)
    assert [kept.frame for kept in history.recalled] == [*range(10, 40, 2), 39]
    with_place = [kept.frame for kept in history.recalled if len(kept.memory.spatial)]
    assert with_place == [28, 30, 32, 34, 36, 38, 39]
    again = history.then(history.recalled[-1], False, course)
    assert again.trusted == history.trusted  # stripped once, not anew at every frame


def test_by_rank_stops_one_pointer_short() -> None:
    kept = [Kept(f, Memory(torch.ones(1), torch.full((1,), float(f))), 1.0) for f in (3, 4, 8)]
    anchors = {0: Memory(torch.ones(1), torch.zeros(1))}
    context = by_rank(anchors, kept, 10, Course(100, SPAN), [0])
    assert [r.position for r in context.spatial if r.prompted] == [10]  # how far it is
    assert ages(context) == [
        (0, 0),
        (3, 3),
        (4, 2),
        (8, 1),
    ]
    assert [(int(r.memory.pointer), r.position) for r in context.pointers] == [
        (0, 10),
        (8, 1),
        (4, 2),
    ]
    longer = by_rank(anchors, kept, 10, Course(100, SPAN), [0], oldest_pointer=True)
    assert [r.position for r in longer.pointers] == [10, 1, 2, 3]
    assert context.horizon == 15


# --- what is emitted ---------------------------------------------------------------------------


@pytest.mark.parametrize("config", [greedy.Config(), memory_tree.Config()], ids=["greedy", "tree"])
def test_every_frame_is_read_and_encoded_once(config: Any) -> None:
    script, frames = Script(), Frames(12)
    module = importlib.import_module(type(config).__module__) if config else greedy
    prompts = [prompt(2), prompt(4, 2), prompt(8, 1, False), prompt(8, 2, False)]
    results = list(module.propagate(script, frames, prompts, config))
    assert frames.reads == [0, 0] + [1] * 10
    assert sorted(script.encoded) == list(range(2, 12))
    assert [result.frame for result in results] == list(range(2, 12))
    assert [result.object_ids for result in results] == [(1,)] * 2 + [(1, 2)] * 8
    assert all(result.logits.shape == (len(result.object_ids), 4, 4) for result in results)
    prompted = {2: [10.0], 8: [10.0, 10.0]}
    for result in results:
        if result.frame in prompted:
            assert result.presence.tolist() == prompted[result.frame]
            assert (result.iou == 1).all()


def test_encodings_of_prompted_frames_are_let_go_after_their_turn() -> None:
    source = EncodedFrames(Script(), Frames(4))
    early = weakref.ref(source.early(2))
    assert [frame for frame, _ in source.walk(range(3))] == [0, 1, 2]
    gc.collect()
    assert early() is None


def test_anchor_frames_can_be_decoded_again_but_the_given_mask_stands() -> None:
    script = Script()
    config = greedy.Config(redecode_anchors=True)
    results = run(script, 6, [prompt(0), prompt(3, given=False)], config)
    assert [result.presence[0] for result in results] == [10, 5, 5, 5, 5, 5]
    assert (3, 0) in script.recalled(3)[0]  # with the anchor among its memories
    assert (3, 0) in script.recalled(4)[0]  # which stays the anchor
    assert (3, 1) not in script.recalled(4)[0]


def test_the_tree_decodes_anchor_frames_again_and_goes_on_from_the_anchor() -> None:
    uncertain = dict.fromkeys((2, 3), 1.0)
    script = Script(presence=uncertain)
    config = memory_tree.Config(redecode_anchors=True)
    results = run(script, 8, [prompt(0), prompt(4, given=False), prompt(6)], config)
    assert [result.presence[0] for result in results] == [10, 5, 1, 1, 5, 5, 10, 5]
    (again,) = script.asked[4]  # the best pathway alone, the anchor among what it recalls
    assert [int(r.memory.pointer) for r in again.spatial] == [0, 4, 6, 1, 2, 3]
    plain = Script(presence=uncertain)
    run(plain, 8, [prompt(0), prompt(4, given=False), prompt(6)], memory_tree.Config())
    assert script.recalled(5) == plain.recalled(5)
    assert script.recalled(7) == plain.recalled(7)
    late = run(Script(), 6, [prompt(2, given=False)], config)  # nothing to decode from yet
    assert [result.presence[0] for result in late] == [10, 5, 5, 5]


def test_backward_goes_from_the_last_prompt_to_the_beginning() -> None:
    script = Script()
    results = run(script, 8, [prompt(2), prompt(5)], greedy.Config(direction="backward"))
    assert [result.frame for result in results] == [0, 1, 2, 3, 4, 5]
    assert [result.logits[0, 0, 0] for result in results] == [0, 10, 20, 30, 40, 50]
    assert script.recalled(3)[0] == [(5, 0), (2, 0), (4, 1)]


def test_both_ways_meet_half_way() -> None:
    class Recent(Script):
        """Its masks hold the frame of the newest memory."""

        def decode(
            self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
        ) -> list[Hypothesis]:
            newest = [context.spatial[-1].memory.pointer for context in contexts]
            return [
                Hypothesis(
                    mark.expand(1, 4, 4), mark, torch.ones(1), torch.tensor(5.0), mark[:, None]
                )
                for mark in newest
            ]

    results = run(
        Recent(), 10, [prompt(0), prompt(6, given=False)], greedy.Config(direction="both")
    )
    assert [result.frame for result in results] == list(range(10))
    came_from = [int(result.logits[0, 0, 0]) for result in results]
    # Forward: on 1 the anchor ahead stands last, then the frame before. Backward, where time is
    # turned, the far prompt stands last on 5, and on 4 the frame after.
    assert came_from[1:6] == [6, 1, 2, 5, 0]
    assert came_from[7:] == [5, 7, 8]  # an anchor is not among the recent frames


# --- the tree ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "ious", "presences", "expected"),
    [
        # certain: the best accumulated scores, of whatever parent
        ([0.0, 0.0], [[0.9, 0.5, 0.1], [0.8, 0.2, 0.1]], [3.0, 0.0], [(0, 0), (1, 0)]),
        ([0.0, -9.0], [[0.9, 0.5, 0.1], [0.8, 0.2, 0.1]], [3.0, 0.0], [(0, 0), (0, 1)]),
        # ties: the earlier parent first
        ([0.0, 0.0], [[0.9, 0.5, 0.1]] * 2, [3.0, 3.0], [(0, 0), (1, 0)]),
        # uncertain (2 is not above 2): an IoU that rounds to a known one is passed over
        ([0.0, 0.0], [[0.901, 0.5, 0.1], [0.899, 0.2, 0.1]], [2.0, 1.0], [(0, 0), (0, 1)]),
        # ... unless the sign of presence tells them apart
        ([0.0, 0.0], [[0.901, 0.5, 0.1], [0.899, 0.2, 0.1]], [1.0, -1.0], [(0, 0), (1, 0)]),
        # too few distinct: filled up with the best of pathways that have none yet
        ([0.0, -1.0], [[0.9] * 3, [0.9] * 3], [1.0, 1.0], [(0, 0), (1, 0)]),
    ],
)
def test_choose(
    scores: list[float],
    ious: list[list[float]],
    presences: list[float],
    expected: list[tuple[int, int]],
) -> None:
    picks = branching.choose(scores, ious, presences, pathways=2, uncertainty=2.0)
    assert [(pick.parent, pick.mask) for pick in picks] == expected
    for pick in picks:
        gain = float(np.log(ious[pick.parent][pick.mask] + 1e-5))
        assert pick.score == scores[pick.parent] + gain


def test_modulation_ranks_spatial_memories_and_pointers_apart() -> None:
    kept = [Kept(f, Memory(torch.ones(1), torch.ones(1)), o) for f, o in ((1, 11.0), (2, -2.0))]
    anchor = Memory(torch.ones(1), torch.ones(1))
    recalls = [Recall(anchor, 0), Recall(kept[0].memory, 2), Recall(kept[1].memory, 1)]
    context = Context(tuple(recalls), tuple(recalls[:2]), 15)
    loud = branching.modulated(context, kept, 0.95, 1.05)
    assert [r.weight for r in loud.spatial] == pytest.approx([1.0, 1.05, 0.95])
    assert [r.weight for r in loud.pointers] == pytest.approx([0.95, 1.05])
    assert [r.weight for r in context.spatial] == [1, 1, 1]


def node(parent: Node | None, number: float = 0.0) -> Node:
    """A mask of one number."""
    mask, nothing = torch.full((1, 2, 2), number), torch.zeros(0)
    return Node(parent, Hypothesis(mask, nothing, torch.ones(1), torch.tensor(5.0), nothing))


def test_trail_gives_out_what_all_have_in_common() -> None:
    trail, root = Trail(), node(None)
    trail.add([root, root])
    assert trail.final == 1
    left, right = node(root), node(root)
    trail.add([left, right])
    ends = [node(left), node(right)]
    trail.add(ends)
    assert trail.final == 1
    trail.add([node(ends[1]), node(ends[1])])  # the left line dies, two lines of the right one live
    assert trail.final == 3
    assert [trail.pop() for _ in range(3)] == [root.answer, right.answer, ends[1].answer]
    assert trail.final == 0
    assert ends[1].parent is None


def test_trail_settles_on_one() -> None:
    trail, root = Trail(), node(None)
    trail.add([root])
    ends = [node(root), node(root)]
    trail.add(ends)
    trail.settle(ends[1])
    assert trail.final == 2
    trail.pop()
    assert trail.pop() is ends[1].answer


def test_masks_that_stay_undecided_lie_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.propagators.trail.NEAR", 3)
    trail, lines = Trail(), [node(None, 0), node(None, 0.5)]
    masks: list[weakref.ref[torch.Tensor]] = []
    for number in range(1, 30):
        trail.add(lines)
        lines = [node(line, number + place / 2) for place, line in enumerate(lines)]
        masks += [weakref.ref(line.answer.logits) for line in lines]
        assert sum(mask() is not None for mask in masks) <= 2 * (3 + 2)
    trail.settle(lines[1].parent)
    found = [trail.pop() for _ in range(trail.final)]
    assert [float(answer.logits[0, 1, 1]) for answer in found] == [t + 0.5 for t in range(29)]
    assert {float(answer.presence) for answer in found} == {5.0}
    assert {answer.iou.tolist()[0] for answer in found} == {1.0}


def test_places_on_the_shelf_are_used_again() -> None:
    shelf, answers = Shelf(), [node(None, number).answer for number in (1, 2, 3)]
    kept, *rest = shelf.put(answers[:2])
    assert (kept.place, rest[0].place) == (0, 1)
    rest.clear()
    (again,) = shelf.put(answers[2:])
    assert again.place == 1
    assert [float(item.taken().logits[0, 0, 0]) for item in (kept, again)] == [1, 3]
    assert torch.equal(kept.taken().logits, answers[0].logits)


def test_a_full_disk_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, place: int) -> None: ...

        def close(self) -> None: ...

        def write(self, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    shelf = Shelf()
    put = shelf.put([node(None).answer])
    with pytest.raises(OSError, match=f"No space left on device: '{tempfile.gettempdir()}'"):
        put[0].taken()


def test_a_tree_that_never_agrees_holds_few_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pathways part on frame 2; from then on each prefers its own child."""
    length, masks = 40, []
    for_output = Hypothesis.for_output

    class Torn(Script):
        most = 0

        def decode(
            self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
        ) -> list[Hypothesis]:
            self.most = max(self.most, sum(mask() is not None for mask in masks))
            return super().decode(encoded, contexts, every)

    def noted(answer: Hypothesis) -> Hypothesis:
        masks.append(weakref.ref((copy := for_output(answer)).logits))
        return copy

    monkeypatch.setattr(Hypothesis, "for_output", noted)
    undecided = dict.fromkeys(range(3, length), (0.8, 0.8, 0.8))
    told = {}
    for near in (4, 1000):
        monkeypatch.setattr("kit.propagators.trail.NEAR", near)
        script = Torn(ious=undecided, presence=dict.fromkeys(range(1, length), 1.0))
        frames = Frames(length)
        results = memory_tree.propagate(script, frames, [prompt(0)], memory_tree.Config())
        early = [next(results), next(results)]
        assert sum(frames.reads) == length  # frame 2 has to wait for the end
        told[near] = (script.most, [*early, *results])
        assert [len(script.asked[t]) for t in range(2, length)] == [1, *[3] * (length - 3)]
        masks.clear()
    assert told[4][0] <= 3 * (4 + 2) < 3 * (length - 4) <= told[1000][0]
    for one, other in zip(told[4][1], told[1000][1], strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
        assert (one.presence, one.iou) == (other.presence, other.iou)
    marks = [int(result.logits[0, 0, 0]) for result in told[4][1]]
    assert marks == [10 * t for t in range(length)]  # the first of three, all the way


def test_identical_pathways_are_decoded_once_and_leave_at_once() -> None:
    script, frames = Script(), Frames(12)  # always certain: the best child P times
    results = memory_tree.propagate(script, frames, [prompt(0)], memory_tree.Config())
    for _ in range(6):
        next(results)
    assert sum(frames.reads) <= 8  # the sixth result, one on its way, one frame read ahead
    list(results)
    assert all(len(script.asked[t]) == 1 for t in range(1, 12))


def test_absent_pathways_share_their_memories() -> None:
    script = Script(presence=dict.fromkeys(range(2, 6), -1.0))
    run(script, 6, [prompt(0)], memory_tree.Config())
    assert [len(script.asked[t]) for t in range(1, 6)] == [1, 1, 1, 1, 1]


def test_uncertain_pathways_branch() -> None:
    script = Script(presence={3: 1.0})
    run(script, 7, [prompt(0)], memory_tree.Config(min_iou=0.3))
    assert [len(script.asked[t]) for t in range(1, 7)] == [1, 1, 1, 3, 3, 3]


def test_the_gate_of_the_tree() -> None:
    # frame 2 of low IoU, frame 3 absent; the last frame is recalled in any case
    script = Script(ious={2: (0.2, 0.1, 0.0)}, presence={3: -5.0})
    run(script, 7, [prompt(0)], memory_tree.Config(pathways=1))
    assert script.recalled(3)[0] == [(0, 0), (1, 2), (2, 1)]
    assert script.recalled(4)[0] == [(0, 0), (1, 2), (3, 1)]
    assert script.recalled(5)[0] == [(0, 0), (1, 2), (4, 1)]


def test_at_an_anchor_all_pathways_collapse_to_its_mask() -> None:
    script = Script(presence={2: 1.0, 3: 1.0})
    results = run(script, 8, [prompt(0), prompt(4, given=False)], memory_tree.Config())
    assert len(script.asked[3]) == 3
    assert not script.asked[4]
    assert len(script.asked[5]) == 1
    assert results[4].presence[0] == 10
    spatial, pointers = script.recalled(5)
    assert spatial == [(0, 0), (4, 0), (1, 3), (2, 2), (3, 1)]
    assert pointers == [(0, 5), (4, 1), (3, 1), (2, 2)]
    assert [results[t].logits[0, 0, 0] for t in range(8)] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert (4, 0) in script.recalled(1)[0]  # acts on the frames before it
    past = Script()
    run(past, 8, [prompt(0), prompt(4, given=False)], memory_tree.Config(anchors="past"))
    assert past.recalled(1)[0] == [(0, 0)]


def test_rows_and_memories_of_all_objects_are_asked_for_together() -> None:
    calls: list[tuple[str, int]] = []

    class Counted(Script):
        def decode(
            self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
        ) -> list[Hypothesis]:
            calls.append(("decode", len(contexts)))
            return super().decode(encoded, contexts, every)

        def remember(self, encoded: Encoded, hypotheses: Sequence[Hypothesis]) -> list[Memory]:
            calls.append(("remember", len(hypotheses)))
            return super().remember(encoded, hypotheses)

    prompts = [prompt(0, id_) for id_ in (1, 2, 3)]
    run(Counted(), 2, prompts)
    assert calls[-2:] == [("decode", 3), ("remember", 3)]
    unsure = Counted(presence=dict.fromkeys(range(1, 4), 1.0))
    run(unsure, 4, prompts, memory_tree.Config())
    assert calls[-2:] == [("decode", 9), ("remember", 9)]  # three pathways of each


# --- properties on tiny models -----------------------------------------------------------------


@pytest.fixture(scope="module")
def trackers() -> dict[str, Tracker]:
    # an object that is always there, so that every frame passes the gate of the tree
    return {
        "sam2": sam2.build(with_presence(tiny_sam2(), 20), sam2.Config()),
        "sam3": sam3.build(with_presence(tiny_sam3(), 20), sam3.Config()),
    }


@pytest.fixture(params=["sam2", "sam3"])
def tracker(request: pytest.FixtureRequest, trackers: dict[str, Tracker]) -> Tracker:
    return trackers[request.param]


CLIP = Clip(18)


def masks_at(*frames: int) -> list[Prompt]:
    return [Prompt(frame, 1, CLIP.mask(frame, 1), frame == 0) for frame in frames]


def logits(results: Iterator[FrameResult]) -> np.ndarray:
    """float32 [frames, N, H, W]."""
    return np.stack([result.logits for result in results])


def test_one_pathway_without_gate_and_modulation_is_greedy(tracker: Tracker) -> None:
    config = memory_tree.Config(
        pathways=1,
        min_iou=-1.0,
        lowest_weight=1.0,
        highest_weight=1.0,
        oldest_pointer=True,
    )
    tree = logits(memory_tree.propagate(tracker, CLIP, masks_at(0), config))
    plain = logits(greedy.propagate(tracker, CLIP, masks_at(0), greedy.Config()))
    # three pointers are projected at once instead of one: the same but for the last bits
    np.testing.assert_allclose(tree, plain, atol=5e-2)
    assert ((tree > 0) == (plain > 0)).mean() > 0.999
    gated = memory_tree.propagate(tracker, CLIP, masks_at(0), memory_tree.Config(pathways=1))
    assert np.abs(logits(gated) - plain).max() > 0.2  # the parts left out above do something


@pytest.mark.parametrize("module", [greedy, memory_tree], ids=["greedy", "tree"])
def test_the_same_run_gives_the_same_bits(tracker: Tracker, module: Any) -> None:
    runs = [logits(module.propagate(tracker, CLIP, masks_at(0, 9), module.Config())) for _ in "ab"]
    np.testing.assert_array_equal(*runs)


def test_a_palindrome_gives_the_same_masks_both_ways(tracker: Tracker) -> None:
    class Palindrome(Clip):
        def __getitem__(self, index: int) -> np.ndarray:
            return super().__getitem__(min(index, 14 - index))

    clip, mask = Palindrome(15), CLIP.mask(0, 1)
    there = greedy.propagate(tracker, clip, [Prompt(0, 1, mask, True)], greedy.Config())
    config = greedy.Config(direction="backward")
    back = greedy.propagate(tracker, clip, [Prompt(14, 1, mask, True)], config)
    np.testing.assert_array_equal(logits(there), logits(back)[::-1])


@pytest.mark.parametrize("module", [greedy, memory_tree], ids=["greedy", "tree"])
def test_an_anchor_acts_on_the_frames_before_it(tracker: Tracker, module: Any) -> None:
    def change(anchors: str) -> np.ndarray:
        config = module.Config(anchors=anchors)
        with_, without = (
            logits(module.propagate(tracker, CLIP, prompts, config))
            for prompts in (masks_at(0, 10), masks_at(0))
        )
        return np.abs(with_ - without).max(axis=(1, 2, 3))

    assert (change("both")[1:] > 1e-3).all()
    past = change("past")
    assert (past[:10] == 0).all()
    assert (past[10:] > 1e-3).all()


def test_dropping_unreachable_memories_changes_nothing(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = logits(greedy.propagate(tracker, CLIP, masks_at(0, 5), greedy.Config()))
    monkeypatch.setattr(greedy, "forget", lambda tracked, frame, course: dict(tracked))
    kept = logits(greedy.propagate(tracker, CLIP, masks_at(0, 5), greedy.Config()))
    np.testing.assert_array_equal(dropped, kept)


def test_pathways_that_never_part_are_one_pathway(tracker: Tracker) -> None:
    several = memory_tree.Config(pathways=3, uncertainty=0.0)  # always certain
    one = memory_tree.Config(pathways=1, uncertainty=0.0)
    np.testing.assert_array_equal(
        *(
            logits(memory_tree.propagate(tracker, CLIP, masks_at(0), config))
            for config in (several, one)
        )
    )


def test_the_tree_branches_on_sam3_with_anchors(
    trackers: dict[str, Tracker], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    decode = trackers["sam3"].decode

    def counted(encoded: Encoded, contexts: Sequence[Context], *every: bool) -> list[Hypothesis]:
        rows.append(len(contexts))
        return decode(encoded, contexts, *every)

    monkeypatch.setattr(trackers["sam3"], "decode", counted)
    config = memory_tree.Config(uncertainty=100.0)  # never certain
    results = list(memory_tree.propagate(trackers["sam3"], CLIP, masks_at(0, 9), config))
    assert max(rows) == 3
    assert [result.frame for result in results] == list(range(18))
    given = greedy.propagate(trackers["sam3"], CLIP, masks_at(0, 9), greedy.Config())
    same = [
        t
        for t, (a, b) in enumerate(zip(results, given, strict=True))
        if np.array_equal(a.logits, b.logits)
    ]
    assert same == [0, 9] or same == [0, 1, 9]  # prompts, and the first frame, decoded plainly


# --- rcms --------------------------------------------------------------------------------------


EVERY = rcms.Config(promoted=2, most=3, every=True)


def test_rcms_holds_on_to_good_frames_at_every_disappearance() -> None:
    gone = dict.fromkeys((6, 7, 14), -3.0)
    poor = {4: (0.3, 0.2, 0.1), 12: (0.3, 0.2, 0.1)}
    script = Script(presence=gone, ious=poor)
    run(script, 16, [prompt(0), prompt(15, given=False)], EVERY)
    assert script.recalled(6)[0] == [(0, 0), (15, 0), *((6 - age, age) for age in range(5, 0, -1))]
    # 3 and 5 have become anchors; 4 was poor and stays an ordinary memory
    anchors = [(0, 0), (3, 0), (5, 0), (15, 0)]
    assert script.recalled(7)[0] == [*anchors, (1, 6), (2, 5), (4, 3), (6, 1)]
    assert script.recalled(8)[0][:4] == anchors  # 7 adds nothing
    script = Script(presence=gone, ious=poor)
    run(script, 17, [prompt(0)], EVERY)
    # 11 and 13 come at the second disappearance, 3 makes room
    assert script.recalled(15)[0][:4] == [(0, 0), (5, 0), (11, 0), (13, 0)]
    script = Script(presence=gone, ious=poor)
    run(script, 17, [prompt(0)], replace(EVERY, every=False))
    assert script.recalled(15)[0][:4] == [(0, 0), (3, 0), (5, 0), (9, 6)]  # as upstream: once


@pytest.mark.parametrize(
    ("values", "presence", "expected"),
    [
        ([-5.0, -5.0], 100.0, 0.0),  # no mask
        ([0.0, 100.0], 100.0, 0.8),  # 0 is background
        ([100.0, 100.0], 0.0, 0.4),
    ],
)
def test_quality_of_rcms(values: list[float], presence: float, expected: float) -> None:
    logits = torch.tensor(values).view(1, 1, 2)
    answer = Hypothesis(
        logits, logits, torch.tensor([0.8]), torch.tensor(presence), torch.zeros(1, 1)
    )
    assert rcms.quality(answer) == pytest.approx(expected)


def test_rcms_is_greedy_while_nothing_disappears(tracker: Tracker) -> None:
    clip = Clip(10)
    found = rcms.propagate(tracker, clip, masks_at(0, 5), rcms.Config())
    plain = greedy.propagate(tracker, clip, masks_at(0, 5), greedy.Config())
    np.testing.assert_array_equal(logits(found), logits(plain))
