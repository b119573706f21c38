"""The last mask that was given stands still. No model: a floor under every table of results.

A tracker that does not beat it does not see the video, or its masks are of other frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kit.core.types import FrameResult, FrameSource, Prompt
from kit.propagators.unaided import carried

VERSION = 1
NEEDS = ()  # no tracker


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


def propagate(
    tracker: None, frames: FrameSource, prompts: Sequence[Prompt], config: Config
) -> Iterator[FrameResult]:
    """Every object keeps the mask of its latest prompt; see `carried`."""
    return carried(frames, prompts, lambda _, masks: masks)
