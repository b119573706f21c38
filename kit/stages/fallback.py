"""Let the first pass stand where going on from it made an object's result less consistent.

Reads the masks of a first and of a second pass and what came of tracking both back (`kit verify`),
on frames where they disagree. There a result earns the IoU at which its mask arrives at the given
one; `silence`, where it draws nothing. An object keeps its second result if that earns no less on
average; else its pixels are those of the first pass, on every frame. Runs no model.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import artifacts, grounds
from kit.core.errors import ConfigError
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.masks import encode_png
from kit.core.types import Cycle
from kit.stages import settings

VERSION = 1
SILENCE = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--first", type=Path, required=True, help="masks of the first pass (.zip)")
    parser.add_argument("--masks", type=Path, required=True, help="masks of the second (.zip)")
    parser.add_argument("--cycles", type=Path, required=True, help="both, tracked back (.json)")
    parser.add_argument(
        "--settings", type=settings.parsed, required=True, help='{"silence": 0..1}, JSON'
    )
    parser.add_argument("--output", type=Path, required=True, help="masks (.zip)")


def run(args: argparse.Namespace) -> None:
    """Decide for every object of one video."""
    silence = _silence(args.settings)
    video = artifacts.read_video(args.frames)
    first, second = (
        artifacts.read_masks(path, {"video": video.digest}) for path in (args.first, args.masks)
    )
    rivals = {"first_masks": sha256(args.first), "masks": sha256(args.masks)}
    cycles = grounds.read_cycles(args.cycles, video, {"video": video.digest, **rivals})
    verdicts = {o.id: judge([c for c in cycles if c.object_id == o.id], silence)
                for o in video.objects}  # fmt: skip
    settled = Settled(Labels(args.first, video), Labels(args.masks, video), verdicts)
    pngs = ((frame, settled.png(frame)) for frame in video.frames)
    inputs = {**second["inputs"], **rivals, "cycles": sha256(args.cycles)}
    artifacts.write_masks(args.output, pngs, lambda: _notes(settled, first, second), inputs)


@dataclass(frozen=True)
class Verdict:
    """What an object's two results earn on the frames on which they disagree, 0..1 on average."""

    first: float
    second: float

    @property
    def stands(self) -> str:
        """Which result is taken: "second" if it earns no less."""
        return "second" if self.second >= self.first else "first"


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


def _notes(settled: Settled, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """What `objects.json` says, each object's part from the result it is from."""
    passes = {"first": first, "second": second}
    notes = {k: v for k, v in passes[settled.whole or "second"].items() if k not in _OWN}
    if settled.whole is None:
        notes |= {"contested": settled.contested, "claims": {}}
    verdicts = {str(i): verdict for i, verdict in settled.verdicts.items()}
    return {
        **notes,
        "objects": {i: passes[v.stands]["objects"][i] for i, v in verdicts.items()},
        "fallback": {
            i: {"first": v.first, "second": v.second, "stands": v.stands}
            for i, v in verdicts.items()
        },
    }


_OWN = ("schema", "inputs", "fallback")  # written anew


def _silence(values: Mapping[str, Any]) -> float:
    value = values.get("silence", SILENCE)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigError(
            f"fallback.silence: {value!r} is not allowed; it is a number from 0 to 1."
        )
    return float(value)
