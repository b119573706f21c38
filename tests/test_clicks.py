"""Points and boxes on a picture: the library's own numbers, and many prompts at once."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_sam2_hf, tiny_sam3, with_presence

from kit.core.errors import ConfigError
from kit.runtime import models
from kit.trackers.clicks import Clicks, Sam2Clicks, clicks_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
IMAGE = np.random.default_rng(0).integers(0, 255, (60, 84, 3), np.uint8)
POINTS = torch.tensor([[0.3, 0.4], [0.7, 0.2]])
BOXES = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.5, 0.0, 0.9, 0.5]])


@pytest.mark.parametrize("make", [tiny_sam3, tiny_sam2_hf])
@pytest.mark.parametrize("kind", ["points", "boxes"])
def test_as_the_library_answers_one_prompt(make: object, kind: str) -> None:
    """`_single_frame_forward` on the pixels, with an object that is surely there."""
    model = with_presence(make(), 50.0, gain=0.0)  # type: ignore[operator]
    clicks, size = Clicks(model), model.image_size
    prompts = {"points": (POINTS, None), "boxes": (None, BOXES)}[kind]
    ours = clicks.masks(clicks.look(IMAGE), *prompts)
    for row in range(2):
        given = (
            {"input_points": POINTS[None, row : row + 1, None] * size}
            if kind == "points"
            else {"input_boxes": BOXES[None, row : row + 1] * size}
        )
        with torch.inference_mode():
            theirs = model._single_frame_forward(pixel_values=clicks._entrance(IMAGE), **given)
        torch.testing.assert_close(ours[row], theirs.pred_masks[0, 0], atol=1e-4, rtol=0)


def test_points_and_boxes_count_both_and_prompts_do_not_mix() -> None:
    model = tiny_sam3()
    clicks = Clicks(model)
    view = clicks.look(IMAGE)
    both = clicks.masks(view, POINTS, BOXES)
    assert both.shape[0] == 2
    for one in ((POINTS, None), (None, BOXES)):
        assert not torch.allclose(both, clicks.masks(view, *one), atol=1e-2)
    for row in range(2):
        alone = clicks.masks(view, POINTS[row : row + 1], BOXES[row : row + 1])
        torch.testing.assert_close(both[row], alone[0], atol=1e-4, rtol=0)


def test_a_mask_is_drawn_though_the_tracker_would_say_absent() -> None:
    present, absent = (with_presence(tiny_sam3(), shift, gain=0.0) for shift in (50.0, -50.0))
    drawn = [c.masks(c.look(IMAGE), POINTS, None) for c in map(Clicks, (present, absent))]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("kind", ["points", "boxes", "both"])
def test_sam2_as_its_picture_predictor_answers(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `sam2` package's own predictor, on the same pixels."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    model = models.load("sam2", {"source": "tiny"}, "cpu")
    clicks, size = clicks_of(model), model.image_size
    assert isinstance(clicks, Sam2Clicks)
    points = None if kind == "boxes" else POINTS
    boxes = None if kind == "points" else BOXES
    ours = clicks.masks(clicks.look(IMAGE), points, boxes)
    predictor = SAM2ImagePredictor(model)
    grid = model.sam_image_embedding_size  # the predictor has that of 1024 px written in it
    predictor._bb_feat_sizes = [(4 * grid,) * 2, (2 * grid,) * 2, (grid,) * 2]
    pixels = clicks._entrance(IMAGE)[0]
    monkeypatch.setattr(type(predictor._transforms), "__call__", lambda *_: pixels)
    with torch.inference_mode():
        predictor.set_image(IMAGE)
        _, iou, low = predictor._predict(
            None if points is None else points[:, None] * size,
            None if points is None else torch.ones(2, 1, dtype=torch.int32),
            None if boxes is None else boxes * size,
            multimask_output=kind == "points",  # a box is not ambiguous
        )
    best = low[torch.arange(2), iou.argmax(1)]  # clamped to 32, as its documentation says
    torch.testing.assert_close(ours.clamp(-32, 32), best, atol=1e-4, rtol=0)


def test_a_model_without_a_prompt_decoder_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="draws no masks from boxes or points"):
        clicks_of(torch.nn.Linear(1, 1))
