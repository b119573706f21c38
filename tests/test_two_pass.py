"""Going on from a first pass: gaps, anchors that lead back, and results that may fall back.

Two balls on a drawn scene, the target red and a look-alike orange, that change sides. A stand-in
tracker follows a colour exactly, so that what is tracked back arrives at whom it shows.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kit.core import artifacts, grounds
from kit.core.errors import ArtifactError, ConfigError
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import read_masks, read_pngs, write_masks
from kit.core.masks import encode_png, encode_rle
from kit.core.types import (
    Anchor,
    Candidate,
    Cycle,
    Evidence,
    Features,
    FirstPass,
    FrameResult,
    MaskNotes,
    Rejected,
    Selection,
    State,
    Video,
    VideoObject,
)  # fmt: skip
from kit.labelling.fallback import Settled, Verdict, judge
from kit.propagators.track_back import Claim, of_rivals, track_back
from kit.selectors import gaps, margin, top_k, verified
from kit.stages import _first_pass, fallback

COUNT, SHAPE = 18, (40, 60)
FRAMES = tuple(f"{i:05d}" for i in range(COUNT))
RED, ORANGE = (200, 60, 60), (200, 110, 40)


def drawn(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame `uint8[40, 60, 3]` and label map: object 1 is red, object 2 orange."""
    image, labels = np.full((*SHAPE, 3), 90, np.uint8), np.zeros(SHAPE, np.uint8)
    for object_id, (x, y), colour in (
        (1, (12 + 2 * frame, 12), RED), (2, (48 - 2 * frame, 28), ORANGE)
    ):  # fmt: skip
        cv2.circle(image, (x, y), 6, colour, -1)
        cv2.circle(labels, (x, y), 6, object_id, -1)
    return image, labels


IMAGES, TRUTH = zip(*(drawn(i) for i in range(COUNT)), strict=True)


def video_of(*ids: int) -> Video:
    objects = tuple(VideoObject(i, FRAMES[0]) for i in ids or (1,))
    return Video("v", *SHAPE, FRAMES, Path(), ".jpg", Path(), objects, "digest")


VIDEO = video_of(1)


def ball(frame: int, object_id: int) -> str:
    return encode_rle(TRUTH[frame] == object_id)


def left(
    sure: Sequence[int] = range(COUNT), anchors: Sequence[Anchor] = (), ids: Sequence[int] = (1,)
) -> FirstPass:
    """A first pass that shows the objects rightly, and is sure of it on some frames."""
    states = {
        i: {f: State(5.0, 0.9 if n in sure else 0.3) for n, f in enumerate(FRAMES)} for i in ids
    }
    return FirstPass(anchors, states, dict(zip(FRAMES, TRUTH, strict=True)))


def look(colour: tuple[int, int, int]) -> np.ndarray:
    row = np.array(colour, np.float32)
    return row / np.linalg.norm(row)


def evidence(first: FirstPass | None, *seen: tuple[int, int], **more: Any) -> Evidence:
    """Candidates for object 1, each a ball of a frame; features are colours."""
    candidates = [Candidate(FRAMES[f], 1, 0.9, ball(f, i), SHAPE, "drawn") for f, i in seen]
    rows = [look(RED if i == 1 else ORANGE) for _, i in seen]
    features = Features(np.array(rows, np.float32).reshape(-1, 3), {1: look(RED)[None]})
    return Evidence(candidates, features, first, **more)


def anchor(frame: int, shown: int = 1, reason: str = "because") -> Anchor:
    return Anchor(FRAMES[frame], 1, ball(frame, shown), 0.9, None, reason)


EVERYWHERE = [(f, i) for f in range(1, COUNT) for i in (1, 2)]


# --- gaps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sure", "expected"),
    [
        (range(COUNT), []),
        ([*range(5), *range(9, COUNT)], [(5, 9)]),
        ([*range(5), 7, *range(9, COUNT)], [(5, 7), (8, 9)]),
        ([0], [(1, COUNT)]),
        (range(1, 16), [(16, COUNT)]),  # the given frame is no gap
    ],
)
def test_gaps_are_runs_of_unsure_frames(
    sure: Sequence[int], expected: list[tuple[int, int]]
) -> None:
    found = gaps.gaps_of(VIDEO, VIDEO.objects[0], left(sure), 0.5)
    assert found == [list(FRAMES[start:stop]) for start, stop in expected]


