"""The MOSEv2 measures of one video and their means over a set. Knows no files and no folders.

Every formula follows MOSEv2/sam2_rcms/tools/score.py and metricsv2.py of
henghuiding/MOSE-api @241977a; the code is our own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.core import png
from kit.core.scored import OBJECT_KEYS, Measures
from kit.metrics import counts, disks, measures, segments


@dataclass(frozen=True)
class ObjectResult:
    """One object of one video.

    Attributes:
        measures: the seven of `OBJECT_KEYS`, in [0, 1], None where undefined.
        counts: int64[n, 9] over the n evaluated frames, columns as in `kit.metrics.counts`; no rows
            if the video is missing or too short.
        frames: names of the evaluated frames, where known, in the order of `counts`.
    """

    measures: Measures
    counts: NDArray[np.int64]
    frames: tuple[str, ...] = ()

    @property
    def j(self) -> NDArray[np.float64]:
        """float64[n], smoothed Jaccard index per evaluated frame."""
        return measures.jaccard(self.counts, smoothing=1)

    @property
    def f_new(self) -> NDArray[np.float64]:
        """float64[n], F at the area-following tolerance per evaluated frame."""
        return measures.boundary_f(self.counts, adaptive=True)

    @property
    def f(self) -> NDArray[np.float64]:
        """float64[n], F at the standard tolerance per evaluated frame."""
        return measures.boundary_f(self.counts)


def evaluate_video(
    ground_truth: Sequence[bytes], predictions: Sequence[bytes], objects: Sequence[int]
) -> list[ObjectResult]:
    """Score one video that is complete and in order.

    Args:
        ground_truth: PNG files of all n frames; the first and the last one are not evaluated.
        predictions: PNG files of the same frames.
        objects: ids to score.

    Returns:
        A result per object, in the order of `objects`.

    Raises:
        ValueError: unequal numbers of frames, or a prediction of another size.
        OSError: a damaged PNG.
    """
    if len(ground_truth) != len(predictions):
        raise ValueError(
            f"{len(predictions)} predicted frames, {len(ground_truth)} in the ground truth."
        )
    if len(ground_truth) < 3:
        return [missing() for _ in objects]
    shape = png.decode(ground_truth[0]).shape
    pairs = (
        tuple(fitted(png.decode(data), shape) for data in pair)
        for pair in zip(ground_truth[1:-1], predictions[1:-1], strict=True)
    )
    return [summarise(rows) for rows in count_video(pairs, objects)[0]]


def fitted(labels: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Labels as numpy assigns them to a frame: a single row, column or pixel is repeated.

    Raises:
        ValueError: any other size.
    """
    return labels if labels.shape == shape else np.broadcast_to(labels, shape)


def count_video(
    pairs: Iterable[tuple[NDArray[np.uint8], ...]], objects: Sequence[int]
) -> tuple[NDArray[np.int64], list[int]]:
    """Count all objects in the evaluated frames, holding one frame at a time.

    Args:
        pairs: ground truth and predicted labels, uint8[H, W] each, of one size; at least one.
        objects: ids to count.

    Returns:
        int64[objects, n, 9], and per frame the predicted pixels whose label is no object's.
    """
    counter: counts.Counter | None = None
    frames, strays = [], []
    for gt, pred in pairs:
        counter = counter or counts.Counter(gt.shape, objects, disks.adaptive(gt.shape))
        frames.append(counter.count(gt, pred))
        strays.append(counter.strays)
    return np.stack(frames, axis=1), strays


def missing() -> ObjectResult:
    """What an object gets if its video is missing or has fewer than three frames."""
    nothing: Measures = dict.fromkeys(OBJECT_KEYS)
    return ObjectResult(
        {**nothing, "J": 0.0, "F_new": 0.0, "F": 0.0}, np.zeros((0, 9), dtype=np.int64)
    )


def summarise(rows: NDArray[np.int64], frames: Sequence[str] = ()) -> ObjectResult:
    """The seven measures of an object: means over frames, and over the means of segments.

    Args:
        rows: int64[n, 9], n > 0.
        frames: names of the frames.
    """
    result = ObjectResult({}, rows, tuple(frames))
    j, f_new = result.j, result.f_new
    gone, back = segments.runs(rows[:, counts.AREA_GT] == 0)
    values = (
        float(j.mean()),
        float(f_new.mean()),
        float(result.f.mean()),
        _mean_over(gone, j),
        _mean_over(gone, f_new),
        _mean_over(back, j),
        _mean_over(back, f_new),
    )
    result.measures.update(zip(OBJECT_KEYS, values, strict=True))
    return result


def _mean_over(intervals: list[tuple[int, int]], curve: NDArray[np.float64]) -> float | None:
    return mean([float(curve[start:end].mean()) for start, end in intervals])


def mean(values: Sequence[float]) -> float | None:
    """Mean by numpy's pairwise sum in the given order, None of nothing."""
    return float(np.mean(values)) if values else None


def aggregate(objects: Iterable[Mapping[str, float | None]]) -> Measures:
    """The seven numbers of a set.

    Args:
        objects: measures (`OBJECT_KEYS`) of all objects of all videos; the order can change the
            last bit, the organisers' is that of the ground truth folder.

    Returns:
        `SCORE_KEYS` in [0, 1], not in percent; None where no object defines it ("nan" officially).
    """
    rows = list(objects)
    means = {
        key: mean([value for row in rows if (value := row[key]) is not None]) for key in OBJECT_KEYS
    }
    return {
        "J&F_new": _middle(means["J"], means["F_new"]),
        "J": means["J"],
        "F_new": means["F_new"],
        "disappear_J&F_new": _middle(means["disappear_J"], means["disappear_F_new"]),
        "reappear_J&F_new": _middle(means["reappear_J"], means["reappear_F_new"]),
        "F": means["F"],
        "J&F": _middle(means["J"], means["F"]),
    }


def _middle(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else (a + b) / 2
