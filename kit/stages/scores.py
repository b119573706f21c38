"""Score the masks of one video with the official MOSEv2 measures.

Reads masks and ground truth; writes the measures of each object, with their curves over time.
"""

import argparse
from pathlib import Path

from kit.core import artifacts, label_maps, masks, pictures, png
from kit.core.errors import DataError
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import read_masks
from kit.core.scored import ObjectScores, VideoScores, write_scores
from kit.core.types import Video
from kit.metrics import counts, mosev2
from kit.metrics.objects import ObjectResult

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--masks", type=Path, required=True, help="its masks (.zip)")
    parser.add_argument("--output", type=Path, required=True, help="scores (.json)")


def run(args: argparse.Namespace) -> None:
    """Score one video against the label maps beside its frames."""
    video = artifacts.read_video(args.frames)
    read_masks(args.masks, video, {"video": video.digest})
    labels = Labels(args.masks, video)
    predicted = [labels.packed(frame) for frame in video.frames]
    truth = [_truth(video, frame) for frame in video.frames]
    ids = [o.id for o in video.objects]
    try:
        results = mosev2.evaluate_video(truth, predicted, ids)
    except Exception:  # what Pillow raises has no common base
        for frame in video.frames:
            label_maps.read_labels(video.annotation(frame), video.shape)  # names the damaged one
        raise
    scored = {
        i: ObjectScores(r.measures, r.j.tolist(), r.f_new.tolist(), *_pixels(r))
        for i, r in zip(ids, results, strict=True)
    }
    inputs = {"video": video.digest, "masks": sha256(args.masks)}
    write_scores(args.output, video.name, VideoScores(video.frames[1:-1], scored), inputs)


def _pixels(result: ObjectResult) -> list[list[int]]:
    """Pixels of the true mask, of the predicted one and of both, per evaluated frame."""
    columns = counts.AREA_GT, counts.AREA_PRED, counts.INTERSECTION
    return [result.counts[:, column].tolist() for column in columns]


def _truth(video: Video, frame: str) -> bytes:
    """A label map as the official scorer must be given it to see the ids that are meant."""
    path = video.annotation(frame)
    if not path.is_file():
        raise DataError(
            f"{path}: no ground truth for this frame. Set `data.ground_truth: false` for a split "
            "that is only masked on its first frames."
        )
    data = pictures.content(path)
    try:
        odd = png.trouble(data, png.decode(data))
    except Exception:  # what Pillow raises has no common base; the reader below names the damage
        odd = "damaged"
    return data if odd is None else masks.encode_png(label_maps.read_labels(path, video.shape))