@pytest.mark.parametrize(
    ("state", "drawn", "sure"),
    [
        (State(1.0, 0.5), True, True),
        (State(1.0, 0.49), True, False),  # thinks little of its mask
        (State(0.0, 0.9), True, False),  # thinks that it is not there
        (State(1.0, 0.9), False, False),  # lost all its pixels to others
        (None, True, False),  # was not followed so far
    ],
)
def test_sure(state: State | None, drawn: bool, sure: bool) -> None:
    states = {1: {} if state is None else {FRAMES[3]: state}}
    labels = {FRAMES[3]: TRUTH[3] if drawn else np.zeros_like(TRUTH[3])}
    assert FirstPass([], states, labels).sure(1, FRAMES[3], 0.5) is sure


def chosen(selection: Selection) -> list[tuple[int, str]]:
    return [(int(a.frame), a.rle) for a in selection.anchors]


def test_anchors_are_sought_in_gaps_alone() -> None:
    first = left([*range(6), *range(11, COUNT)])
    selection = gaps.select(VIDEO, evidence(first, *EVERYWHERE), gaps.Config(min_gap=3))
    assert chosen(selection) == [(6, ball(6, 1)), (9, ball(9, 1))]
    assert {int(r.frame) for r in selection.rejected} == {7, 8, 10}


def test_no_gap_no_anchor_though_top_k_has_three() -> None:
    found = evidence(left(), *EVERYWHERE)
    assert gaps.select(VIDEO, found, gaps.Config()) == Selection([], [])
    assert len(top_k.select(VIDEO, found, top_k.Config(min_gap=4)).anchors) == 3


def test_every_gap_has_its_share_and_all_have_a_limit() -> None:
    first = left([*range(3), 8, 9, 14])  # gaps 3..7, 10..13, 15..17
    where = [(f, 1) for f in range(1, COUNT)]

    def frames(**config: int) -> list[int]:
        selection = gaps.select(
            VIDEO, evidence(first, *where), gaps.Config(min_gap=1, **config)  # type: ignore[arg-type]
        )  # fmt: skip
        return [int(a.frame) for a in selection.anchors]

    assert frames(per_gap=1) == [3, 10, 15]
    assert frames(per_gap=2) == [3, 4, 10, 11, 15, 16]
    assert frames(per_gap=2, most=3) == [3, 4, 10]


def test_anchors_of_the_first_pass_stay_and_keep_their_distance() -> None:
    first = left([*range(6), *range(11, COUNT)], [anchor(5)])
    found = gaps.select(VIDEO, evidence(first, *EVERYWHERE), gaps.Config(min_gap=4))
    assert [a.frame for a in found.anchors] == [FRAMES[5], FRAMES[9]]
    assert found.anchors[0].reason == "of the first pass: because"
    again = gaps.select(
        VIDEO, evidence(left(anchors=found.anchors), *EVERYWHERE), gaps.Config()
    )  # a third pass does not say it twice
    assert [a.reason.count("of the first pass") for a in again.anchors] == [1, 1]


def test_in_a_gap_a_look_alike_is_no_better_than_none() -> None:
    """The look-alike is known from frames on which the first pass is sure of the target."""
    first = left([*range(6), *range(11, COUNT)])
    seen = [(f, 2) for f in range(1, COUNT)]
    assert gaps.select(VIDEO, evidence(first, *seen), gaps.Config()).anchors == []
    blind = gaps.select(VIDEO, evidence(left([0]), *seen), gaps.Config())
    assert blind.anchors  # without such frames nothing speaks against it


