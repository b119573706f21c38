"""Look-alikes planted in feature space: where `top_k` takes them and `margin` does not.

Axis 0 is the target's look, axis 1 that of its look-alike, axis 2 anything else.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.core import artifacts
from kit.core.masks import encode_rle
from kit.core.types import Candidate, Evidence, Features, Selection, Video, VideoObject
from kit.metrics import mining
from kit.selectors import margin, top_k

FRAMES = tuple(f"{i:05d}" for i in range(20))
TARGET, LOOKALIKE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def video_of(*objects: tuple[int, str]) -> Video:
    shown = tuple(VideoObject(*o) for o in objects)
    return Video("v", 4, 6, FRAMES, Path(), ".jpg", Path(), shown, "digest")


def candidate(frame: int, column: int, object_id: int = 1) -> Candidate:
    mask = np.zeros((4, 6), bool)
    mask[1, column] = True
    return Candidate(FRAMES[frame], object_id, 0.9, encode_rle(mask), (4, 6), "test")


def unit(target: float, lookalike: float) -> list[float]:
    """A row with the given cosines."""
    return [target, lookalike, float(np.sqrt(1 - target**2 - lookalike**2))]


def rows(*cosines: tuple[float, float]) -> np.ndarray:
    return np.array([unit(*c) for c in cosines], np.float32).reshape(-1, 3)


def pools(*looks: tuple[float, ...]) -> dict[int, np.ndarray]:
    return {i: np.array([look], np.float32) for i, look in enumerate(looks, 1)}


TWO = video_of((1, "00000"), (2, "00000"))
ONE = video_of((1, "00000"))
# Frame 10 shows the target, changed, in column 0 and its look-alike, seen well, in column 1; on
# frame 16 the look-alike is alone.
CANDIDATES = [candidate(10, 0), candidate(10, 1), candidate(16, 1)]
COSINES = rows((0.60, 0.10), (0.70, 0.65), (0.65, 0.70))


def taken(selection: Selection, object_id: int = 1) -> list[tuple[str, str]]:
    return [(a.frame, a.rle) for a in selection.anchors if a.object_id == object_id]


def test_the_other_object_is_not_taken_for_the_target() -> None:
    features = Features(COSINES, pools(TARGET, LOOKALIKE))
    fooled = top_k.select(TWO, Evidence(CANDIDATES, features), top_k.Config(min_gap=3))
    assert taken(fooled) == [("00010", CANDIDATES[1].rle), ("00016", CANDIDATES[2].rle)]
    found = margin.select(TWO, Evidence(CANDIDATES, features), margin.Config(min_gap=3))
    assert taken(found) == [("00010", CANDIDATES[0].rle)]
    (anchor,) = found.anchors
    assert anchor.score == pytest.approx(0.6)  # the similarity to the target, not the lead
    assert anchor.margin == pytest.approx(0.5 - 0.05, abs=1e-6)  # leads of the two on the frame
    assert anchor.reason.endswith("view 0 of the target, 0.5000 more than like object 2")
    assert [(r.frame, r.reason) for r in found.rejected] == [
        ("00016", "no clear lead over object 2")
    ]


def test_what_stood_beside_the_target_is_not_taken_for_it() -> None:
    """The same with one object, its look-alike known from the first frame alone."""
    features = Features(np.concatenate([COSINES, rows((0.3, 0.9))]), pools(TARGET))
    candidates = [*CANDIDATES, candidate(0, 1)]
    fooled = top_k.select(ONE, Evidence(candidates, features), top_k.Config(min_gap=3))
    assert taken(fooled) == [("00010", CANDIDATES[1].rle), ("00016", CANDIDATES[2].rle)]
    # cosines with the look-alike (0.3, 0.9, 0.316): 0.522, 0.889, 0.919
    found = margin.select(ONE, Evidence(candidates, features), margin.Config(min_gap=3))
    assert taken(found) == [("00010", CANDIDATES[0].rle)]
    assert "beside the target on 00000" in found.anchors[0].reason


@pytest.mark.parametrize("method", [top_k, margin])
def test_what_stood_on_the_first_frame_is_never_an_anchor(method: object) -> None:
    """Even where the given frame has no neighbours and nothing else was found."""
    config = method.Config(suppress_given=False)  # type: ignore[attr-defined]
    features = Features(rows((0.9, 0.0)), pools(TARGET))
    selection = method.select(ONE, Evidence([candidate(0, 1)], features), config)  # type: ignore[attr-defined]
    assert selection == Selection([], [])


def test_without_distractors_it_chooses_as_top_k() -> None:
    rng = np.random.default_rng(3)
    similar = rng.uniform(-0.9, 0.9, 60)
    features = Features(rows(*[(c, 0.0) for c in similar]), pools(TARGET))
    candidates = [candidate(int(f), int(f) % 6) for f in rng.integers(1, 20, 60)]
    plain = top_k.select(
        ONE, Evidence(candidates, features), top_k.Config(min_gap=4, min_score=0.2)
    )
    config = margin.Config(min_gap=4, min_score=0.2, min_margin=2.0)
    ours = margin.select(ONE, Evidence(candidates, features), config)
    assert plain.anchors
    assert plain == ours


@pytest.mark.parametrize(
    ("cosine", "config", "reason"),
    [
        ((0.6, 0.1), {"min_margin": 0.4}, None),
        ((0.6, 0.3), {"min_margin": 0.4}, "no clear lead over object 2"),
        ((0.6, 0.59), {}, None),  # by default a lead is a lead
        ((0.6, 0.61), {}, "no clear lead over object 2"),
        ((0.6, 0.1), {"min_score": 0.7}, "not similar enough"),
        # the first objection is told, both hold
        ((0.3, 0.6), {"min_score": 0.7}, "not similar enough"),
        ((0.6, 0.61), {"min_margin": -0.1}, None),
        ((0.6, 0.1), {"min_gap": 11}, "neighbour of 00000, which is more similar"),
        ((0.6, 0.1), {"top_k": 0}, "less similar than the chosen ones"),
    ],
)
def test_thresholds(
    cosine: tuple[float, float], config: dict[str, float], reason: str | None
) -> None:
    features = Features(rows(cosine), pools(TARGET, LOOKALIKE))
    selection = margin.select(TWO, Evidence([candidate(10, 0)], features), margin.Config(**config))  # type: ignore[arg-type]
    assert [r.reason for r in selection.rejected] == ([] if reason is None else [reason])
    assert len(selection.anchors) == (reason is None)


def test_frames_are_ranked_by_lead() -> None:
    """Frame 15 is more similar, frame 10 leads by more; only one is wanted."""
    features = Features(rows((0.5, 0.1), (0.75, 0.6)), pools(TARGET, LOOKALIKE))
    candidates = [candidate(10, 0), candidate(15, 0)]
    selection = margin.select(
        TWO, Evidence(candidates, features), margin.Config(top_k=1, min_gap=3)
    )
    assert [a.frame for a in selection.anchors] == ["00010"]


def test_every_distractor_view_counts() -> None:
    """The nearest one decides: a turned view of the other object."""
    turned = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], np.float32)
    features = Features(rows((0.6, 0.7)), {1: np.array([TARGET], np.float32), 2: turned})
    selection = margin.select(TWO, Evidence([candidate(10, 0)], features), margin.Config())
    assert not selection.anchors


def test_each_object_has_its_own_distractors() -> None:
    """Object 2's own look speaks for its candidates, object 1's against them."""
    features = Features(rows((0.2, 0.9), (0.2, 0.9)), pools(TARGET, LOOKALIKE))
    candidates = [candidate(10, 0, 1), candidate(10, 0, 2)]
    selection = margin.select(TWO, Evidence(candidates, features), margin.Config())
    assert [a.object_id for a in selection.anchors] == [2]
    assert [r.object_id for r in selection.rejected] == [1]


def test_decisions_say_nothing_of_the_settings_and_are_equal_to_the_byte(tmp_path: Path) -> None:
    features = Features(COSINES, pools(TARGET, LOOKALIKE))
    written = []
    for config in (margin.Config(top_k=3, min_gap=3), margin.Config(4, 0.0, 0.01, top_k=9)):
        selection = margin.select(TWO, Evidence(CANDIDATES, features), config)
        path = tmp_path / "v.json"
        artifacts.write_anchors(path, TWO, selection, {"video": "digest"})
        written.append(path.read_bytes())
    assert written[0] == written[1]
    assert artifacts.read_anchors(tmp_path / "v.json", TWO, {"video": "digest"}).anchors


RED, SHADED, ORANGE = (200, 60, 60), (110, 40, 90), (200, 110, 40)


def drawn(frame: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame `uint8[40, 60, 3]` and its label map: two balls that change sides.

    The target (1) is red and rolls into bluish shade; the other ball (2) is orange and stays lit.
    """
    image, labels = np.full((40, 60, 3), 90, np.uint8), np.zeros((40, 60), np.uint8)
    colour = RED if frame < 6 else SHADED
    for object_id, x, fill in ((1, 12 + 2 * frame, colour), (2, 48 - 2 * frame, ORANGE)):
        y = 12 if object_id == 1 else 28
        cv2.circle(image, (x, y), 6, fill, -1)
        cv2.circle(labels, (x, y), 6, object_id, -1)
    return image, labels


