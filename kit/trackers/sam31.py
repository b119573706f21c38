"""SAM 3.1's multiplex tracker: sixteen objects share a memory, an attention and a decoder call.

In modules of our own (`kit.trackers.multiplex`), for transformers has none. Checked against
recordings of facebookresearch/sam3 @96914d2 with small random weights, on the CPU in float32; the
public weights were not within reach. On CUDA the float32 weights run under bfloat16 autocast.

The makers' code has two doors, which differ in what the memory encoder sees of a given mask:

- `loop`, of training and evaluation: the mask as a soft map at the encoder's own resolution.
- `state`, of `add_new_masks`: logits of 1024 that went through the low resolution, and of several
  objects' logits only the largest of each pixel stay above -10.

An object keeps its slot for the whole video. Slots that are empty are part of the model: they are
attended to, and they say so in the memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from kit.core.errors import DataError
from kit.core.limits import Positive
from kit.core.masks import Mask
from kit.core.types import Image
from kit.trackers.attention import batches
from kit.trackers.base import Bucket, Context, Encoded, Hypothesis, Memory, Span
from kit.trackers.device import running, uploaded
from kit.trackers.multiplex.codes import rotations
from kit.trackers.multiplex.decoder import Decoded
from kit.trackers.multiplex.layers import resized
from kit.trackers.multiplex.network import RECENT, Network
from kit.trackers.multiplex.reading import MemoryReader
from kit.trackers.recorded import Recorded
from kit.trackers.square import HALF, Entrance

VERSION = 1
OBJECTS_INTERACT = "objects_share"

ABSENT = -1024.0  # NO_OBJ_SCORE
_PRESENT = 10.0  # what counts as the object score of a given mask
_POINTERS, _ANCHORS = 16, 4  # frames whose pointers, and prompted frames that are attended to


@dataclass(frozen=True)
class Config:
    """Defaults are what the weights were trained with, but for the dtype of memories."""

    rows: Positive = 1  # buckets of one call
    bucket: Positive | None = None  # most objects of a bucket; null: as many as the model has slots
    door: Literal["loop", "state"] = "loop"  # how given masks are remembered, see above
    memory: Literal["bfloat16", "float32"] = "bfloat16"  # in which memories are kept
    plain_codes: bool = False  # count prompted frames like others; not how it was trained
    resample: Literal["bilinear", "bicubic"] = "bilinear"  # of frames

    @property
    def objects_share(self) -> bool:
        """Objects of a bucket act on each other, rows of one call are rounded together."""
        return self.bucket != 1 or self.rows > 1


class Sam31Tracker:
    """The four verbs on a `Network`."""

    def __init__(self, network: Network, config: Config) -> None:
        self._network, self._config = network, config
        self._device = network.maskmem_tpos_enc.device
        sizes = self._sizes = network.sizes
        self._entrance = Entrance(sizes.image_size, HALF, config.resample, self._device)
        self._encode = Recorded(lambda pixels: self._necks(network.vision.hidden(pixels)))
        slots = sizes.multiplex_count
        self.span = Span(
            recent=RECENT,
            pointers=_POINTERS,
            anchors=_ANCHORS,
            past_pointers=False,
            far_pointers=False,
            slots=slots if config.bucket is None else min(config.bucket, slots),
        )
        with torch.inference_mode():
            self._reader = MemoryReader(network, config.plain_codes)
            self._turn = rotations(sizes.grid, sizes.width // sizes.memory_heads, self._device)

    def pixels(self, image: Image) -> Tensor:
        """A frame as the trunk takes it, float32 [1, 3, S, S]."""
        return self._entrance(image)

    def encode(self, image: Image) -> Encoded:
        """Features of a frame, uint8 [H, W, 3] RGB."""
        with running(self._device):
            return self._encode(self.pixels(image))

    def encode_trunk(self, hidden: Tensor) -> Encoded:
        """Features from the trunk's output, so that a detector's pass can be shared.

        Args:
            hidden: [1, N, vit_width], `last_hidden_state` of the backbone for `pixels`.
        """
        with running(self._device):
            return self._necks(hidden)

    def condition(self, encoded: Encoded, mask: Mask) -> Hypothesis:
        """A prompt as a hypothesis; its pointer is that of the interactive head.

        Raises:
            DataError: The mask is empty.
        """
        if not mask.any():
            raise DataError(
                f"prompt: the mask ({mask.shape[1]}x{mask.shape[0]}) is empty. "
                "An object must be prompted on a frame that shows it."
            )
        share = uploaded(torch.from_numpy(np.ascontiguousarray(mask)), self._device)
        share = share[None, None].float()
        grid = self._sizes.grid
        with running(self._device):
            assert encoded.prompt is not None  # `encode` makes it
            soft = resized(share, 16 * grid, antialias=True)
            pointer, _ = self._network.point(encoded.prompt, soft)
            if self._config.door == "loop":
                full = soft * 20 - 10
                low = resized(full, 4 * grid, antialias=True)
            else:
                low = resized(share * 2048 - 1024, 4 * grid, antialias=True)
                full = self._enlarged(low)
            return Hypothesis(
                low[0],
                full[0],
                share.new_ones(1),
                share.new_tensor(_PRESENT),
                pointer.float(),
                prompted=True,
            )

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        """Attend to the memories and decode all slots; keep the best of three masks, or all."""
        found: dict[int, list[Hypothesis]] = {}
        with running(self._device):
            for indices in batches(contexts, self._config.rows):
                some = [contexts[i] for i in indices]
                image = self._attend(encoded, some)
                answers = self._network.decode(image, encoded.fine, self._used(some))
                for row, index in enumerate(indices):
                    slots = list(contexts[index].slots)
                    found[index] = self._answers(answers, row, slots, every)
        return [answer for index in range(len(contexts)) for answer in found[index]]

    def remember(self, encoded: Encoded, buckets: Sequence[Bucket]) -> list[Memory]:
        """Run the memory encoder on all slots of each bucket."""
        if not buckets:
            return []
        slots, memories = self._sizes.multiplex_count, []
        dtype = torch.bfloat16 if self._config.memory == "bfloat16" else torch.float32
        with running(self._device):
            masks = self._seen(buckets)
            for start in range(0, len(buckets), self._config.rows):
                some = range(start, min(start + self._config.rows, len(buckets)))
                maps = torch.stack([self._maps(masks[i], buckets[i]) for i in some])
                absent = torch.stack([_absent(buckets[i], slots, maps) for i in some])
                found = self._network.remember(self._map(encoded.tokens), maps, absent)
                places = found.flatten(2).permute(2, 0, 1).to(dtype)  # [N, B, C]
                memories += [
                    Memory(
                        places[:, row : row + 1].contiguous(),
                        _pointers(buckets[i], slots, encoded.tokens),
                        encoded.tokens,
                    )
                    for row, i in enumerate(some)
                ]
        return memories

    def _necks(self, hidden: Tensor) -> Encoded:
        prompt, (quadruple, double, coarse) = self._network.vision.necks(hidden)
        fine = self._network.sam_mask_decoder.fine(quadruple, double)
        tokens = coarse.flatten(2).permute(2, 0, 1)
        return Encoded(tokens, self._reader.places[:, None], fine, prompt)

    def _attend(self, encoded: Encoded, contexts: Sequence[Context]) -> Tensor:
        """Frame features with memory read into them, [B, C, g, g]."""
        found = self._network.transformer.encoder(
            encoded.tokens.transpose(0, 1),
            encoded.position.transpose(0, 1),
            self._reader.read(contexts),
            self._turn,
        )
        return self._map(found.transpose(0, 1))

    def _used(self, contexts: Sequence[Context]) -> Tensor:
        """1 where a slot holds an object, [B, M]."""
        rows = [[s in c.slots for s in range(self._sizes.multiplex_count)] for c in contexts]
        return uploaded(torch.tensor(rows, dtype=torch.float32), self._device)

    def _answers(
        self, decoded: Decoded, row: int, slots: list[int], every: bool
    ) -> list[Hypothesis]:
        presence, iou = decoded.presence[row, slots], decoded.iou[row, slots]
        masks = decoded.masks[row, slots]
        low = torch.where(presence[:, None, None, None] > 0, masks, ABSENT).float()
        tokens = decoded.tokens[row, slots]
        if not every:
            index, best = torch.arange(len(slots), device=iou.device), iou.argmax(-1)
            low, iou, tokens = (part[index, best][:, None] for part in (low, iou, tokens))
        full, pointers = self._enlarged(low), self._network.pointers(tokens, presence)
        # Raw IoU can leave 0..1, which is what everybody else takes it for.
        iou = iou.float().clamp(0, 1)
        return [
            Hypothesis(low[i], full[i], iou[i], presence[i].float(), pointers[i].float())
            for i in range(len(slots))
        ]

    def _seen(self, buckets: Sequence[Bucket]) -> list[Mapping[int, Tensor]]:
        """Logits by slot as the memory encoder sees them, [s, s]."""
        seen = [
            {slot: one.full[0] for slot, one in enumerate(bucket) if one is not None}
            for bucket in buckets
        ]
        given = any(one is not None and one.prompted for bucket in buckets for one in bucket)
        if self._config.door == "loop" or not given:
            return list(seen)
        stacked = torch.stack([mask for own in seen for mask in own.values()])
        number = torch.arange(len(stacked), device=stacked.device)[:, None, None]
        largest = stacked.argmax(0) == number
        parted = iter(torch.where(largest, stacked, stacked.clamp(max=-10.0)))
        return [{slot: next(parted) for slot in own} for own in seen]

    def _maps(self, masks: Mapping[int, Tensor], bucket: Bucket) -> Tensor:
        """Masks in -1..1, then planes of prompts, of all slots, [2M, 16g, 16g]; 0 where empty."""
        slots, side = self._sizes.multiplex_count, 16 * self._sizes.grid
        maps = torch.zeros(2 * slots, side, side, device=self._device)
        for slot, logits in masks.items():
            plane = 2 * logits.sigmoid() - 1
            maps[slot] = resized(plane[None, None], side, antialias=True)[0, 0]
            one = bucket[slot]
            if one is not None and one.prompted:
                maps[slots + slot] = 1
        return maps

    def _enlarged(self, low: Tensor) -> Tensor:
        """Logits [B, K, 4g, 4g] at the model's size, [B, K, S, S]."""
        return resized(low, self._sizes.image_size, antialias=False)

    def _map(self, tokens: Tensor) -> Tensor:
        """[N, B, C] as [B, C, g, g]."""
        grid = self._sizes.grid
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, grid, grid)


def _absent(bucket: Bucket, slots: int, like: Tensor) -> Tensor:
    """1 where a slot is empty or its object is thought absent, [M]."""
    absent = like.new_ones(slots)
    for slot, one in enumerate(bucket):
        if one is not None:
            absent[slot] = (one.presence <= 0).to(absent.dtype)
    return absent


def _pointers(bucket: Bucket, slots: int, like: Tensor) -> Tensor:
    """Pointers of all slots, float32 [M, C]; zeros where empty."""
    pointers = torch.zeros(slots, like.shape[-1], device=like.device)
    for slot, one in enumerate(bucket):
        if one is not None:
            pointers[slot] = one.pointers[0]
    return pointers


def build(model: Any, config: Config) -> Sam31Tracker:
    """Wrap a loaded `Network`; it is put into evaluation mode."""
    return Sam31Tracker(model.eval(), config)
