"""What a score is made of: bins, segments, intervals, and two runs side by side.

Pure functions over the results of `kit.metrics.mosev2`; all numbers are in [0, 1]. Intervals come
from resampling VIDEOS, because the objects and frames of one video are not independent.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kit.core.errors import DataError
from kit.core.scored import OBJECT_KEYS, SCORE_KEYS, Measures
from kit.metrics import counts, segments
from kit.metrics.objects import ObjectResult, mean

Floats = NDArray[np.float64]
AREAS = (1, 32**2, 96**2, 192**2)  # pixels; the first two limits are those of COCO
GAPS = (1, 5, 15, 50)  # evaluated frames
OBJECTS = (1, 2, 3, 5, 10)

# The two measures that each number of the set is the middle of.
PARTS = {
    "J&F_new": ("J", "F_new"),
    "J": ("J", "J"),
    "F_new": ("F_new", "F_new"),
    "disappear_J&F_new": ("disappear_J", "disappear_F_new"),
    "reappear_J&F_new": ("reappear_J", "reappear_F_new"),
    "F": ("F", "F"),
    "J&F": ("J", "F"),
}


@dataclass(frozen=True)
class Bin:
    """Mean J&F_new of what falls in [low, high); `high` is None in the last bin."""

    low: int
    high: int | None
    count: int
    score: float | None


@dataclass(frozen=True)
class Segment:
    """A stretch of evaluated frames after an object left (`d`) or returned (`r`).

    Attributes:
        object: `<video>_<id>`.
        kind: `d`: absent, `r`: back.
        start: index of the first evaluated frame.
        end: index after the last one.
        gap: length of the absence: of this one, or of the one before the return.
        j: mean J.
        f_new: mean F_new.
    """

    object: str
    kind: str
    start: int
    end: int
    gap: int
    j: float
    f_new: float


@dataclass(frozen=True)
class Interval:
    """An estimate and the limits of its confidence interval; None where undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """Run B minus run A.

    Attributes:
        differences: by `SCORE_KEYS`, over the objects for which both runs define the number.
        gained: objects with the largest rise of J&F_new, `(object, rise)`, best first.
        lost: objects with the largest fall, `(object, negative)`, worst first.
    """

    differences: dict[str, Interval]
    gained: list[tuple[str, float]]
    lost: list[tuple[str, float]]


def video_of(name: str) -> str:
    """Video of an object named `<video>_<id>`."""
    return name.rpartition("_")[0]


def curve(result: ObjectResult) -> Floats:
    """float64[n], J&F_new per evaluated frame."""
    return (result.j + result.f_new) / 2


def by_area(objects: Mapping[str, ObjectResult], limits: Sequence[int] = AREAS) -> list[Bin]:
    """Object-frames by the object's area in the ground truth, in pixels; absent ones left out."""
    pairs = [
        (int(area), float(value))
        for result in objects.values()
        for area, value in zip(result.counts[:, counts.AREA_GT], curve(result), strict=True)
    ]
    return binned(pairs, limits)


def by_objects(objects: Mapping[str, ObjectResult], limits: Sequence[int] = OBJECTS) -> list[Bin]:
    """Objects by the number of objects in their video."""
    videos = [video_of(name) for name in objects]
    pairs = [
        (videos.count(video), value)
        for video, result in zip(videos, objects.values(), strict=True)
        if (value := _middle(result.measures, "J&F_new")) is not None
    ]
    return binned(pairs, limits)


def by_gap(
    objects: Mapping[str, ObjectResult], kind: str = "r", limits: Sequence[int] = GAPS
) -> list[Bin]:
    """Segments of a kind (`d` or `r`) by the length of the absence, in evaluated frames."""
    pairs = [(s.gap, (s.j + s.f_new) / 2) for s in segments_of(objects) if s.kind == kind]
    return binned(pairs, limits)


def binned(pairs: Sequence[tuple[int, float]], limits: Sequence[int]) -> list[Bin]:
    """Means of values by size; sizes below the first limit are left out.

    Args:
        pairs: (size, value).
        limits: ascending lower limits of the bins.
    """
    groups: list[list[float]] = [[] for _ in limits]
    for size, value in pairs:
        if size >= limits[0]:
            groups[bisect_right(limits, size) - 1].append(value)
    highs = [*limits[1:], None]
    return [
        Bin(low, high, len(group), mean(group))
        for low, high, group in zip(limits, highs, groups, strict=True)
    ]


