"""What is worth a place on the page: which objects, and which of their frames."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from kit.core.types import Anchor
from kit.report.content import MAIN, Entry

ANCHORS_SHOWN = 4  # the most similar ones; the others are ticks on the time line


def objects(entries: Sequence[Entry], limit: int) -> list[Entry]:
    """The objects that get a strip, worst first.

    With scores of several recipes those between which the recipes differ most, with scores of one
    the worst, without scores those of which the tracker was least sure.

    Args:
        entries: All.
        limit: How many at most.
    """
    order = {id(entry): place for place, entry in enumerate(entries)}
    most = sorted(entries, key=lambda e: (-abs(e.gain or 0.0), level(e), order[id(e)]))
    return sorted(most[: max(0, limit)], key=lambda e: (e.gain or 0.0, level(e), order[id(e)]))


def level(entry: Entry) -> float:
    """How well it went by the worst recipe: the score, else the predicted IoU; percent."""
    values = [o.scores[MAIN] if o.scores else o.confidence for o in entry.outcomes.values()]
    return min((v for v in values if v is not None), default=0.0)


def frames(
    length: int,
    given: int,
    anchors: Iterable[tuple[int, Anchor]],
    curves: Iterable[Sequence[float | None]],
    count: int,
) -> list[int]:
    """Frames of a strip in temporal order: given, anchors, the worst, and evenly spread ones.

    Args:
        length: Of the video.
        given: Index of the given frame; nothing before it is predicted.
        anchors: With their indices; the best of them are shown.
        curves: J (else the predicted IoU) over all frames, one per recipe.
        count: How many frames at most.
    """
    best = sorted(anchors, key=lambda pair: (-pair[1].score, pair[0]))
    chosen = list(dict.fromkeys([given, *(i for i, _ in best)]))[: 1 + ANCHORS_SHOWN]
    last = max(given, length - 2)  # the final frame is never scored, the one before it says more
    values = [(v, i) for c in curves for i, v in enumerate(c) if v is not None and i > given]
    if values and min(values)[1] not in chosen:
        chosen.append(min(values)[1])
    return _filled(sorted({*chosen, last}), count)


def _filled(fixed: Sequence[int], count: int) -> list[int]:
    """Frames added between fixed ones, always where they are farthest apart, evenly."""
    gaps = list(pairwise(fixed))
    parts = [1] * len(gaps)
    for _ in range(min(count, fixed[-1] - fixed[0] + 1) - len(fixed)):
        widest = max(range(len(gaps)), key=lambda g: (gaps[g][1] - gaps[g][0]) / parts[g])
        parts[widest] += 1
    spread = {
        start + round(step * (end - start) / many)
        for (start, end), many in zip(gaps, parts, strict=True)
        for step in range(many)
    }
    return sorted({*spread, *fixed})


def samples(length: int, most: int) -> list[int]:
    """At most so many frames, evenly spread from the first to the last."""
    if length <= most:
        return list(range(length))
    return [round(i * (length - 1) / (most - 1)) for i in range(most)]