def test_a_first_pass_that_lost_the_object_may_be_sure_of_another_one() -> None:
    """From frame 6 it shows nothing, and from frame 9 on, as sure as ever, the look-alike."""
    labels = [np.where(truth == (2 if f >= 9 else 1), 1, 0) * (not 6 <= f < 9)
              for f, truth in enumerate(TRUTH)]  # fmt: skip
    first = replace(left(), labels=dict(zip(FRAMES, labels, strict=True)))
    found = evidence(first, *EVERYWHERE)

    def frames(**config: bool) -> list[tuple[int, str]]:
        selection = gaps.select(VIDEO, found, gaps.Config(min_gap=4, per_gap=6, **config))
        return chosen(selection)

    assert all(frame < 9 for frame, _ in frames())
    assert frames(until_lost=True) == [(f, ball(f, 1)) for f in (6, 10, 14)]
    beside = margin.Config(top_k=1, min_margin=0.01, min_gap=1)
    assert {r.reason for r in margin.select(VIDEO, found, beside).rejected} >= {
        f"no clear lead over what stands beside the target on {FRAMES[9]}"
    }
    trusting = margin.select(VIDEO, found, replace(beside, until_lost=True))
    assert not any("no clear lead" in r.reason for r in trusting.rejected if int(r.frame) >= 9)
    assert [*first.until_lost(VIDEO).states[1]] == [*FRAMES[:6]]
    assert left().until_lost(VIDEO).states == left().states


# --- margin -------------------------------------------------------------------------------------


def test_what_coexists_with_the_target_is_a_distractor() -> None:
    """On frame 4 the first pass is sure of it, on frame 9 one of its anchors shows it."""
    seen = [(4, 1), (4, 2), (9, 1), (9, 2), (12, 1), (12, 2)]
    first = left([4], [anchor(9)])
    found = margin.distractors_of(VIDEO.objects[0], evidence(first, *seen), 0.8)
    assert found.names == [f"what stands beside the target on {FRAMES[f]}" for f in (4, 9)]
    assert found.rows == pytest.approx(np.array([look(ORANGE)] * 2))
    alone = margin.distractors_of(VIDEO.objects[0], evidence(None, *seen), 0.8)
    assert len(alone.rows) == 0


@pytest.mark.parametrize(
    ("config", "taken"),
    [
        ({}, True),
        ({"max_ratio": 0.8}, True),  # distances 0.2 and 0.3: 0.67
        ({"max_ratio": 0.6}, False),
        ({"min_margin": 0.11}, False),
    ],
)
def test_a_lead_in_proportion(config: dict[str, float], taken: bool) -> None:
    """Cosine 0.8 with the target, 0.7 with the other object."""
    rows = np.array([[0.8, 0.6, 0.0]], np.float32)
    other = np.array([[0.7, (0.7 - 0.56) / 0.6, 0.0]], np.float32)
    pools = {1: np.array([[1.0, 0.0, 0.0]], np.float32), 2: other}
    candidates = [Candidate(FRAMES[9], 1, 0.9, ball(9, 1), SHAPE, "drawn")]
    selection = margin.select(
        video_of(1, 2), Evidence(candidates, Features(rows, pools)), margin.Config(**config)  # type: ignore[arg-type]
    )  # fmt: skip
    assert bool(selection.anchors) is taken


# --- verified -----------------------------------------------------------------------------------


def test_anchors_that_do_not_lead_back_are_dropped() -> None:
    proposals = Selection(
        [anchor(6), anchor(9, 2), anchor(12)], [Rejected(FRAMES[7], 1, 0.5, "neighbour")]
    )
    cycles = [
        Cycle(1, FRAMES[6], "anchor", 0.5),
        Cycle(1, FRAMES[9], "anchor", 0.49),
        Cycle(1, FRAMES[12], "anchor", None),
    ]
    given = evidence(None, proposals=proposals, cycles=cycles)
    found = verified.select(VIDEO, given, verified.Config(min_cycle=0.5))
    assert [(a.frame, a.rle) for a in found.anchors] == [(FRAMES[6], ball(6, 1))]
    assert found.anchors[0].reason == (
        "because; tracked back, it meets the first mask with IoU 0.5000"
    )
    assert [(int(r.frame), r.reason) for r in found.rejected] == [
        (7, "neighbour"),
        (9, "tracked back, it meets the first mask with IoU 0.4900, too little"),
        (12, "it cannot be tracked back, too little"),
    ]


