"""Candidates from DINOv3: regions whose patches look like the target's and unlike the rest.

Each patch of a later frame is compared with every patch of the first one. It belongs to the target
where its nearest neighbour under the first mask is nearer than its nearest neighbour outside, the
foreground-background matching of FEELVOS (arXiv 1902.09513) with frozen features. Regions that
hang together are candidates. As look-alikes of the first frame count as background, this source
errs otherwise than a detector of categories does, which is what a second source is for.

Masks are as coarse as the patches. Targets of fewer than some 16 pixels at the working size are
smaller than one. The candidates are not refined by a mask decoder, and there are no zoomed tiles.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as nnf

from kit.core.masks import Mask, encode_rle
from kit.core.types import Candidate, FrameSource, Image, Video
from kit.detectors.base import Exemplar, searched

VERSION = 1
MODEL = "dinov3"
SOURCE = "dense_match"
# transformers DINOv3ViTImageProcessor: ImageNet statistics
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config:
    """Chosen by us and not tuned on any data."""

    size: int = 768  # longer side of the frame as DINOv3 sees it, a multiple of its patch (16)
    threshold: float = 0.5  # cosine with the target that a region's best patch must reach
    contrast: float = 0.0  # a patch's least lead; below 0 lets look-alikes of frame 0 through
    max_per_frame: int = 10  # the best that are kept, per object
    stride: int = 1  # every n-th later frame is searched


@dataclass(frozen=True)
class Look:
    """The first frame's patches, unit rows.

    Attributes:
        target: `float[F, D]`, those at least half under the mask, or else the one most under it.
        rest: `float[B, D]`, those without a pixel of it; may be empty.
    """

    target: torch.Tensor
    rest: torch.Tensor


@torch.inference_mode()
def detect(
    model: Any,
    video: Video,
    frames: FrameSource,
    exemplars: Sequence[Exemplar],
    config: Config,
    batch: int,
) -> Iterator[Candidate]:
    """Candidates of every object on the frames after its exemplar, frame by frame.

    Each frame goes through DINOv3 once, whatever the number of objects.
    """
    looks = {
        e.object_id: look_of(patches(model, [frames[e.frame]], config.size)[0], e.mask)
        for e in exemplars
    }
    wanted = searched(exemplars, len(frames), config.stride, False)
    sought = sorted(frozenset().union(*(indices for _, indices in wanted)))
    for start in range(0, len(sought), batch):
        indices = sought[start : start + batch]
        tokens = patches(model, [frames[i] for i in indices], config.size)
        for row, index in enumerate(indices):
            for exemplar, own in wanted:
                if index in own:
                    near, lead = compare(tokens[row], looks[exemplar.object_id])
                    for score, mask in regions(near, lead, video.shape, config):
                        rle, name = encode_rle(mask), video.frames[index]
                        yield Candidate(name, exemplar.object_id, score, rle, video.shape, SOURCE)


def patches(model: Any, images: Sequence[Image], size: int) -> torch.Tensor:
    """Unit patch tokens `float[B, h, w, D]` of frames of one shape.

    The frame is resized to `size` on its longer side, both sides rounded to whole patches.
    """
    patch = model.config.patch_size
    height, width = images[0].shape[:2]
    rows, columns = (
        max(1, round(side * size / max(height, width) / patch)) for side in (height, width)
    )
    device = next(model.parameters()).device
    pixels = torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float()
    small = nnf.interpolate(
        pixels, (rows * patch, columns * patch), mode="bilinear", antialias=True
    )
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (_MEAN, _STD))
    out = model((small / 255 - mean) / std).last_hidden_state.float()
    tokens = nnf.normalize(out[:, 1 + model.config.num_register_tokens :], dim=2)
    return tokens.reshape(len(images), rows, columns, -1)


def look_of(tokens: torch.Tensor, mask: Mask) -> Look:
    """Sort the first frame's patches `float[h, w, D]` by its mask, `bool[H, W]`, not empty."""
    plane = torch.from_numpy(mask.astype(np.float32)).to(tokens.device)[None, None]
    share = nnf.adaptive_avg_pool2d(plane, (tokens.shape[0], tokens.shape[1]))[0, 0]
    return Look(tokens[share >= min(0.5, float(share.max()))], tokens[share == 0])


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
) -> list[tuple[float, Mask]]:
    """Connected regions (8 neighbours) of patches that are the target's, best first.

    Args:
        near: `float[h, w]`, cosines; a region's greatest is its score.
        lead: `float[h, w]`; where it exceeds `contrast`, interpolated, is the object.
        shape: (height, width) of the masks.
        config: `threshold`, `contrast`, `max_per_frame`.
    """
    planes = nnf.interpolate(torch.stack([near, lead])[None], shape, mode="bilinear")[0]
    likeness, excess = planes.cpu().numpy()
    count, labels = cv2.connectedComponents((excess > config.contrast).astype(np.uint8))
    found = []
    for label in range(1, count):
        mask = labels == label
        score = float(np.clip(likeness[mask].max(), 0, 1))
        if score >= config.threshold:
            found.append((score, mask))
    return sorted(found, key=lambda pair: -pair[0])[: config.max_per_frame]
