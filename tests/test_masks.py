"""Masks as data, and the stage that turns soft masks into label maps."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from kit.core import masks
from kit.core.errors import ArtifactError
from kit.core.images import first_mask
from kit.core.masks import encode_png
from kit.core.types import Anchor, FrameResult, Selection, State, Video, VideoObject
from kit.labelling.overlaps import resolve_overlaps
from kit.labelling.painter import Painter
from kit.stages.masks import prompts_of

SHAPE = (4, 6)


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 0.1, 0.5, 0.9, 1]),
)
def test_run_lengths_round_trip(height: int, width: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    text = masks.encode_rle(mask)
    assert text == coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
    assert (masks.decode_rle(text, height, width) == mask).all()
    if not mask.any():
        with pytest.raises(ValueError, match="empty"):
            masks.decode_part(text, height, width)
        return
    part, (top, left) = masks.decode_part(text, height, width)
    x, y, right, bottom = masks.box_of(mask).astype(int)
    assert (left, top) == (x, y)
    assert (part == mask[y:bottom, x:right]).all()
    assert masks.encode_part(part, (top, left), mask.shape) == text


@pytest.mark.parametrize("shape", [(60, 84), (9, 12), (12, 9), (200, 31), (5, 7), (12, 12)])
@pytest.mark.parametrize("share", [0.03, 0.3, 0.95])
def test_enlarged_logits_are_those_of_torch(shape: tuple[int, int], share: float) -> None:
    """Blobs anywhere, to the border; smaller frames than the logits too."""
    rng = np.random.default_rng(int(100 * share))
    for _ in range(5):
        smooth = cv2.GaussianBlur(rng.standard_normal((12, 12)).astype(np.float32), (0, 0), 1.5)
        logits = smooth - np.quantile(smooth, 1 - share)
        large = torch.nn.functional.interpolate(
            torch.from_numpy(logits)[None, None], shape, mode="bilinear"
        )[0, 0].numpy()
        rle = masks.encode_logits(logits, shape)
        ours = np.zeros(shape, bool) if rle is None else masks.decode_rle(rle, *shape)
        assert (ours == (large > 0))[np.abs(large) > 1e-6].all()
    assert masks.encode_logits(np.full((4, 4), -1, np.float32), shape) is None


@pytest.mark.parametrize("text", ["", "0", "H", "é", "~~~", "o" * 50, "0" * 9])
def test_run_lengths_that_do_not_fit(text: str) -> None:
    with pytest.raises(ArtifactError, match="3x2"):
        masks.decode_rle(text, 2, 3)


def test_large_masks_keep_their_runs() -> None:
    """Runs are stored as differences to the one before last; long ones need several characters."""
    mask = np.zeros((1080, 1920), bool)
    mask[100:900, 300:1700] = True
    mask[::7, ::11] ^= True
    assert (masks.decode_rle(masks.encode_rle(mask), 1080, 1920) == mask).all()


def test_box_is_tight() -> None:
    mask = np.zeros((10, 20), bool)
    mask[3:5, 7:15] = True
    assert masks.box_of(mask).tolist() == [7, 3, 15, 5]
    with pytest.raises(ValueError, match="empty"):
        masks.box_of(mask & False)


def test_iou() -> None:
    one, two = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    one[0], two[:, :2] = True, True
    assert masks.iou(one, two) == 2 / 6
    assert masks.iou(one, one) == 1
    assert masks.iou(one & False, one & False) == 1
    assert masks.iou(one, one & False) == 0


def test_png_keeps_ids_and_is_a_palette_picture() -> None:
    labels = np.arange(255, dtype=np.uint8).reshape(15, 17)
    picture = Image.open(io.BytesIO(encode_png(labels)))
    assert picture.mode == "P"
    assert (np.asarray(picture) == labels).all()
    colours = picture.getpalette()
    assert colours is not None
    assert colours[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]  # DAVIS
    assert encode_png(labels) == encode_png(labels.copy())


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[1.0], [-1.0]], 3),
        ([[1.0], [2.0]], 1),  # the higher logit wins, not the lower id
        ([[2.0], [1.0]], 3),
        ([[-1.0], [-2.0]], 0),
        ([[0.0], [-2.0]], 0),  # a mask is logits above 0
    ],
)
def test_overlaps_go_to_the_higher_logit(logits: list[list[float]], expected: int) -> None:
    planes = np.array(logits, np.float32)[:, None]
    assert resolve_overlaps(planes, [3, 1])[0, 0] == expected


def test_no_object_is_background() -> None:
    assert not resolve_overlaps(np.zeros((0, *SHAPE), np.float32), []).any()


# --- the stage ------------------------------------------------------------------------------------


@pytest.fixture
def video(tmp_path: Path) -> Video:
    """Object 1 from frame 0, object 2 from frame 2; four frames."""
    names = tuple(f"{i:05d}" for i in range(4))
    for name, ids in (("00000", [1]), ("00002", [1, 2])):
        labels = np.zeros(SHAPE, np.uint8)
        for object_id in ids:
            labels[object_id, :3] = object_id
        (tmp_path / f"{name}.png").write_bytes(encode_png(labels))
    objects = (VideoObject(1, "00000"), VideoObject(2, "00002"))
    return Video("v", *SHAPE, names, tmp_path, ".jpg", tmp_path, objects, "digest")


def given_of(video: Video) -> dict[int, masks.Mask]:
    return {o.id: first_mask(video, o) for o in video.objects}


def painter_of(video: Video) -> Painter:
    return Painter(video, given_of(video))


def result(frame: int, **planes: float) -> FrameResult:
    ids = tuple(int(name[1:]) for name in planes)
    logits = np.stack([np.full(SHAPE, value, np.float32) for value in planes.values()])
    return FrameResult(
        frame,
        ids,
        logits,
        np.full(len(ids), 5, np.float32),
        np.full(len(ids), 0.8, np.float32),
        logits,
    )


def painted(track: Painter, *results: FrameResult) -> dict[str, np.ndarray]:
    return {name: np.asarray(Image.open(io.BytesIO(data))) for name, data in track.paint(results)}


def test_every_frame_gets_a_mask(video: Video) -> None:
    """Before the first result, between results and after the last: empty, never missing."""
    found = painted(painter_of(video), result(1, o1=1.0))
    assert list(found) == list(video.frames)
    assert (found["00001"] == 1).all()
    assert not any(found[name].any() for name in ("00000", "00002", "00003"))


def test_given_pixels_are_exactly_the_users(video: Video) -> None:
    """Object 2 is given on frame 2: its pixels are those, and nobody else's claim changes them."""
    found = painted(painter_of(video), result(2, o1=3.0, o2=9.0))["00002"]
    expected = np.zeros(SHAPE, np.uint8)
    expected[2, :3] = 2
    assert (found == expected).all()
    other = painted(painter_of(video), result(2, o1=9.0, o2=3.0))["00002"]
    assert (other[2, :3] == 2).all()
    assert (np.delete(other.ravel(), [12, 13, 14]) == 1).all()


