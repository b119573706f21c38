"""The sizes of a SAM 3.1 tracker: those of the public checkpoint, and how others are told."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kit.core.errors import WeightsError


@dataclass(frozen=True)
class Sizes:
    """Defaults are those of the public checkpoint; tests use smaller ones.

    Attributes:
        image_size: S, pixels.
        patch_size: Pixels a side of a patch.
        pretrain_image_size: Pixels that the trunk's position table covers; it is tiled.
        vit_width: Channels of the trunk.
        vit_depth: Its blocks.
        vit_heads: Its heads.
        vit_mlp: Hidden width of its MLPs.
        vit_window: Patches a side of an attention window.
        vit_global: Numbers of the blocks that attend to the whole picture.
        width: C, of all features, memories and pointers; a multiple of 32.
        memory_heads: Heads of memory attention.
        memory_layers: Its layers.
        memory_mlp: Hidden width of its MLPs.
        mask_start_channels: Channels of the mask encoder before its first step, each step takes
            four times as many.
        decoder_heads: Heads of both mask decoders.
        decoder_mlp: Hidden width of their MLPs.
        iou_hidden: Hidden width of the heads that predict IoU.
        multiplex_count: M, slots of a bucket.
    """

    image_size: int = 1008
    patch_size: int = 14
    pretrain_image_size: int = 336
    vit_width: int = 1024
    vit_depth: int = 32
    vit_heads: int = 16
    vit_mlp: int = 4736
    vit_window: int = 24
    vit_global: tuple[int, ...] = (7, 15, 23, 31)
    width: int = 256
    memory_heads: int = 8
    memory_layers: int = 4
    memory_mlp: int = 2048
    mask_start_channels: int = 4
    decoder_heads: int = 8
    decoder_mlp: int = 2048
    iou_hidden: int = 256
    multiplex_count: int = 16

    @property
    def grid(self) -> int:
        """g, side of the feature map."""
        return self.image_size // self.patch_size

    def as_text(self) -> str:
        """All of it as JSON, for the header of a weights file."""
        return json.dumps(dataclasses.asdict(self))


PUBLIC = Sizes()
_HIGHEST = 1 << 16  # a file that asks for more is broken or hostile


def from_mapping(values: Mapping[str, Any], where: str) -> Sizes:
    """Sizes told by name; unknown names are left out, for they belong to something else.

    Raises:
        WeightsError: A value that is no sensible size.
    """
    known = {field.name for field in dataclasses.fields(Sizes)}
    found = {key: value for key, value in values.items() if key in known}
    for key, value in found.items():
        numbers = value if key == "vit_global" and isinstance(value, list) else [value]
        if not all(type(n) is int and 0 <= n <= _HIGHEST for n in numbers):
            raise WeightsError(f"{where}: `{key}` is {value!r}, which is no size of a model.")
    if "vit_global" in found:
        found["vit_global"] = tuple(found["vit_global"])
    return Sizes(**found)
