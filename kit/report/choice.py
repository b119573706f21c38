"""What is worth a place on the page: which objects, and which of their frames."""

from collections.abc import Iterable, Sequence

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
    return sorted(most[:limit], key=lambda e: (e.gain or 0.0, level(e), order[id(e)]))


def level(entry: Entry) -> float:
    """How well it went by the worst recipe: the score, else the predicted IoU; percent."""
    values = [o.scores[MAIN] if o.scores else o.confidence for o in entry.outcomes.values()]
    return min((v for v in values if v is not None), default=0.0)


def frames(length: int, given: int, anchors: Iterable[tuple[int, Anchor]], count: int) -> list[int]:
    """Frames of a strip in temporal order: the given one, the best anchors, the widest gaps.

    Args:
        length: Of the video.
        given: Index of the given frame; nothing before it is predicted.
        anchors: With their indices.
        count: How many frames at most.
    """
    best = sorted(anchors, key=lambda pair: (-pair[1].score, pair[0]))
    chosen = list(dict.fromkeys([given, *(i for i, _ in best)]))[: 1 + ANCHORS_SHOWN]
    last = max(given, length - 2)  # the final frame is never scored, the one before it says more
    while len(chosen) < min(count, last - given + 1):
        candidates = range(given, last + 1)
        chosen.append(max(candidates, key=lambda i: (min(abs(i - c) for c in chosen), -i)))
    return sorted(chosen)


def samples(length: int, most: int) -> list[int]:
    """At most so many frames, evenly spread from the first to the last."""
    if length <= most:
        return list(range(length))
    return [round(i * (length - 1) / (most - 1)) for i in range(most)]
