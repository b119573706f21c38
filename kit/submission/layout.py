"""Where in a tree of names the video folders are, and where the scorer would look for them.

Works on names alone: opens nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kit.data.likeness import is_object_folder
from kit.submission.expected import Video
from kit.submission.frames import is_mask
from kit.submission.source import Entry

_MAX_DEPTH = 8  # deeper folders are nobody's videos, and must not cost quadratic time


@dataclass(frozen=True)
class Layout:
    """The tree, sorted out.

    `base` is the folder that holds the videos ("" for the root, None if none was found) and
    `scored` the one the scorer takes; `files` are the entries directly inside each video's folder,
    by file name (the last of a name wins, as when unpacking); `others` is all that is no video.
    """

    base: str | None
    scored: str
    files: Mapping[str, Mapping[str, Entry]]
    others: list[Entry] = field(default_factory=list)


def find(entries: Iterable[Entry], videos: Mapping[str, Video]) -> Layout:
    """Find the videos wherever they are.

    Args:
        entries: all entries with plain names.
        videos: expected videos by name.
    """
    entries = list(entries)
    folders = {folder for entry in entries for folder in _folders(entry)}
    base = _meant(folders, videos)
    files: dict[str, dict[str, Entry]] = {
        name: {} for name in videos if base is not None and join(base, name) in folders
    }
    others = []
    for entry in entries:
        parent, _, name = entry.name.rpartition("/")
        grand, _, video = parent.rpartition("/")
        if video in files and grand == base and not entry.is_dir:
            files[video][name] = entry
        elif entry.name not in folders or entry.is_dir:
            others.append(entry)
    return Layout(base, _scored(entries, folders), files, others)


def join(base: str, name: str) -> str:
    """Path of `name` in `base`, where "" is the root."""
    return f"{base}/{name}" if base else name


def object_folders(found: Layout) -> dict[str, str]:
    """Videos whose masks lie in a folder per object, as in SA-V: video to the first such folder."""
    inside: dict[str, str] = {}
    for entry in found.others:
        parent, _, name = entry.name.rpartition("/")
        above, _, folder = parent.rpartition("/")
        video = above.removeprefix(join(found.base or "", "")) if found.base else above
        if video in found.files and is_mask(name) and is_object_folder(folder):
            inside.setdefault(video, parent)
    return inside


def clashes(entries: Iterable[Entry]) -> Iterator[str]:
    """Names that are a file here and a folder there."""
    entries = list(entries)
    folders = {folder for entry in entries for folder in _folders(entry)}
    yield from sorted({entry.name for entry in entries if not entry.is_dir} & folders)


def _folders(entry: Entry) -> Iterator[str]:
    """The folders an entry implies, itself included if it is one."""
    parts = entry.name.split("/")
    last = len(parts) if entry.is_dir else len(parts) - 1
    for depth in range(1, min(last, _MAX_DEPTH) + 1):
        yield "/".join(parts[:depth])


def _meant(folders: Iterable[str], videos: Mapping[str, Video]) -> str | None:
    """The folder that holds the most videos; the shallowest of equals."""
    held: dict[str, int] = defaultdict(int)
    for folder in folders:
        parent, _, name = folder.rpartition("/")
        if name in videos:
            held[parent] += 1
    return min(held, key=lambda base: (-held[base], base.count("/"), base), default=None)


def _scored(entries: Iterable[Entry], folders: set[str]) -> str:
    """The scorer steps into a folder that is the only entry of the root, hidden ones aside."""
    roots = {entry.name.split("/")[0] for entry in entries}
    visible = [root for root in roots if not root.startswith(".")]
    return visible[0] if len(visible) == 1 and visible[0] in folders else ""
