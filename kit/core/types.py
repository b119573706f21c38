"""The nouns that stages hand to methods. Plain frozen data; frames are known by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kit.core.masks import LabelMap, Mask, box_of, decode_rle

Image = NDArray[np.uint8]  # [H, W, 3], RGB
FloatArray = NDArray[np.float32]


class FrameSource(Protocol):
    """The frames of a video in temporal order, decoded when asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Image: ...


@dataclass(frozen=True)
class VideoObject:
    """An object to segment: its id and the first frame on which an annotation shows it."""

    id: int
    first_frame: str


@dataclass(frozen=True)
class Video:
    """The checked index of one video: contiguous frames of one size, and its objects by id.

    Attributes:
        name: Folder name in the data set.
        height: Pixels.
        width: Pixels.
        frames: Names without suffix, in temporal order ("00000", "00001", ...).
        images: Folder of the frame images.
        suffix: Of the image files, with the dot.
        annotations: Folder of the label maps.
        objects: Ascending ids, 1..254.
        digest: SHA-256 over frame names, their bytes and the first masks: the content's identity,
            wherever the files lie.
    """

    name: str
    height: int
    width: int
    frames: tuple[str, ...]
    images: Path
    suffix: str
    annotations: Path
    objects: tuple[VideoObject, ...]
    digest: str

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def index(self, frame: str) -> int:
        """Position of a frame in time."""
        return self.frames.index(frame)

    def image(self, frame: str) -> Path:
        """Path of a frame's image."""
        return self.images / f"{frame}{self.suffix}"

    def annotation(self, frame: str) -> Path:
        """Path of a frame's label map."""
        return self.annotations / f"{frame}.png"


@dataclass(frozen=True)
class Candidate:
    """A region of one frame that may be the object.

    Attributes:
        frame: Name of the frame. On the object's own first frame it is known not to be the object.
        object_id: The object it was sought for.
        score: Of the detector, 0..1.
        rle: COCO run lengths of the mask.
        shape: (height, width) of the frame.
        source: The method that proposed it.
    """

    frame: str
    object_id: int
    score: float
    rle: str
    shape: tuple[int, int]
    source: str

    @property
    def mask(self) -> Mask:
        """`bool[H, W]`, decoded at each call."""
        return decode_rle(self.rle, *self.shape)

    @property
    def box(self) -> NDArray[np.float32]:
        """Tight box of the mask, `float32[4]` xyxy in pixels."""
        return box_of(self.mask)


@dataclass(frozen=True)
class Features:
    """Unit feature vectors of one video.

    Attributes:
        candidates: `float32[N, D]`, rows aligned with the candidates.
        pools: Per object id `float32[V, D]`, the transformed views of its first mask.
    """

    candidates: NDArray[np.float32]
    pools: dict[int, NDArray[np.float32]]


@dataclass(frozen=True)
class Anchor:
    """A mined mask that will condition propagation beside the given one.

    Attributes:
        frame: Name of the frame.
        object_id: Whom it shows.
        rle: COCO run lengths of the mask.
        score: Similarity to the target, cosine in [-1, 1].
        margin: Lead over the next best candidate of the same frame; None without a rival.
        reason: Why it was chosen, for people.
    """

    frame: str
    object_id: int
    rle: str
    score: float
    margin: float | None
    reason: str


@dataclass(frozen=True)
class Rejected:
    """A frame's best candidate that did not become an anchor, and why."""

    frame: str
    object_id: int
    score: float
    reason: str


@dataclass(frozen=True)
class Selection:
    """What a selector decided for one video, sorted by object and frame."""

    anchors: Sequence[Anchor]
    rejected: Sequence[Rejected]


@dataclass(frozen=True, eq=False)
class Prompt:
    """A mask to start from or to hold on to.

    Attributes:
        frame: Index of the frame.
        object_id: Whom it shows.
        mask: bool [H, W] at video size, not empty.
        given: The user's own mask; False for a mined anchor.
    """

    frame: int
    object_id: int
    mask: Mask
    given: bool


@dataclass(frozen=True, eq=False)
class FrameResult:
    """Soft masks of one frame; who wins an overlap is decided elsewhere.

    Attributes:
        frame: Index of the frame.
        object_ids: The N objects that have started, ascending.
        logits: float32 [N, H, W] at video size; a mask is `logits > 0`.
        presence: float32 [N], object score logit; +10 on prompted frames.
        iou: float32 [N], predicted IoU of the emitted mask, 0..1; 1 on prompted frames.
        low: float32 [N, h, w], the logits in the size of the decoder, before they were enlarged.
    """

    frame: int
    object_ids: tuple[int, ...]
    logits: FloatArray
    presence: FloatArray
    iou: FloatArray
    low: FloatArray


