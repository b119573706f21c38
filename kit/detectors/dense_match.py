"""Candidates from DINOv3: regions whose patches look like the target's and unlike the rest.

Each patch of a later frame is compared with every patch of the first one. It belongs to the target
where its nearest neighbour under the first mask is nearer than its nearest neighbour outside, the
foreground-background matching of FEELVOS (arXiv 1902.09513) with frozen features. Regions that
hang together are candidates. As look-alikes of the first frame count as background, this source
errs otherwise than a detector of categories does, which is what a second source is for.

Regions are as coarse as patches. With a `decoder`, SAM draws their masks: a region's most similar
place becomes a point, its extent a box. Targets that are a few patches wide are sought in tiles,
each as large to DINOv3 as the whole frame was, and drawn from a picture of their surroundings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as nnf

from kit.core.limits import MultipleOf, Positive, Range, Share
from kit.core.masks import Mask, encode_rle
from kit.core.types import Candidate, Image
from kit.detectors.base import Exemplar, Limits, Search, distinct, searched, shows_target
from kit.detectors.drawing import Picture, Region
from kit.trackers.clicks import Clicks

VERSION = 2
MODEL = "dinov3"
TAKES = ("decoder",)
SOURCE = "dense_match"
# transformers DINOv3ViTImageProcessor: ImageNet statistics
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config(Limits):
    """Chosen by us and not tuned on any data."""

    threshold: Share = 0.5  # cosine with the target that a region's best patch must reach
    # longer side of the frame as DINOv3 sees it, a multiple of its patch (16)
    size: Annotated[int, Range(32, 2048), MultipleOf(16)] = 768
    # a patch's least lead; below 0 lets look-alikes of frame 0 through
    contrast: Annotated[float, Range(-2, 2)] = 0.0
    prompts: Literal["both", "box", "point"] = "both"  # what the decoder is told of a region
    across: Positive = 3  # patches that a target should be wide; smaller ones are sought in tiles
    tiles: Annotated[int, Range(1, 8)] = 3  # a side, at most; each is a pass of its own. 1: never


@dataclass(frozen=True)
class Look:
    """The first frame's patches, unit rows.

    Attributes:
        target: `float[F, D]`, those at least half under the mask, or else the one most under it.
        rest: `float[B, D]`, those without a pixel of it; may be empty.
        zoom: Tiles a side in which the target is sought.
    """

    target: torch.Tensor
    rest: torch.Tensor
    zoom: int = 1


@torch.inference_mode()
def detect(search: Search, config: Config) -> Iterator[Candidate]:
    """Candidates of every object on the frames after its exemplar, frame by frame.

    Each frame goes through DINOv3 once, whatever the number of objects; where targets are sought in
    tiles, once a tile. The decoder sees it once, and not at all where there is nothing to draw.
    """
    wanted = searched(search, config)
    looks = {e.object_id: _first_look(search, e, config) for e in search.exemplars}
    clicks = None if search.decoder is None else Clicks(search.decoder)
    for indices in search.groups(frozenset().union(*(own for _, own in wanted))):
        images = [search.frames[i] for i in indices]
        zooms = {looks[e.object_id].zoom for e, own in wanted if not own.isdisjoint(indices)}
        tokens = {z: patches(search.model, images, config.size, z) for z in zooms}
        for row, index in enumerate(indices):
            picture = None if clicks is None else Picture(clicks, images[row])
            for exemplar, own in wanted:
                if index in own:
                    look = looks[exemplar.object_id]
                    near, lead = compare(tokens[look.zoom][row], look)
                    found = regions(near, lead, search.video.shape, config)
                    if picture is not None:
                        found = picture.draw(found, config.prompts, look.zoom)
                    yield from _candidates(search, index, exemplar, found, config)


def zoom_of(mask: Mask, size: int, patch: int, config: Config) -> int:
    """Tiles a side that make a target `across` patches wide, as far as that many are allowed."""
    wide = float(mask.sum()) ** 0.5 * size / max(mask.shape) / patch
    return min(max(int(np.ceil(config.across / wide)), 1), config.tiles)


def patches(model: Any, images: Sequence[Image], size: int, zoom: int = 1) -> torch.Tensor:
    """Unit patch tokens of frames of one shape, `float[B, zoom * h, zoom * w, D]`.

    Args:
        model: DINOv3.
        images: B frames `uint8[H, W, 3]`.
        size: To which the longer side of a tile is resized; both sides become whole patches.
        zoom: Tiles a side. Each is a picture of its own to the model.
    """
    patch = model.config.patch_size
    height, width = images[0].shape[:2]
    rows, columns = (
        max(1, round(side * size / max(height, width) / patch)) for side in (height, width)
    )
    ys, xs = (np.linspace(0, side, zoom + 1).round().astype(int) for side in (height, width))
    strips = [
        torch.cat([
            _tokens(model, [image[top:bottom, left:right] for image in images], rows, columns)
            for left, right in pairwise(xs)
        ], 2)
        for top, bottom in pairwise(ys)
    ]  # fmt: skip
    return torch.cat(strips, 1)


def _tokens(model: Any, images: Sequence[Image], rows: int, columns: int) -> torch.Tensor:
    """The same of pictures that become rows x columns patches each."""
    patch = model.config.patch_size
    device = next(model.parameters()).device
    pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()
    small = nnf.interpolate(
        pixels, (rows * patch, columns * patch), mode="bilinear", antialias=True
    )
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (_MEAN, _STD))
    out = model((small / 255 - mean) / std).last_hidden_state.float()
    tokens = nnf.normalize(out[:, 1 + model.config.num_register_tokens :], dim=2)
    return tokens.reshape(len(images), rows, columns, -1)


def look_of(tokens: torch.Tensor, mask: Mask, zoom: int = 1) -> Look:
    """Sort the first frame's patches `float[h, w, D]` by its mask, `bool[H, W]`, not empty."""
    plane = torch.from_numpy(mask.astype(np.float32)).to(tokens.device)[None, None]
    share = nnf.adaptive_avg_pool2d(plane, (tokens.shape[0], tokens.shape[1]))[0, 0]
    return Look(tokens[share >= min(0.5, float(share.max()))], tokens[share == 0], zoom)


