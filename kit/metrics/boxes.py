"""Measures of box benchmarks: success and precision of LaSOT, average overlap of GOT-10k.

Boxes are float64[n, 4], left, top, width, height in pixels; NaN where a file says so. A sequence's
first frame is given to the tracker. Knows no files and no folders.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.core.errors import SubmissionError

Boxes = NDArray[np.float64]
Flags = NDArray[np.bool_]
Curve = NDArray[np.float64]

EPS = float(np.finfo(float).eps)
GOT_THRESHOLDS = np.linspace(0, 1, 101)
OVERLAPS = np.arange(21) * 0.05
PIXELS = np.arange(51.0)
SHARES = np.arange(51) * 0.01
AT_20 = 20  # index of 20 pixels among PIXELS, and of 0.20 among SHARES


# --- GOT-10k ---------------------------------------------------------------------------------


def got10k_overlaps(
    truth: Boxes, results: Sequence[Boxes], size: tuple[int, int], cover: NDArray[np.int64] | None
) -> Curve:
    """Overlaps of the evaluated frames of a sequence, float64[repetitions * evaluated] in [0, 1].

    The first frame is left out, and so are frames in which nothing of the target is visible.
    Repetitions follow each other, so that each counts as much as any.

    Args:
        truth: n boxes.
        results: n boxes of each repetition.
        size: width, height of the pictures; both boxes are cut to it first.
        cover: int64[n], how much is visible, 0 to 8; None: everything always.

    Raises:
        SubmissionError: a result of another length.

    Source: PyPI got10k 0.1.3, experiments/got10k.py:122-150.
    """
    counted = np.ones(len(truth), bool) if cover is None else cover > 0
    counted[:1] = False
    for result in results:
        if len(result) != len(truth):
            raise SubmissionError(
                f"{len(result)} boxes, {len(truth)} frames. Write one line per frame."
            )
    pairs = [_iou(_clipped(r, size), _clipped(truth, size))[counted] for r in results]
    return np.concatenate(pairs) if pairs else np.zeros(0)


def _clipped(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Boxes within a picture; one that starts left of it or above keeps its size and moves in.

    Source: PyPI got10k 0.1.3, utils/metrics.py:35-45.
    """
    left = np.clip(boxes[:, 0], 0, size[0])
    top = np.clip(boxes[:, 1], 0, size[1])
    width = np.clip(boxes[:, 2], 0, size[0] - left)
    height = np.clip(boxes[:, 3], 0, size[1] - top)
    return np.stack([left, top, width, height], axis=1)


def _iou(a: Boxes, b: Boxes) -> Curve:
    """Source: PyPI got10k 0.1.3, utils/metrics.py:47-81."""
    inter = _intersection(a, b, inclusive=False)
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - inter
    return np.clip(inter / (union + EPS), 0, 1)


def _intersection(a: Boxes, b: Boxes, inclusive: bool) -> Curve:
    """Pixels in both boxes; `inclusive`: a box ends with the pixel at left + width - 1."""
    more = 1 if inclusive else 0
    right = np.minimum(a[:, 0] + a[:, 2] - more, b[:, 0] + b[:, 2] - more)
    bottom = np.minimum(a[:, 1] + a[:, 3] - more, b[:, 1] + b[:, 3] - more)
    width = right - np.maximum(a[:, 0], b[:, 0]) + more
    height = bottom - np.maximum(a[:, 1], b[:, 1]) + more
    return np.asarray(np.maximum(0, width) * np.maximum(0, height))


def got10k_scores(overlaps: Sequence[Curve]) -> dict[str, float | None]:
    """AO, SR_0.50 and SR_0.75 in [0, 1] over all frames of all sequences together.

    None where there is no frame. The class-balanced means of the paper are not what the toolkit and
    the server report.

    Source: PyPI got10k 0.1.3, experiments/got10k.py:173, 265-276.
    """
    together = np.concatenate([np.zeros(0), *overlaps])
    if not len(together):
        return {"AO": None, "SR_0.50": None, "SR_0.75": None}
    rates = success_curve(together)
    return {
        "AO": float(together.mean()),
        "SR_0.50": float((together > 0.5).mean()),
        "SR_0.75": float(rates[75]),
    }


def success_curve(overlaps: Curve) -> Curve:
    """float64[101], share of overlaps strictly above each of `GOT_THRESHOLDS`."""
    return np.asarray((overlaps[:, None] > GOT_THRESHOLDS).mean(axis=0))


# --- LaSOT and LaSOText ----------------------------------------------------------------------


