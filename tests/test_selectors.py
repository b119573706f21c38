"""The choice of anchors, on features drawn by hand."""

import numpy as np
import pytest

from kit.core.masks import encode_rle
from kit.core.types import Candidate, Evidence, Features, Video, VideoObject
from kit.selectors import first_frame, top_k

FRAMES = tuple(f"{i:05d}" for i in range(20))


def video_of(*objects: tuple[int, str]) -> Video:
    return Video(
        "v", 4, 6, FRAMES, "", ".jpg", "", tuple(VideoObject(*o) for o in objects), "digest"
    )


def candidate(frame: int, object_id: int = 1) -> Candidate:
    mask = np.zeros((4, 6), bool)
    mask[1, frame % 6] = True
    return Candidate(FRAMES[frame], object_id, 0.9, encode_rle(mask), (4, 6), "test")


def features_of(cosines: list[float], objects: tuple[int, ...] = (1,)) -> Features:
    """Rows whose cosine with the one view (1, 0) of every pool is given."""
    rows = np.array([[c, np.sqrt(1 - c * c)] for c in cosines], np.float32).reshape(-1, 2)
    return Features(rows, {i: np.array([[1, 0]], np.float32) for i in objects})


def chosen(frames: list[int], cosines: list[float], **config: object) -> list[int]:
    selection = top_k.select(
        video_of((1, "00000")),
        Evidence([candidate(f) for f in frames], features_of(cosines)),
        top_k.Config(**config),  # type: ignore[arg-type]
    )
    return sorted(int(a.frame) for a in selection.anchors)


@pytest.mark.parametrize(
    ("frames", "cosines", "config", "expected"),
    [
        # the three most similar, far enough apart
        ([3, 8, 13, 18], [0.5, 0.9, 0.8, 0.7], {"min_gap": 5}, [8, 13, 18]),
        # 9 is more similar than 13 but a neighbour of 8
        ([8, 9, 13], [0.9, 0.85, 0.5], {"min_gap": 5}, [8, 13]),
        # exactly min_gap apart is far enough
        ([8, 13], [0.9, 0.5], {"min_gap": 5}, [8, 13]),
        # the given frame 0 has neighbours too ...
        ([1, 10], [0.99, 0.5], {"min_gap": 5}, [10]),
        # ... unless told otherwise
        ([1, 10], [0.99, 0.5], {"min_gap": 5, "suppress_given": False}, [1, 10]),
        # fewer than top_k
        ([10], [0.1], {}, [10]),
        # nobody similar enough: no anchor is an answer
        ([10, 19], [0.4, 0.3], {"min_score": 0.5}, []),
        # equal scores: the earlier frame comes first
        ([10, 12], [0.5, 0.5], {"min_gap": 5, "top_k": 1}, [10]),
        # a negative cosine may still be the best there is
        ([10], [-0.5], {}, [10]),
        ([10], [0.9], {"top_k": 0}, []),
        ([], [], {}, []),
    ],
)
def test_top_k(
    frames: list[int], cosines: list[float], config: dict[str, object], expected: list[int]
) -> None:
    assert chosen(frames, cosines, **config) == expected


def test_best_candidate_of_a_frame_wins_with_its_margin() -> None:
    candidates = [candidate(10), candidate(10), candidate(15)]
    features = features_of([0.5, 0.8, 0.3])
    config = top_k.Config(min_gap=3)
    selection = top_k.select(video_of((1, "00000")), Evidence(candidates, features), config)
    first, second = selection.anchors
    assert (first.frame, first.rle) == ("00010", candidates[1].rle)
    assert first.margin == pytest.approx(0.3, abs=1e-6)
    assert second.margin is None  # it stood alone


def test_maximum_over_the_pool() -> None:
    """A candidate that looks like a turned view counts by that view alone."""
    rows = np.array([[0.0, 1.0], [0.6, 0.8]], np.float32)
    pool = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    selection = top_k.select(
        video_of((1, "00000")),
        Evidence([candidate(9), candidate(18)], Features(rows, {1: pool})),
        top_k.Config(top_k=1),
    )
    (anchor,) = selection.anchors
    assert (anchor.frame, anchor.score) == ("00009", 1.0)
    assert "view 1" in anchor.reason


def test_objects_are_chosen_for_separately() -> None:
    """The rows of another object's candidates are not even looked at."""
    candidates = [candidate(10, 1), candidate(10, 2), candidate(18, 2)]
    selection = top_k.select(
        video_of((1, "00000"), (2, "00004")),
        Evidence(candidates, features_of([0.1, 0.9, 0.8], (1, 2))),
        top_k.Config(top_k=1, min_gap=3),
    )
    assert [(a.object_id, a.frame) for a in selection.anchors] == [(1, "00010"), (2, "00010")]


def test_decision_says_nothing_of_the_settings() -> None:
    """Else raising top_k would change every video's file and propagate all of them again."""
    candidates = [candidate(f) for f in (6, 12, 13)]
    evidence = Evidence(candidates, features_of([0.9, 0.8, 0.7]))
    few = top_k.select(video_of((1, "00000")), evidence, top_k.Config(2, min_gap=5))
    many = top_k.select(video_of((1, "00000")), evidence, top_k.Config(9, min_gap=5))
    assert few == many


def test_every_frame_is_either_chosen_or_told_why_not() -> None:
    candidates = [candidate(f) for f in (1, 6, 7, 12, 18)]
    selection = top_k.select(
        video_of((1, "00000")),
        Evidence(candidates, features_of([0.9, 0.8, 0.7, 0.6, 0.5])),
        top_k.Config(top_k=2, min_gap=5),
    )
    reasons = {r.frame: r.reason for r in selection.rejected}
    assert reasons == {
        "00001": "neighbour of 00000, which is more similar",
        "00007": "neighbour of 00006, which is more similar",
        "00018": "less similar than the chosen ones",
    }


def test_first_frame_chooses_nothing() -> None:
    nothing = Features(np.zeros((0, 0), np.float32), {})
    evidence = Evidence([], nothing)
    selection = first_frame.select(video_of((1, "00000")), evidence, first_frame.Config())
    assert (selection.anchors, selection.rejected) == ([], [])
