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


COLOUR = '''"""Mean colours as features, with weights of their own kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

VERSION = 1


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


def load(settings: Mapping[str, Any]) -> torch.nn.Module:
    """A layer that weighs the channels."""
    weights = torch.nn.Linear(3, 3, bias=False)
    torch.nn.init.constant_(weights.weight, float(settings["source"]))
    return weights


def crop(image: Any, mask: Any, config: Config, corner: tuple[int, int] = (0, 0)) -> Any:
    """The region's mean colour."""
    top, left = corner
    return image[top : top + mask.shape[0], left : left + mask.shape[1]][mask].mean(0)


def pool(image: Any, mask: Any, config: Config) -> list[Any]:
    """One view."""
    return [crop(image, mask, config)]


@torch.inference_mode()
def embed(model: torch.nn.Module, views: Sequence[Any], config: Config, batch: int) -> Any:
    """Unit vectors."""
    rows = torch.as_tensor(np.asarray(views, np.float32).reshape(-1, 3)) + 1
    return torch.nn.functional.normalize(model(rows), dim=1).numpy()
'''


def install(
    folder: Path,
    module: str = MODULE,
    by: str = "their_team",
    family: str = "selectors",
    name: str = "loudest",
) -> Path:
    """Put a package `by` with a method into a folder of modules; returns the method's file."""
    package, info = folder / by, folder / f"{by}-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text('raise RuntimeError("planning imports no packages")')
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {by}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mose_kit.{family}]\n{name} = {by}.{name}\n")
    (package / f"{name}.py").write_text(module)
    importlib.invalidate_caches()
    return package / f"{name}.py"


def usable(file: Path) -> None:
    """Let the package of a method be imported; until then it must not be."""
    (file.parent / "__init__.py").write_text("")
