"""Somebody else's package, as installed: a selector in one file, announced by an entry point."""

import importlib
from pathlib import Path

MODULE = '''"""Anchors: the candidates that the detector was surest of, whatever they look like."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from kit.core.limits import Range, Share
from kit.core.types import Anchor, Evidence, Selection, Video

VERSION = 7
Few = Annotated[int, Range(1, 9)]
Path(__file__).with_name("imported").touch()


@dataclass(frozen=True)
class Config:
    """What is enough."""

    most: Few = 1  # per object
    least: Share = 0.0  # score


def select(video: Video, evidence: Evidence, config: Config) -> Selection:
    """The loudest of each object."""
    chosen = []
    for target in video.objects:
        own = [c for c in evidence.candidates if c.object_id == target.id]
        own = [c for c in own if c.score >= config.least and c.frame != target.first_frame]
        loud = sorted(own, key=lambda c: (-c.score, c.frame))[: config.most]
        chosen += [
            Anchor(c.frame, c.object_id, c.rle, 1.0, None, "loud")
            for c in sorted(loud, key=lambda c: c.frame)
        ]
    return Selection(chosen, [])
'''


def install(
    folder: Path, name: str = "loudest", module: str = MODULE, by: str = "their_team"
) -> Path:
    """Put a package `by` with a selector into a folder of modules; returns the method's file."""
    package, info = folder / by, folder / f"{by}-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text('raise RuntimeError("planning imports no packages")')
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {by}\nVersion: 1.0\n")
    entry = f"[mose_kit.selectors]\nloudest = {by}.loudest\n"
    (info / "entry_points.txt").write_text(entry)
    (package / "loudest.py").write_text(module)
    importlib.invalidate_caches()
    return package / "loudest.py"


def usable(file: Path) -> None:
    """Let the package of a method be imported; until then it must not be."""
    (file.parent / "__init__.py").write_text("")
