"""What is worth a place on the page: which objects, and which frames of long videos."""

from collections.abc import Sequence

from kit.report.content import MAIN, Entry


def objects(entries: Sequence[Entry], limit: int) -> list[Entry]:
    """The objects that get a player, worst first.

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


def samples(length: int, most: int) -> list[int]:
    """At most so many frames, evenly spread from the first to the last."""
    if length <= most:
        return list(range(length))
    return [round(i * (length - 1) / (most - 1)) for i in range(most)]
