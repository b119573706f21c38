"""The organisers' two result files, and the unrounded numbers beside them."""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kit.metrics import counts, mosev2
from kit.metrics.folders import Location
from kit.metrics.objects import SCORE_KEYS, Measures, ObjectResult


def percent(value: float | None) -> float:
    """Percent with two decimals, rounded as numpy does it (not Python), nan for None."""
    return float("nan") if value is None else float(np.round(np.float64(value) * 100, 2))


def scores_text(scores: Measures) -> str:
    """Content of scores.txt.

    Args:
        scores: `SCORE_KEYS` in [0, 1].
    """
    rounded = {key: percent(scores[key]) for key in SCORE_KEYS}
    lines = [f"{key}: {value}" for key, value in rounded.items()]
    line = ",".join(f"{value:.1f}" for value in rounded.values())
    return "\n".join([*lines, f"Copy-Paste: {line}", ""])


def metrics_json(objects: Mapping[str, Measures], total_time: float | None = None) -> str:
    """Content of metrics.json.

    Args:
        objects: measures (`OBJECT_KEYS`, in [0, 1]) by `<video>_<id>`.
        total_time: seconds, written as the organisers do; left out if None.
    """
    content: dict[str, Any] = {key: _rounded(value) for key, value in objects.items()}
    if total_time is not None:
        content["total_time"] = total_time
    return json.dumps(content, indent=4)


def _rounded(measures: Measures) -> dict[str, float | None]:
    scores = mosev2.aggregate([measures])
    rounded = {key: None if scores[key] is None else percent(scores[key]) for key in SCORE_KEYS}
    if measures["J"] == 0:  # only a missing video: the organisers write integers there
        rounded |= {"J": 0, "F_new": 0, "F": 0}
    return rounded


def score(
    gt: Location,
    pred: Location,
    meta: Location,
    output: Location,
    workers: int = 1,
    progress: bool = False,
) -> mosev2.Evaluation:
    """Score a set and write `scores.txt`, `metrics.json`, `raw.json` and `curves.json`.

    Args:
        gt: folder of ground truth videos.
        pred: folder or ZIP archive of predictions.
        meta: the organisers' meta file.
        output: folder, made if missing.
        workers: processes, see `kit.metrics.mosev2.evaluate_set`.
        progress: show a bar of videos.

    Returns:
        What was written, with counts per frame.

    Raises:
        Exception: as `kit.metrics.mosev2.evaluate`.
    """
    start = time.time()
    result = mosev2.evaluate_set(gt, pred, meta, workers, progress)
    objects = {key: value.measures for key, value in result.objects.items()}
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "scores.txt", scores_text(result.scores))
    _write(folder / "metrics.json", metrics_json(objects, time.time() - start))
    raw = {"schema": "raw/1", "scores": result.scores, "objects": objects}
    _write(folder / "raw.json", json.dumps(raw | {"warnings": result.warnings}, indent=1))
    curves = {key: _curves(value) for key, value in result.objects.items()}
    _write(folder / "curves.json", json.dumps({"schema": "curves/1", "objects": curves}))
    return result


def _curves(result: ObjectResult) -> dict[str, list[Any]]:
    return {
        "frames": list(result.frames),
        "area": result.counts[:, counts.AREA_GT].tolist(),
        "J": result.j.tolist(),
        "F_new": result.f_new.tolist(),
        "F": result.f.tolist(),
    }


def _write(path: Path, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
