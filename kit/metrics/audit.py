"""Compare candidates and anchors with ground truth: is there something to choose, is it right?

Needs no propagation. Candidate recall tells how much a recipe can gain at most; anchor precision
and the distance to the gaps, whether its anchors help or mislead. `--masks`, the masks of a first
pass, tells where gaps are; without it, they are taken to begin where an object first returns.
"""

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kit.core import artifacts, files, label_maps
from kit.core.audits import Audited
from kit.core.errors import ArtifactError, DataError
from kit.core.labels import Labels
from kit.core.mask_archive import read_masks
from kit.core.masks import LabelMap
from kit.core.types import Selection, Video
from kit.metrics import mining


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="folder of indices")
    parser.add_argument("--candidates", type=Path, required=True, help="folder of candidates")
    parser.add_argument("--anchors", type=Path, help="folder of decisions made of them")
    parser.add_argument("--masks", type=Path, help="folder of masks of a first pass")
    parser.add_argument("--videos", nargs="+", action="extend", help="names of the videos (all)")
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


def of_video(
    video: Video,
    candidates: Path,
    anchors: Path | None,
    tracked: Iterable[LabelMap] | None = None,
) -> dict[int, Audited]:
    """Compare the files of one video with its ground truth.

    Args:
        video: The index.
        candidates: All that was found.
        anchors: A decision made of them.
        tracked: Label maps of a first pass.
    """
    found = artifacts.read_candidates(candidates, video)
    selection = Selection([], [])
    if anchors is not None:
        made_of = {"video": video.digest, "candidates": files.sha256(candidates)}
        selection = artifacts.read_anchors(anchors, video, made_of)
    truth = (_truth(video, frame) for frame in video.frames)
    return mining.audit(video, truth, found, selection, tracked)


def _audit_video(args: argparse.Namespace, name: str) -> dict[int, Audited]:
    video = artifacts.read_video(args.frames / f"{name}.json")
    tracked = None
    if args.masks is not None:
        masks = args.masks / f"{name}.zip"
        read_masks(masks, video, {"video": video.digest})
        tracked = Labels(masks, video).values()
    anchors = args.anchors and args.anchors / f"{name}.json"
    return of_video(video, args.candidates / f"{name}.jsonl.zst", anchors, tracked)


def _truth(video: Video, frame: str) -> LabelMap:
    path = video.annotation(frame)
    if not path.is_file():
        raise DataError(
            f"{path}: no ground truth for this frame. An audit compares with the label maps of "
            "every frame, not of the first ones alone."
        )
    return label_maps.read_labels(path, video.shape)