def compare(tokens: torch.Tensor, look: Look) -> tuple[torch.Tensor, torch.Tensor]:
    """How like the target each patch is, and by how much more than like the rest.

    Returns:
        Two `float[h, w]`: the greatest cosine with a patch of the target; that, less the greatest
        cosine with a patch of the rest (with 0 if there is none).
    """
    # in float32 where models run in bfloat16: cosines near 1 differ in their third digit
    with torch.autocast(tokens.device.type, enabled=False):
        near = (tokens @ look.target.T).amax(2)
        far = (tokens @ look.rest.T).amax(2) if len(look.rest) else torch.zeros_like(near)
    return near, near - far


def regions(
    near: torch.Tensor, lead: torch.Tensor, shape: tuple[int, int], config: Config
) -> list[Region]:
    """Connected regions (8 neighbours) of patches that are the target's, best first.

    Args:
        near: `float[h, w]`, cosines; a region's greatest is its score.
        lead: `float[h, w]`; where it exceeds `contrast`, interpolated, is the object.
        shape: (height, width) of the masks.
        config: `threshold`, `contrast`, `max_per_frame`.
    """
    planes = nnf.interpolate(torch.stack([near, lead])[None], shape, mode="bilinear")[0]
    likeness, excess = planes.cpu().numpy()
    found = []
    count, labels = cv2.connectedComponents((excess > config.contrast).astype(np.uint8))
    for label in range(1, count):
        mask = labels == label
        best = np.where(mask, likeness, -2).argmax()
        y, x = divmod(int(best), shape[1])
        score = float(np.clip(likeness[y, x], 0, 1))
        if score >= config.threshold:
            found.append(Region(score, mask, (x + 0.5, y + 0.5)))
    return sorted(found, key=lambda region: -region.score)[: config.max_per_frame]


def _first_look(search: Search, exemplar: Exemplar, config: Config) -> Look:
    patch = search.model.config.patch_size
    zoom = zoom_of(exemplar.mask, config.size, patch, config)
    image = search.frames[exemplar.frame]
    return look_of(patches(search.model, [image], config.size, zoom)[0], exemplar.mask, zoom)


def _candidates(
    search: Search, index: int, exemplar: Exemplar, found: Sequence[Region], config: Config
) -> Iterator[Candidate]:
    name, shape = search.video.frames[index], search.video.shape
    regions = [
        Candidate(name, exemplar.object_id, r.score, encode_rle(r.mask), shape, SOURCE)
        for r in found
        if index != exemplar.frame or not shows_target(r.mask, exemplar)
    ]
    yield from distinct(regions, config.nms_iou)
