"""Curves and bars as inline SVG: an object over time, a split at a glance."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from kit.report.content import Timeline
from kit.report.markup import Html, element

CURVE, LANE, GAP = 26, 7, 3  # heights of the curve, of a lane, and between them


def time_line(
    line: Timeline, length: int, given: int, anchors: Iterable[int], shown: Iterable[int], alt: str
) -> Html:
    """Quality, predicted presence and true presence over all frames, anchors as ticks.

    Args:
        line: What is drawn.
        length: Of the video.
        given: Index of the given frame.
        anchors: Indices of the anchors.
        shown: Indices of the frames of the strip.
        alt: The same in words.
    """
    height = CURVE + (LANE + GAP) * (1 if line.truth is None else 2)
    lanes = [_lane(line, line.predicted, CURVE + GAP, length, "predicted")]
    if line.truth is not None:
        lanes.append(_lane(line, line.truth, CURVE + LANE + 2 * GAP, length, "true"))
    marks = [
        *(_tick(i, 0, 4, "shown") for i in shown),
        *(_tick(i, 0, height, "anchor") for i in anchors),
        _tick(given, 0, height, "given"),
    ]
    return element(
        "svg",
        element("title", alt),
        element("rect", width=length, height=CURVE, class_="ground"),
        _curve(line),
        lanes,
        marks,
        class_="time",
        role="img",
        viewBox=f"0 0 {length} {height}",
        preserveAspectRatio="none",
        style=f"height:{height}px",
    )


def _curve(line: Timeline) -> list[Html]:
    """An area under each unbroken run of values."""
    points = list(zip(line.indices, line.curve, strict=True))
    runs = [list(run) for known, run in groupby(points, key=lambda p: p[1] is not None) if known]
    return [element("path", class_="curve", d=_area(run)) for run in runs]


def _area(run: Sequence[tuple[int, float | None]]) -> str:
    tops = [(i + 0.5, CURVE * (1 - (value or 0.0))) for i, value in run]
    first, last = tops[0][0] - 0.5, tops[-1][0] + 0.5
    corners = [(first, tops[0][1]), *tops, (last, tops[-1][1]), (last, CURVE), (first, CURVE)]
    return "M" + " ".join(f"{x:g},{round(y, 1):g}" for x, y in corners) + "Z"


def _lane(line: Timeline, states: Sequence[bool], top: int, length: int, kind: str) -> list[Html]:
    """A bar that is filled where the object is there."""
    ends = [*line.indices[1:], length]
    spans = zip(line.indices, ends, states, strict=True)
    bars = [element("rect", y=top, width=length, height=LANE, class_="ground")]
    for there, group in groupby(spans, key=lambda span: span[2]):
        run = list(group)
        if there:
            x, width = run[0][0], run[-1][1] - run[0][0]
            bars.append(element("rect", x=x, y=top, width=width, height=LANE, class_=kind))
    return bars


def _tick(index: int, top: int, bottom: int, kind: str) -> Html:
    return element("path", class_=f"tick {kind}", d=f"M{index + 0.5:g},{top}V{bottom}")


def gains(values: Sequence[float], alt: str) -> Html:
    """Differences of all objects, ascending, as bars around a zero line."""
    ordered = sorted(values)
    top, bottom = max(ordered[-1], 1.0), min(ordered[0], -1.0)
    hair = (top - bottom) / 200  # that a difference of nothing can still be seen
    bars = [
        element(
            "rect",
            x=f"{place + 0.1:g}",
            y=f"{min(0.0, -value):.2f}",
            width=0.8,
            height=f"{max(abs(value), hair):.2f}",
            class_="better" if value > 0 else "worse",
        )
        for place, value in enumerate(ordered)
    ]
    return element(
        "svg",
        element("title", alt),
        bars,
        element("path", class_="zero", d=f"M0,0H{len(values)}"),
        class_="gains",
        role="img",
        viewBox=f"0 {-top:.2f} {len(values)} {top - bottom:.2f}",
        preserveAspectRatio="none",
        style=f"max-width:{2 * len(values)}rem",
    )
