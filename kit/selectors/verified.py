"""Another selector's anchors, as far as they lead back to the first mask.

A wrong anchor conditions the whole video and is the output of its own frame, so it must be found
out before. Each proposed anchor was tracked back to the object's first frame, from its own mask
alone (`kit verify`). If that does not arrive at the mask that was given there, the anchor shows
something else, or something from which the tracker finds no way: it is dropped.

From beyond a long absence the way back is often lost although the anchor is right. But an object
that was away is away on the way back too, while a look-alike was there all the time: an anchor from
which the tracker loses its object for a while can be kept wherever it arrives (`min_absence`).

A config names the selector that proposes (`of`) and the propagator that tracks back (`propagator`).
"""

from dataclasses import dataclass, replace

from kit.core.errors import ConfigError
from kit.core.limits import Positive, Share
from kit.core.types import Cycle, Evidence, Rejected, Selection, Video

VERSION = 2
NEEDS = ("of", "propagator")


@dataclass(frozen=True)
class Config:
    """Chosen by us and not tuned on any data."""

    min_cycle: Share = 0.5  # IoU with the given mask that tracking back must reach
    # frames without it on the way that are as good; null: never
    min_absence: Positive | None = None


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """Keep what leads back to the first mask."""
    if evidence.proposals is None:
        raise ConfigError("`verified` needs --proposals and their --cycles in the manifest.")
    cycles = {(c.object_id, c.frame): c for c in evidence.cycles if c.claim == "anchor"}
    kept, dropped = [], []
    for anchor in evidence.proposals.anchors:
        cycle = cycles[anchor.object_id, anchor.frame]
        if (proof := _proof(cycle, config)) is not None:
            kept.append(replace(anchor, reason=f"{anchor.reason}; {proof}"))
        else:
            why = f"{_arrival(cycle)}, too little"
            dropped.append(Rejected(anchor.frame, anchor.object_id, anchor.score, why))
    return Selection(kept, [*evidence.proposals.rejected, *dropped])


def _proof(cycle: Cycle, config: Config) -> str | None:
    """What speaks for an anchor, if it is enough."""
    if cycle.iou is not None and cycle.iou >= config.min_cycle:
        return _arrival(cycle)
    if config.min_absence is not None and cycle.gone >= config.min_absence:
        return f"tracked back, it is away on {cycle.gone} frames, as the object was"
    return None


def _arrival(cycle: Cycle) -> str:
    if cycle.iou is None:
        return "it cannot be tracked back"
    return f"tracked back, it meets the first mask with IoU {cycle.iou:.4f}"
