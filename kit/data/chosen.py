"""Which videos a run is about: those of a folder or of a list, and why some cannot be run."""

import difflib
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kit.core.errors import DataError
from kit.core.name_lists import read_list, unique
from kit.data import names
from kit.data.layout import Split


@dataclass(frozen=True)
class Chosen:
    """The videos of a run.

    Attributes:
        videos: Names that can be run, sorted.
        refused: Names that cannot, each with the reason.
        passed_over: Folders between them that systems left there.
    """

    videos: list[str]
    refused: dict[str, str] = field(default_factory=dict)
    passed_over: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What a user should know before a run, a line each."""
        told = []
        if self.passed_over:
            told.append(f"passed over, as no videos: {names.listed(self.passed_over)}")
        told += [f"video {video!r} is refused: it {why}" for video, why in self.refused.items()]
        return told


def choose(split: Split, wanted: str | Sequence[str] | None) -> Chosen:
    """The videos of a split, or those of them that are wanted.

    Args:
        split: Where they lie.
        wanted: Names, or a file with a name a line; None: all.

    Raises:
        DataError: The folder or the list cannot be read, or not one video can be run.
    """
    here = dict.fromkeys(split.videos())
    asked = list(here) if wanted is None else _asked(wanted, here)
    passed_over = split.passed_over() if wanted is None else []
    refused = {name: why for name in asked if (why := _flaw(name, here, split))}
    videos = sorted(set(asked) - refused.keys())
    if not videos:
        name, why = next(iter(refused.items()))
        raise DataError(f"no video can be run: {name!r} {why}.")
    return Chosen(videos, refused, passed_over)


def _asked(wanted: str | Sequence[str], here: Collection[str]) -> list[str]:
    asked = read_list(Path(wanted)) if isinstance(wanted, str) else unique(wanted)
    if not asked:
        raise DataError("data.videos: an empty list. Name the videos, or write null for all.")
    return unique(_as_written(name, here) for name in asked)


def _as_written(name: str, here: Collection[str]) -> str:
    """A name as the file system has it: of a film without suffix, in its composition of accents."""
    if name in here:
        return name
    stem = name.rpartition(".")[0] if name.lower().endswith(names.VIDEOS) else name
    same = unicodedata.normalize("NFC", stem)
    return next((one for one in here if unicodedata.normalize("NFC", one) == same), name)


def _flaw(name: str, here: Collection[str], split: Split) -> str:
    if flaw := names.flaw_of_video(name):
        return flaw
    if name in here:
        return ""
    near = difflib.get_close_matches(name, here, n=1)
    hint = f"; is it {near[0]!r}?" if near else ""
    return f"is neither a frame folder nor a video file in {split.root / split.images}{hint}"
