"""Names as people's folders bring them: of videos and frames, and of no video at all.

Opens nothing.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

IMAGES = (".jpg", ".jpeg", ".png")
VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm")
# Snakemake fills in <word> and {word}; a backslash is a folder's end where archives are unpacked.
_UNFIT = re.compile(r"<[a-z][a-z0-9_]*>|[{}\\\x00-\x1f\x7f]")
MAX_BYTES = 200  # file systems take 255; artifacts' suffixes and `.part` need some of them


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
