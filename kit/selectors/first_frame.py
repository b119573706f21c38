"""No anchors: the given mask alone, the setting every other recipe is compared with."""

from dataclasses import dataclass

from kit.core.types import Evidence, Selection, Video

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """Choose nothing."""
    return Selection(anchors=[], rejected=[])
