"""Several sources as one: what they found side by side, once where they found the same.

A config names the presets (`of`), the best first. Scores of different sources are no measure of one
thing, so of two regions that overlap too much the one of the source named first stays; it is told
which others found it too ("exemplar_tokens+canvas"). Runs no model: each member keeps a file of its
own, and another threshold here, or another member, searches no frame again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.core.limits import Share
from kit.core.types import Candidate
from kit.detectors.base import distinct

VERSION = 1
MERGES = True
NEEDS = ("of",)


@dataclass(frozen=True)
class Config:
    """What counts as the same region."""

    nms_iou: Share = 0.7  # masks that overlap more are one candidate


def merge(found: Sequence[Sequence[Candidate]], config: Config) -> list[Candidate]:
    """Greedy mask-NMS per frame and object, in the order of the sources and of each one's own.

    Args:
        found: Of each source, in the order of the config.
        config: Settings.

    Returns:
        Survivors, by (frame, object) in the order of appearance.
    """
    together: dict[tuple[str, int], list[Candidate]] = {}
    for candidate in (c for one in found for c in one):
        together.setdefault((candidate.frame, candidate.object_id), []).append(candidate)
    return [c for group in together.values() for c in distinct(group, config.nms_iou)]
