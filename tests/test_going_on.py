"""Stages that go on from a first pass, as commands on a small clip with the tiny models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import NAMES, Work, labels, refused
from tiny_models import counted_passes

from kit.cli import main
from kit.core import artifacts, grounds
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import read_masks, write_masks
from kit.core.masks import encode_png, encode_rle
from kit.core.types import Anchor, Candidate, MaskNotes, Selection, State
from kit.detectors import prompting

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
TINY = {"source": "tiny"}
TRACKER = {"method": "sam3", "model": TINY}
GREEDY = {"method": "greedy", "tracker": TRACKER}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A clip whose first pass is unsure of object 1 from frame 3 on, with an anchor on frame 2."""
    made = Work(tmp_path / "work")
    anchor = Anchor(NAMES[2], 1, encode_rle(labels(2) == 1), 0.9, None, "by hand")
    video = artifacts.read_video(made.index)
    artifacts.write_anchors(made.anchors, video, Selection([anchor], []), {"video": video.digest})
    states = {
        i: {f: State(5.0, 0.2 if (i, n) in UNSURE else 0.9) for n, f in enumerate(NAMES)}
        for i in (1, 2)
    }
    notes = MaskNotes(states, {1: [NAMES[0], NAMES[2]], 2: [NAMES[0]]})
    pngs = [(f, encode_png(labels(n))) for n, f in enumerate(NAMES)]
    inputs = {"video": video.digest, "anchors": sha256(made.anchors)}
    write_masks(made.masks, video, pngs, lambda: notes, inputs)
    return made


UNSURE = {(1, 3), (1, 4)}


def first(work: Work) -> list[str]:
    return ["--first-masks", str(work.masks), "--first-anchors", str(work.anchors)]


def stage(name: str, work: Work, settings: Any, *flags: str, output: str = "out") -> Path:
    path = work.folder / output
    given = ["--frames", str(work.index), "--settings", json.dumps(settings), *flags]
    assert main([name, *given, "--output", str(path)]) == 0
    return path


def mine(work: Work, settings: Any, *flags: str, output: str = "out") -> list[Candidate]:
    path = stage("candidates", work, settings, *flags, output=output)
    return artifacts.read_candidates(path, artifacts.read_video(work.index))


def exemplars(**keys: Any) -> dict[str, Any]:
    loose = {"threshold": 0.0, "nms_iou": 1.0, "max_per_frame": 20}
    return {"method": "exemplar_tokens", "model": TINY, **loose, **keys}


def test_hypotheses_are_sought_where_the_first_pass_was_unsure(work: Work) -> None:
    settings = {"method": "tracker_hypotheses", "tracker": TRACKER, "sure_iou": 0.5}
    found = mine(work, settings, *first(work))
    assert {(c.frame, c.object_id) for c in found} <= {(NAMES[n], i) for i, n in UNSURE}
    again = mine(work, settings, *first(work), output="again")
    assert found == again
    assert (work.folder / "out").read_bytes() == (work.folder / "again").read_bytes()


def test_accepted_anchors_are_further_exemplars(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object 1 has one; its prompt is longer by a box and a class token, object 2's is not."""
    lengths: list[int] = []
    seen = counted_passes(monkeypatch)
    joined = prompting.joined

    def joining(prompts: Any) -> Any:
        lengths.append(sum(p.tokens.shape[1] for p in prompts))
        return joined(prompts)

    monkeypatch.setattr(prompting, "joined", joining)
    plain = mine(work, exemplars(), *first(work))
    assert lengths == [34, 34]
    assert sum(seen) == len(NAMES)
    more = mine(work, exemplars(accepted=True), *first(work))
    assert [{c.source for c in found} for found in (plain, more)] == [
        {"exemplar_tokens"}, {"second_round"},
    ]  # fmt: skip
    assert lengths[2:] == [36, 34]
    assert sum(seen) == 2 * len(NAMES)  # the anchor's frame is not encoded twice
    scores = {
        i: [[c.score for c in found if c.object_id == i] for found in (plain, more)] for i in (1, 2)
    }
    assert scores[2][0] == pytest.approx(scores[2][1], abs=1e-5)
    assert scores[1][0] != pytest.approx(scores[1][1], abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "flags", "words"),
    [
        (exemplars(accepted=True), [], "`exemplar_tokens`, set like this, goes on from a first"),
        ({"method": "tracker_hypotheses", "tracker": TRACKER}, [], "`tracker_hypotheses`, set"),
        ({"method": "tracker_hypotheses", "model": TINY}, [], "`tracker_hypotheses`"),
        (exemplars(), ["--first-masks", "MASKS"], "--first-anchors go together"),
    ],
)
def test_without_a_first_pass(
    work: Work, capsys: pytest.CaptureFixture[str], settings: Any, flags: list[str], words: str
) -> None:
    flags = [str(work.masks) if flag == "MASKS" else flag for flag in flags]
    given = ["--frames", str(work.index), "--settings", json.dumps(settings), *flags]
    assert words in refused(capsys, ["candidates", *given, "--output", str(work.folder / "x")])