@pytest.mark.parametrize(("least", "kept"), [(None, []), (4, []), (3, [9]), (1, [9, 12])])
def test_an_anchor_that_vanishes_on_the_way_can_be_kept(least: int | None, kept: list[int]) -> None:
    proposals = Selection([anchor(6), anchor(9, 2), anchor(12)], [])
    cycles = [
        Cycle(1, FRAMES[6], "anchor", 0.4, 0),
        Cycle(1, FRAMES[9], "anchor", 0.0, 3),
        Cycle(1, FRAMES[12], "anchor", 0.0, 1),
    ]
    given = evidence(None, proposals=proposals, cycles=cycles)
    found = verified.select(VIDEO, given, verified.Config(min_cycle=0.5, min_absence=least))
    assert [int(a.frame) for a in found.anchors] == kept
    if kept:
        assert found.anchors[0].reason == (
            "because; tracked back, it is away on 3 frames, as the object was"
        )
    assert [int(r.frame) for r in found.rejected] == [f for f in (6, 9, 12) if f not in kept]


def follow_colour(frames: Any, prompts: Sequence[Any]) -> Iterator[FrameResult]:
    """A tracker that finds what has the colour of its prompt, from the prompt's frame on."""
    colours = {p.object_id: np.median(frames[p.frame][p.mask], axis=0) for p in prompts}
    for index in range(min(p.frame for p in prompts), len(frames)):
        shown = {p.object_id: p for p in prompts if p.frame <= index}
        logits = np.array([
            np.where((frames[index] == colours[i]).all(2), 9.0, -9.0) for i in sorted(shown)
        ], np.float32)  # fmt: skip
        sure = np.ones(len(shown), np.float32)
        yield FrameResult(index, tuple(sorted(shown)), logits, sure, sure, logits)


def claims(*shown: tuple[int, int]) -> list[Claim]:
    return [Claim(1, FRAMES[f], "anchor", TRUTH[f] == i) for f, i in shown]


GIVEN = {1: TRUTH[0] == 1}


def test_tracking_back_arrives_at_whom_a_mask_shows() -> None:
    arrived = track_back(follow_colour, VIDEO, IMAGES, claims((17, 1), (9, 2), (1, 1)), GIVEN)
    assert arrived == [(1.0, 0), (0.0, 0), (1.0, 0)]
    assert track_back(follow_colour, VIDEO, IMAGES, [], GIVEN) == []


def test_tracking_back_ends_at_the_first_frame_of_each_object() -> None:
    """An object that is given on frame 3 is compared there; nothing before it is looked at."""
    late = Video(
        "v", *SHAPE, FRAMES, Path(), ".jpg", Path(), (VideoObject(1, FRAMES[3]),), "digest"
    )
    looked: list[int] = []

    class Watched:
        def __len__(self) -> int:
            return COUNT

        def __getitem__(self, index: int) -> np.ndarray:
            looked.append(index)
            return IMAGES[index]

    given = {1: TRUTH[3] == 1}
    assert track_back(follow_colour, late, Watched(), claims((6, 1)), given) == [(1.0, 0)]
    assert set(looked) == {3, 4, 5, 6}


def test_frames_on_which_nothing_is_found_on_the_way_are_counted() -> None:
    """Object 1 hides on frames 5 to 8."""
    hidden = [np.where((TRUTH[t] == 1)[..., None], 0, image) for t, image in enumerate(IMAGES)]
    frames = [hidden[t] if 5 <= t <= 8 else image for t, image in enumerate(IMAGES)]
    arrived = track_back(follow_colour, VIDEO, frames, claims((17, 1), (6, 2)), GIVEN)
    assert arrived == [(1.0, 4), (0.0, 0)]


def test_what_came_of_tracking_back_is_read_as_it_was_written(tmp_path: Path) -> None:
    cycles = [Cycle(1, FRAMES[9], "anchor", 0.25, 4), Cycle(1, FRAMES[12], "anchor", None)]
    grounds.write_cycles(tmp_path / "c.json", VIDEO, cycles, {"video": "digest"})
    assert grounds.read_cycles(tmp_path / "c.json", VIDEO, {"video": "digest"}) == cycles


# --- rivals -------------------------------------------------------------------------------------

