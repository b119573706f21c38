"""Candidates from SAM 3's detector, shown the searched frame and the first one on one canvas.

SAM 3 was trained with box and targets in the same image, and its public code carries no box to
another one. A canvas makes one image of two: the searched frame above, the first frame below, the
box of the target on the lower part. What is found below the seam is dropped, the rest is mapped
back. Only the public call with `input_boxes` is used. Public few-shot reports find it the best way
to use an exemplar across images (arXiv 2604.05433); on videos nobody has published a comparison.

The price: every (frame, object) is a canvas of its own and needs a vision pass of its own, where
`exemplar_tokens` needs one per frame. And the searched frame loses a quarter of its rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torchvision.transforms.v2 import functional as resizing

from kit.core.ahead import ahead
from kit.core.limits import Range
from kit.core.masks import Mask, box_of
from kit.core.types import Candidate, FrameSource, Image
from kit.detectors.base import Exemplar, Limits, Search, isolated, searched
from kit.detectors.prompting import Answers, best, encode, enlarged, scores_of
from kit.runtime.models import VISUAL, Detector

VERSION = 2
MODEL = "sam3_detector"
SOURCE = "canvas"


@dataclass(frozen=True)
class Config(Limits):
    """What the canvas shows; the share of rows is that of the public reports."""

    # share of the canvas that the searched frame gets
    rows: Annotated[float, Range(0.1, 0.9)] = 0.75
    # False: of the first frame only a band of rows around the object, as little squeezed as the
    # searched frame; the whole first frame is squeezed three times as much (at 0.75)
    whole_exemplar: bool = True
    fill_background: bool = False  # paint out the first frame around the object
    # of what is not painted out, share of the longer side of the box
    dilation: Annotated[float, Range(0, 2)] = 0.1


@dataclass(frozen=True)
class Layout:
    """A square canvas: rows above `seam` show the searched frame, the others the exemplar's.

    Attributes:
        side: Of the canvas in pixels.
        seam: First row of the exemplar, a multiple of the model's patch, so that no patch and no
            row of its masks shows both.
    """

    side: int
    seam: int


def layout_of(side: int, patch: int, rows: float) -> Layout:
    """The layout whose upper part is as near to a share `rows` as whole patches allow."""
    patches = side // patch
    return Layout(side, patch * min(max(round(rows * patches), 1), patches - 1))


def squeeze(image: Image, height: int, width: int) -> Image:
    """An image in another size, as the detector itself squeezes frames into its square."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    small: Image = resizing.resize(pixels, [height, width])[0].permute(1, 2, 0).numpy()
    return small


def band_of(mask: Mask, layout: Layout) -> slice:
    """Rows around the exemplar that fill the lower part at the scale of the upper one.

    As many more as it takes to show the object with a tenth of its height on each side; shifted
    into the frame, and never more than there are.
    """
    _, top, _, bottom = box_of(mask).tolist()
    fitting = len(mask) * (layout.side - layout.seam) / layout.seam
    rows = min(len(mask), round(max(fitting, 1.2 * (bottom - top))))
    start = min(max(round((top + bottom - rows) / 2), 0), len(mask) - rows)
    return slice(start, start + rows)


def box_below(mask: Mask, layout: Layout) -> list[float]:
    """Box of the exemplar on the canvas: normalised (centre x, centre y, width, height).

    Args:
        mask: `bool[h, W]` on the rows that stand below the seam.
        layout: Of the canvas.
    """
    height, width = mask.shape
    left, top, right, bottom = box_of(mask).tolist()
    seam = layout.seam / layout.side
    scale = (1 - seam) / height
    middle = seam + (top + bottom) / 2 * scale
    return [(left + right) / 2 / width, middle, (right - left) / width, (bottom - top) * scale]


def above(
    scores: torch.Tensor, masks: torch.Tensor, layout: Layout
) -> tuple[torch.Tensor, torch.Tensor]:
    """What was found on the searched frame: N of Q answers, their masks cut at the seam.

    Args:
        scores: `float[Q]`.
        masks: `float[Q, h, w]`, logits over the canvas.
        layout: Of the canvas.

    Returns:
        `float[N]` and `float[N, h * seam / side, w]`. Dropped is what does not lie above the seam
        with more than half of its pixels; what is left of the others below it is the exemplar.
    """
    seam = masks.shape[1] * layout.seam // layout.side
    shown = (masks > 0).flatten(1).sum(1)
    over = (masks[:, :seam] > 0).flatten(1).sum(1)
    kept = 2 * over > shown
    return scores[kept], masks[kept][:, :seam]


@torch.inference_mode()
def detect(search: Search, config: Config) -> Iterator[Candidate]:
    """Candidates of every object on the frames after its exemplar; each frame is decoded once."""
    for found in ahead(enlarged, _all_answers(search, config), most=8):
        yield from found


def _all_answers(search: Search, config: Config) -> Iterator[Answers]:
    backbone = search.model.model.config.vision_config.backbone_config
    layout = layout_of(backbone.image_size, backbone.patch_size, config.rows)
    wanted = searched(search, config)
    below = {e.object_id: _below(search.frames, e, layout, config) for e in search.exemplars}
    groups = search.groups(frozenset().union(*(indices for _, indices in wanted)))

    def uppers(group: Sequence[int]) -> dict[int, Image]:
        """The upper part of each frame's canvases."""
        return {i: squeeze(search.frames[i], layout.seam, layout.side) for i in group}

    for images in ahead(uppers, groups):
        for exemplar, own in wanted:
            indices = [i for i in images if i in own]
            lower, box = below[exemplar.object_id]
            canvases = [np.concatenate([images[i], lower]) for i in indices]
            answers = _answers(search.model, canvases, box)
            for i, (scores, masks) in zip(indices, answers, strict=True):
                found = best(*above(scores, masks, layout), config)
                yield Answers(search.video, i, exemplar, SOURCE, *found)


def _below(
    frames: FrameSource, exemplar: Exemplar, layout: Layout, config: Config
) -> tuple[Image, list[float]]:
    """The lower part of every canvas of an object, and the box on it."""
    image = frames[exemplar.frame]
    if config.fill_background:
        image = isolated(image, exemplar.mask, config.dilation)
    rows = slice(None) if config.whole_exemplar else band_of(exemplar.mask, layout)
    lower = squeeze(image[rows], layout.side - layout.seam, layout.side)
    return lower, box_below(exemplar.mask[rows], layout)


def _answers(
    detector: Detector, canvases: Sequence[Image], box: Sequence[float]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(scores `float[Q]`, mask logits `float[Q, h, w]`) of each canvas of one object."""
    if not canvases:
        return
    count = len(canvases)
    ids, valid = (t.expand(count, -1) for t in detector.words(VISUAL))
    out = detector.model(
        vision_embeds=encode(detector, canvases),
        input_ids=ids,
        attention_mask=valid,
        input_boxes=torch.tensor([[box]], device=ids.device).expand(count, -1, -1),
        input_boxes_labels=torch.ones(count, 1, dtype=torch.long, device=ids.device),
    )
    yield from zip(scores_of(out), out.pred_masks.float(), strict=True)
