"""Carry the masks through the video: from the given one and its anchors to every frame.

Reads index, frames and anchors of one video; writes an archive of palette PNGs with the presence
and the quality of each object on each frame beside them.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import artifacts, images, masks
from kit.core.ahead import ahead
from kit.core.files import sha256
from kit.core.images import first_mask
from kit.core.types import Selection, Video
from kit.stages import settings
from kit.stages.propagation import Propagation

VERSION = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--anchors", type=Path, required=True, help="its anchors (.json)")
    parser.add_argument("--settings", type=settings.parsed, required=True, help="propagator, JSON")
    parser.add_argument("--tracks", type=Path, help="folder of the objects' tracks, to be kept")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="masks (.zip)")


def run(args: argparse.Namespace) -> None:
    """Propagate one video, or as much of it as changed since the last time."""
    video = artifacts.read_video(args.frames)
    selection = artifacts.read_anchors(args.anchors, video, {"video": video.digest})
    given = {o.id: first_mask(video, o) for o in video.objects}
    chosen = settings.block(args.settings, "tracker", "method")
    settings.block(chosen, "model", "source")
    prompts = prompts_of(video, given, selection)  # imports torch: checks first
    inputs = {"video": video.digest, "anchors": sha256(args.anchors)}

    from kit.runtime.job import on_device

    with on_device(f"masks of {video.name}", images.Frames(video), args.record) as job:
        shared = [VERSION, video.digest, args.settings, job.device_name]
        propagation = Propagation(job, args.settings, prompts, args.tracks, shared)

        def propagate(at_once: int) -> None:
            track = Track(video, given, prompts)
            pngs = track.paint(propagation.results(at_once))
            artifacts.write_masks(args.output, pngs, track.describe, inputs)

        job.fitting(propagate, len(video.objects), "objects", SMALLER)


SMALLER = (
    "By hand, give --tracks a folder: objects then go one after the other. Else " + settings.SMALLER
)


def prompts_of(video: Video, given: Mapping[int, masks.Mask], selection: Selection) -> list[Any]:
    """The given masks and the anchors, by object and time; an anchor never replaces the former."""
    from kit.core.types import Prompt

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


class Track:
    """Turns soft masks into label maps while noting what they were made of."""

    def __init__(
        self, video: Video, given: Mapping[int, masks.Mask], prompts: Sequence[Any] = ()
    ) -> None:
        self.video, self.given, self.prompts = video, given, prompts
        self.objects: dict[int, dict[str, dict[str, float]]] = {o.id: {} for o in video.objects}
        self.contested: dict[str, int] = {}
        self.claims: dict[str, dict[str, str]] = {}

    def paint(self, results: Iterable[Any]) -> Iterator[tuple[str, bytes]]:
        """(frame name, palette PNG) for every frame; those that no result covers are empty.

        Pixels are labelled and compressed in a thread, while the next frame is propagated.
        """
        return ahead(self._painted, self._covered(results))

    def _covered(self, results: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        """(frame name, result) for every frame; None where no result covers it."""
        found = iter(results)
        result = next(found, None)
        for index, name in enumerate(self.video.frames):
            if result is not None and result.frame == index:
                yield name, result
                result = next(found, None)
            else:
                yield name, None

    def describe(self) -> dict[str, Any]:
        """What `objects.json` says: prompts, and presence and predicted IoU by object and frame.

        Where two objects claim a pixel, also what each of them covers, as COCO run lengths: with
        these, presence and overlaps can be decided anew without propagating again.
        """
        return {
            "video": self.video.name,
            "shape": list(self.video.shape),
            "objects": {str(i): frames for i, frames in self.objects.items()},
            "prompted": {
                str(o.id): [self.video.frames[p.frame] for p in self.prompts if p.object_id == o.id]
                for o in self.video.objects
            },
            "contested": self.contested,
            "claims": self.claims,
        }

    def _painted(self, found: tuple[str, Any]) -> tuple[str, bytes]:
        name, result = found
        labels = np.zeros(self.video.shape, np.uint8) if result is None else self._labels(result)
        return name, masks.encode_png(labels)

    def _labels(self, result: Any) -> masks.LabelMap:
        name = self.video.frames[result.frame]
        labels = masks.resolve_overlaps(result.logits, result.object_ids)
        claimed = result.logits > 0
        contested = int((claimed.sum(0) > 1).sum())
        if contested:
            self.contested[name] = contested
            pairs = zip(result.object_ids, claimed, strict=True)
            self.claims[name] = {str(i): masks.encode_rle(mask) for i, mask in pairs}
        for i, presence, iou in zip(result.object_ids, result.presence, result.iou, strict=True):
            self.objects[i][name] = {
                "presence": round(float(presence), 3),
                "iou": round(float(iou), 4),
            }
        return self._with_given(name, labels)

    def _with_given(self, name: str, labels: masks.LabelMap) -> masks.LabelMap:
        """On the frame where an object was given, its pixels are exactly the user's."""
        for target in self.video.objects:
            if target.first_frame == name:
                mask = self.given[target.id]
                labels[(labels == target.id) & ~mask] = 0
                labels[mask] = target.id
        return labels
