"""The canvas to the pixel, with a stand-in that finds what is red; and a run on the tiny model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from kit.core.types import Video, VideoObject
from kit.detectors import canvas
from kit.detectors.base import Exemplar, Search
from kit.detectors.canvas import Layout
from kit.runtime import models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

LAYOUT = Layout(56, 42)  # frames of 84x112 shrink by 2 above the seam and by 6 x 2 below it
SHAPE = (84, 112)
Span = tuple[slice, slice]


def picture(*red: Span) -> np.ndarray:
    image = np.zeros((*SHAPE, 3), np.uint8)
    for span in red:
        image[span] = (255, 0, 0)
    return image


def mask_of(span: Span) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[span] = True
    return mask


def video_of(count: int, *objects: int) -> Video:
    names = tuple(f"{i:05d}" for i in range(count))
    shown = tuple(VideoObject(i, "00000") for i in objects or (1,))
    return Video("v", *SHAPE, names, Path(), ".jpg", Path(), shown, "digest")


class RedFinder:
    """Answers as the detector does: a query per red region of the canvas, largest first."""

    def __init__(self) -> None:
        backbone = SimpleNamespace(image_size=LAYOUT.side, patch_size=14)
        self.config = SimpleNamespace(vision_config=SimpleNamespace(backbone_config=backbone))
        self.passes = 0
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def get_vision_features(self, pixels: torch.Tensor) -> torch.Tensor:
        self.passes += len(pixels)
        return pixels

    def __call__(self, vision_embeds: torch.Tensor, input_boxes: torch.Tensor, **_: Any) -> Any:
        masks = torch.full((len(vision_embeds), 4, LAYOUT.side, LAYOUT.side), -9.0)
        for row, pixels in enumerate(vision_embeds):
            red = (pixels[0] > 0).numpy()
            self.seen.append((red, input_boxes[row, 0].numpy()))
            count, labels = cv2.connectedComponents(red.astype(np.uint8))
            regions = sorted((labels == i for i in range(1, count)), key=lambda m: -m.sum())
            for query, region in enumerate(regions):
                masks[row, query][torch.from_numpy(region)] = 9.0
        logits = torch.tensor([[9.0, 8.0, 7.0, 6.0]]).expand(len(masks), -1)
        return SimpleNamespace(
            pred_logits=logits, presence_logits=torch.full((len(masks), 1), 9.0), pred_masks=masks
        )


@pytest.fixture
def finder() -> models.Detector:
    return models.Detector(RedFinder(), lambda phrase: [0, 0, 0])


TARGET = np.s_[12:36, 40:60]  # even coordinates: the shrunken edges fall on whole pixels


def found(
    finder: models.Detector, frames: list[np.ndarray], exemplars: list[Exemplar], **config: Any
) -> list[tuple[str, int, np.ndarray]]:
    video = video_of(len(frames), *[e.object_id for e in exemplars])
    loose = {"threshold": 0.5, **config}
    got = canvas.detect(Search(video, frames, exemplars, finder, batch=2), canvas.Config(**loose))
    return [(c.frame, c.object_id, c.mask) for c in got]


@pytest.mark.parametrize(
    "span",
    [
        np.s_[20:40, 30:80],
        np.s_[0:2, 0:2],  # one pixel of the canvas, in the corner
        np.s_[82:84, 110:112],  # the last above the seam
        np.s_[60:84, 0:112],  # all along the seam
        np.s_[0:84, 0:112],
    ],
)
def test_what_is_found_comes_back_where_it_was(finder: models.Detector, span: Span) -> None:
    exemplar = Exemplar(1, 0, mask_of(TARGET))
    # a black first frame: what is red on the canvas is on the searched frame
    got = found(finder, [picture(), picture(span)], [exemplar])
    assert [g[:2] for g in got] == [("00001", 1)]
    assert (got[0][2] == mask_of(span)).all()


def test_the_exemplar_itself_is_no_candidate(finder: models.Detector) -> None:
    """Red below the seam too, found and dropped; only what moved comes back."""
    moved = np.s_[50:74, 80:100]
    got = found(finder, [picture(TARGET), picture(moved)], [Exemplar(1, 0, mask_of(TARGET))])
    (canvas_seen, _box), *_ = finder.model.seen
    assert canvas_seen[LAYOUT.seam :].any()
    assert len(got) == 1
    assert (got[0][2] == mask_of(moved)).all()


def test_the_box_stands_on_the_exemplar(finder: models.Detector) -> None:
    """By hand: rows 12..36 of 84 are 2..6 of the 14 below the seam, columns 40..60 are 20..30."""
    found(finder, [picture(TARGET), picture()], [Exemplar(1, 0, mask_of(TARGET))])
    ((red, box),) = finder.model.seen
    assert box * 56 == pytest.approx([25, 42 + 4, 10, 4], abs=1e-5)
    assert np.argwhere(red).min(0).tolist() == [44, 20]
    assert (np.argwhere(red).max(0) + 1).tolist() == [48, 30]


def test_a_band_of_the_first_frame_keeps_its_scale(finder: models.Detector) -> None:
    """By hand: 28 of 84 rows fit below the seam at half size; rows 12..32 lie in the band 8..36.

    So the object of 20 x 20 pixels has 10 x 10 on the canvas, above and below.
    """
    span = np.s_[12:32, 40:60]
    exemplar = Exemplar(1, 0, mask_of(span))
    found(finder, [picture(span), picture(span)], [exemplar], whole_exemplar=False)
    ((red, box),) = finder.model.seen
    assert box * 56 == pytest.approx([25, 42 + 2 + 5, 10, 10], abs=1e-5)
    assert red.sum() == 200
    assert red[6:16, 20:30].all()
    assert red[44:54, 20:30].all()


@pytest.mark.parametrize(
    ("top", "bottom", "band"),
    [
        (12, 32, (8, 36)),
        (0, 8, (0, 28)),  # shifted into the frame
        (80, 84, (56, 84)),
        (20, 60, (16, 64)),  # taller than fits: 1.2 times its height
        (2, 82, (0, 84)),  # never more than there is
    ],
)
def test_band(top: int, bottom: int, band: tuple[int, int]) -> None:
    rows = canvas.band_of(mask_of(np.s_[top:bottom, 3:9]), LAYOUT)
    assert (rows.start, rows.stop) == band


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (np.s_[0:6], True),
        (np.s_[3:8], True),  # 3 above, 2 below
        (np.s_[4:8], False),  # 2 and 2
        (np.s_[5:8], False),
        (np.s_[6:8], False),
    ],
)
def test_regions_across_the_seam(rows: slice, kept: bool) -> None:
    """More than half must be above; the seam of 8 rows is after the sixth."""
    masks = torch.full((1, 8, 8), -1.0)
    masks[0, rows, :3] = 1.0
    scores, cut = canvas.above(torch.tensor([0.5]), masks, Layout(56, 42))
    assert len(scores) == len(cut) == kept
    assert cut.shape[1:] == (6, 8)


def test_an_empty_answer_is_none() -> None:
    scores, _ = canvas.above(torch.ones(2), torch.full((2, 8, 8), -1.0), Layout(56, 42))
    assert len(scores) == 0


@pytest.mark.parametrize(
    ("side", "rows", "seam"), [(1008, 0.75, 756), (1008, 0.7, 700), (56, 0.01, 14), (56, 0.99, 42)]
)
def test_the_seam_lies_between_patches(side: int, rows: float, seam: int) -> None:
    assert canvas.layout_of(side, 14, rows) == Layout(side, seam)


def test_each_object_has_its_own_canvas(finder: models.Detector) -> None:
    """One vision pass per (frame, object): dearer than exemplar tokens, and said to be."""
    exemplars = [Exemplar(i, 0, mask_of(TARGET)) for i in (1, 2)]
    got = found(finder, [picture(), *[picture(np.s_[20:40, 30:80])] * 3], exemplars)
    assert finder.model.passes == 3 * 2
    assert [g[:2] for g in got] == [
        *[("00001", 1), ("00002", 1), ("00001", 2), ("00002", 2)],  # a batch of two frames
        *[("00003", 1), ("00003", 2)],
    ]


def test_look_alikes_are_what_is_on_the_first_frame_beside_the_target(
    finder: models.Detector,
) -> None:
    other = np.s_[50:74, 80:100]
    frames = [picture(TARGET, other), picture(TARGET)]
    got = found(finder, frames, [Exemplar(1, 0, mask_of(TARGET))], look_alikes=True)
    assert [g[0] for g in got] == ["00000", "00001"]
    assert (got[0][2] == mask_of(other)).all()


def test_background_can_be_painted_out(finder: models.Detector) -> None:
    """The look-alike on the first frame disappears from the exemplar; the mean is nearly black."""
    other = np.s_[50:74, 80:100]
    frames = [picture(TARGET, other), picture()]
    exemplar = Exemplar(1, 0, mask_of(TARGET))
    for fill in (False, True):
        found(finder, frames, [exemplar], fill_background=fill, dilation=0.0)
    (plain, _), (filled, _) = finder.model.seen
    assert plain[46 + 4 :, 40:50].any()
    assert not filled[46 + 4 :, 40:50].any()
    assert filled[44:48, 20:30].all()


def test_on_the_tiny_model() -> None:
    detector = models.load("sam3_detector", {"source": "tiny"}, "cpu")
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8) for _ in range(4)]
    config = canvas.Config(threshold=0.0, nms_iou=1.0, max_per_frame=20, stride=2)
    exemplars = [Exemplar(1, 0, mask_of(TARGET)), Exemplar(2, 1, mask_of(np.s_[50:80, 0:20]))]
    video = video_of(4, 1, 2)
    got = list(canvas.detect(Search(video, frames, exemplars, detector, batch=3), config))
    assert {(c.frame, c.object_id) for c in got} == {("00001", 1), ("00003", 1), ("00003", 2)}
    assert all(c.source == "canvas" and c.mask.any() for c in got)
    single = list(canvas.detect(Search(video, frames, exemplars, detector, batch=1), config))
    for object_id in (1, 2):
        scores = [[c.score for c in run if c.object_id == object_id] for run in (got, single)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)
