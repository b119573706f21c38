"""Matching of patches: drawn squares with a stand-in that sees colours, and the tiny model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kit.core.masks import box_of, iou
from kit.core.types import Candidate, Video, VideoObject
from kit.detectors import dense_match as dm
from kit.detectors import drawing
from kit.detectors.base import Exemplar, Search
from kit.runtime import models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

SHAPE = (128, 192)  # 8 x 12 patches
RED, BLUE = (255, 0, 0), (0, 0, 255)


class Colours(torch.nn.Module):
    """A DINOv3 whose patch tokens are the mean colours, behind a class token and a register."""

    config = SimpleNamespace(patch_size=16, num_register_tokens=1)

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.passes = 0

    def forward(self, pixels: torch.Tensor) -> Any:
        self.passes += len(pixels)
        mean, std = (torch.tensor(v)[:, None, None] for v in (dm._MEAN, dm._STD))
        colours = torch.nn.functional.avg_pool2d(pixels * std + mean, 16).flatten(2).mT
        prefix = torch.ones(len(pixels), 2, 3)
        return SimpleNamespace(last_hidden_state=torch.cat([prefix, colours], 1))


def square(row: int, column: int, side: int = 4) -> tuple[slice, slice]:
    """In patches."""
    return np.s_[16 * row : 16 * (row + side), 16 * column : 16 * (column + side)]


def picture(**squares: tuple[int, int]) -> np.ndarray:
    """Squares of four patches on a green ground."""
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[..., 1] = 255
    for name, corner in squares.items():
        image[square(*corner)] = {"red": RED, "blue": BLUE, "other": RED}[name]
    return image


def mask_of(row: int, column: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[square(row, column)] = True
    return mask


def run(
    model: Any, frames: list[np.ndarray], exemplars: list[Exemplar], **config: Any
) -> list[Candidate]:
    names = tuple(f"{i:05d}" for i in range(len(frames)))
    objects = tuple(VideoObject(e.object_id, names[e.frame]) for e in exemplars)
    video = Video("v", *SHAPE, names, Path(), ".jpg", Path(), objects, "digest")
    return list(
        dm.detect(Search(video, frames, exemplars, model, batch=2), dm.Config(size=192, **config))
    )


def test_the_target_is_found_where_it_went() -> None:
    first, later = picture(red=(0, 0), blue=(4, 8)), picture(red=(3, 6), blue=(0, 0))
    (found,) = run(Colours(), [first, later], [Exemplar(1, 0, mask_of(0, 0))])
    assert (found.frame, found.object_id, found.source) == ("00001", 1, "dense_match")
    assert found.score == pytest.approx(1)
    expected = mask_of(3, 6)
    assert iou(found.mask, expected) > 0.9  # interpolation rounds the corners
    centres = np.s_[8::16, 8::16]
    assert (found.mask[centres] == expected[centres]).all()


def test_two_of_a_kind_are_two_candidates_and_none_is_an_answer() -> None:
    frames = [picture(red=(0, 0)), picture(red=(0, 0), other=(4, 8)), picture(blue=(2, 2))]
    found = run(Colours(), frames, [Exemplar(1, 0, mask_of(0, 0))])
    assert [c.frame for c in found] == ["00001", "00001"]
    best = run(Colours(), frames, [Exemplar(1, 0, mask_of(0, 0))], max_per_frame=1)
    assert len(best) == 1


def test_a_look_alike_of_the_first_frame_speaks_against_its_like() -> None:
    """Red stands beside the red target: neither is told from the other, and none is proposed."""
    frames = [picture(red=(0, 0), other=(4, 8)), picture(red=(2, 4))]
    assert run(Colours(), frames, [Exemplar(1, 0, mask_of(0, 0))]) == []


def test_one_pass_a_frame_for_all_objects_and_each_after_its_own() -> None:
    model = Colours()
    frames = [picture(red=(0, 0), blue=(4, 8))] * 5
    exemplars = [Exemplar(1, 0, mask_of(0, 0)), Exemplar(2, 2, mask_of(4, 8))]
    found = run(model, frames, exemplars)
    assert model.passes == 4 + 2  # the later frames, and each exemplar's
    assert [(c.frame, c.object_id) for c in found] == [
        *[("00001", 1), ("00002", 1), ("00003", 1), ("00003", 2)],
        *[("00004", 1), ("00004", 2)],
    ]
    for candidate in found:
        where = mask_of(0, 0) if candidate.object_id == 1 else mask_of(4, 8)
        assert iou(candidate.mask, where) > 0.9
    assert {c.frame for c in run(model, frames, exemplars[:1], stride=3)} == {"00001", "00004"}


@pytest.mark.parametrize(
    ("near", "lead", "config", "scores"),
    [
        ([[0.9, 0.2, 0.7]], [[0.5, -0.5, 0.5]], {}, [0.9, 0.7]),
        ([[0.7, 0.2, 0.9]], [[0.5, -0.5, 0.5]], {}, [0.9, 0.7]),  # best first
        ([[0.9, 0.2, 0.4]], [[0.5, -0.5, 0.5]], {}, [0.9]),  # below the threshold
        ([[0.9, 0.2, 0.7]], [[0.5, -0.5, 0.2]], {"contrast": 0.3}, [0.9]),
        ([[0.9, 0.8, 0.7]], [[0.5, 0.5, 0.5]], {}, [0.9]),  # one region
        ([[0.9, 0.8, 0.7]], [[-0.1, 0.0, -0.1]], {}, []),  # no lead is no lead
        ([[1.1, 0.2, 0.7]], [[0.5, -0.5, -0.5]], {}, [1.0]),  # a score is at most 1
    ],
)
def test_regions(
    near: list[list[float]], lead: list[list[float]], config: dict[str, float], scores: list[float]
) -> None:
    planes = torch.tensor(near), torch.tensor(lead)
    found = dm.regions(*planes, (1, 3), dm.Config(**config))  # type: ignore[arg-type]
    assert [region.score for region in found] == pytest.approx(scores)


def test_a_target_smaller_than_half_a_patch_has_a_look() -> None:
    tokens = torch.eye(6).reshape(2, 3, 6)
    mask = np.zeros((32, 48), bool)
    mask[14:18, 20:24] = True  # 8 pixels on each of two patches
    look = dm.look_of(tokens, mask)
    assert look.target.argmax(1).tolist() == [1, 4]
    assert look.rest.argmax(1).tolist() == [0, 2, 3, 5]


def test_a_target_that_fills_the_frame_has_no_rest() -> None:
    tokens = torch.eye(6).reshape(2, 3, 6)
    look = dm.look_of(tokens, np.ones((32, 48), bool))
    near, lead = dm.compare(tokens, look)
    assert (near == 1).all()
    assert (lead == 1).all()


def test_comparison_is_exact_where_models_run_in_half_precision() -> None:
    """The stages run methods under autocast on CUDA."""
    tokens = torch.nn.functional.normalize(
        torch.randn(2, 3, 64, generator=torch.manual_seed(0)), dim=2
    )
    mask = np.zeros((32, 48), bool)
    mask[:16, :16] = True
    look = dm.look_of(tokens, mask)
    plain = dm.compare(tokens, look)
    with torch.autocast("cpu", torch.bfloat16):
        cast = dm.compare(tokens, look)
    assert all(torch.equal(a, b) for a, b in zip(plain, cast, strict=True))


def test_a_still_target_is_found_by_the_tiny_model() -> None:
    """The same frame twice: each patch is its own nearest neighbour."""
    model = models.load("dinov3", {"source": "tiny"}, "cpu")
    frame = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    best, *_ = run(model, [frame, frame], [Exemplar(1, 0, mask_of(2, 3))])
    assert best.score == pytest.approx(1, abs=1e-4)
    assert iou(best.mask, mask_of(2, 3)) > 0.8


def tiny_square(row: int, column: int) -> np.ndarray:
    """A red square of 8 pixels in the middle of a patch."""
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[..., 1] = 255
    image[16 * row + 4 : 16 * row + 12, 16 * column + 4 : 16 * column + 12] = RED
    return image


def red(image: np.ndarray) -> np.ndarray:
    mask: np.ndarray = image[..., 0] == 255
    return mask


def test_a_tiny_target_is_sought_in_tiles() -> None:
    """Half a patch wide: in 4 x 4 tiles it is two patches, and its region as small as itself."""
    frames = [tiny_square(1, 1), tiny_square(5, 9)]
    exemplar = Exemplar(1, 0, red(frames[0]))
    coarse, fine = Colours(), Colours()
    (one,) = run(coarse, frames, [exemplar], tiles=1)
    (many,) = run(fine, frames, [exemplar], tiles=4, across=2)
    assert (coarse.passes, fine.passes) == (2, 2 * 16)
    assert iou(one.mask, red(frames[1])) < 0.5 < iou(many.mask, red(frames[1]))


@pytest.mark.parametrize(
    ("side", "zoom"),
    [(64, 1), (48, 1), (47, 2), (24, 2), (23, 3), (1, 3)],  # of a patch of 16, three wanted
)
def test_how_many_tiles(side: int, zoom: int) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:side, :side] = True
    assert dm.zoom_of(mask, 192, 16, dm.Config(across=3, tiles=3)) == zoom
    assert dm.zoom_of(mask, 192, 16, dm.Config(tiles=1)) == 1


def test_objects_share_a_pass_if_they_need_the_same_tiles() -> None:
    frames = [picture(red=(0, 0), blue=(4, 8))] * 3
    small = np.zeros(SHAPE, bool)
    small[0:16, 0:16] = True
    model = Colours()
    exemplars = [
        Exemplar(1, 0, mask_of(0, 0)),
        Exemplar(2, 0, mask_of(4, 8)),
        Exemplar(3, 0, small),
    ]
    run(model, frames, exemplars, across=3, tiles=2)
    assert model.passes == (1 + 1 + 4) + 2 * (1 + 4)  # looks; then each frame whole, and in tiles


class RedClicks:
    """A picture predictor that draws all that is red, and notes what it was shown and told."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []
        self.told: list[tuple[Any, Any]] = []

    def look(self, image: np.ndarray) -> np.ndarray:
        self.shown.append(image.shape[:2])
        return image

    def masks(self, view: np.ndarray, points: Any, boxes: Any) -> torch.Tensor:
        self.told.append((points, boxes))
        count = len(boxes if points is None else points)
        logits = torch.from_numpy(np.where(red(view), 9.0, -9.0)).float()
        return logits[None].expand(count, -1, -1)