SWAPPED = [np.where(t > 0, 3 - t, 0).astype(np.uint8) for t in TRUTH]  # red and orange mistaken
NOTHING = np.zeros(SHAPE, np.uint8)
LOST = [t if i < 6 else np.where(t == 1, 0, t).astype(np.uint8) for i, t in enumerate(TRUTH)]
WRONG = [TRUTH[i] if i < 6 else SWAPPED[i] for i in range(COUNT)]


def masked(
    path: Path, maps: Sequence[np.ndarray], ids: Sequence[int] = (1,), anchors: str = ""
) -> Labels:
    states = {i: dict.fromkeys(FRAMES, State(5.0, 0.9)) for i in ids}
    notes = MaskNotes(states, dict.fromkeys(ids, FRAMES[:1]))
    only = [np.where(np.isin(m, ids), m, 0).astype(np.uint8) for m in maps]
    pngs = [(f, encode_png(m)) for f, m in zip(FRAMES, only, strict=True)]
    inputs = {"video": "digest", "anchors": anchors or path.name}
    write_masks(path, video_of(*ids), pngs, lambda: notes, inputs)
    return Labels(path, VIDEO)


def test_rivals_are_asked_where_they_disagree(tmp_path: Path) -> None:
    first, second = masked(tmp_path / "a", LOST), masked(tmp_path / "b", TRUTH)
    asked = list(of_rivals(first, second, VIDEO, 3))
    assert [(c.frame, c.who, bool(c.mask.any())) for c in asked] == [
        (FRAMES[f], who, who == "second") for f in (8, 12, 16) for who in ("first", "second")
    ]
    assert list(of_rivals(second, second, VIDEO, 3)) == []
    every = list(of_rivals(first, second, VIDEO, 50))
    assert [c.frame for c in every[::2]] == list(FRAMES[6:])


@pytest.mark.parametrize(
    ("first", "second", "stands", "worth"),
    [
        (LOST, TRUTH, "second", (0.5, 1.0)),  # found again
        (LOST, WRONG, "first", (0.5, 0.0)),  # a wrong anchor: silence was better
        (TRUTH, LOST, "first", (1.0, 0.5)),  # lost by it
        (TRUTH, WRONG, "first", (1.0, 0.0)),
        (WRONG, TRUTH, "second", (0.0, 1.0)),
        (TRUTH, TRUTH, "second", (0.0, 0.0)),  # nothing to choose
    ],
)
def test_the_more_consistent_result_is_taken(
    tmp_path: Path,
    first: list[np.ndarray],
    second: list[np.ndarray],
    stands: str,
    worth: tuple[float, float],
) -> None:
    """From the masks to the verdict, on drawn scenes; and the masks that come out."""
    rivals = [masked(tmp_path / n, m) for n, m in (("a", first), ("b", second))]
    asked = list(of_rivals(*rivals, VIDEO, 3))
    drawn = [c for c in asked if c.mask.any()]
    arrived = iter(track_back(follow_colour, VIDEO, IMAGES, drawn, GIVEN))
    cycles = [Cycle(1, c.frame, c.who, next(arrived).iou if c.mask.any() else None) for c in asked]
    verdict = judge(cycles, 0.5)
    assert (verdict.first, verdict.second) == worth
    assert verdict.stands == stands


def settled(tmp_path: Path, verdicts: dict[int, tuple[float, float]]) -> Path:
    """What `kit fallback` makes of LOST, TRUTH and given verdicts on objects 1 and 2."""
    video = video_of(*verdicts)
    artifacts.write_video(tmp_path / "v.json", video)
    for name, maps in (("first", LOST), ("second", TRUTH)):
        masked(tmp_path / f"{name}.zip", maps, list(verdicts))
    cycles = [
        Cycle(i, FRAMES[9], who, value)
        for i, values in verdicts.items()
        for who, value in zip(("first", "second"), values, strict=True)
    ]
    inputs = {
        "video": "digest",
        "first_masks": sha256(tmp_path / "first.zip"),
        "masks": sha256(tmp_path / "second.zip"),
    }
    grounds.write_cycles(tmp_path / "cycles.json", video, cycles, inputs)
    fallback.run(arguments(tmp_path))
    return tmp_path / "out.zip"