@dataclass(frozen=True)
class State:
    """What a propagation says of one object on one frame.

    Attributes:
        presence: Object score logit; present when > 0.
        iou: Predicted IoU of its mask, 0..1.
    """

    presence: float
    iou: float


@dataclass(frozen=True)
class Verdict:
    """What an object's two results earn on the frames on which they disagree, 0..1 on average."""

    first: float
    second: float

    @property
    def stands(self) -> str:
        """Which result is taken: "second" if it earns no less."""
        return "second" if self.second >= self.first else "first"


@dataclass(frozen=True)
class MaskNotes:
    """What a masks archive says beside its label maps, in `objects.json`.

    With these, presence and overlaps can be decided again without propagating.

    Attributes:
        states: By object id and frame, as far as the object was followed.
        prompted: By object id, the frames on which it was prompted.
        contested: By frame, how many pixels several objects claimed; frames without any left out.
        claims: By contested frame and object id, all that the object covers, COCO run lengths.
        verdicts: By object id, what a fallback decided; empty where none did.
    """

    states: Mapping[int, Mapping[str, State]]
    prompted: Mapping[int, Sequence[str]]
    contested: Mapping[str, int] = field(default_factory=dict)
    claims: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    verdicts: Mapping[int, Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class FirstPass:
    """What an earlier recipe left of a video, to go on from.

    Attributes:
        anchors: It was conditioned with, beside the given masks.
        states: By object id and frame, as far as the object was followed.
        labels: Its label maps by frame; may decode at each look.
    """

    anchors: Sequence[Anchor]
    states: Mapping[int, Mapping[str, State]]
    labels: Mapping[str, LabelMap]

    def mask(self, object_id: int, frame: str) -> Mask:
        """`bool[H, W]`, empty where it shows nothing."""
        mask: Mask = self.labels[frame] == object_id
        return mask

    def accepted(self, video: Video, object_id: int) -> list[tuple[int, Mask]]:
        """(index of the frame, mask) of each anchor of an object, in temporal order."""
        anchors = sorted(self.anchors, key=lambda a: a.frame)
        return [
            (video.index(a.frame), decode_rle(a.rle, *video.shape))
            for a in anchors
            if a.object_id == object_id
        ]

    def until_lost(self, video: Video) -> "FirstPass":
        """The same, but sure of no object from the first frame on that does not show it.

        Whom it shows afterwards may be another one: it can be sure of a look-alike too.
        """
        states: dict[int, Mapping[str, State]] = {}
        for object_id, told in self.states.items():
            lost = (f for f in video.frames if f in told and not self.sure(object_id, f, -1.0))
            end = next(lost, None)
            before = video.frames[: None if end is None else video.index(end)]
            states[object_id] = {f: told[f] for f in before if f in told}
        return replace(self, states=states)

    def sure(self, object_id: int, frame: str, least: float) -> bool:
        """Whether it shows an object, and predicts an IoU of at least `least`."""
        state = self.states[object_id].get(frame)
        if state is None or state.presence <= 0 or state.iou < least:
            return False
        return bool(self.mask(object_id, frame).any())


@dataclass(frozen=True)
class Cycle:
    """What came of a mask that was tracked back to its object's first frame.

    Attributes:
        object_id: Whose mask it claims to be.
        frame: Name of the frame on which it stands.
        claim: Where it is from: "anchor", or one of two rival results, "first" and "second".
        iou: Of what was found on the first frame with the given mask; None if there is no mask.
        gone: Frames on the way on which the tracker found nothing.
    """

    object_id: int
    frame: str
    claim: str
    iou: float | None
    gone: int = 0


@dataclass(frozen=True)
class Evidence:
    """All that the anchors of a video are chosen on.

    Attributes:
        candidates: Regions that may be one of its objects; empty if none are mined.
        features: Of them, in the same order.
        first: What a first pass left, if there was one.
        proposals: Another selector's decision, if this one only verifies.
        cycles: What came of its anchors.
    """

    candidates: Sequence[Candidate]
    features: Features
    first: FirstPass | None = None
    proposals: Selection | None = None
    cycles: Sequence[Cycle] = field(default=())