@dataclass(frozen=True)
class LasotCurves:
    """Curves of one sequence, or their means: shares of all its frames, absent ones included.

    Attributes:
        success: float64[21], overlap above 0, 0.05, ..., 1.
        precision: float64[51], distance of the centres up to 0, 1, ..., 50 pixels.
        normalised: float64[51], the same in sizes of the annotated box, up to 0, 0.01, ..., 0.5.
    """

    success: Curve
    precision: Curve
    normalised: Curve


def lasot_curves(truth: Boxes, result: Boxes, absent: Flags | None = None) -> LasotCurves:
    """Measure one sequence.

    A result with NaN or without area becomes that of the frame before, unless the annotation of
    its frame has NaN; the first frame's becomes the annotation. Absent frames are in no count, but
    in the number that counts are divided by. A visible annotation with a value <= 0 fails in
    success and is a hit in precision.

    Args:
        truth: n boxes.
        result: at least n boxes; more are cut off.
        absent: bool[n], out of view or fully occluded; None: nowhere.

    Raises:
        SubmissionError: fewer boxes than frames.

    Source: HengLan/LaSOT_Evaluation_Toolkit @95bf38a, utils/calc_seq_err_robust.m:8-57,
    utils/calc_rect_int.m:3-16, utils/eval_tracker.m:5-45.
    """
    n = len(truth)
    if len(result) < n:
        raise SubmissionError(f"{len(result)} boxes, {n} frames. Write one line per frame.")
    result = _repaired(result[:n], truth)
    seen = np.ones(n, bool) if absent is None else ~absent
    overlap, distance, share = _errors(truth[seen], result[seen])
    return LasotCurves(
        (overlap[:, None] > OVERLAPS).sum(axis=0) / n,
        (distance[:, None] <= PIXELS).sum(axis=0) / n,
        (share[:, None] <= SHARES).sum(axis=0) / n,
    )


def _repaired(result: Boxes, truth: Boxes) -> Boxes:
    result = result.copy()
    bad = np.isnan(result).any(axis=1) | (result[:, 2] <= 0) | (result[:, 3] <= 0)
    for t in range(1, len(result)):
        if bad[t] and not np.isnan(truth[t]).any():
            result[t] = result[t - 1]
    result[:1] = truth[:1]
    return result


def _errors(truth: Boxes, result: Boxes) -> tuple[Curve, Curve, Curve]:
    """Overlap, distance of centres in pixels and in sizes of the box; -1 for a bad annotation."""
    centre = result[:, :2] + (result[:, 2:] - 1) / 2
    wanted = truth[:, :2] + (truth[:, 2:] - 1) / 2
    size = truth[:, 2:]
    good: Flags = np.all(truth > 0, axis=1)
    scale = np.where(good[:, None], size, 1.0)
    inter = _intersection(result, truth, inclusive=True)
    union = result[:, 2] * result[:, 3] + truth[:, 2] * truth[:, 3] - inter
    # each centre is divided before they are subtracted: the order decides ties
    apart = centre / scale - wanted / scale
    values = (
        inter / np.where(union == 0, 1.0, union),
        np.sqrt(((centre - wanted) ** 2).sum(axis=1)),
        np.sqrt((apart**2).sum(axis=1)),
    )
    overlap, distance, share = (np.where(good, value, -1.0) for value in values)
    return overlap, distance, share


def lasot_scores(curves: Mapping[str, LasotCurves]) -> dict[str, float | None]:
    """Success (AUC), precision at 20 px, both normalised precisions in circulation, in [0, 1].

    Of each measure, sequences whose curve is 0 everywhere are left out of the mean, as in the
    official toolkit. "P_norm" of most papers is the value at 0.20.

    Source: HengLan/LaSOT_Evaluation_Toolkit @95bf38a, utils/plot_draw_save.m:8-17,
    run_tracker_performance_evaluation.m:57-73.
    """
    success = _mean_curve([c.success for c in curves.values()])
    precision = _mean_curve([c.precision for c in curves.values()])
    normalised = _mean_curve([c.normalised for c in curves.values()])
    return {
        "success_AUC": None if success is None else float(success.mean()),
        "success_0.50": None if success is None else float(success[10]),
        "precision_20px": None if precision is None else float(precision[AT_20]),
        "normalised_precision_0.20": None if normalised is None else float(normalised[AT_20]),
        "normalised_precision_AUC": None if normalised is None else float(normalised.mean()),
    }


def _mean_curve(curves: Sequence[Curve]) -> Curve | None:
    some = [curve for curve in curves if curve.sum() > EPS]
    return np.asarray(np.mean(some, axis=0)) if some else None
