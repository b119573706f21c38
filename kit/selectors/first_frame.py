"""No anchors: the given mask alone, the setting every other recipe is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

from kit.core.types import Candidate, Features, Selection, Video

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


def select(
    video: Video, candidates: Sequence[Candidate], features: Features, config: Config
) -> Selection:
    """Choose nothing."""
    return Selection(anchors=[], rejected=[])
