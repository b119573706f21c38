"""Which of two results an object has: the one that tracks back to its first mask more surely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from kit.core.labels import Labels
from kit.core.limits import Range, Share
from kit.core.masks import encode_png
from kit.core.types import Cycle, MaskNotes, Verdict

PROBES = 3


@dataclass(frozen=True)
class Config:
    """What decides between two results."""

    probes: Annotated[int, Range(1, 100)] = PROBES  # frames per object on which both are compared
    silence: Share = 0.5  # IoU that drawing nothing counts as


def judge(cycles: Sequence[Cycle], silence: float) -> Verdict:
    """The verdict for one object; both earn nothing where they never disagree.

    Args:
        cycles: Of both results, on the same frames.
        silence: What drawing nothing is worth.
    """
    worth: dict[str, list[float]] = {"first": [], "second": []}
    for cycle in cycles:
        worth[cycle.claim].append(silence if cycle.iou is None else cycle.iou)
    return Verdict(*(round(sum(v) / len(v), 4) if v else 0.0 for v in worth.values()))


class Settled:
    """Label maps of which each object is from one of two results."""

    def __init__(self, first: Labels, second: Labels, verdicts: Mapping[int, Verdict]) -> None:
        self.first, self.second, self.verdicts = first, second, verdicts
        self.contested: dict[str, int] = {}
        self._standing = [i for i, verdict in verdicts.items() if verdict.stands == "first"]

    @property
    def whole(self) -> str | None:
        """The result that all objects are from, if it is one."""
        found = {verdict.stands for verdict in self.verdicts.values()}
        return found.pop() if len(found) == 1 else None

    def png(self, frame: str) -> bytes:
        """The picture; the same bytes as in a result that all objects are from.

        What an object of the first pass covered stays its own to the pixel; the others get what is
        left of theirs.
        """
        if self.whole is not None:
            return (self.first if self.whole == "first" else self.second).packed(frame)
        first, labels = self.first[frame], np.array(self.second[frame])
        labels[np.isin(labels, self._standing)] = 0
        stands = np.isin(first, self._standing)
        disputed = int((stands & (labels > 0)).sum())
        if disputed:
            self.contested[frame] = disputed
        labels[stands] = first[stands]
        return encode_png(labels)


def notes_of(settled: Settled, first: MaskNotes, second: MaskNotes) -> MaskNotes:
    """What is noted beside the masks, each object's states from the result it is from."""
    passes = {"first": first, "second": second}
    notes = passes[settled.whole or "second"]
    if settled.whole is None:
        notes = replace(notes, contested=settled.contested, claims={})
    states = {i: passes[v.stands].states[i] for i, v in settled.verdicts.items()}
    return replace(notes, states=states, verdicts=settled.verdicts)
