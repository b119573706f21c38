"""Score a folder or archive of predictions as the MOSEv2 server does, and say what it does not.

With --protocol as the evaluator of another benchmark does: see `kit.metrics.protocols`.

Writes scores.txt and metrics.json as the organisers do; raw.json, details.json and curves.json
hold unrounded numbers, intervals over videos, bins, segments and the curves over time.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.core.clutter import is_clutter
from kit.core.errors import DataError, KitError, SubmissionError
from kit.core.files import MAX_JSON_BYTES, parse_json
from kit.metrics import benchmark, report
from kit.metrics.folders import Folder, Truth, open_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--gt", type=Path, required=True, help="folder of ground-truth videos")
    parser.add_argument("--pred", type=Path, required=True, help="folder or ZIP of predictions")
    parser.add_argument("--protocol", choices=benchmark.NAMES, default=benchmark.MOSEV2,
                        help="whose rules (%(default)s)")  # fmt: skip
    parser.add_argument("--meta", type=Path, help="meta file of the set: MOSEv2, LVOS, YouTube-VOS")
    parser.add_argument("--unseen", type=Path, help="list of unseen videos or categories")
    parser.add_argument("--output", type=Path, required=True, help="folder of results to write")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """Score and print the numbers of the set; warnings go to the error stream."""
    if args.protocol != benchmark.MOSEV2:
        print(benchmark.score(args), end="")
        return
    if args.meta is None or args.unseen is not None:
        raise DataError("the MOSEv2 score needs --meta, the organisers' file, and no --unseen.")
    videos = scored(args.gt, args.meta)
    try:
        found = report.score(args.gt, args.pred, args.meta, args.output, args.workers, True, videos)
    except (KitError, KeyboardInterrupt):
        raise
    except Exception as error:  # the organisers' scorer raises a dozen classes, and so do we
        raise SubmissionError(
            f"{args.pred}: the official scorer stops here, and the server with it: "
            f"{type(error).__name__}: {error}. `kit check` lists every defect and its fix."
        ) from error
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(report.scores_text(found.scores), end="")


def scored(gt: Path, meta: Path) -> list[str]:
    """The videos that are in both the ground truth and the meta file; says which are not.

    The organisers' scorer takes all that lies in its folder, where both are of one set. Here the
    one may be all of train and the other a hold-out of it.

    Raises:
        DataError: either cannot be read, they have no video in common, or they differ in a length.
    """
    listed = _listed(meta)
    truth = Truth(_opened(gt), listed)
    videos = [name for name in truth.names() if truth.is_folder(name)]
    if not videos:
        raise DataError(
            f"{gt}: holds no video of {meta}, which lists {len(listed)}, such as {min(listed)!r}. "
            "Give the folder of label maps (Annotations) of the same set."
        )
    for name in videos:
        found, told = len(truth.names(name)), listed[name].get("length")
        if found != told:
            raise DataError(
                f"{gt}/{name}: {found} label maps, but {meta} gives the video {told} frames. The "
                "official scorer needs ground truth for every frame: is it all there?"
            )
    _tell_left_out(gt, meta, set(videos), listed)
    return videos


def _tell_left_out(gt: Path, meta: Path, videos: set[str], listed: Mapping[str, Any]) -> None:
    others = [n for n in _opened(gt).names() if n not in listed and not is_clutter(n)]
    if others:
        print(
            f"warning: {gt}: {len(others)} videos are not in {meta}, such as {others[0]}, and left "
            f"out: scored are the {len(videos)} that are",
            file=sys.stderr,
        )
    if missing := sorted(listed.keys() - videos):
        print(
            f"warning: {gt}: no ground truth of {len(missing)} of {len(listed)} videos in {meta}, "
            f"such as {missing[0]}: they do not count",
            file=sys.stderr,
        )


def _opened(gt: Path) -> Folder:
    if not gt.exists():
        raise DataError(f"{gt}: no such folder of ground truth.")
    return open_folder(gt)


def _listed(path: Path) -> dict[str, dict[str, Any]]:
    """The videos of a meta file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"{path.stat().st_size} bytes, at most {MAX_JSON_BYTES}")
        videos = parse_json(path.read_bytes())["videos"]
        if not videos or not all(isinstance(entry, dict) for entry in videos.values()):
            raise TypeError("no objects by name")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: cannot be read as a meta file ({error!r}).") from None
    return dict(videos)
