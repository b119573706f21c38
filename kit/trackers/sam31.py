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

import torch
from torch import Tensor

from kit.core.limits import Positive
from kit.core.masks import Mask
from kit.core.types import Image
from kit.trackers.attention import batches
from kit.trackers.base import Bucket, Context, Encoded, Hypothesis, Memory, Span
from kit.trackers.device import running, uploaded
from kit.trackers.multiplex import slots
from kit.trackers.multiplex.codes import rotations
from kit.trackers.multiplex.decoder import Decoded
from kit.trackers.multiplex.layers import resized
from kit.trackers.multiplex.network import RECENT, Network
from kit.trackers.multiplex.reading import MemoryReader
from kit.trackers.multiplex.source import load as load  # weights are loaded by that name
from kit.trackers.recorded import Recorded
from kit.trackers.square import HALF, Entrance, given

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
        self.large = True  # the trunk is SAM 3's
        self._device = network.maskmem_tpos_enc.device
        sizes = self._sizes = network.sizes
        self._entrance = Entrance(sizes.image_size, HALF, config.resample, self._device)
        self._encode = Recorded(lambda pixels: self._necks(network.vision.hidden(pixels)))
        self._count = count = sizes.multiplex_count
        self.span = Span(
            recent=RECENT,
            pointers=_POINTERS,
            anchors=_ANCHORS,
            past_pointers=False,
            far_pointers=False,
            slots=count if config.bucket is None else min(config.bucket, count),
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
        share = given(mask, self._device)
        grid = self._sizes.grid
        with running(self._device):
            assert encoded.prompt is not None  # `encode` makes it
            soft = resized(share, 16 * grid, antialias=True)
            pointer, _ = self._network.point(encoded.prompt, soft)
            if self._config.door == "loop":
                full = _seen_at_all(soft) * 20 - 10
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
                    own = answers.of(row, contexts[index].slots)
                    found[index] = self._answers(own, every)
        return [answer for index in range(len(contexts)) for answer in found[index]]

    def remember(self, encoded: Encoded, buckets: Sequence[Bucket]) -> list[Memory]:
        """Run the memory encoder on all slots of each bucket."""
        if not buckets:
            return []
        dtype = torch.bfloat16 if self._config.memory == "bfloat16" else torch.float32
        memories: list[Memory] = []
        with running(self._device):
            seen = slots.seen(buckets, parted=self._config.door == "state")
            for start in range(0, len(buckets), self._config.rows):
                some = slice(start, start + self._config.rows)
                found = self._fused(encoded, seen[some], buckets[some]).to(dtype)
                memories += [
                    Memory(
                        found[:, row : row + 1].contiguous(),
                        slots.pointers(bucket, self._count, self._sizes.width),
                        encoded.tokens,
                    )
                    for row, bucket in enumerate(buckets[some])
                ]
        return memories

    def _necks(self, hidden: Tensor) -> Encoded:
        prompt, (quadruple, double, coarse) = self._network.vision.necks(hidden)
        fine = self._network.sam_mask_decoder.fine(quadruple, double)
        tokens = coarse.flatten(2).permute(2, 0, 1)
        return Encoded(tokens, self._reader.places[:, None], fine, prompt)

    def _fused(
        self, encoded: Encoded, seen: Sequence[Mapping[int, Tensor]], buckets: Sequence[Bucket]
    ) -> Tensor:
        """Masks and frame by the memory encoder, [N, B, C]."""
        side = 16 * self._sizes.grid
        maps = [
            slots.maps(masks, bucket, self._count, side)
            for masks, bucket in zip(seen, buckets, strict=True)
        ]
        absent = torch.stack([slots.absent(bucket, self._count) for bucket in buckets])
        fused = self._network.remember(self._map(encoded.tokens), torch.stack(maps), absent)
        return fused.flatten(2).permute(2, 0, 1)

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
        rows = [[slot in context.slots for slot in range(self._count)] for context in contexts]
        return uploaded(torch.tensor(rows, dtype=torch.float32), self._device)

    def _answers(self, decoded: Decoded, every: bool) -> list[Hypothesis]:
        """Hypotheses of the objects of one bucket."""
        presence, iou, tokens = decoded.presence, decoded.iou, decoded.tokens
        low = torch.where(presence[:, None, None, None] > 0, decoded.masks, ABSENT).float()
        if not every:
            index, best = torch.arange(len(iou), device=iou.device), iou.argmax(-1)
            low, iou, tokens = (part[index, best][:, None] for part in (low, iou, tokens))
        full, pointers = self._enlarged(low), self._network.pointers(tokens, presence)
        # Raw IoU can leave 0..1, which is what everybody else takes it for.
        iou = iou.float().clamp(0, 1)
        return [
            Hypothesis(low[i], full[i], iou[i], presence[i].float(), pointers[i].float())
            for i in range(len(low))
        ]

    def _enlarged(self, low: Tensor) -> Tensor:
        """Logits [B, K, 4g, 4g] at the model's size, [B, K, S, S]."""
        return resized(low, self._sizes.image_size, antialias=False)

    def _map(self, tokens: Tensor) -> Tensor:
        """[N, B, C] as [B, C, g, g]."""
        grid = self._sizes.grid
        return tokens.permute(1, 2, 0).reshape(tokens.shape[1], -1, grid, grid)


def _seen_at_all(soft: Tensor) -> Tensor:
    """Shares of a mask in each pixel; of what is thinner than that, as shares of its largest.

    Nothing of it would be above one half, which is where memory sees an object.
    """
    largest = soft.max()
    return soft / torch.where(largest >= 0.5, 1.0, largest)


def build(model: Any, config: Config) -> Sam31Tracker:
    """Wrap a loaded `Network`; it is put into evaluation mode."""
    return Sam31Tracker(model.eval(), config)
