"""What a tracker is: four verbs over one frame and the memories it is handed.

A tracker knows neither videos nor objects nor frame numbers. Which memories a frame recalls, in
which order and with which weights, and which of the three hypotheses lives on, is decided by a
propagator. A row is a bucket: the slots of objects that share memories. SAM 2 and SAM 3 have one
slot, SAM 3.1 has sixteen. Sizes: S is the side of the model's square input, h*w its coarsest
feature map (S/16 or S/14 a side), C the feature width (256), M the memory width (64; SAM 3.1: C),
B rows (buckets x pathways).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from kit.core.masks import Mask
from kit.core.types import Image


@dataclass(frozen=True, eq=False)
class Encoded:
    """Features of one frame, shared by every object and pathway.

    Attributes:
        tokens: float32 [h*w, 1, C], the coarsest level.
        position: float32 [h*w, 1, C], its sine position code.
        fine: The two finer levels for the mask decoder, [1, C/8, 4h, 4w] and [1, C/4, 2h, 2w].
        prompt: float32 [1, C, h, w], what prompts are read with where that is not `tokens`.
    """

    tokens: Tensor
    position: Tensor
    fine: tuple[Tensor, Tensor]
    prompt: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """K answers to one question, where one object is in one frame, that share a presence score.

    Attributes:
        logits: float32 [K, 4h, 4w], mask logits; a mask is `logits > 0`, an absent object -1024.
        full: float32 [K, S, S], the logits as the memory encoder wants them (SAM 3.1: any side).
        iou: float32 [K], predicted IoU of each mask, 0..1.
        presence: float32 [], object score logit; present when > 0.
        pointers: float32 [K, C], object pointers.
        prompted: Made from a prompt's mask and not by the decoder.
    """

    logits: Tensor
    full: Tensor
    iou: Tensor
    presence: Tensor
    pointers: Tensor
    prompted: bool = False

    def pick(self, index: int) -> "Hypothesis":
        """One of the K answers, as a hypothesis with K = 1 (views, nothing is copied)."""
        one = slice(index, index + 1)
        return Hypothesis(
            self.logits[one],
            self.full[one],
            self.iou[one],
            self.presence,
            self.pointers[one],
            self.prompted,
        )

    def for_output(self) -> "Hypothesis":
        """A copy of what a result needs, free of its siblings."""
        nothing = self.full.new_empty(0)
        logits = self.logits.clone()  # of the others views will do, they are a few numbers
        return Hypothesis(logits, nothing, self.iou, self.presence, nothing, self.prompted)


Bucket = Sequence[Hypothesis | None]  # slot by slot; None, or the end: the slot is empty


@dataclass(frozen=True, eq=False)
class Memory:
    """What is kept of one bucket in one frame.

    Attributes:
        spatial: bfloat16 [h*w, 1, M], masks and frame fused by the memory encoder.
        pointer: float32 [slots, C], object pointers; zeros for an empty slot.
        image: float32 [h*w, 1, C], the frame's own tokens, for models that recall them too.
    """

    spatial: Tensor
    pointer: Tensor
    image: Tensor | None = None

    def without_place(self) -> "Memory":
        """The pointer alone: what is left once spatial attention no longer reaches back so far."""
        return Memory(self.spatial.new_empty(0), self.pointer)


@dataclass(frozen=True, eq=False)
class Recall:
    """A memory in one of its two roles.

    Attributes:
        memory: The memory.
        position: As spatial memory its age in temporal codes, 1 the last frame, up to
            `Span.recent`. Of a prompted frame, and as pointer, its distance to the present frame in
            frames, positive for the past. What code that becomes is the tracker's business.
        weight: Factor on its attention keys (not values), SAM2Long's modulation; 1 leaves them.
        prompted: It is the memory of a prompted frame, or of one held on to like that.
    """

    memory: Memory
    position: int
    weight: float = 1.0
    prompted: bool = False


@dataclass(frozen=True, eq=False)
class Context:
    """All that one row attends to, in the order in which attention concatenates it.

    Attributes:
        spatial: Memories attended to place by place; at least one.
        pointers: Memories attended to by their object pointers; may be empty.
        horizon: Distances of pointers are divided by this, > 0.
        slots: Those that hold an object, ascending.
    """

    spatial: tuple[Recall, ...]
    pointers: tuple[Recall, ...]
    horizon: int
    slots: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Span:
    """How far a model's memory reaches, and over how many objects.

    Attributes:
        recent: Most spatial memories beside those of prompted frames (num_maskmem - 1).
        pointers: Most frames, the present one included, that pointers reach back.
        anchors: Most prompted frames whose spatial memory is attended to; None is all.
        past_pointers: Pointers of prompted frames still to come are left out.
        far_pointers: Pointers of prompted frames count even where `anchors` leaves them out.
        slots: Most objects that one memory can hold.
    """

    recent: int
    pointers: int
    anchors: int | None
    past_pointers: bool
    far_pointers: bool
    slots: int = 1


class Tracker(Protocol):
    """Promptable video segmenter as four verbs.

    Invariant: no call changes the tracker; the same arguments give the same tensors.
    """

    @property
    def large(self) -> bool:
        """Whether its vision trunk is of the largest size: SAM 2's Hiera-L, SAM 3's ViT."""
        ...

    @property
    def span(self) -> Span:
        """How far memory reaches."""
        ...

    def encode(self, image: Image) -> Encoded:
        """Features of a frame, uint8 [H, W, 3] RGB at any size."""
        ...

    def condition(self, encoded: Encoded, mask: Mask) -> Hypothesis:
        """Take a prompt, bool [H, W] at any size, as a hypothesis beyond doubt (K = 1).

        Raises:
            DataError: The mask is empty.
        """
        ...

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        """Find the objects of each row in the frame.

        Args:
            encoded: The frame.
            contexts: One per row.
            every: Return all three masks (K = 3) instead of the one of highest predicted IoU.

        Returns:
            A hypothesis per object: rows in the order of the contexts, within a row its slots.
        """
        ...

    def remember(self, encoded: Encoded, buckets: Sequence[Bucket]) -> list[Memory]:
        """Fuse each bucket with the frame.

        Args:
            encoded: The frame.
            buckets: Of hypotheses (K = 1), prompted or not; at least one in each.
        """
        ...