def arguments(folder: Path, settings: str = "{}") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    fallback.add_arguments(parser)
    return parser.parse_args([
        f"--frames={folder / 'v.json'}", f"--first={folder / 'first.zip'}",
        f"--masks={folder / 'second.zip'}", f"--cycles={folder / 'cycles.json'}",
        f"--settings={settings}", f"--output={folder / 'out.zip'}",
    ])  # fmt: skip


@pytest.mark.parametrize(("worth", "kept"), [((0.9, 0.2), "first"), ((0.2, 0.9), "second")])
def test_a_result_that_stands_is_the_same_bytes(
    tmp_path: Path, worth: tuple[float, float], kept: str
) -> None:
    out = settled(tmp_path, {1: worth})
    assert dict(read_pngs(out)) == dict(read_pngs(tmp_path / f"{kept}.zip"))
    made_of = {"anchors": "second.zip", "cycles": sha256(tmp_path / "cycles.json")}
    (verdict,) = read_masks(out, VIDEO, made_of).verdicts.values()
    assert (verdict.first, verdict.second, verdict.stands) == (*worth, kept)
    again = out.read_bytes()
    fallback.run(arguments(tmp_path))
    assert out.read_bytes() == again


def test_objects_fall_back_one_by_one(tmp_path: Path) -> None:
    """Object 1 goes on, object 2 stays as it was to the pixel."""
    out = settled(tmp_path, {1: (0.2, 0.9), 2: (0.9, 0.2)})
    labels = Labels(out, video_of(1, 2))
    assert all((labels[f] == t).all() for f, t in zip(FRAMES, TRUTH, strict=True))
    notes = read_masks(out, video_of(1, 2), {})
    assert {i: v.stands for i, v in notes.verdicts.items()} == {1: "second", 2: "first"}


def test_what_stands_is_not_painted_over(tmp_path: Path) -> None:
    """The second result of object 1 covers what object 2 had; object 2 keeps it."""
    wide = np.ones(SHAPE, np.uint8)
    first = masked(tmp_path / "a", [NOTHING, *TRUTH[1:]], (1, 2))
    second = masked(tmp_path / "b", [wide] * COUNT, (1, 2))
    verdicts = {1: Verdict(0.1, 0.9), 2: Verdict(0.9, 0.1)}
    mixed = Settled(first, second, verdicts)
    painted = {f: mixed.png(f) for f in FRAMES[:2]}
    from kit.core import png

    assert (png.decode(painted[FRAMES[0]]) == 1).all()
    labels = png.decode(painted[FRAMES[1]])
    assert ((labels == 2) == (TRUTH[1] == 2)).all()
    assert (labels[TRUTH[1] != 2] == 1).all()
    assert mixed.contested == {FRAMES[1]: int((TRUTH[1] == 2).sum())}


@pytest.mark.parametrize("value", ["-0.1", "1.5", '"much"', "true"])
def test_silence_is_worth_a_share(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"fallback\.silence"):
        fallback.run(arguments(tmp_path, f'{{"silence": {value}}}'))


def test_numbers_of_other_masks_are_not_believed(tmp_path: Path) -> None:
    settled(tmp_path, {1: (0.2, 0.9)})
    masked(tmp_path / "first.zip", TRUTH)
    with pytest.raises(ArtifactError, match="made from first_masks"):
        fallback.run(arguments(tmp_path))


# --- the first pass as files --------------------------------------------------------------------


def test_a_first_pass_from_its_files(tmp_path: Path) -> None:
    artifacts.write_anchors(
        tmp_path / "anchors.json", VIDEO, Selection([anchor(4)], []), {"video": "digest"}
    )
    masked(tmp_path / "masks.zip", LOST)
    with pytest.raises(ArtifactError, match="made from anchors"):
        _first_pass.read(tmp_path / "masks.zip", tmp_path / "anchors.json", VIDEO)
    masked(tmp_path / "masks.zip", LOST, anchors=sha256(tmp_path / "anchors.json"))
    first = _first_pass.read(tmp_path / "masks.zip", tmp_path / "anchors.json", VIDEO)
    assert [a.frame for a in first.anchors] == [FRAMES[4]]
    assert first.sure(1, FRAMES[3], 0.9)
    assert not first.sure(1, FRAMES[8], 0.0)  # empty there
    assert (first.mask(1, FRAMES[3]) == (TRUTH[3] == 1)).all()
