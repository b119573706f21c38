"""From counts to numbers between 0 and 1; the order of operations is part of the definition."""

import numpy as np
from numpy.typing import NDArray

from kit.metrics import counts

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def jaccard(numbers: Counts, smoothing: int = 0) -> Floats:
    """Intersection over union.

    Args:
        numbers: int64[..., 9], see `kit.metrics.counts`.
        smoothing: added to both terms; 1 in MOSEv2, where an absent object with n false pixels
            thus scores 1 / (n + 1) and nothing ever scores 0.

    Returns:
        float64[...] in [0, 1]; 1 where both masks are empty.

    Source: `db_eval_iou` of DAVIS 2017 (davis2017-evaluation @ac7c43f) and, with smoothing, of
    MOSE-api @241977a.
    """
    inter = numbers[..., counts.INTERSECTION]
    union = numbers[..., counts.AREA_GT] + numbers[..., counts.AREA_PRED] - inter
    ratio = (inter + smoothing) / np.maximum(union + smoothing, 1)
    return np.asarray(np.where(union == 0, 1.0, ratio), dtype=np.float64)


def boundary_f(numbers: Counts, adaptive: bool = False) -> Floats:
    """Harmonic mean of boundary precision and recall.

    Args:
        numbers: int64[..., 9], see `kit.metrics.counts`.
        adaptive: take the matches at the area-following tolerance (F_new), not the standard one.

    Returns:
        float64[...] in [0, 1]; 1 where neither mask has a boundary, 0 where only one has.

    Source: `f_measure` of DAVIS 2017, `f_measure_func` of MOSE-api @241977a.
    """
    shift = counts.MATCHED_GT_NEW - counts.MATCHED_GT if adaptive else 0
    n_gt, n_pred = numbers[..., counts.BOUNDARY_GT], numbers[..., counts.BOUNDARY_PRED]
    precision = numbers[..., counts.MATCHED_PRED + shift] / np.maximum(n_pred, 1)
    recall = numbers[..., counts.MATCHED_GT + shift] / np.maximum(n_gt, 1)
    total = precision + recall
    harmonic = 2 * precision * recall / np.where(total == 0, 1.0, total)
    return np.asarray(np.where((n_gt == 0) & (n_pred == 0), 1.0, harmonic), dtype=np.float64)
