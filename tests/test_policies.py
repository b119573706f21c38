"""SAMURAI and DAM4SAM: what they decide, what they recall, and that what they hold is bounded."""

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
from kit.propagators import dam4sam, greedy, kalman, samurai
from kit.propagators.samurai import Motion
from kit.propagators.seen import Shapes, shapes
from kit.trackers import sam2, sam3
from kit.trackers.base import Context, Encoded, Hypothesis, Memory, Span, Tracker

pytestmark = pytest.mark.usefixtures("one_thread")

SPAN = Span(recent=6, pointers=16, anchors=None, past_pointers=True, far_pointers=False)
SIDE = 32
POLICIES = [samurai, dam4sam]


def block(left: int, top: int, width: int = 4, height: int = 4) -> np.ndarray:
    """A mask, bool [SIDE, SIDE], of one rectangle; negative width is empty."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[top : top + height, left : left + max(width, 0)] = True
    return mask


NOTHING = block(0, 0, 0)
HERE = block(4, 4)
THERE = block(24, 24)


class Scene:
    """A tracker that sees what was planted, and notes what it is asked.

    Frames and memories hold the number of their frame. Where nothing was planted all three masks
    are the same still block.
    """

    def __init__(
        self,
        masks: dict[int, Sequence[np.ndarray]] | None = None,
        ious: dict[int, tuple[float, ...]] | None = None,
        presence: dict[int, float] | None = None,
        span: Span = SPAN,
        large: bool = False,
    ) -> None:
        self.span, self.large = span, large
        self.masks, self.ious, self.presence = masks or {}, ious or {}, presence or {}
        self.asked: dict[int, list[Context]] = {}
        self.held: list[tuple[int, int]] = []  # at each frame: spatial memories, pointers
        self._made: list[tuple[weakref.ref[Any], weakref.ref[Any]]] = []

    def encode(self, image: np.ndarray) -> Encoded:
        number = torch.tensor(float(image[0, 0, 0]))
        return Encoded(number, number, (number, number))

    def condition(self, encoded: Encoded, mask: np.ndarray) -> Hypothesis:
        return answer([mask], [1.0], 10.0, prompted=True)

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        assert every or not contexts
        frame = int(encoded.tokens)
        self.asked.setdefault(frame, []).extend(contexts)
        self.held.append((self._alive(0), self._alive(1)))
        masks = self.masks.get(frame, (HERE, HERE, HERE))
        ious = self.ious.get(frame, (0.9, 0.85, 0.1))
        presence = self.presence.get(frame, 5.0)
        if presence <= 0:
            masks = (NOTHING,) * 3
        return [answer(masks, ious, presence) for _ in contexts]

    def remember(self, encoded: Encoded, hypotheses: Sequence[Hypothesis]) -> list[Memory]:
        frame = float(encoded.tokens)
        memories = [Memory(torch.full((1,), frame), torch.full((1,), frame)) for _ in hypotheses]
        self._made += [(weakref.ref(m.spatial), weakref.ref(m.pointer)) for m in memories]
        return memories

    def spatial(self, frame: int, row: int = 0) -> list[tuple[int, int]]:
        """(frame, age) of the spatial memories a row recalled in a frame; 0 if it was prompted."""
        spatial = self.asked[frame][row].spatial
        return [(int(r.memory.spatial), 0 if r.prompted else r.position) for r in spatial]

    def pointers(self, frame: int, row: int = 0) -> list[tuple[int, int]]:
        context = self.asked[frame][row]
        return [(int(r.memory.pointer), r.position) for r in context.pointers]

    def _alive(self, which: int) -> int:
        return sum(refs[which]() is not None for refs in self._made)


def answer(
    masks: Sequence[np.ndarray], ious: Sequence[float], presence: float, prompted: bool = False
) -> Hypothesis:
    logits = torch.from_numpy(np.stack(masks)).float() * 20 - 10
    return Hypothesis(
        logits,
        logits,
        torch.tensor(ious),
        torch.tensor(presence),
        torch.zeros(len(masks), 1),
        prompted,
    )


class Frames:
    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> np.ndarray:
        return np.full((SIDE, SIDE, 3), index, np.uint8)


def prompt(frame: int, mask: np.ndarray = HERE, object_id: int = 1, given: bool = True) -> Prompt:
    return Prompt(frame, object_id, mask, given)


def run(module: Any, scene: Scene, length: int, prompts: Sequence[Prompt], **settings: Any) -> Any:
    config = module.Config(**settings)
    return list(module.propagate(scene, Frames(length), prompts, config))


# --- the filter --------------------------------------------------------------------------------


def test_one_step_of_the_filter_by_hand() -> None:
    # height 10: variances 1 (position) and 0.625² (velocity) at the start; predicted
    # 1 + 0.390625 + 0.5² = 1.640625, covariance 0.390625; a box is seen with variance 0.25, so the
    # gains are 1.640625 / 1.890625 and 0.390625 / 1.890625
    predicted = kalman.predict(kalman.start((0, 0, 10, 10)))
    assert predicted.box == pytest.approx((0, 0, 10, 10))
    variances = np.diag(predicted.covariance)
    assert variances[[0, 1, 3]] == pytest.approx(1.640625)
    assert variances[[4, 5, 7]] == pytest.approx(0.625**2 + 0.0625**2)
    assert variances[[2, 6]] == pytest.approx([2e-4 + 1e-10, 2e-10])
    track = kalman.update(predicted, (4, 0, 14, 10))
    assert track.mean[:2] == pytest.approx([5 + 4 * 0.8677686, 5])
    assert track.mean[4:6] == pytest.approx([4 * 0.2066116, 0])
    assert kalman.predict(track).mean[0] == pytest.approx(5 + 4 * (0.8677686 + 0.2066116))


def test_the_filter_foresees_a_steady_motion() -> None:
    def at(t: int) -> kalman.Box:
        return (3.0 * t, 50.0 - t, 3.0 * t + 20, 50.0 - t + 10)

    track = kalman.start(at(0))
    for t in range(1, 40):
        track = kalman.update(kalman.predict(track), at(t))
    assert kalman.predict(track).box == pytest.approx(at(40), abs=0.05)
    lost = kalman.predict(kalman.predict(track))  # nothing seen: it goes on, less surely
    assert lost.box == pytest.approx(at(41), abs=0.1)
    assert lost.covariance[0, 0] > kalman.predict(track).covariance[0, 0]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 4, 4), 1.0),
        ((2, 0, 6, 4), 8 / 24),
        ((4, 0, 8, 4), 0.0),  # side by side
        ((5, 5, 9, 9), 0.0),  # apart in both directions: negative times negative is no overlap
        ((1, 1, 3, 3), 4 / 16),
    ],
)
def test_box_iou(other: kalman.Box, expected: float) -> None:
    assert kalman.box_iou((0, 0, 4, 4), other) == pytest.approx(expected)
    assert kalman.box_iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_what_is_seen_of_hypotheses() -> None:
    masks = [block(3, 5, 7, 2), NOTHING, block(31, 0, 1, 32)]
    (seen,) = shapes([answer(masks, [0.25, 0.75, 0.75], -2.0)])
    assert seen.areas == (14, 0, 32)
    assert seen.boxes == ((3, 5, 10, 7), None, (31, 0, 32, 32))
    assert (seen.ious, seen.presence, seen.best) == ((0.25, 0.75, 0.75), -2.0, 1)


# --- samurai: decisions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (0.0, 0),  # 0.90 against 0.80
        (0.10, 0),  # 0.82 against 0.81
        (0.15, 1),  # 0.78 against 0.815
        (1.0, 1),
    ],
)
def test_motion_turns_the_choice(weight: float, expected: int) -> None:
    assert samurai.choose([0.9, 0.8, 0.1], [0.1, 0.9, 0.0], weight) == expected


def box_at(x: float) -> kalman.Box:
    return (x, 10, x + 8, 18)


def moving(frames: int, config: samurai.Config) -> Motion:
    motion = Motion()
    for t in range(frames):
        seen = Shapes((0.9,), 5.0, (64,), (box_at(2.0 * t),))
        motion = samurai.step(motion, seen, config)[2]
    return motion


def test_motion_has_a_say_after_the_warm_up() -> None:
    config = samurai.Config(warm_up=10, motion_weight=0.15)
    for frames, expected in ((9, 0), (10, 1)):
        motion = moving(frames, config)
        assert motion.stable == frames
        # the surer mask has jumped, the other one is where the object was going
        boxes = (box_at(100), box_at(2.0 * frames), None)
        seen = Shapes((0.85, 0.8, 0.84), 5.0, (64, 64, 0), boxes)
        index, score, after = samurai.step(motion, seen, config)
        assert index == expected
        assert after.stable == frames + 1
        assert score == (None if expected == 0 else pytest.approx(1, abs=0.1))


@pytest.mark.parametrize(
    ("box", "iou"),
    [
        (None, 0.9),  # nothing there
        (box_at(40), 0.29),  # not sure
    ],
)
def test_what_ends_a_track(box: kalman.Box | None, iou: float) -> None:
    config = samurai.Config(motion_weight=0.15)
    _, _, after = samurai.step(moving(20, config), Shapes((iou,), 5.0, (64,), (box,)), config)
    assert (after.track, after.stable) == (None, 0)
    seen = Shapes((0.1,), 5.0, (64,), (box_at(70),))  # the next mask starts one, however unsure
    _, score, again = samurai.step(after, seen, config)
    assert again.track is not None
    assert again.track.box == pytest.approx(box_at(70))
    assert (score, again.stable) == (None, 1)


@pytest.mark.parametrize(
    ("iou", "presence", "motion", "expected"),
    [
        (0.6, 1.0, None, True),  # warm-up
        (0.6, 1.0, 0.1, True),
        (0.5, 1.0, 0.1, False),  # all thresholds are strict
        (0.6, 0.0, 0.1, False),
        (0.6, 1.0, 0.0, False),
    ],
)
def test_the_three_gates(iou: float, presence: float, motion: float | None, expected: bool) -> None:
    assert samurai.passes(iou, presence, motion, samurai.Config()) is expected


# --- samurai: what is recalled -----------------------------------------------------------------


def test_samurai_recalls_what_passes_by_rank_and_pointers_by_distance() -> None:
    scene = Scene(
        masks={7: (THERE, THERE, THERE)},  # motion score 0
        ious={3: (0.4, 0.3, 0.2)},
        presence={5: -1.0},
    )
    # the track restarts at 6 after the empty mask on 5, and motion has a say from 7 on
    run(samurai, scene, 12, [prompt(0)], warm_up=1)
    assert scene.spatial(1) == [(0, 0)]
    assert scene.spatial(4) == [(0, 0), (1, 3), (2, 2), (3, 1)]  # the last frame in any case
    assert scene.spatial(5) == [(0, 0), (1, 3), (2, 2), (4, 1)]
    assert scene.spatial(6) == [(0, 0), (1, 4), (2, 3), (4, 2), (5, 1)]
    assert scene.spatial(8) == [(0, 0), (1, 5), (2, 4), (4, 3), (6, 2), (7, 1)]
    assert scene.pointers(8) == [(0, 8), *((8 - d, d) for d in range(1, 8))]


def test_samurai_recalls_no_more_than_fits() -> None:
    scene = Scene(ious=dict.fromkeys(range(10, 18), (0.4, 0.3, 0.2)))
    run(samurai, scene, 20, [prompt(0)])
    assert scene.spatial(18) == [(0, 0), (5, 6), (6, 5), (7, 4), (8, 3), (9, 2), (17, 1)]
    assert scene.spatial(19)[-2:] == [(9, 2), (18, 1)]


@pytest.mark.parametrize(("large", "expected"), [(True, 0.15), (False, 0.25)])
def test_the_motion_weight_goes_with_the_trunk(large: bool, expected: float) -> None:
    scene = Scene(large=large)
    assert samurai.weighted(samurai.Config(), scene).motion_weight == expected
    told = samurai.Config(motion_weight=0.0)
    assert samurai.weighted(told, scene) == told


def test_trunks_tell_whether_they_are_large() -> None:
    small = [sam2.build(tiny_sam2(), sam2.Config()).large]
    wide = tiny_sam2()
    wide.image_encoder.trunk.channel_list = [1152, 576, 288, 144]  # sam2.1_hiera_l.yaml
    assert [*small, sam2.build(wide, sam2.Config()).large] == [False, True]
    assert sam3.build(tiny_sam3(), sam3.Config()).large


def test_samurai_follows_the_motion_through_a_double() -> None:
    # a block goes right, a column a frame; from 16 on the surer mask is another one
    own = {t: block(t, 4, 8, 8) for t in range(1, 20)}
    masks = {t: (THERE if t >= 16 else own[t], own[t], NOTHING) for t in own}
    for weight, expected in ((0.15, own[19]), (0.0, THERE)):
        results = run(samurai, Scene(masks), 20, [prompt(0)], warm_up=10, motion_weight=weight)
        np.testing.assert_array_equal(results[19].logits[0] > 0, expected)
        np.testing.assert_array_equal(results[15].logits[0] > 0, own[15])


@pytest.mark.parametrize(("place", "expected"), [(HERE, 10), (THERE, 1)])
def test_the_filter_sees_anchors(
    place: np.ndarray, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stable: list[int] = []
    step = samurai.step

    def noted(motion: Motion, *rest: Any) -> Any:
        stable.append(motion.stable)
        return step(motion, *rest)

    monkeypatch.setattr(samurai, "step", noted)
    run(samurai, Scene(), 12, [prompt(0), prompt(10, place, given=False)])
    # nine tracked frames and the anchor, where it lies on the track; elsewhere the anchor alone
    assert stable == [*range(9), expected]


def test_samurai_anchors() -> None:
    both, past = Scene(), Scene()
    prompts = [prompt(0), prompt(6, given=False)]
    run(samurai, both, 9, prompts)
    run(samurai, past, 9, prompts, anchors="past")
    assert both.spatial(3) == [(0, 0), (6, 0), (1, 2), (2, 1)]
    assert past.spatial(3) == [(0, 0), (1, 2), (2, 1)]
    tracked = [(1, 6), (2, 5), (3, 4), (4, 3), (5, 2), (7, 1)]
    assert past.spatial(8) == both.spatial(8) == [(0, 0), (6, 0), *tracked]


def test_samurai_recalls_the_last_frame_only_if_it_was_tracked() -> None:
    scene = Scene(ious={5: (0.4, 0.3, 0.2)})
    run(samurai, scene, 8, [prompt(0), prompt(6, given=False)])
    assert scene.spatial(7) == [(0, 0), (6, 0), (1, 4), (2, 3), (3, 2), (4, 1)]  # not 5


# --- dam4sam: decisions ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "stride", "most", "expected"),
    [
        (range(1, 23), 5, 6, [5, 10, 15, 20, 22]),
        (range(1, 23), 5, 3, [15, 20, 22]),
        (range(1, 21), 5, 3, [10, 15, 20]),  # the newest is a multiple itself
        ([1, 2, 5, 9, 13], 5, 6, [5, 13]),  # 10 did not show the object
        ([3], 5, 6, [3]),
        ([], 5, 6, []),
        (range(1, 9), 1, 6, [3, 4, 5, 6, 7, 8]),
    ],
)
def test_recent_frames(frames: Sequence[int], stride: int, most: int, expected: list[int]) -> None:
    assert dam4sam.recent(frames, stride, most) == expected


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([100], False),  # nothing to compare with
        ([100, 100], True),
        ([100, 100, 120], True),
        ([100, 100, 121], False),
        ([100, 100, 80], True),
        ([100, 100, 79], False),
        ([100, 100, 0], False),
        ([0, 0, 50], True),  # what was not seen does not count
        ([1] * 20 + [100] * 9 + [110], True),  # the last ten
    ],
)
def test_steady_sizes(sizes: list[int], expected: bool) -> None:
    assert dam4sam.is_steady(sizes, 0.2) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (HERE, 1.0),
        (NOTHING, 1.0),
        (block(5, 5, 2, 2), 1.0),  # within
        (block(4, 4, 6, 4), 16 / 24),  # a wider answer
        (THERE, 16 / 24**2),  # a double: 4..27 both ways
        (HERE | THERE, 16 / 24**2),
        (block(8, 4, 2, 4) | block(31, 31, 1, 1), 16 / 24),  # the largest part alone counts
    ],
)
def test_ratio_of_boxes(other: np.ndarray, expected: float) -> None:
    assert dam4sam.box_ratio(HERE, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("chosen", "other", "expected"),
    [
        (HERE, block(4, 4, 5, 4), 9 / 12),  # 3 x 3 of 4 x 3
        (HERE, THERE, 9 / 23**2),
        (block(4, 4, 1, 4), block(4, 4, 4, 4), 0.0),  # one column has no width
        (block(4, 4, 1, 2), block(4, 4, 1, 4), 1.0),  # nor has the other
    ],
)
def test_boxes_end_before_their_last_row_and_column(
    chosen: np.ndarray, other: np.ndarray, expected: float
) -> None:
    assert dam4sam.box_ratio(chosen, other, whole=False) == pytest.approx(expected)


def test_parts_touch_at_corners() -> None:
    diagonal = np.zeros((SIDE, SIDE), bool)
    diagonal[range(20, 23), range(20, 23)] = True
    # three pixels corner to corner are larger than a pair
    ratio = dam4sam.box_ratio(HERE, diagonal | block(30, 4, 2, 1))
    assert ratio == pytest.approx(16 / 19**2)


# --- dam4sam: what is recalled -----------------------------------------------------------------


def test_recent_memory_skips_frames_without_the_object() -> None:
    scene = Scene(presence=dict.fromkeys((10, 13, 14), -3.0))
    run(dam4sam, scene, 24, [prompt(0)])
    assert scene.spatial(4) == [(0, 0), (3, 1)]
    assert scene.spatial(9) == [(0, 0), (5, 2), (8, 1)]
    assert scene.spatial(15) == [(0, 0), (5, 2), (12, 1)]
    assert scene.spatial(23) == [(0, 0), (5, 4), (15, 3), (20, 2), (22, 1)]
    assert scene.pointers(15) == [
        (0, 15),
        *((15 - d, d) for d in (3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14)),
    ]


@pytest.mark.parametrize(
    ("online", "expected"), [(True, [[1], [5, 2], [15, 15]]), (False, [[15], [15, 15], [15, 15]])]
)
def test_what_pointer_times_are_divided_by(online: bool, expected: list[list[int]]) -> None:
    scene = Scene()
    run(dam4sam, scene, 20, [prompt(0), prompt(3, THERE, 2)], online=online)
    found = [[context.horizon for context in scene.asked[frame]] for frame in (1, 5, 19)]
    assert found == expected


def test_a_double_is_held_on_to() -> None:
    scene = Scene(masks={7: (HERE, THERE, HERE)})
    run(dam4sam, scene, 12, [prompt(0)])
    assert scene.spatial(7) == [(0, 0), (5, 2), (6, 1)]
    assert scene.spatial(8) == [(0, 0), (5, 2), (7, 1)]  # still a recent one
    assert scene.spatial(9) == [(0, 0), (7, 0), (5, 2), (8, 1)]
    assert scene.pointers(9)[:3] == [(0, 9), (7, 2), (8, 1)]
    assert sorted(f for f, _ in scene.pointers(9)) == list(range(9))  # each once


@pytest.mark.parametrize(
    "planted",
    [
        {"ious": {7: (0.79, 0.7, 0.1)}},  # not sure enough
        {"masks": {7: (block(4, 4, 5, 4), THERE, HERE)}},  # grown by a quarter
        {"masks": {7: (NOTHING, THERE, HERE)}},
        {"masks": {7: (HERE, block(4, 4, 5, 4), HERE)}},  # a wider answer is no double: 16 / 20
    ],
)
def test_what_is_not_held_on_to(planted: dict[str, Any]) -> None:
    double = {"masks": {7: (HERE, THERE, HERE)}}
    scene = Scene(**(double | planted))
    run(dam4sam, scene, 12, [prompt(0)])
    assert [f for f, position in scene.spatial(11) if position == 0] == [0]


def test_the_second_memory_is_bounded_and_the_recent_one_makes_room() -> None:
    scene = Scene(masks=dict.fromkeys(range(40), (HERE, THERE, HERE)))
    run(dam4sam, scene, 41, [prompt(0)])
    # the second frame is the first with a size before it; then one in six
    assert [f for f, p in scene.spatial(13) if p == 0] == [0, 2, 8]
    assert [f for f, p in scene.spatial(40) if p == 0] == [0, 26, 32, 38]
    assert scene.spatial(38) == [(0, 0), (20, 0), (26, 0), (32, 0), (30, 3), (35, 2), (37, 1)]


def test_given_masks_stay_and_recent_memory_keeps_its_share() -> None:
    prompts = [prompt(0), *(prompt(t, given=False) for t in (8, 16, 24, 32))]
    scene = Scene(span=replace(SPAN, anchors=4))
    run(dam4sam, scene, 40, prompts)
    assert scene.spatial(39)[:4] == [(0, 0), (32, 0), (24, 0), (16, 0)]
    assert scene.spatial(39)[4:] == [(30, 3), (35, 2), (38, 1)]
    past = Scene()
    run(dam4sam, past, 10, [prompt(0), prompt(8, given=False)], anchors="past")
    assert [f for f, p in past.spatial(7) if p == 0] == [0]


# --- both --------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", POLICIES)
def test_prompts_that_cannot_be_used(module: Any) -> None:
    with pytest.raises(DataError, match="the mask is empty"):
        run(module, Scene(), 4, [prompt(0, NOTHING)])


@pytest.mark.parametrize(
    ("module", "places"),
    [
        (samurai, 7),  # six that passed, and the last frame
        (dam4sam, 10),  # six recent ones, three in the second memory and one on its way there
    ],
)
def test_memory_stays_bounded(module: Any, places: int) -> None:
    class Forgetful(Scene):
        def decode(
            self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
        ) -> list[Hypothesis]:
            answers = super().decode(encoded, contexts, every)
            self.asked.clear()  # contexts hold memories
            return answers

    doubles = dict.fromkeys(range(60), (HERE, THERE, HERE))
    scene = Forgetful(doubles, presence=dict.fromkeys((25, 26, 44), -3.0))
    run(module, scene, 60, [prompt(0), prompt(0, THERE, 2), prompt(20, THERE, 2, given=False)])
    # three prompts; two objects; pointers reach 15 frames back
    spatial, pointers = (max(column) for column in zip(*scene.held, strict=True))
    assert 3 + 2 * 4 < spatial <= 3 + 2 * places
    assert 3 + 2 * 15 <= pointers <= 3 + 2 * (15 + places)


@pytest.fixture(scope="module")
def trackers() -> dict[str, Tracker]:
    # an object that is always there, so that every frame passes the gates
    return {
        "sam2": sam2.build(with_presence(tiny_sam2(), 20), sam2.Config()),
        "sam3": sam3.build(with_presence(tiny_sam3(), 20), sam3.Config()),
    }


@pytest.fixture(params=["sam2", "sam3"])
def tracker(request: pytest.FixtureRequest, trackers: dict[str, Tracker]) -> Tracker:
    return trackers[request.param]


CLIP = Clip(14)
GIVEN = [Prompt(0, 1, CLIP.mask(0, 1), True)]


class Every:
    """A tracker that always projects three pointers at once, which moves the last bits."""

    def __init__(self, tracker: Tracker) -> None:
        self.span, self.encode = tracker.span, tracker.encode
        self.condition, self.remember = tracker.condition, tracker.remember
        self._decode = tracker.decode

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        return [a.pick(int(a.iou.argmax())) for a in self._decode(encoded, contexts, every=True)]


def logits(results: Iterator[FrameResult]) -> np.ndarray:
    return np.stack([result.logits for result in results])


NEUTRAL = {
    "samurai": samurai.Config(motion_weight=0.0, min_iou=-1.0, min_motion=-1.0, warm_up=2),
    "dam4sam": dam4sam.Config(stride=1, distractors=0, online=False),
}
OTHER = {
    "samurai": samurai.Config(motion_weight=1.0, min_iou=-1.0, min_motion=-1.0, warm_up=2),
    "dam4sam": dam4sam.Config(distractors=0, online=False),
}


@pytest.mark.parametrize("module", POLICIES)
def test_neutral_settings_are_greedy(tracker: Tracker, module: Any) -> None:
    name = module.__name__.rsplit(".", 1)[1]
    plain = logits(greedy.propagate(Every(tracker), CLIP, GIVEN, greedy.Config()))
    neutral = logits(module.propagate(tracker, CLIP, GIVEN, NEUTRAL[name]))
    np.testing.assert_array_equal(neutral, plain)
    other = logits(module.propagate(tracker, CLIP, GIVEN, OTHER[name]))
    assert np.abs(other - plain).max() > 1e-3  # what was left out does something


@pytest.mark.parametrize("module", POLICIES)
def test_several_objects_with_anchors(tracker: Tracker, module: Any) -> None:
    prompts = [
        *GIVEN,
        Prompt(3, 2, CLIP.mask(3, 2), True),
        Prompt(7, 1, CLIP.mask(7, 1), False),
        Prompt(7, 2, CLIP.mask(7, 2), False),
    ]
    results = list(module.propagate(tracker, CLIP, prompts, module.Config()))
    assert [result.frame for result in results] == list(range(14))
    assert [result.object_ids for result in results] == [(1,)] * 3 + [(1, 2)] * 11
    for item in prompts:
        result = results[item.frame]
        row = result.object_ids.index(item.object_id)
        told = tracker.condition(tracker.encode(CLIP[item.frame]), item.mask)
        low = told.logits[None]
        wanted = torch.nn.functional.interpolate(low, size=item.mask.shape, mode="bilinear")[0, 0]
        np.testing.assert_array_equal(result.logits[row], wanted.numpy())
        assert (result.presence[row], result.iou[row]) == (10, 1)
    # objects know nothing of one another
    second = [item for item in prompts if item.object_id == 2]
    alone = list(module.propagate(tracker, CLIP, second, module.Config()))
    for one, result in zip(alone, results[3:], strict=True):
        np.testing.assert_allclose(one.logits[0], result.logits[1], atol=1e-3)


@pytest.mark.parametrize("module", POLICIES)
def test_anchor_frames_can_be_decoded_again_but_the_given_mask_stands(module: Any) -> None:
    class Again(Scene):
        def decode(
            self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
        ) -> list[Hypothesis]:
            best_alone = [answer([HERE], [0.9], 5.0) for _ in contexts]
            return super().decode(encoded, contexts, every) if every else best_alone

    prompts = [prompt(0), prompt(4, THERE, given=False), prompt(6)]
    results = run(module, scene := Again(), 8, prompts, redecode_anchors=True)
    assert [result.presence[0] for result in results] == [10, 5, 5, 5, 5, 5, 10, 5]
    np.testing.assert_array_equal(results[4].logits[0] > 0, HERE)
    assert (4, 0) in scene.spatial(5)  # what is recalled is the anchor
    plain = run(module, Scene(), 8, prompts)
    np.testing.assert_array_equal(plain[4].logits[0] > 0, THERE)


@pytest.mark.parametrize("module", POLICIES)
@pytest.mark.parametrize("build", ["sam2", "sam3"])
def test_an_object_that_is_never_seen_again(module: Any, build: str) -> None:
    library, model = {"sam2": (sam2, tiny_sam2), "sam3": (sam3, tiny_sam3)}[build]
    tracker = library.build(with_presence(model(), -40), library.Config())
    results = list(module.propagate(tracker, CLIP, GIVEN, module.Config()))
    assert all((result.presence < 0).all() for result in results[1:])
    assert all((result.logits == -1024).all() for result in results[1:])
