"""Score folders as the organisers of MOSEv2 do, to the last bit, quirks and errors included.

Frames are paired by `kit.metrics.pairing`, measured by `kit.metrics.objects`; here are the rules of
the set. Source: MOSEv2/sam2_rcms/tools/score.py of henghuiding/MOSE-api @241977a.
"""

import itertools
import json
import multiprocessing
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from kit.core.scored import OBJECT_KEYS, SCORE_KEYS, Measures
from kit.metrics import disks
from kit.metrics.folders import Folder, Location, Truth, Within, open_folder
from kit.metrics.objects import (
    ObjectResult,
    aggregate,
    count_video,
    evaluate_video,
    missing,
    summarise,
)
from kit.metrics.pairing import Pairing

VERSION = 1  # bump when a number changes: the workflow scores again

__all__ = [
    "OBJECT_KEYS",
    "SCORE_KEYS",
    "Evaluation",
    "aggregate",
    "evaluate",
    "evaluate_set",
    "evaluate_video",
]

CHUNK = 15  # frames the organisers evaluate at a time
VideoResult = tuple[dict[str, ObjectResult], list[str]]


@dataclass
class Evaluation:
    """Result of a set.

    Attributes:
        objects: by `<video>_<id>`, videos sorted, ids in the order of the meta file.
        warnings: what a person should know because the score does not show it.
    """

    objects: dict[str, ObjectResult] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def scores(self) -> Measures:
        """The seven numbers of the set."""
        return aggregate(result.measures for result in self.objects.values())


def evaluate(gt_dir: Location, pred_dir: Location, meta_json: Location) -> dict[str, Any]:
    """Score a set of predictions.

    Args:
        gt_dir: `<video>/<frame>.png`, label maps.
        pred_dir: the same, or a ZIP archive of it.
        meta_json: `{"videos": {name: {"length", "height", "width", "objects"}}}`.

    Returns:
        `{"objects": {"<video>_<id>": {...}}, "scores": {...}, "warnings": [...]}`: per object the
        `OBJECT_KEYS` and for the set the `SCORE_KEYS`, unrounded floats in [0, 1] or None where
        undefined, and in words what the score does not show.

    Raises:
        Exception: of the class that the organisers' scorer raises, wherever that raises;
            SubmissionError for an archive that cannot be read safely.
    """
    result = evaluate_set(gt_dir, pred_dir, meta_json)
    return {
        "objects": {key: value.measures for key, value in result.objects.items()},
        "scores": result.scores,
        "warnings": result.warnings,
    }


def evaluate_set(
    gt_dir: Location,
    pred_dir: Location,
    meta_json: Location,
    workers: int = 1,
    progress: bool = False,
    only: Collection[str] | None = None,
) -> Evaluation:
    """As `evaluate`, with the counts of every object and frame.

    Args:
        gt_dir: see `evaluate`.
        pred_dir: see `evaluate`.
        meta_json: see `evaluate`.
        workers: processes; with more than one the calling program must be importable as a module.
        progress: show a bar of videos on the standard error stream.
        only: videos of the ground truth to score, what systems leave beside them aside; None: all
            that lies there, as the organisers do.
    """
    sides = _sides(gt_dir, pred_dir, only)
    with Path(meta_json).open(encoding="utf-8") as file:
        meta = json.load(file)["videos"]
    videos = _checked(sides[0], meta)
    result = Evaluation(warnings=_misplaced(*sides, videos) + _too_small(videos, meta))
    done = _results(videos, meta, sides, (gt_dir, pred_dir, only), workers)
    for objects, warnings in tqdm(done, total=len(videos), unit="video", disable=not progress):
        result.objects.update(objects)
        result.warnings += warnings
    return result


def _sides(
    gt_dir: Location, pred_dir: Location, only: Collection[str] | None = None
) -> tuple[Folder, Folder]:
    """Ground truth and predictions; a single folder is taken for a wrapper, even a video's."""
    ground_truth, predictions = open_folder(gt_dir), open_folder(pred_dir)
    if only is not None:
        ground_truth = Truth(ground_truth, only)
    names = [name for name in predictions.names() if not name.startswith(".")]
    if len(names) == 1 and predictions.is_folder(names[0]):
        predictions = Within(predictions, names[0])
    return ground_truth, predictions


