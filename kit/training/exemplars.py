"""Scenes to search: a frame that shows an exemplar, frames on which its like is sought.

This is how `kit.detectors.exemplar_tokens` uses a detector: the box of an object on one frame makes
the prompt, and later frames are searched; with `own_frame` that frame itself as well, which is the
use that SAM 3 was trained for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kit.core.errors import DataError
from kit.core.masks import box_of
from kit.training.batch import squares
from kit.training.clips import ATTEMPTS, VISIBLE, Source
from kit.training.matching import Targets


@dataclass(frozen=True)
class Config:
    """What a scene is."""

    frames: int = 2  # T: the exemplar's, and those after it
    max_gap: int = 16  # frames between two of the scene's: drawn from 1 to this
    reverse: float = 0.5  # probability that time runs backward
    prompts: int = 2  # exemplars at most, each sought for itself
    own_frame: bool = True  # seek on the exemplar's frame too


@dataclass(frozen=True)
class Scene:
    """T frames, O objects, P exemplars among them.

    Attributes:
        frames: `uint8[T, H, W, 3]`, RGB.
        masks: `bool[O, T, H, W]`, visible parts; empty where too little is seen.
        exemplars: `int64[P]`, which objects; each is visible on frame 0.
        like: `bool[P, O]`, which objects are of the exemplar's kind, itself among them.
        exhaustive: Whether `like` names all there are; otherwise it names the exemplar alone.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    exemplars: NDArray[np.int64]
    like: NDArray[np.bool_]
    exhaustive: bool


@dataclass(frozen=True)
class Batch:
    """F frames, P exemplars, N searches.

    Attributes:
        frames: `uint8[H, W, 3]` each.
        shown: Of each exemplar its frame.
        boxes: float32 [P, 1, 4], where it stands: normalised centre x, centre y, width, height.
        searched: Of each search its frame.
        prompt: Of each search its exemplar.
        targets: Of each search.
    """

    frames: Sequence[NDArray[np.uint8]]
    shown: Sequence[int]
    boxes: Tensor
    searched: Sequence[int]
    prompt: Sequence[int]
    targets: Targets


def sample(source: Source, config: Config, rng: np.random.Generator) -> Scene:
    """One scene.

    Raises:
        DataError: No frame with an object was found.
    """
    for _ in range(ATTEMPTS):
        footage = source.take(rng, config.frames, config.max_gap)
        step = -1 if rng.random() < config.reverse else 1
        frames, labels = footage.frames[::step], footage.labels[::step]
        ids = np.unique(labels[labels > 0])
        masks = labels[None] == ids[:, None, None, None]
        masks &= masks.sum((2, 3), keepdims=True) >= max(1, VISIBLE * labels[0].size)
        (shown,) = np.nonzero(masks[:, 0].any((1, 2)))
        if len(shown):
            chosen = rng.permutation(shown)[: config.prompts]
            kinds = np.array(footage.categories)[ids - 1] if footage.categories else ids
            like = kinds[chosen][:, None] == kinds[None]
            return Scene(frames, masks, chosen, like, bool(footage.categories))
    raise DataError(
        f"training scenes: in {ATTEMPTS} windows no object covered {VISIBLE:.2%} of the first "
        "frame. Are the label maps those of the frames?"
    )


def collate(scenes: Sequence[Scene], own_frame: bool, side: int, device: torch.device) -> Batch:
    """Scenes as one batch, masks of targets at `side` x `side`."""
    shown, boxes, searched, prompt, aims, complete = [], [], [], [], [], []
    start = 0
    for scene in scenes:
        areas = squares(scene.masks, side, device)
        places = _boxes(scene.masks)
        for exemplar, like in zip(scene.exemplars, scene.like, strict=True):
            shown.append(start)
            boxes.append(places[exemplar, 0])
            for t in range(0 if own_frame else 1, len(scene.frames)):
                searched.append(start + t)
                prompt.append(len(shown) - 1)
                (kin,) = np.nonzero(like & scene.masks[:, t].any((1, 2)))
                aims.append((torch.from_numpy(places[kin, t]), areas[torch.from_numpy(kin), t]))
                complete.append(scene.exhaustive)
        start += len(scene.frames)
    return Batch(
        [frame for scene in scenes for frame in scene.frames],
        shown,
        torch.from_numpy(np.stack(boxes))[:, None].to(device),
        searched,
        prompt,
        padded(aims, complete, device),
    )


def padded(
    aims: Sequence[tuple[Tensor, Tensor]], exhaustive: Sequence[bool], device: torch.device
) -> Targets:
    """Boxes [k, 4] and masks [k, h, w] of each search, k its own, in K places."""
    most = max(1, *(len(boxes) for boxes, _ in aims))
    boxes = torch.full((len(aims), most, 4), 0.5)
    masks = torch.zeros(len(aims), most, *aims[0][1].shape[1:], device=device)
    valid = torch.zeros(len(aims), most, dtype=torch.bool)
    for row, (places, areas) in enumerate(aims):
        boxes[row, : len(places)] = places
        masks[row, : len(areas)] = areas
        valid[row, : len(places)] = True
    return Targets(boxes.to(device), masks, valid.to(device), torch.tensor(exhaustive).to(device))


def _boxes(masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Boxes `float32[O, T, 4]`, normalised (centre, size), of masks; zeros where one is empty."""
    height, width = masks.shape[2:]
    boxes = np.zeros((*masks.shape[:2], 4), np.float32)
    for place in np.argwhere(masks.any((2, 3))):
        left, top, right, bottom = box_of(masks[tuple(place)])
        corners = np.array([left / width, top / height, right / width, bottom / height])
        boxes[tuple(place)] = [*(corners[:2] + corners[2:]) / 2, *(corners[2:] - corners[:2])]
    return boxes