def drawn_run(
    clicks: RedClicks, frames: list[np.ndarray], exemplar: Exemplar, **config: Any
) -> list[Candidate]:
    names = tuple(f"{i:05d}" for i in range(len(frames)))
    video = Video("v", *SHAPE, names, Path(), ".jpg", Path(), (VideoObject(1, names[0]),), "d")
    search = Search(video, frames, [exemplar], Colours(), decoder="a model", batch=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dm, "Clicks", lambda model: clicks)
        return list(dm.detect(search, dm.Config(size=192, **config)))


def test_a_decoder_draws_the_regions() -> None:
    """To the pixel, where patches alone round the corners; one look a frame that has any."""
    frames = [picture(red=(0, 0)), picture(red=(3, 6)), picture(blue=(0, 0)), picture(red=(1, 1))]
    clicks = RedClicks()
    found = drawn_run(clicks, frames, Exemplar(1, 0, mask_of(0, 0)))
    assert [c.frame for c in found] == ["00001", "00003"]
    assert (found[0].mask == mask_of(3, 6)).all()
    assert (found[1].mask == mask_of(1, 1)).all()
    assert clicks.shown == [SHAPE, SHAPE]
    points, boxes = clicks.told[0]
    x, y = points[0] * torch.tensor([192, 128])
    assert mask_of(3, 6)[int(y), int(x)]
    box = boxes[0] * torch.tensor([192, 128, 192, 128])
    assert box == pytest.approx(box_of(mask_of(3, 6)), abs=8)


