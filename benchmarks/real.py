"""What the tiny family can do on real clips, beside three ways that need no model.

    python benchmarks/real.py FOLDER                    # clips in MOSE layout, a label map a frame
    python benchmarks/real.py FOLDER --sam2 RUN --sam3 RUN --output numbers.json
    python benchmarks/real.py FOLDER --videos libby surf --ways sam2 hold

The first mask is given. J&F is that of DAVIS 2017 (semi-supervised), the mean over the objects of a
clip; the last line is the mean over clips with the half width of its 95 % interval (t distribution
over clips). Clips must be none of those that the weights were trained on.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from tiny_baselines import colour_histogram

from kit.core import images
from kit.core.masks import encode_png
from kit.core.types import FrameResult, Prompt
from kit.data import layout
from kit.labelling.overlaps import resolve_overlaps
from kit.metrics import protocol_video, protocols
from kit.propagators import flow, greedy, hold
from kit.runtime import models
from kit.trackers import sam2, sam3

Images = NDArray[np.uint8]  # [T, H, W, 3]
LabelMaps = NDArray[np.uint8]  # [T, H, W]
DAVIS = protocols.PROTOCOLS["davis2017"]


@dataclass(frozen=True)
class Real:
    """A clip: frames and true label maps."""

    name: str
    frames: Images
    labels: LabelMaps


Way = Callable[[Real], LabelMaps]


def clips_of(root: Path, names: Sequence[str]) -> Iterator[Real]:
    """Clips of a folder in MOSE layout, one after the other."""
    split = layout.Split(root, "JPEGImages", "Annotations", None)
    for name in names or split.videos():
        paths = sorted((root / "JPEGImages" / name).glob("*.jpg"))
        maps = [root / "Annotations" / name / f"{path.stem}.png" for path in paths]
        frames = np.stack([images.read_image(path) for path in paths])
        yield Real(name, frames, np.stack([images.read_labels(path) for path in maps]))


def given(clip: Real) -> list[Prompt]:
    """The first masks."""
    ids = [int(i) for i in np.unique(clip.labels[0]) if i]
    return [Prompt(0, i, clip.labels[0] == i, given=True) for i in ids]


def painted(clip: Real, results: Iterator[FrameResult]) -> LabelMaps:
    """Label maps of soft masks; the given ones are kept."""
    maps = np.zeros_like(clip.labels)
    for result in results:
        maps[result.frame] = resolve_overlaps(result.logits, result.object_ids)
    maps[0] = clip.labels[0]
    return maps


def j_and_f(clip: Real, maps: LabelMaps) -> float:
    """J&F of DAVIS, mean over objects."""
    truth, told = (
        {f"{t:05d}": encode_png(each) for t, each in enumerate(kind)}
        for kind in (clip.labels, maps)
    )
    tracks = protocol_video.evaluate_video(DAVIS, truth, told)
    return float(
        np.mean([(t.j.mean() + t.f.mean()) / 2 for t in tracks.values() if t.f is not None])
    )


def ways_of(args: argparse.Namespace) -> dict[str, Way]:
    """Each way of tracking that is asked for."""

    def tracked(kind: str, clip: Real) -> LabelMaps:
        library = {"sam2": sam2, "sam3": sam3}[kind]
        model = models.load(kind, {"source": getattr(args, kind)}, "cpu")
        tracker = library.build(model, library.Config(rows=8))
        return painted(clip, greedy.propagate(tracker, clip.frames, given(clip), greedy.Config()))

    ways: dict[str, Way] = {
        "sam2": partial(tracked, "sam2"),
        "sam3": partial(tracked, "sam3"),
        "hold": lambda c: painted(c, hold.propagate(None, c.frames, given(c), hold.Config())),
        "flow": lambda c: painted(c, flow.propagate(None, c.frames, given(c), flow.Config())),
        "colours": colour_histogram,
    }
    return {name: ways[name] for name in args.ways}


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval."""
    if len(values) < 2:
        return float(np.mean(values)), float("nan")
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return float(np.mean(values)), float(student.ppf(0.975, len(values) - 1)) * error


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path, help="folder with JPEGImages and Annotations")
    parser.add_argument("--videos", nargs="+", default=[], help="all if left out")
    names = ("sam2", "sam3", "hold", "flow", "colours")
    parser.add_argument("--ways", nargs="+", choices=names, default=names)
    for kind in ("sam2", "sam3"):
        parser.add_argument(f"--{kind}", default="tiny", help="folder of a trained model")
    parser.add_argument("--output", type=Path, help="write the numbers here too (.json)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = ways_of(args)
    rows: dict[str, dict[str, float]] = {}
    print(f"{'':20s}" + "".join(f"{name:>16s}" for name in ways))
    for clip in clips_of(args.root, args.videos):
        rows[clip.name] = {name: j_and_f(clip, way(clip)) for name, way in ways.items()}
        cells = "".join(f"{value:16.3f}" for value in rows[clip.name].values())
        print(f"{clip.name:20s}{cells}", flush=True)
    means = {name: mean_and_half([row[name] for row in rows.values()]) for name in ways}
    cells = "".join(f"{mean:8.3f} ± {half:.3f}" for mean, half in means.values())
    print(f"{'mean':20s}{cells}")
    if args.output:
        args.output.write_text(json.dumps({"clips": rows, "mean": means}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