def _checked(ground_truth: Folder, meta: Mapping[str, Any]) -> list[str]:
    """Names of the videos, after the organisers' test of their own files."""
    videos = ground_truth.names()
    for name in videos:
        if meta[name]["length"] != len(ground_truth.names(name)):
            raise ValueError(f"Server-side error ({name}) - Please contact the organizers")
    if not [name for name in videos if list(meta[name]["objects"]) and meta[name]["length"] > 2]:
        raise ValueError("nothing to evaluate: no video has an object and more than two frames")
    return videos


def _misplaced(ground_truth: Folder, predictions: Folder, videos: list[str]) -> list[str]:
    """Warnings about predictions that lie where the organisers do not look."""
    lost = [name for name in videos if not predictions.exists(name)]
    if not lost:
        return []
    if isinstance(predictions, Within) and predictions.path in videos:
        return [
            f"predictions: {predictions.path!r} is the only entry and so taken for a wrapper; its"
            " frames are not found. A second entry, such as a text file, avoids it"
        ]
    return [
        f"predictions: {len(inside)} missing videos lie in {folder!r}, which is not looked through"
        for folder in predictions.names()
        if (inside := [name for name in lost if predictions.exists(f"{folder}/{name}")])
    ]


def _too_small(videos: list[str], meta: Mapping[str, Any]) -> list[str]:
    """A warning about toys, whose boundaries the organisers do not measure as meant."""
    sizes = {name: (meta[name].get("height"), meta[name].get("width")) for name in videos}
    told = {name: size for name, size in sizes.items() if all(isinstance(s, int) for s in size)}
    small = [name for name, size in told.items() if disks.too_small(size)]
    return [f"{small[0]} and {len(small) - 1} others: {disks.TOO_SMALL}"] if small else []


def _results(
    videos: list[str],
    meta: Mapping[str, Any],
    sides: tuple[Folder, Folder],
    places: tuple[Location, Location, Collection[str] | None],
    workers: int,
) -> Iterator[VideoResult]:
    """Results in the order of the videos, so that the first error is always the same one."""
    infos = [meta[name] for name in videos]
    if workers < 2:
        for name, info in zip(videos, infos, strict=True):
            yield _evaluate_folder(name, info, *sides)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, places) as pool:
        yield from pool.map(_evaluate_in_worker, videos, infos)


_worker_sides: tuple[Folder, Folder]


def _start_worker(gt_dir: Location, pred_dir: Location, only: Collection[str] | None) -> None:
    """Open both sides once in a process: the directory of a large archive takes a second."""
    global _worker_sides
    _worker_sides = _sides(gt_dir, pred_dir, only)


def _evaluate_in_worker(name: str, info: Mapping[str, Any]) -> VideoResult:
    return _evaluate_folder(name, info, *_worker_sides)


def _evaluate_folder(
    name: str, info: Mapping[str, Any], ground_truth: Folder, predictions: Folder
) -> VideoResult:
    """Results of one video by `<video>_<id>`, and warnings."""
    objects, length = list(info["objects"]), info["length"]
    keys = [f"{name}_{label}" for label in objects]
    if not objects or length < 3:
        zeros = {key: missing() for key in keys}
        return zeros, [f"{name}: of {length} frames none is evaluated, counts 0"] if zeros else []
    size = info["height"], info["width"]
    if not predictions.exists(name):
        warning = (
            f"{name}: not predicted; its {len(keys)} objects count 0 in J, F and F_new, and not at"
            " all in the disappearance and reappearance numbers"
        )
        return {key: missing() for key in keys}, [warning]
    pairing = Pairing(name, length, size, Within(ground_truth, name), Within(predictions, name))
    rows, strays = count_video(pairing.pairs(), _labels(objects, pairing))
    frames = pairing.evaluated()
    for frame, stray in zip(frames, strays, strict=True):
        if stray:
            pairing.note("prediction has labels of no listed object", frame)
    results = (
        summarise(_repeated(row, objects.count(label)), frames)
        for row, label in zip(rows, objects, strict=True)
    )
    return dict(zip(keys, results, strict=True)), pairing.warnings()


def _labels(objects: list[Any], pairing: Pairing) -> list[int]:
    """Ids as numbers; an id that is none is an error only after the first chunk of frames."""
    try:
        return [int(label) for label in objects]
    except (TypeError, ValueError):
        for _ in itertools.islice(pairing.pairs(), CHUNK):
            pass
        raise


def _repeated(rows: NDArray[np.int64], times: int) -> NDArray[np.int64]:
    """An id that is listed more than once has each chunk of frames counted as often."""
    if times == 1:
        return rows
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return np.concatenate([chunk for chunk in chunks for _ in range(times)])