def test_pngs_are_made_while_the_next_frame_is_propagated(
    video: Video, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def encode(labels: masks.LabelMap) -> bytes:
        assert asked.wait(10), "the next frame waits for this PNG"
        return encode_png(labels)

    def results() -> Iterator[FrameResult]:
        yield result(0, o1=1.0)
        asked.set()
        yield result(1, o1=1.0)

    monkeypatch.setattr(masks, "encode_png", encode)
    assert len(dict(painter_of(video).paint(results()))) == 4


def test_what_is_noted_beside_the_masks(video: Video) -> None:
    track = painter_of(video)
    painted(track, result(1, o1=1.0), result(3, o1=1.0, o2=2.0))
    notes = track.describe()
    assert notes.states[1] == {
        frame: State(5.0, pytest.approx(0.8)) for frame in ("00001", "00003")
    }
    assert list(notes.states[2]) == ["00003"]
    assert notes.contested == {"00003": 24}


def anchor(frame: str, object_id: int) -> Anchor:
    mask = np.zeros(SHAPE, bool)
    mask[0, 0] = True
    return Anchor(frame, object_id, masks.encode_rle(mask), 0.9, None, "because")


def test_prompts_are_given_masks_and_anchors_in_order(video: Video) -> None:
    """An anchor on the frame where its own object was given does not replace what was given."""
    rows = [anchor("00003", 2), anchor("00000", 1), anchor("00002", 1)]
    prompts = prompts_of(video, given_of(video), Selection(rows, []))
    assert [(p.object_id, p.frame, p.given) for p in prompts] == [
        (1, 0, True), (1, 2, False), (2, 2, True), (2, 3, False),
    ]  # fmt: skip
    assert prompts[0].mask.sum() == 3