def mean_colour(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    colour = image[mask].mean(0)
    row: np.ndarray = (colour / np.linalg.norm(colour)).astype(np.float32)
    return row


def test_on_a_drawn_scene_the_anchors_of_top_k_are_wrong_and_those_of_margin_right() -> None:
    """Both balls are found on every frame; looks are mean colours.

    Cosines with red: shaded 0.929, orange 0.973; with orange: shaded 0.877. From frame 6 on the
    most similar region is the other ball, but it is more like itself still.
    """
    scenes = [drawn(frame) for frame in range(18)]
    names = FRAMES[:18]
    objects = (VideoObject(1, names[0]), VideoObject(2, names[0]))
    video = Video("v", 40, 60, names, Path(), ".jpg", Path(), objects, "digest")
    candidates, rows = [], []
    for name, (image, labels) in list(zip(names, scenes, strict=True))[6:]:
        for object_id in (1, 2):
            mask = labels == object_id
            candidates.append(Candidate(name, 1, 0.9, encode_rle(mask), (40, 60), "drawn"))
            rows.append(mean_colour(image, mask))
    first = {i: mean_colour(scenes[0][0], scenes[0][1] == i)[None] for i in (1, 2)}
    features = Features(np.array(rows), first)
    truth = [labels for _, labels in scenes]
    told = {}
    for method in (top_k, margin):
        selection = method.select(video, Evidence(candidates, features), method.Config(min_gap=4))
        found = mining.audit(video, truth, candidates, selection)[1].anchors
        assert len(found) == 3
        told[method] = mining.precision(found)
    assert (told[top_k]["right"], told[top_k]["distractor"]) == (0.0, 1.0)
    assert (told[margin]["right"], told[margin]["distractor"]) == (1.0, 0.0)


def test_no_candidates_no_anchors() -> None:
    nothing = Features(np.zeros((0, 3), np.float32), pools(TARGET, LOOKALIKE))
    assert margin.select(TWO, Evidence([], nothing), margin.Config()) == Selection([], [])
