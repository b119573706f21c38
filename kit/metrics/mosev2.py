"""Score folders as the organisers of MOSEv2 do, to the last bit, quirks and errors included.

Which frames of which folders meet is decided here; the measures are in `kit.metrics.objects`.
Source of every rule: MOSEv2/sam2_rcms/tools/score.py of henghuiding/MOSE-api @241977a.
"""

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.metrics import png
from kit.metrics.folders import Folder, Within, open_folder
from kit.metrics.objects import (
    OBJECT_KEYS,
    SCORE_KEYS,
    Measures,
    ObjectResult,
    aggregate,
    count_video,
    evaluate_video,
    fitted,
    missing,
    summarise,
)

__all__ = [
    "OBJECT_KEYS",
    "SCORE_KEYS",
    "Evaluation",
    "aggregate",
    "evaluate",
    "evaluate_set",
    "evaluate_video",
]

VERSION = 1  # bump when a number changes

CHUNK = 15  # frames the organisers evaluate at a time


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


def evaluate(
    gt_dir: str | os.PathLike[str],
    pred_dir: str | os.PathLike[str],
    meta_json: str | os.PathLike[str],
) -> dict[str, Any]:
    """Score a set of predictions.

    Args:
        gt_dir: `<video>/<frame>.png`, label maps.
        pred_dir: the same, or a ZIP archive of it.
        meta_json: `{"videos": {name: {"length", "height", "width", "objects"}}}`.

    Returns:
        `{"objects": {"<video>_<id>": {...}}, "scores": {...}, "warnings": [...]}` with `OBJECT_KEYS`
        and `SCORE_KEYS`, unrounded floats in [0, 1], None where undefined; what the score does not
        show is said in the warnings.

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
    gt_dir: str | os.PathLike[str],
    pred_dir: str | os.PathLike[str],
    meta_json: str | os.PathLike[str],
) -> Evaluation:
    """As `evaluate`, with the counts of every object and frame."""
    result = Evaluation()
    ground_truth, predictions = open_folder(gt_dir), open_folder(pred_dir)
    predictions = _unwrapped(predictions, result.warnings)
    with Path(meta_json).open(encoding="utf-8") as file:
        meta = json.load(file)["videos"]
    videos = _checked(ground_truth, meta)
    for name in videos:
        objects, warnings = _evaluate_folder(name, meta[name], ground_truth, predictions)
        result.objects.update(objects)
        result.warnings += warnings
    return result


def _unwrapped(root: Folder, warnings: list[str]) -> Folder:
    """A single folder in the root is taken for a wrapper, even if it is the only video."""
    names = [name for name in root.names() if not name.startswith(".")]
    if len(names) != 1 or not root.is_folder(names[0]):
        return root
    warnings.append(f"predictions: {names[0]!r} is alone, its content is taken as the predictions")
    return Within(root, names[0])


def _checked(ground_truth: Folder, meta: Mapping[str, Any]) -> list[str]:
    """Names of the videos, after the organisers' test of their own files."""
    videos = ground_truth.names()
    for name in videos:
        if meta[name]["length"] != len(ground_truth.names(name)):
            raise ValueError(f"Server-side error ({name}) - Please contact the organizers")
    if not any(meta[name]["length"] > 2 and list(meta[name]["objects"]) for name in videos):
        raise ValueError("nothing to evaluate: no video has an object and more than two frames")
    return videos


def _evaluate_folder(
    name: str, info: Mapping[str, Any], ground_truth: Folder, predictions: Folder
) -> tuple[dict[str, ObjectResult], list[str]]:
    """Results of one video by `<video>_<id>`, and warnings."""
    objects, length = list(info["objects"]), info["length"]
    keys = [f"{name}_{label}" for label in objects]
    if not objects:
        return {}, []
    if length < 3:
        return {key: missing() for key in keys}, [f"{name}: {length} frames, counts 0"]
    size = info["height"], info["width"]
    if not predictions.exists(name):
        warning = (
            f"{name}: missing; its objects count 0 in J, F and F_new, and not at all in the"
            " disappearance and reappearance numbers"
        )
        return {key: missing() for key in keys}, [warning]
    video = _Video(name, length, size, Within(ground_truth, name), Within(predictions, name))
    pairs = video.pairs()
    try:
        labels = [int(label) for label in objects]
    except (TypeError, ValueError):
        for _ in itertools.islice(pairs, CHUNK):  # errors of the first frames come first
            pass
        raise
    rows = [
        _as_often(row, objects.count(o))
        for o, row in zip(objects, count_video(pairs, labels), strict=True)
    ]
    stems = video.stems()[1 : length - 1]
    return dict(zip(keys, (summarise(row, stems) for row in rows), strict=True)), video.warnings()


def _as_often(rows: NDArray[np.int64], times: int) -> NDArray[np.int64]:
    """An id that is listed twice has each chunk of its frames counted twice."""
    if times == 1:
        return rows
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    return np.concatenate([chunk for chunk in chunks for _ in range(times)])


@dataclass
class _Video:
    """Frames of one video; the prediction folder says which are compared."""

    name: str
    length: int
    size: tuple[int | None, int | None]
    gt: Folder
    pred: Folder

    def stems(self) -> list[str]:
        """Stems of the predicted frames in numerical order; ValueError if one is no number."""
        names = [n for n in self.pred.names() if not n.startswith(".") and n.endswith(".png")]
        return sorted((n.split(".")[0] for n in names), key=int)

    def pairs(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Labels of the evaluated frames, in the order in which the organisers meet errors."""
        stems = self.stems()
        height, width = self.size
        if height is None or width is None:
            height, width = png.decode(self.gt.read(f"{stems[0]}.png")).shape
        for index in range(1, self.length - 1):
            if index >= len(stems):
                raise AssertionError(f"frame {index} of {self.name}: only {len(stems)} predicted")
            name = f"{stems[index]}.png"
            truth = fitted(png.decode(self.gt.read(name)), (height, width))
            try:
                data = self.pred.read(name)
            except FileNotFoundError as error:
                raise ValueError(f"Frame not found: {self.name}/{stems[index]}") from error
            yield truth, fitted(png.decode(data), (height, width))

    def warnings(self) -> list[str]:
        """Traps in the frames that were compared."""
        return _shifted(self.name, self.stems(), self.gt.names(), self.length)


def _shifted(name: str, stems: list[str], truths: list[str], length: int) -> list[str]:
    """Whether other frames were scored than the ground truth's second to second last."""
    meant = [truth.split(".")[0] for truth in truths][1:-1]
    scored = stems[1 : length - 1]
    if scored == meant:
        return []
    return [
        f"{name}: {len(stems)} frames predicted of {length}; scored {scored[0]} to {scored[-1]}"
        f" instead of {meant[0]} to {meant[-1]}"
    ]
