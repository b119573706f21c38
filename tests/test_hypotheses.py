"""The tracker's three masks where a first pass was unsure: which frames, which memories, how often.

A stand-in tracker writes down what it is asked; a tiny one answers for real.
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import Clip, tiny_sam3, with_presence

from kit.core.masks import encode_rle
from kit.core.types import Anchor, Candidate, FirstPass, State, Video, VideoObject
from kit.detectors import tracker_hypotheses as th
from kit.detectors.base import Exemplar, Search
from kit.trackers import sam3
from kit.trackers.base import Hypothesis, Memory, Span

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
COUNT = 10
FRAMES = tuple(f"{i:05d}" for i in range(COUNT))
CLIP = Clip(COUNT)
SHAPE = (60, 84)


def left(sure: dict[int, Sequence[int]], anchors: Sequence[Anchor] = ()) -> FirstPass:
    """Per object the frames on which the first pass is sure; it shows both discs rightly."""
    states = {
        i: {f: State(5.0, 0.9 if n in own else 0.2) for n, f in enumerate(FRAMES)}
        for i, own in sure.items()
    }
    labels = {f: np.zeros(SHAPE, np.uint8) for f in FRAMES}
    for n, f in enumerate(FRAMES):
        for i in sure:
            labels[f][CLIP.mask(n, i)] = i
    return FirstPass(anchors, states, labels)


class Scribe:
    """A tracker that notes which frames it sees; a memory is the frame it is of."""

    span = Span(recent=6, pointers=16, anchors=4, past_pointers=True, far_pointers=True)

    def __init__(self) -> None:
        self.encoded: list[int] = []
        self.asked: list[tuple[int, list[int], list[tuple[int, int]]]] = []
        self.conditioned: list[tuple[int, int]] = []

    def encode(self, image: np.ndarray) -> int:
        self.encoded.append(int(image))
        return int(image)

    def condition(self, encoded: int, mask: np.ndarray) -> tuple[int, int]:
        self.conditioned.append((encoded, int(mask.sum())))
        return encoded, int(mask.sum())

    def remember(self, encoded: int, answers: Sequence[Any]) -> list[Memory]:
        ((answer,),) = answers
        assert answer[0] == encoded
        return [SimpleNamespace(frame=encoded)]  # type: ignore[list-item]

    def decode(self, encoded: int, contexts: Sequence[Any], every: bool) -> list[Hypothesis]:
        assert every
        (context,) = contexts
        spatial = [r.memory.frame for r in context.spatial]
        pointers = [(r.memory.frame, r.position) for r in context.pointers]
        assert all(r.prompted for r in context.spatial)
        self.asked.append((encoded, spatial, pointers))
        logits = torch.full((3, 12, 21), -9.0)
        for row in range(3):
            logits[row, : 4 * (row + 1)] = 9.0
        iou = torch.tensor([0.2, 0.9, 0.5])
        nothing = torch.zeros(0)
        return [Hypothesis(logits, nothing, iou, torch.tensor(3.0), nothing)]


def exemplar(object_id: int, frame: int = 0) -> Exemplar:
    return Exemplar(object_id, frame, CLIP.mask(frame, object_id))


def run(
    tracker: Any, first: FirstPass, exemplars: list[Exemplar], frames: Any = None, **config: Any
) -> list[Candidate]:
    objects = tuple(VideoObject(e.object_id, FRAMES[e.frame]) for e in exemplars)
    video = Video("v", *SHAPE, FRAMES, Path(), ".jpg", Path(), objects, "digest")
    shown = range(COUNT) if frames is None else frames
    search = Search(video, shown, exemplars, tracker, first=first)
    return list(th.detect(search, th.Config(**config)))


def test_the_tracker_is_asked_where_the_first_pass_was_unsure() -> None:
    tracker = Scribe()
    found = run(tracker, left({1: [0, 1, 2, 3, 8, 9]}), [exemplar(1)], recalled=2)
    assert [frame for frame, *_ in tracker.asked] == [4, 5, 6, 7]
    # the given frame and the nearest two of which it is sure, in temporal order
    assert [spatial for _, spatial, _ in tracker.asked] == [
        [0, 2, 3], [0, 2, 3], [0, 3, 8], [0, 8, 9],
    ]  # fmt: skip
    assert tracker.asked[2][2] == [(0, 6), (3, 3)]  # pointers of the past alone
    assert {c.frame for c in found} == set(FRAMES[4:8])


def test_anchors_are_recalled_too_and_not_asked() -> None:
    anchor = Anchor(FRAMES[5], 1, encode_rle(CLIP.mask(5, 1)), 0.9, None, "")
    tracker = Scribe()
    run(tracker, left({1: [0, 1]}, [anchor]), [exemplar(1)], recalled=1)
    assert [frame for frame, *_ in tracker.asked] == [2, 3, 4, 6, 7, 8, 9]
    assert all(spatial == [0, 1, 5] for _, spatial, _ in tracker.asked)


def test_the_given_frame_is_always_among_them() -> None:
    """Five are known, four can be attended to."""
    tracker = Scribe()
    run(tracker, left({1: [5, 6, 8, 9]}), [exemplar(1)], recalled=4)
    assert [spatial for frame, spatial, _ in tracker.asked if frame == 7] == [[0, 6, 8, 5]]


def test_each_frame_is_encoded_once_for_all_objects() -> None:
    """Object 2 is in question where object 1 is recalled, and the other way round."""
    tracker = Scribe()
    first = left({1: [0, 1, 2, 3, 4], 2: [0, 5, 6, 7, 8, 9]})
    run(tracker, first, [exemplar(1), exemplar(2)])
    assert sorted(tracker.encoded) == sorted(set(tracker.encoded))
    asked = [(frame, spatial) for frame, spatial, _ in tracker.asked]
    assert (3, [0, 5, 6, 7]) in asked
    assert (6, [0, 2, 3, 4]) in asked


def test_the_masks_of_the_first_pass_are_what_is_recalled() -> None:
    tracker = Scribe()
    run(tracker, left({1: [0, 4]}), [exemplar(1)], recalled=1)
    assert set(tracker.conditioned) == {(n, int(CLIP.mask(n, 1).sum())) for n in (0, 4)}


def test_three_masks_become_candidates_by_what_is_thought_of_them() -> None:
    first = left({1: range(9)})
    found = run(Scribe(), first, [exemplar(1)])
    present = float(torch.tensor(3.0).sigmoid())
    assert [c.score for c in found] == pytest.approx([0.9 * present, 0.5 * present, 0.2 * present])
    assert [int(c.mask.any(1).sum()) for c in found] == [40, 60, 20]
    assert {c.source for c in found} == {"tracker_hypotheses"}
    assert len(run(Scribe(), first, [exemplar(1)], threshold=0.3)) == 2
    assert len(run(Scribe(), first, [exemplar(1)], max_per_frame=1)) == 1
    # of the rows 40 and 60 one is two thirds of the other
    assert len(run(Scribe(), first, [exemplar(1)], nms_iou=0.6)) == 2


def test_nothing_is_asked_of_a_sure_first_pass_nor_before_the_given_frame() -> None:
    tracker = Scribe()
    assert run(tracker, left({1: range(COUNT)}), [exemplar(1)], look_alikes=True) == []
    assert tracker.encoded == []
    run(tracker, left({1: []}), [exemplar(1, 7)])
    assert [frame for frame, *_ in tracker.asked] == [8, 9]


def test_on_a_tiny_model() -> None:
    tracker = sam3.build(with_presence(tiny_sam3(), 3.0, gain=0.0), sam3.Config())
    found = run(tracker, left({1: [0, 1, 2], 2: range(8)}), [exemplar(1), exemplar(2)], CLIP)
    frames = {(c.frame, c.object_id) for c in found}
    assert frames <= {(f, 1) for f in FRAMES[3:]} | {(f, 2) for f in FRAMES[8:]}
    assert found
    absent = sam3.build(with_presence(tiny_sam3(), -9.0, gain=0.0), sam3.Config())
    assert run(absent, left({1: [0, 1, 2]}), [exemplar(1)], CLIP) == []
