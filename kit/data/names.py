"""Names as people's folders bring them: of videos and frames, in lists, and of no video at all.

Looks at names alone; opens nothing but a list of videos.
"""

import codecs
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from kit.core.errors import DataError

IMAGES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm")
# Snakemake fills in <word> and {word}; a backslash is a folder's end where archives are unpacked.
_UNFIT = re.compile(r"<[a-z][a-z0-9_]*>|[{}\\\x00-\x1f\x7f]")
MAX_BYTES = 200  # file systems take 255; artifacts' suffixes and `.part` need some of them
_MAX_LIST_BYTES = 16 << 20
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",  # what PowerShell's > writes
    codecs.BOM_UTF16_BE: "utf-16",
}


def flaw_of_video(name: str) -> str:
    """Why no file of a run can carry the name of a video; empty if it can."""
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        return "is no name of a folder"
    if name.startswith("."):
        return "starts with a dot, as hidden files do"
    if bad := _UNFIT.search(name):
        return f"holds {bad[0]!r}, which paths of the workflow cannot carry"
    if name[1:2] == ":":
        return "looks like a path of Windows, which servers refuse to unpack"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not in UTF-8"
    if size > MAX_BYTES:
        return f"has {size} bytes, at most {MAX_BYTES} leave room for suffixes"
    return ""


def last_number(stem: str) -> int | None:
    """The last run of digits in a name, which orders frames; None without one."""
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits else None


def flaw_for_server(frames: Iterable[str]) -> str:
    """Why the MOSEv2 server would refuse masks named like these frames; empty if it takes them.

    Args:
        frames: stems, in any order.
    """
    frames = list(frames)
    bad = [frame for frame in frames if not frame.isdecimal()]
    if bad:
        return f"{len(bad)} of {len(frames)} names are no plain numbers, such as {bad[0]!r}"
    return ""


def read_list(path: Path, or_none: bool = False) -> list[str]:
    """Names of videos from a text file, a name a line, in their order and each once.

    Blanks around a name, empty lines, folders before it and slashes behind it (`ls -d PATH/*/`),
    and byte order marks of UTF-8 and UTF-16 are no part of a name; blanks inside it are.

    Raises:
        DataError: The file cannot be read as text, or holds no name.
    """
    try:
        if path.stat().st_size > _MAX_LIST_BYTES:
            raise DataError(f"{path}: {path.stat().st_size} bytes, too many for a list of names.")
        text = _decoded(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it is to hold videos' names, one a line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read names ({error}). Save it as UTF-8 text.") from None
    found = unique(text.splitlines())
    if not found and not or_none:
        raise DataError(f"{path}: holds no name. List the videos, one a line; null means all.")
    return found


def _decoded(data: bytes) -> str:
    encoding = next((e for mark, e in _MARKS.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding)


def unique(names: Iterable[str]) -> list[str]:
    """Names without what surrounds them, each once, in order; empty ones are left out."""
    bare = (name.strip().rstrip("/").rpartition("/")[2] for name in names)
    return list(dict.fromkeys(filter(None, bare)))


def listed(names: Collection[str], most: int = 5) -> str:
    """Names for a message: the first few, and how many more there are."""
    shown = ", ".join(list(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def by_suffix(files: Sequence[Path]) -> str:
    """What kinds of files there are, for a message: "3 .webp, 1 .txt"."""
    counts: dict[str, int] = {}
    for file in files:
        kind = file.suffix or "without suffix"
        counts[kind] = counts.get(kind, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {kind}" for kind, count in ranked[:5])
