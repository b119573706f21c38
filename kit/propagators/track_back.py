"""Masks tracked back to their object's first frame: do they arrive at the one given there?"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kit.core.masks import LabelMap, Mask, iou
from kit.core.types import FrameResult, FrameSource, Prompt, Video
from kit.propagators.backward import Reversed

AGREE = 0.5  # IoU from which two results say the same of a frame
LabelMaps = Mapping[str, LabelMap]  # by frame
Propagate = Callable[[FrameSource, Sequence[Prompt]], Iterable[FrameResult]]


@dataclass(frozen=True)
class Claim:
    """A mask that is said to show an object.

    Attributes:
        object_id: The object.
        frame: Name of its frame.
        who: See `Cycle.claim`.
        mask: `bool[H, W]`; an empty one says that it is not there.
    """

    object_id: int
    frame: str
    who: str
    mask: Mask


class Arrival(NamedTuple):
    """What came of a claim: see `Cycle`."""

    iou: float
    gone: int


def of_rivals(first: LabelMaps, second: LabelMaps, video: Video, most: int) -> Iterator[Claim]:
    """What two results say of frames on which they disagree, at most so many per object.

    Frames are taken evenly over those in question. Both say something of each of them, and be it
    that the object is not there: what one of them leaves out counts as much as what it draws.
    """
    for target in video.objects:
        disputed = []
        for frame in video.frames[video.index(target.first_frame) + 1 :]:
            rivals = [labels[frame] == target.id for labels in (first, second)]
            if iou(rivals[0], rivals[1]) < AGREE:
                disputed.append((frame, rivals))
        places = {(2 * i + 1) * len(disputed) // (2 * most) for i in range(most)}
        for frame, rivals in (disputed[place] for place in sorted(places) if disputed):
            for who, mask in zip(("first", "second"), rivals, strict=True):
                yield Claim(target.id, frame, who, mask)


def track_back(
    propagate: Propagate,
    video: Video,
    frames: FrameSource,
    claims: Sequence[Claim],
    given: Mapping[int, Mask],
) -> list[Arrival]:
    """How each claim arrives at the given mask; frames are encoded once for all.

    Args:
        propagate: (frames, prompts) to results, in the order of the frames.
        video: The index.
        frames: Its pictures.
        claims: N masks, not empty, after their object's first frame.
        given: Its first mask by object id.
    """
    last = len(frames) - 1
    starts = {o.id: video.index(o.first_frame) for o in video.objects}
    prompts = [
        Prompt(last - video.index(c.frame), number, c.mask, given=True)
        for number, c in enumerate(claims, 1)
    ]
    found: dict[int, Arrival] = {}
    gone = dict.fromkeys(range(1, len(claims) + 1), 0)
    for result in propagate(Reversed(frames), prompts) if prompts else ():
        for number, logits in zip(result.object_ids, result.logits, strict=True):
            target, mask = claims[number - 1].object_id, logits > 0
            if starts[target] == last - result.frame:
                found[number] = Arrival(iou(mask, given[target]), gone[number])
            gone[number] += not mask.any()
        if len(found) == len(claims):
            break
    return [found[number] for number in range(1, len(claims) + 1)]