def segments_of(objects: Mapping[str, ObjectResult]) -> list[Segment]:
    """All segments that make up the disappearance and reappearance numbers, in order of time."""
    found = []
    for name, result in objects.items():
        gone, back = segments.runs(result.counts[:, counts.AREA_GT] == 0)
        ends = {end: end - start for start, end in gone}
        kinds = [("d", s, e, e - s) for s, e in gone]
        kinds += [("r", s, e, ends.get(s, s)) for s, e in back]  # no start: absent from frame 0
        j, f_new = result.j, result.f_new
        for kind, start, end, gap in sorted(kinds, key=lambda item: item[1]):
            means = float(j[start:end].mean()), float(f_new[start:end].mean())
            found.append(Segment(name, kind, start, end, gap, *means))
    return found


def intervals(
    objects: Mapping[str, Measures], samples: int = 2000, seed: int = 0, level: float = 0.95
) -> dict[str, Interval]:
    """Bootstrap over videos of the seven numbers of a set.

    Args:
        objects: measures by `<video>_<id>`.
        samples: sets drawn, each of as many videos as there are, with replacement.
        seed: of the draws; the same seed gives the same limits.
        level: part of the drawn sets that lies between the limits.

    Returns:
        `SCORE_KEYS`; percentile intervals (Efron and Tibshirani 1993, chapter 13).
    """
    names = list(objects)
    table = _table(objects, names)
    return _intervals(names, lambda weights: _scores(table, weights), samples, seed, level)


def compare(
    a: Mapping[str, Measures],
    b: Mapping[str, Measures],
    samples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    top: int = 10,
) -> Comparison:
    """Run B minus run A on the same objects; a drawn set holds the same videos of both.

    Args:
        a: measures by `<video>_<id>`.
        b: the same objects.
        samples: see `intervals`.
        seed: see `intervals`.
        level: see `intervals`.
        top: objects listed as gained and as lost, at most.

    Raises:
        DataError: the runs do not have the same objects.
    """
    if set(a) != set(b):
        some = sorted(set(a) ^ set(b))
        raise DataError(
            f"the runs differ in {len(some)} objects (such as {some[0]}); score both on one set."
        )
    names = list(a)
    tables = [_table(run, names) for run in (a, b)]
    undefined = np.isnan(tables[0]) | np.isnan(tables[1])
    first, second = (np.where(undefined, np.nan, table) for table in tables)
    rises = {
        name: float(second[i, :2].mean() - first[i, :2].mean()) for i, name in enumerate(names)
    }
    ranked = sorted(rises.items(), key=lambda item: (-item[1], item[0]))
    return Comparison(
        _intervals(
            names,
            lambda weights: _scores(second, weights) - _scores(first, weights),
            samples,
            seed,
            level,
        ),
        [item for item in ranked[:top] if item[1] > 0],
        [item for item in ranked[::-1][:top] if item[1] < 0],
    )


def _table(objects: Mapping[str, Measures], names: Sequence[str]) -> Floats:
    """float64[objects, 7] in the order of `OBJECT_KEYS`, nan for None."""
    rows = [[objects[name][key] for key in OBJECT_KEYS] for name in names]
    return np.array(rows, dtype=np.float64).reshape(-1, len(OBJECT_KEYS))


def _middle(measures: Measures, key: str) -> float | None:
    first, second = (measures[part] for part in PARTS[key])
    return None if first is None or second is None else (first + second) / 2


def _scores(table: Floats, weights: Floats) -> Floats:
    """float64[samples, 7]: `SCORE_KEYS` of sets that hold object i `weights[:, i]` times."""
    known = ~np.isnan(table)
    total = weights @ known
    means = np.full(total.shape, np.nan)
    np.divide(weights @ np.where(known, table, 0), total, out=means, where=total > 0)
    column = {key: means[:, i] for i, key in enumerate(OBJECT_KEYS)}
    return np.stack([(column[a] + column[b]) / 2 for a, b in PARTS.values()], axis=1)


def _intervals(
    names: Sequence[str],
    statistic: Callable[[Floats], Floats],
    samples: int,
    seed: int,
    level: float,
) -> dict[str, Interval]:
    videos, owner = np.unique([video_of(name) for name in names], return_inverse=True)
    draws = np.random.default_rng(seed).multinomial(
        len(videos), np.full(len(videos), 1 / len(videos)), size=samples
    )
    values = statistic(np.ones((1, len(names))))[0]
    drawn = statistic(draws[:, owner].astype(np.float64))
    tail = (1 - level) / 2
    return {
        key: _interval(value, column[~np.isnan(column)], tail)
        for key, value, column in zip(SCORE_KEYS, values, drawn.T, strict=True)
    }


def _interval(value: np.float64, drawn: Floats, tail: float) -> Interval:
    if np.isnan(value) or not drawn.size:
        return Interval(None, None, None)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(float(value), float(low), float(high))