@pytest.mark.parametrize(
    ("prompts", "told"), [("both", (True, True)), ("box", (False, True)), ("point", (True, False))]
)
def test_what_the_decoder_is_told(prompts: str, told: tuple[bool, bool]) -> None:
    clicks = RedClicks()
    frames = [picture(red=(0, 0)), picture(red=(3, 6))]
    drawn_run(clicks, frames, Exemplar(1, 0, mask_of(0, 0)), prompts=prompts)
    ((points, boxes),) = clicks.told
    assert (points is not None, boxes is not None) == told


def test_two_regions_of_one_thing_become_one_candidate() -> None:
    """Red and red are two regions of patches; the decoder draws both, twice."""
    frames = [picture(red=(0, 0)), picture(red=(0, 0), other=(4, 8))]
    found = drawn_run(RedClicks(), frames, Exemplar(1, 0, mask_of(0, 0)))
    assert len(found) == 1
    assert (found[0].mask == (mask_of(0, 0) | mask_of(4, 8))).all()


def test_tiny_targets_are_drawn_from_their_surroundings() -> None:
    """What the decoder draws in its window comes back where it was."""
    frames = [tiny_square(1, 1), tiny_square(5, 9)]
    clicks = RedClicks()
    (found,) = drawn_run(clicks, frames, Exemplar(1, 0, red(frames[0])), tiles=4, across=2)
    assert clicks.shown == [(32, 48)]
    assert (found.mask == red(frames[1])).all()


@pytest.mark.parametrize(
    ("span", "zoom", "window"),
    [
        (np.s_[60:68, 90:100], 4, (71, 48, 48, 32)),
        (np.s_[0:8, 0:8], 4, (0, 0, 48, 32)),  # shifted into the frame
        (np.s_[120:128, 184:192], 4, (144, 96, 48, 32)),
        (np.s_[50:90, 90:100], 4, (71, 30, 48, 80)),  # twice the region at least
        (np.s_[0:128, 0:192], 2, (0, 0, 192, 128)),  # never more than there is
    ],
)
def test_windows(span: Any, zoom: int, window: tuple[int, ...]) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[span] = True
    assert drawing.window_of(mask, zoom) == drawing.Window(*window)
