"""Search later frames for whatever looks like the target: candidates of its category.

Reads the index and the frames of one video; writes scored masks, a line per region.
"""

import argparse
from pathlib import Path

from kit import plugins
from kit.core import artifacts, images
from kit.core.errors import DataError
from kit.core.masks import Mask
from kit.core.types import Candidate, Video, VideoObject
from kit.detectors.base import Exemplar
from kit.stages import settings

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument(
        "--settings", type=settings.parsed, required=True, help="detector preset, JSON"
    )
    parser.add_argument("--batch", type=int, default=4, help="frames per forward (%(default)s)")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="candidates (.jsonl.zst)")


def run(args: argparse.Namespace) -> None:
    """Find the candidates of one video."""
    video = artifacts.read_video(args.frames)
    exemplars = [
        Exemplar(o.id, video.index(o.first_frame), first_mask(video, o)) for o in video.objects
    ]
    weights = settings.block(args.settings, "model", "source")
    method, config = plugins.configured("detectors", args.settings)  # imports torch: checks first

    from kit.runtime.job import on_device

    with on_device(f"candidates of {video.name}", images.Frames(video), args.record) as job:
        model = job.load(method.MODEL, weights)

        def detect(batch: int) -> list[Candidate]:
            with job.timed():
                return list(method.detect(model, video, job.frames, exemplars, config, batch))

        found = job.fitting(detect, args.batch, "frames", settings.SMALLER)
        artifacts.write_candidates(args.output, video, found)


def first_mask(video: Video, target: VideoObject) -> Mask:
    """The user's mask of an object, `bool[H, W]`, not empty.

    Raises:
        DataError: The label map is gone, or is not the one that was indexed.
    """
    path = video.annotation(target.first_frame)
    mask: Mask = images.read_labels(path, video.shape) == target.id
    if not mask.any():
        raise DataError(
            f"{path}: shows no object {target.id}, though it did when the video was indexed. "
            "Was the mask replaced? Run the frames stage again."
        )
    return mask
