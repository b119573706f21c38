"""Another selector's anchors, as far as they lead back to the first mask.

A wrong anchor conditions the whole video and is the output of its own frame, so it must be found
out before. Each proposed anchor was tracked back to the object's first frame, from its own mask
alone (`kit verify`). If that does not arrive at the mask that was given there, the anchor shows
something else, or something from which the tracker finds no way: it is dropped.

A config names the selector that proposes (`of`) and the propagator that tracks back (`propagator`).
"""

from dataclasses import dataclass, replace

from kit.core.errors import ConfigError
from kit.core.types import Anchor, Cycle, Evidence, Rejected, Selection, Video

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Chosen by us and not tuned on any data."""

    min_cycle: float = 0.5  # IoU with the given mask that tracking back must reach


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """Keep what leads back to the first mask."""
    if evidence.proposals is None:
        raise ConfigError("`verified` needs --proposals and their --cycles in the manifest.")
    cycles = {(c.object_id, c.frame): c for c in evidence.cycles if c.claim == "anchor"}
    kept, dropped = [], []
    for anchor in evidence.proposals.anchors:
        cycle = cycles[anchor.object_id, anchor.frame]
        if cycle.iou is not None and cycle.iou >= config.min_cycle:
            kept.append(_confirmed(anchor, cycle))
        else:
            dropped.append(
                Rejected(
                    anchor.frame, anchor.object_id, anchor.score, f"{_arrival(cycle)}, too little"
                )
            )
    return Selection(kept, [*evidence.proposals.rejected, *dropped])


def _confirmed(anchor: Anchor, cycle: Cycle) -> Anchor:
    return replace(anchor, reason=f"{anchor.reason}; {_arrival(cycle)}")


def _arrival(cycle: Cycle) -> str:
    if cycle.iou is None:
        return "it cannot be tracked back"
    return f"tracked back, it meets the first mask with IoU {cycle.iou:.4f}"
