"""Carry the masks through the video: from the given one and its anchors to every frame.

Reads index, frames and anchors of one video; writes an archive of palette PNGs with the presence
and the quality of each object on each frame beside them.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from kit.core import artifacts, images, masks
from kit.core.files import sha256
from kit.core.images import first_mask
from kit.core.mask_archive import write_masks
from kit.core.types import Prompt, Selection, Video
from kit.labelling.painter import Painter
from kit.stages import _settings
from kit.stages._propagation import Propagation
from kit.stages._tracker import library_of

VERSION = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--anchors", type=Path, required=True, help="its anchors (.json)")
    parser.add_argument("--settings", type=_settings.parsed, required=True, help="propagator, JSON")
    parser.add_argument("--tracks", type=Path, help="folder of the objects' tracks, to be kept")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="masks (.zip)")


def run(args: argparse.Namespace) -> None:
    """Propagate one video, or as much of it as changed since the last time."""
    video = artifacts.read_video(args.frames)
    selection = artifacts.read_anchors(args.anchors, video, {"video": video.digest})
    given = {o.id: first_mask(video, o) for o in video.objects}
    library_of(args.settings)  # before anything else is waited for
    prompts = prompts_of(video, given, selection)
    inputs = {"video": video.digest, "anchors": sha256(args.anchors)}

    from kit.runtime.job import on_device

    with on_device(f"masks of {video.name}", images.Frames(video), args.record) as job:
        shared = [VERSION, video.digest, args.settings, job.device_name]
        propagation = Propagation(job, args.settings, prompts, args.tracks, shared)

        def propagate(at_once: int) -> None:
            painter = Painter(video, given, prompts)
            pngs = painter.paint(propagation.results(at_once))
            write_masks(args.output, video, pngs, painter.describe, inputs)

        job.fitting(propagate, len(video.objects), "objects", SMALLER)


SMALLER = (
    "By hand, give --tracks a folder: objects then go one after the other. Else "
    + _settings.SMALLER
)


def prompts_of(video: Video, given: Mapping[int, masks.Mask], selection: Selection) -> list[Prompt]:
    """The given masks and the anchors, by object and time; an anchor never replaces the former."""
    starts = {o.id: video.index(o.first_frame) for o in video.objects}
    first = [Prompt(starts[i], i, mask, given=True) for i, mask in given.items()]
    mined = [
        Prompt(
            video.index(a.frame), a.object_id, masks.decode_rle(a.rle, *video.shape), given=False
        )
        for a in selection.anchors
        if video.index(a.frame) != starts[a.object_id]
    ]
    return sorted([*first, *mined], key=lambda p: (p.object_id, p.frame))
