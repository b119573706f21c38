"""What the page draws of the whole split, as numbers for its templates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kit.metrics import analysis, segments
from kit.metrics.failures import CLASSES
from kit.report.content import Entry, Overview

STEPS = 50  # of the curve over elapsed time
# One shape per class, so that colour is not alone in telling them apart; about the origin.
MARKS = (
    "M-1.5,-1.5H1.5V1.5H-1.5Z",
    "M0,-1.8L1.7,1.3H-1.7Z",
    "M-1.6,-1L-1,-1.6L0,-.6L1,-1.6L1.6,-1L.6,0L1.6,1L1,1.6L0,.6L-1,1.6L-1.6,1L-.6,0Z",
    "M0,1.8L1.7,-1.3H-1.7Z",
    "M0,-1.9L1.5,0L0,1.9L-1.5,0Z",
    "M0,-1.2A1.2,1.2 0 1 1 0,1.2A1.2,1.2 0 1 1 0,-1.2Z",
)
Pairs = list[tuple[int, float]]


@dataclass(frozen=True)
class Point:
    """An object in the scatter: x and y in a square of 100, y downwards."""

    entry: Entry
    x: float
    y: float
    kind: int
    failure: str


@dataclass(frozen=True)
class BinRow:
    """Means of the recipes over what falls in one bin, in percent."""

    label: str
    count: int
    scores: Sequence[float | None]


@dataclass(frozen=True)
class Elapsed:
    """A recipe's mean J&Ḟ over the share of a video that has passed, as an SVG path."""

    name: str
    path: str


@dataclass(frozen=True)
class Bar:
    """An object's difference as a rectangle."""

    x: float
    y: float
    height: float
    kind: str


@dataclass(frozen=True)
class Gains:
    """All objects' differences of one recipe, ascending, and the same in words."""

    text: str
    ends: str
    view: str
    bars: Sequence[Bar]


def points(overview: Overview) -> list[Point]:
    """Objects that leave and come back, by the last recipe."""
    kinds = list(CLASSES)
    name = overview.recipes[-1].name
    found = []
    for entry in overview.entries:
        outcome = entry.outcomes[name]
        scores = outcome.scores or {}
        away, back = scores.get("disappear_J&F_new"), scores.get("reappear_J&F_new")
        if away is None or back is None or outcome.failure is None:
            continue
        place = round(away, 2), round(100 - back, 2)
        found.append(Point(entry, *place, kinds.index(outcome.failure), outcome.failure))
    return found


def class_counts(overview: Overview) -> dict[str, dict[str, int]]:
    """How many objects of each recipe are of each class."""
    return {
        recipe.name: {
            name: sum(e.outcomes[recipe.name].failure == name for e in overview.entries)
            for name in CLASSES
        }
        for recipe in overview.recipes
    }


def bins(overview: Overview) -> dict[str, list[BinRow]]:
    """J&Ḟ by the object's area, by the length of the absence, by the objects of the video."""
    kinds: dict[str, tuple[Callable[[Entry, str], Pairs], Sequence[int]]] = {
        "area in pixels, frames that show the object": (_by_area, analysis.AREAS),
        "frames of absence, after the return": (_by_gap, analysis.GAPS),
        "objects in the video": (_by_siblings, analysis.OBJECTS),
    }
    return {title: _rows(overview, pairs, limits) for title, (pairs, limits) in kinds.items()}


def _rows(
    overview: Overview, pairs_of: Callable[[Entry, str], Pairs], limits: Sequence[int]
) -> list[BinRow]:
    groups = [
        analysis.binned([p for e in overview.entries for p in pairs_of(e, r.name)], limits)
        for r in overview.recipes
    ]
    return [
        BinRow(
            f"{one[0].low} and more"
            if one[0].high is None
            else f"{one[0].low} to {one[0].high - 1}",
            one[0].count,
            [None if b.score is None else round(100 * b.score, 2) for b in one],
        )
        for one in zip(*groups, strict=True)
    ]


def _curve(
    entry: Entry, recipe: str
) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], list[int]]:
    curves = entry.outcomes[recipe].curves
    if curves is None:
        return np.zeros(0), []
    return (np.array(curves.j) + np.array(curves.f_new)) / 2, list(curves.truth)


def _by_area(entry: Entry, recipe: str) -> Pairs:
    values, truth = _curve(entry, recipe)
    return [(area, float(v)) for area, v in zip(truth, values, strict=True)]


def _by_gap(entry: Entry, recipe: str) -> Pairs:
    values, truth = _curve(entry, recipe)
    gone, back = segments.runs(np.array(truth) == 0)
    ends = {end: end - start for start, end in gone}
    return [(ends.get(start, start), float(values[start:end].mean())) for start, end in back]


def _by_siblings(entry: Entry, recipe: str) -> Pairs:
    value = entry.outcomes[recipe].main
    return [] if value is None else [(entry.siblings, value / 100)]


def elapsed(overview: Overview) -> list[Elapsed]:
    """Mean over objects, each video stretched to the same length."""
    lines = []
    for recipe in overview.recipes:
        curves = [c for e in overview.entries if len(c := _curve(e, recipe.name)[0])]
        if curves:
            grid = np.linspace(0, 1, STEPS)
            mean = np.mean([np.interp(grid, np.linspace(0, 1, len(c)), c) for c in curves], axis=0)
            path = " ".join(
                f"{100 * x:g},{100 - 100 * y:.1f}" for x, y in zip(grid.round(4), mean, strict=True)
            )
            lines.append(Elapsed(recipe.name, f"M{path}"))
    return lines


def gains(overview: Overview) -> list[Gains]:
    """How the objects fare with each recipe, compared with the first one."""
    every: Sequence[Mapping[str, float]] = [entry.gains for entry in overview.entries]
    found = []
    for recipe in overview.recipes[1:]:
        values = sorted(own[recipe.name] for own in every if recipe.name in own)
        if values:
            found.append(_gains(recipe.name, values))
    return found


def _gains(name: str, ordered: Sequence[float]) -> Gains:
    up, down = sum(v > 1 for v in ordered), sum(v < -1 for v in ordered)
    text = (
        f"{name}: {up} of {len(ordered)} objects gain more than one point of J&Ḟ, "
        f"{down} lose more than one"
    )
    ends = f"from {ordered[0]:+.2f} to {ordered[-1]:+.2f}".replace("-", "\N{MINUS SIGN}")
    top, bottom = max(ordered[-1], 1.0), min(ordered[0], -1.0)
    hair = (top - bottom) / 200  # so that a difference of nothing can still be seen
    bars = [
        Bar(
            round(place + 0.1, 1),
            round(min(0.0, -value), 2),
            round(max(abs(value), hair), 2),
            "better" if value > 0 else "worse",
        )
        for place, value in enumerate(ordered)
    ]
    return Gains(text, ends, f"0 {-top:.2f} {len(ordered)} {top - bottom:.2f}", bars)
