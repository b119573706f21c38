"""Compare candidates and anchors with ground truth: is there something to choose, is it right?

Needs no propagation. Candidate recall tells how much a recipe can gain at most; anchor precision
and the distance to the gaps, whether its anchors help or mislead. `--masks`, the masks of a first
pass, tells where gaps are; without it, they are taken to begin where an object first returns.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit.core import artifacts, files, images
from kit.core.errors import ArtifactError, DataError
from kit.core.masks import LabelMap
from kit.core.types import Selection, Video
from kit.metrics import mining, png


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="folder of indices")
    parser.add_argument("--candidates", type=Path, required=True, help="folder of candidates")
    parser.add_argument("--anchors", type=Path, help="folder of decisions made of them")
    parser.add_argument("--masks", type=Path, help="folder of masks of a first pass")
    parser.add_argument("--videos", nargs="+", help="names of the videos (all)")
    parser.add_argument("--output", type=Path, required=True, help="numbers to write (.json)")


def run(args: argparse.Namespace) -> None:
    """Audit all videos, write the numbers and print the tables."""
    names = args.videos or sorted(path.stem for path in args.frames.glob("*.json"))
    if not names:
        raise ArtifactError(f"{args.frames}: no index of a video here. Run the frames stage first.")
    objects = {
        f"{name}_{object_id}": audited
        for name in names
        for object_id, audited in _audit_video(args, name).items()
    }
    totals = mining.summary(list(objects.values()))
    single = {
        name: {**mining.summary([o]), "anchors": [asdict(a) for a in o.anchors]}
        for name, o in objects.items()
    }
    files.write_json(args.output, {"schema": "audit/1", **totals, "objects": single})
    print(table(totals), end="")


def table(totals: Mapping[str, Any]) -> str:
    """The numbers of `kit.metrics.mining.summary` for people, shares in percent."""
    lines = [f"{'candidates':<18}{'frames':<8}{'visible':>8}{'IoU 0.5':>9}{'IoU 0.75':>9}"]
    for source, by_gap in totals["recall"].items():
        for where, row in by_gap.items():
            shares = f"{_percent(row['right']):>9}{_percent(row['good']):>9}"
            lines.append(f"{source:<18}{where:<8}{row['frames']:>8}{shares}")
    found = totals["precision"]
    median = found["median_distance"]
    lines += [
        "",
        f"anchors                    {found['anchors']}",
        f"  show the target          {_percent(found['right'])}",
        f"  show another object      {_percent(found['distractor'])}",
        f"  frames to the next gap   {'-' if median is None else f'{median:g}'} (median)",
    ]
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _audit_video(args: argparse.Namespace, name: str) -> dict[int, mining.Audited]:
    video = artifacts.read_video(args.frames / f"{name}.json")
    path = args.candidates / f"{name}.jsonl.zst"
    candidates = artifacts.read_candidates(path, video)
    selection = Selection([], [])
    if args.anchors is not None:
        made_of = {"video": video.digest, "candidates": files.sha256(path)}
        selection = artifacts.read_anchors(args.anchors / f"{name}.json", video, made_of)
    tracked = None if args.masks is None else _tracked(args.masks / f"{name}.zip", video)
    truth = (_truth(video, frame) for frame in video.frames)
    return mining.audit(video, truth, candidates, selection, tracked)


def _truth(video: Video, frame: str) -> LabelMap:
    path = video.annotation(frame)
    if not path.is_file():
        raise DataError(
            f"{path}: no ground truth for this frame. An audit compares with the label maps of "
            "every frame, not of the first ones alone."
        )
    return images.read_labels(path, video.shape)


def _tracked(path: Path, video: Video) -> Iterator[LabelMap]:
    artifacts.read_masks(path, {"video": video.digest})
    found = dict(artifacts.read_pngs(path))
    if list(found) != list(video.frames):
        raise ArtifactError(
            f"{path}: masks of {len(found)} frames, not those of the video's {len(video.frames)}. "
            + files.rebuild_hint(path)
        )
    for frame, data in found.items():
        labels = png.decode(data)
        if labels.shape != video.shape:
            height, width = labels.shape
            raise ArtifactError(
                f"{path}: the mask of {frame} is {width}x{height}, the frames are "
                f"{video.width}x{video.height}. {files.rebuild_hint(path)}"
            )
        yield labels
