"""Track masks back to their object's first frame: do they arrive at the mask that was given there?

What such a mask shows is then the object, or the tracker has fooled itself twice in the same way.
Reads the frames of one video and either anchors, or the masks of two rival results: of these, some
of the frames on which they disagree. Each mask starts alone, without the given one. Writes an IoU
per mask, and on how many frames of the way it was lost; on these selectors and fallbacks decide
without a model.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from kit import plugins
from kit.core import artifacts, grounds, images
from kit.core.errors import ConfigError
from kit.core.files import sha256
from kit.core.images import first_mask
from kit.core.labels import Labels
from kit.core.masks import Mask, decode_rle, iou
from kit.core.types import Cycle, FrameSource, Video
from kit.stages import settings

VERSION = 2
AGREE = 0.5  # IoU from which two results say the same of a frame


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--anchors", type=Path, help="anchors to track back (.json)")
    which.add_argument("--rivals", type=Path, nargs=2, help="two results to track back (.zip)")
    parser.add_argument(
        "--probes", type=int, default=3, help="frames of rivals per object (%(default)s)"
    )
    parser.add_argument("--settings", type=settings.parsed, required=True, help="propagator, JSON")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="what came of them (.json)")


def run(args: argparse.Namespace) -> None:
    """Track the masks of one video back."""
    video = artifacts.read_video(args.frames)
    given = {o.id: first_mask(video, o) for o in video.objects}
    if args.anchors is not None:
        claims, inputs = list(of_anchors(args.anchors, video)), {"anchors": sha256(args.anchors)}
    else:
        first, second = (Labels(path, video) for path in args.rivals)
        claims = list(of_rivals(first, second, video, args.probes))
        inputs = {"first_masks": sha256(args.rivals[0]), "masks": sha256(args.rivals[1])}
    starts = {o.id: video.index(o.first_frame) for o in video.objects}
    shown = [c for c in claims if c.mask.any() and video.index(c.frame) > starts[c.object_id]]
    found = dict(zip(map(_key, shown), _arrivals(args, video, shown, given), strict=True))
    cycles = [Cycle(c.object_id, c.frame, c.who, *found.get(_key(c), (None,))) for c in claims]
    grounds.write_cycles(args.output, video, cycles, {"video": video.digest, **inputs})


def of_anchors(path: Path, video: Video) -> Iterator[Claim]:
    """Every anchor."""
    for anchor in artifacts.read_anchors(path, video, {"video": video.digest}).anchors:
        mask = decode_rle(anchor.rle, *video.shape)
        yield Claim(anchor.object_id, anchor.frame, "anchor", mask)


def of_rivals(first: Labels, second: Labels, video: Video, most: int) -> Iterator[Claim]:
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
    propagate: Any,
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
    from kit.core.types import Prompt
    from kit.propagators.stream import Reversed

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


def _arrivals(
    args: argparse.Namespace, video: Video, claims: Sequence[Claim], given: Mapping[int, Mask]
) -> list[Arrival]:
    chosen = settings.block(args.settings, "tracker", "method")
    weights = settings.block(chosen, "model", "source")
    propagator, config = plugins.configured("propagators", args.settings)  # imports torch
    library, switches = plugins.configured("trackers", chosen)
    if getattr(config, "direction", "forward") != "forward":
        raise ConfigError(
            f"--settings: direction `{config.direction}` cannot track back; use `forward`, which "
            "is run from the end of the video here."
        )
    if not claims:
        return []

    from kit.runtime.job import on_device

    with on_device(f"verify {video.name}", images.Frames(video), args.record) as job:

        def propagate(frames: FrameSource, prompts: Sequence[Any]) -> Iterator[Any]:
            tracker = library.build(job.load(chosen["method"], weights), switches)
            return job.each(propagator.propagate(tracker, frames, prompts, config))

        def arrive(at_once: int) -> list[Arrival]:
            parts = [claims[i : i + at_once] for i in range(0, len(claims), at_once)]
            back = [track_back(propagate, video, job.frames, part, given) for part in parts]
            return [arrival for part in back for arrival in part]

        return job.fitting(arrive, len(claims), "masks", settings.SMALLER)


def _key(claim: Claim) -> tuple[int, str, str]:
    return claim.object_id, claim.frame, claim.who
