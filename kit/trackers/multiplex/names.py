"""Names of the published checkpoint, and where their tensors belong.

`sam3.1_multiplex.pt` holds `tracker.model.*` and `detector.*`; the makers' builder also takes
`sam2_predictor.` and `sam3_model.` for the two. The tracker's vision half lies with the detector,
under `detector.backbone.vision_backbone`. Only the trunk has other names in transformers.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from kit.runtime import renaming
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.sizes import Sizes

TRACKER, VISION = "tracker.model.", "detector.backbone.vision_backbone."
NECKS = ("interactive_convs.", "propagation_convs.")  # the third one is the detector's
_ALIASES = {"sam2_predictor.": "tracker.", "sam3_model.": "detector."}
_DERIVED = ".freqs_cis"  # rotations that every version computes itself


def published(name: str) -> str:
    """A name of a checkpoint as the public one has it."""
    for alias, usual in _ALIASES.items():
        if name.startswith(alias):
            return usual + name.removeprefix(alias)
    return name


def of_tracker(name: str) -> bool:
    """Whether the tracker needs a tensor of the checkpoint."""
    if name.endswith(_DERIVED):
        return False
    if name.startswith(VISION):
        return name.removeprefix(VISION).startswith(("trunk.", *NECKS))
    return name.startswith("tracker.")


def expected(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Shapes by name of all that the tracker needs, in the names of the checkpoint."""
    with torch.device("meta"):
        own = Network(sizes).state_dict()
    return {name: tuple(value.shape) for name, value in exported(own).items()}


def imported(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint's tensors as `Network` takes them; others are left out."""
    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        if not of_tracker(name):
            continue
        if name.startswith(VISION):
            found |= _own_vision(name.removeprefix(VISION), value)
        else:
            found[name.removeprefix(TRACKER)] = value
    return found


def _own_vision(name: str, value: Tensor) -> dict[str, Tensor]:
    if not name.startswith("trunk."):
        return {f"vision.{name}": value}
    key = renaming.renamed(name.removeprefix("trunk."), renaming.TRUNK)
    if key.endswith("position_embeddings"):
        value = value[:, 1:]  # the first row is that of a class token, which is not there
    return {f"vision.trunk.{own}": part for own, part in renaming.split(key, value).items()}


def exported(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a `Network` in the names of the checkpoint."""
    found: dict[str, Tensor] = {}
    for name, value in own.items():
        if not name.startswith("vision."):
            found[TRACKER + name] = value
        elif name.endswith(".position_embeddings"):
            blank = value.new_zeros(1, 1, value.shape[-1])
            found[f"{VISION}trunk.pos_embed"] = torch.cat([blank, value], 1)
        elif part := re.match(r"^vision\.trunk\.layers\.(\d+)\.attention\.q_proj\.(\w+)$", name):
            stems = (f"vision.trunk.layers.{part[1]}.attention.{x}_proj.{part[2]}" for x in "qkv")
            joined = torch.cat([own[stem] for stem in stems])
            found[f"{VISION}trunk.blocks.{part[1]}.attn.qkv.{part[2]}"] = joined
        elif not re.search(r"\.attention\.[kv]_proj\.", name):
            found[VISION + _trunk_name(name.removeprefix("vision."))] = value
    return found


_BACK = (
    (r"^trunk\.embeddings\.patch_embeddings\.projection\.", "trunk.patch_embed.proj."),
    (r"^trunk\.layer_norm\.", "trunk.ln_pre."),
    (r"^trunk\.layers\.(\d+)\.layer_norm(\d)\.", r"trunk.blocks.\1.norm\2."),
    (r"^trunk\.layers\.(\d+)\.attention\.o_proj\.", r"trunk.blocks.\1.attn.proj."),
    (r"^trunk\.layers\.(\d+)\.mlp\.", r"trunk.blocks.\1.mlp."),
)


def _trunk_name(name: str) -> str:
    for new, old in _BACK:
        name = re.sub(new, old, name)
    return name