def test_accepted_anchors_extend_the_pool(work: Work) -> None:
    """Object 1's by the anchor as it is, object 2's not; candidates stay the same rows."""
    video = artifacts.read_video(work.index)
    flags = ["--candidates", str(work.candidates), *first(work)]
    made_of = {"video": video.digest, "candidates": sha256(work.candidates)}

    def described(settings: dict[str, Any]) -> Any:
        path = stage("features", work, settings, *flags)
        return artifacts.read_features(path, made_of, video, 8)

    settings = {"method": "dinov3", "model": TINY, "flips": False, "rotations": False}
    plain, more = described(settings), described({**settings, "accepted": True})
    assert [len(plain.pools[i]) for i in (1, 2)] == [1, 1]
    assert [len(more.pools[i]) for i in (1, 2)] == [2, 1]
    assert (more.pools[1][0] == plain.pools[1][0]).all()
    # the candidate of frame 2 is the very mask of the anchor
    row = [(c.object_id, c.frame) for c in artifacts.read_candidates(work.candidates, video)].index(
        (1, NAMES[2])
    )
    assert more.pools[1][1] == pytest.approx(plain.candidates[row], abs=1e-3)


def test_anchors_are_tracked_back(work: Work) -> None:
    """Real stages; the numbers are those of `greedy` on the reversed clip."""
    path = stage("verify", work, GREEDY, "--anchors", str(work.anchors))
    video = artifacts.read_video(work.index)
    inputs = {"video": video.digest, "anchors": sha256(work.anchors)}
    (cycle,) = grounds.read_cycles(path, video, inputs)
    assert (cycle.object_id, cycle.frame, cycle.claim) == (1, NAMES[2], "anchor")
    assert cycle.iou is not None
    assert 0 <= cycle.iou <= 1
    assert cycle.gone in (0, 1)  # there is one frame between
    before = path.read_bytes()
    stage("verify", work, GREEDY, "--anchors", str(work.anchors))
    assert path.read_bytes() == before


def test_masks_tell_on_which_frames_objects_were_prompted(work: Work) -> None:
    """An emission reads it, to know who was prompted nearest in time."""
    path = stage("masks", work, GREEDY, "--anchors", str(work.anchors), output="m.zip")
    notes = read_masks(path, work.video, {"anchors": sha256(work.anchors)})
    assert notes.prompted == {1: [NAMES[0], NAMES[2]], 2: [NAMES[0]]}


def test_an_anchor_before_its_object_is_not_tracked(work: Work) -> None:
    video = artifacts.read_video(work.index)
    given = Anchor(NAMES[0], 1, encode_rle(labels(0) == 1), 0.9, None, "by hand")
    inputs = {"video": video.digest}
    artifacts.write_anchors(work.anchors, video, Selection([given], []), inputs)
    path = stage("verify", work, GREEDY, "--anchors", str(work.anchors))
    (cycle,) = grounds.read_cycles(path, video, inputs)
    assert cycle.iou is None


def test_two_results_are_compared_and_one_is_taken(work: Work) -> None:
    """`kit verify` on rivals, then `kit fallback`, file by file."""
    video = artifacts.read_video(work.index)
    second = work.folder / "second.zip"
    moved = [np.where(labels(n) == 1, 0, labels(n)).astype(np.uint8) for n in range(len(NAMES))]
    moved[0] = labels(0)
    notes = MaskNotes({1: {}, 2: {}}, {1: [], 2: []})
    pngs = [(f, encode_png(m)) for f, m in zip(NAMES, moved, strict=True)]
    inputs = {"video": video.digest, "anchors": "x"}
    write_masks(second, video, pngs, lambda: notes, inputs)
    both = [str(work.masks), str(second)]
    path = stage("verify", work, GREEDY, "--rivals", *both, "--probes", "2", output="c.json")
    cycles = grounds.read_cycles(path, video, {"video": video.digest})
    assert [(c.object_id, c.claim, c.iou is None) for c in cycles] == [
        (1, "first", False), (1, "second", True),
    ] * 2  # fmt: skip
    # object 2 is the same in both; of object 1 silence is worth nothing, so what is drawn stands
    flags = ["--first", both[0], "--masks", both[1], "--cycles", str(path)]
    out = stage("fallback", work, {"silence": 0.0}, *flags, output="settled.zip")
    labels_out = Labels(out, video)
    worth = np.mean([c.iou for c in cycles if c.iou is not None])
    expected = [labels(n) for n in range(len(NAMES))] if worth > 0 else moved
    assert all((labels_out[f] == m).all() for f, m in zip(NAMES, expected, strict=True))
    out = stage("fallback", work, {"silence": 1.0}, *flags, output="settled.zip")
    labels_out = Labels(out, video)
    expected = moved if worth < 1 else expected
    assert all((labels_out[f] == m).all() for f, m in zip(NAMES, expected, strict=True))


def test_a_propagator_that_runs_backward_cannot_track_back(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = json.dumps({**GREEDY, "direction": "both"})
    command = ["verify", "--frames", str(work.index), "--anchors", str(work.anchors)]
    told = refused(capsys, [*command, "--settings", settings, "--output", str(work.folder / "x")])
    assert "`greedy`, set like this, cannot track back" in told
