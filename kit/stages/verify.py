"""Track masks back to their object's first frame: do they arrive at the mask that was given there?

What such a mask shows is then the object, or the tracker has fooled itself twice in the same way.
Reads the frames of one video and either anchors, or the masks of two rival results: of these, some
of the frames on which they disagree. Each mask starts alone, without the given one. Writes an IoU
per mask, and on how many frames of the way it was lost; on these selectors and fallbacks decide
without a model.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kit import plugins
from kit.core import artifacts, grounds, images
from kit.core.errors import ConfigError
from kit.core.files import sha256
from kit.core.images import first_mask
from kit.core.labels import Labels
from kit.core.masks import Mask, decode_rle
from kit.core.types import Cycle, FrameResult, FrameSource, Prompt, Video
from kit.propagators.track_back import Arrival, Claim, of_rivals, track_back
from kit.stages import _settings
from kit.stages._tracker import library_of, tracker_of

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--anchors", type=Path, help="anchors to track back (.json)")
    which.add_argument("--rivals", type=Path, nargs=2, help="two results to track back (.zip)")
    parser.add_argument(
        "--probes", type=int, default=3, help="frames of rivals per object (%(default)s)"
    )
    parser.add_argument("--settings", type=_settings.parsed, required=True, help="propagator, JSON")
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


def _arrivals(
    args: argparse.Namespace, video: Video, claims: Sequence[Claim], given: Mapping[int, Mask]
) -> list[Arrival]:
    library = library_of(args.settings)  # imports torch
    propagator = plugins.propagator(args.settings)
    if not propagator.runs_forward:
        raise ConfigError(
            f"--settings: `{propagator.name}`, set like this, cannot track back. Use one that goes "
            "forward (`direction: forward`); here it is run from the end of the video."
        )
    if not claims:
        return []

    from kit.runtime.job import on_device

    with on_device(f"verify {video.name}", images.Frames(video), args.record) as job:

        def propagate(frames: FrameSource, prompts: Sequence[Prompt]) -> Iterator[FrameResult]:
            tracker = tracker_of(job, library, args.settings)
            return job.each(propagator.propagate(tracker, frames, prompts))

        def arrive(at_once: int) -> list[Arrival]:
            parts = [claims[i : i + at_once] for i in range(0, len(claims), at_once)]
            back = [track_back(propagate, video, job.frames, part, given) for part in parts]
            return [arrival for part in back for arrival in part]

        return job.fitting(arrive, len(claims), "masks", _settings.SMALLER)


def _key(claim: Claim) -> tuple[int, str, str]:
    return claim.object_id, claim.frame, claim.who
