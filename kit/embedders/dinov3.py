"""Object features from DINOv3: a masked crop, its patches averaged, or its class token.

The re-prompting paper crops "the object region according to its mask" and extracts "an object-level
representation" (arXiv 2603.23788, section 3.2); whether that is CLS or patches it does not say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray

from kit.core.limits import MultipleOf, Range
from kit.core.masks import Mask
from kit.core.types import Image
from kit.embedders import crops
from kit.embedders.crops import Crop

VERSION = 1
MODEL = "dinov3"
READS_FIRST = "accepted"
# transformers DINOv3ViTImageProcessor: ImageNet statistics
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config:
    """How an object becomes a vector."""

    # of the patches under the mask, the class token, or the two side by side with equal weight
    pooling: Literal["masked_mean", "cls", "both"] = "masked_mean"
    # side of the crop in pixels, a multiple of the patch size (16)
    size: Annotated[int, Range(32, 1024), MultipleOf(16)] = 224
    padding: Annotated[float, Range(0, 2)] = 0.15  # margin around the box, share of its longer side
    fill_background: bool = False  # paint out what is not the object
    flips: bool = True  # mirror images in the target's pool
    rotations: bool = True  # quarter turns in the target's pool
    angles: tuple[
        Annotated[int, Range(-359, 359)], ...
    ] = ()  # other turns, degrees counter-clockwise; not mirrored
    scale: bool = False  # a smaller and a larger one in the pool; these and what follows, upright
    blur: bool = False  # one out of focus
    gamma: bool = False  # one in brighter and one in dimmer light
    grey: bool = False  # one without colour
    accepted: bool = False  # the anchors of a first pass, as they are


def crop(image: Image, mask: Mask, config: Config, corner: tuple[int, int] = (0, 0)) -> Crop:
    """The view of one object that `embed` expects; `corner` as in `crops.cut`."""
    return crops.cut(image, mask, config.size, config.padding, config.fill_background, corner)


def pool(image: Image, mask: Mask, config: Config) -> list[Crop]:
    """The target's transformed views; the first is the crop as it is."""
    upright = crop(image, mask, config)
    turned = crops.views(upright, config.flips, config.rotations)
    return [*turned, *_variants(image, mask, upright, config)]


def _variants(image: Image, mask: Mask, upright: Crop, config: Config) -> Iterator[Crop]:
    how = (config.size, config.padding, config.fill_background)
    for degrees in config.angles:
        yield crops.turned(image, mask, *how, degrees)
    if config.scale:
        yield from crops.scaled(image, mask, *how)
    if config.blur:
        yield crops.blurred(upright)
    if config.gamma:
        yield from crops.relit(upright)
    if config.grey:
        yield crops.greyed(upright)


@torch.inference_mode()
def embed(model: Any, views: Sequence[Crop], config: Config, batch: int) -> NDArray[np.float32]:
    """Unit vectors of crops.

    Returns:
        `float32[N, D]`, each row of length 1; D is the model's width, twice that for "both".
    """
    device = next(model.parameters()).device
    rows = [
        vectors(model, views[start : start + batch], config, device)
        for start in range(0, len(views), batch)
    ]
    if not rows:
        width = model.config.hidden_size * (2 if config.pooling == "both" else 1)
        return np.zeros((0, width), np.float32)
    return torch.cat(rows).cpu().numpy()


def vectors(
    model: Any, views: Sequence[Crop], config: Config, device: torch.device
) -> torch.Tensor:
    """Unit vectors of crops in one forward: `float[N, D]`, with gradients where they are wanted."""
    pixels = torch.from_numpy(np.stack([v.pixels for v in views])).to(device)
    mean, std = torch.tensor(_MEAN, device=device), torch.tensor(_STD, device=device)
    normalised = ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
    out = model(normalised)
    token = nnf.normalize(out.pooler_output.float(), dim=1)
    if config.pooling == "cls":
        return token
    weights = torch.from_numpy(np.stack([v.weights for v in views])).to(device)
    mean = nnf.normalize(_masked_mean(model, out.last_hidden_state.float(), weights), dim=1)
    if config.pooling == "masked_mean":
        return mean
    return nnf.normalize(torch.cat([token, mean], 1), dim=1)


def _masked_mean(model: Any, hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of patch tokens weighted by the object's share of each patch: `float[B, D]`."""
    patches = hidden[:, 1 + model.config.num_register_tokens :]
    share = nnf.avg_pool2d(weights[:, None], model.config.patch_size).flatten(1)
    share = share + 1e-6  # an object thinner than float resolution still gets a direction
    return (patches * share[..., None]).sum(1) / share.sum(1, keepdim=True)
