"""The organisers' two result files, and the unrounded numbers beside them."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import scored
from kit.core.errors import DataError
from kit.core.files import write_text
from kit.core.scored import RAW_SCHEMA, SCORE_KEYS, Measures
from kit.metrics import analysis, counts, mosev2
from kit.metrics.folders import Location
from kit.metrics.objects import ObjectResult


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
    only: Collection[str] | None = None,
) -> mosev2.Evaluation:
    """Score a set and write the organisers' files and ours.

    `scores.txt` and `metrics.json` as the organisers write them; `raw.json`: the unrounded numbers
    and the warnings; `details.json`: intervals, bins, segments; `curves.json`: numbers per frame.

    Args:
        gt: folder of ground truth videos.
        pred: folder or ZIP archive of predictions.
        meta: the organisers' meta file.
        output: folder, made if missing.
        workers: processes, see `kit.metrics.mosev2.evaluate_set`.
        progress: show a bar of videos.
        only: videos to score, see `kit.metrics.mosev2.evaluate_set`.

    Returns:
        What was written, with counts per frame.

    Raises:
        Exception: as `kit.metrics.mosev2.evaluate`.
    """
    start = time.time()
    result = mosev2.evaluate_set(gt, pred, meta, workers, progress, only)
    objects = {key: value.measures for key, value in result.objects.items()}
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "scores.txt", scores_text(result.scores))
    write_text(folder / "metrics.json", metrics_json(objects, time.time() - start))
    raw = {"schema": RAW_SCHEMA, "scores": result.scores, "objects": objects}
    write_text(folder / "raw.json", json.dumps(raw | {"warnings": result.warnings}, indent=1))
    details = {"schema": "details/1"} | _details(result)
    write_text(folder / "details.json", json.dumps(details, indent=1))
    curves = {key: _curves(value) for key, value in result.objects.items()}
    write_text(folder / "curves.json", json.dumps({"schema": "curves/1", "objects": curves}))
    return result


def read_measures(path: Location) -> dict[str, Measures]:
    """Measures by `<video>_<id>` of an earlier `score`.

    Args:
        path: the folder that `score` wrote to, or its raw.json.

    Raises:
        ArtifactError: the file is missing, damaged or of another schema.
    """
    return scored.read_measures(Path(path) / "raw.json" if Path(path).is_dir() else Path(path))


def compare_runs(a: Location, b: Location, samples: int = 2000, seed: int = 0) -> str:
    """Text that compares two scored runs, B minus A, in percentage points.

    Args:
        a: see `read_measures`.
        b: see `read_measures`.
        samples: see `kit.metrics.analysis.compare`.
        seed: see `kit.metrics.analysis.compare`.

    Raises:
        ArtifactError: see `read_measures`.
        DataError: the runs do not have the same objects.
    """
    try:
        found = analysis.compare(read_measures(a), read_measures(b), samples, seed)
    except DataError as error:
        raise DataError(f"{a} and {b}: {error}") from None
    lines = ["B - A in points, with 95 % intervals over videos"]
    for key, interval in found.differences.items():
        value, low, high = interval.value, interval.low, interval.high
        if value is None or low is None or high is None:
            lines.append(f"{key:<19}  undefined")
        else:
            limits = f"[{100 * low:+.2f}, {100 * high:+.2f}]"
            lines.append(f"{key:<19} {100 * value:+6.2f}  {limits}")
    for title, ranked in (("gained most", found.gained), ("lost most", found.lost)):
        lines += ["", f"objects that {title} (J&F_new)"]
        lines += [f"{100 * rise:+6.2f}  {name}" for name, rise in ranked]
    return "\n".join([*lines, ""])


def _details(result: mosev2.Evaluation) -> dict[str, Any]:
    objects = result.objects
    bins = {
        "area": analysis.by_area(objects),
        "objects": analysis.by_objects(objects),
        "disappear_gap": analysis.by_gap(objects, "d"),
        "reappear_gap": analysis.by_gap(objects, "r"),
    }
    intervals = analysis.intervals({key: value.measures for key, value in objects.items()})
    return {
        "intervals": {key: asdict(interval) for key, interval in intervals.items()},
        "bins": {key: [asdict(one) for one in some] for key, some in bins.items()},
        "segments": [asdict(segment) for segment in analysis.segments_of(objects)],
    }


def _curves(result: ObjectResult) -> dict[str, list[Any]]:
    return {
        "frames": list(result.frames),
        "area": result.counts[:, counts.AREA_GT].tolist(),
        "J": result.j.tolist(),
        "F_new": result.f_new.tolist(),
        "F": result.f.tolist(),
    }
