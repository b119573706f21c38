"""What happens to an object over time, for a reader to jump to."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

Curve = Sequence[float | None]


def of_object(
    given: int,
    there: Sequence[bool] | None,
    curves: Mapping[str, Curve],
    anchors: Iterable[int],
) -> list[tuple[int, str]]:
    """(place, what happens), in temporal order.

    Args:
        given: Place of the given frame; nothing before it is predicted.
        there: Whether the object is visible on each frame, by the truth or else by one recipe;
            None if neither is known.
        curves: By recipe, J (else the predicted IoU) over the same frames.
        anchors: Places of all recipes' anchors.
    """
    events = [(given, "given")] + [(place, "anchor") for place in sorted(set(anchors))]
    for place, (before, now) in enumerate(pairwise(there or ()), 1):
        if before != now:
            events.append((place, "returns" if now else "disappears"))
    worst = _worst(given, list(curves.values()))
    if worst is not None:
        events.append((worst, "worst frame"))
    apart = _apart(given, list(curves.values()))
    if apart is not None:
        events.append((apart, "largest disagreement"))
    return sorted(events)


def _worst(given: int, curves: Sequence[Curve]) -> int | None:
    """Where some recipe is lowest after the given frame."""
    values = [(v, i) for c in curves for i, v in enumerate(c) if v is not None and i > given]
    return min(values)[1] if values else None


def _apart(given: int, curves: Sequence[Curve]) -> int | None:
    """Where recipes differ most; None where they never do."""
    spread = []
    for place, values in enumerate(zip(*curves, strict=True)):
        known = [v for v in values if v is not None]
        if place > given and len(known) > 1:
            spread.append((max(known) - min(known), -place))
    most = max(spread, default=(0.0, 0))
    return -most[1] if most[0] > 0 else None
