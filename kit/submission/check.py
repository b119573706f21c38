"""Find every defect of a submission before the server does.

Streams through a folder or an archive: nothing is extracted, one picture is in memory at a time.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kit.core.clutter import is_clutter
from kit.submission import expected, frames, layout, png, team
from kit.submission.expected import Video
from kit.submission.layout import Layout
from kit.submission.rules import MAX_TOTAL_BYTES, RULES, Severity
from kit.submission.source import Broken, Entry, Source, open_source


@dataclass(frozen=True)
class Finding:
    """One defect: `count` files of one place share it, `where` names the first."""

    severity: Severity
    code: str
    where: str
    what: str
    fix: str
    count: int = 1

    def __str__(self) -> str:
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        return f"{self.severity}: {self.where}{more}: {self.what}. Fix: {self.fix}. [{self.code}]"


@dataclass(frozen=True)
class Report:
    """All findings, worst first."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing is worse than harmless."""
        return all(finding.severity is Severity.HARMLESS for finding in self.findings)

    def as_json(self) -> str:
        """The report for machines, stable from run to run."""
        rows = [asdict(finding) for finding in self.findings]
        return json.dumps({"ok": self.ok, "findings": rows}, indent=1)

    def __str__(self) -> str:
        counts = Counter(finding.severity for finding in self.findings)
        total = ", ".join(f"{counts[severity]} {severity}" for severity in Severity)
        return "\n".join([*map(str, self.findings), total])


def check(source: Path, meta: Mapping[str, Any], workers: int = 1) -> Report:
    """Report what the server would stumble over.

    Args:
        source: folder or ZIP archive of a submission.
        meta: the split's meta, see `kit.submission.expected.videos`.
        workers: processes that look at pictures; the report does not depend on it.

    Raises:
        DataError: if meta cannot be used.
        SubmissionError: if there is nothing at `source`.
    """
    findings = _Findings()
    videos = expected.videos(meta)
    try:
        with open_source(source) as tree:
            found = _check_names(tree, videos, findings)
            if workers == 1 and found is not None:
                _check_videos(tree, videos, found, findings)
        if workers > 1 and found is not None:
            _check_shares(source, videos, workers, findings)
        findings.conclude(videos)
    except Broken as broken:
        findings.add(broken.code, source.name, str(broken))
    return Report(findings.sorted())


class _Findings:
    """Collects findings, one per code and place however many files share it."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[str, str]] = {}
        self._count: Counter[tuple[str, str]] = Counter()
        self._masks: Counter[bool] = Counter()  # by whether they are empty

    def saw(self, picture: png.Picture) -> None:
        """Count a mask."""
        self._masks[picture.is_empty] += 1

    def conclude(self, videos: Mapping[str, Video]) -> None:
        """Add what only all masks together tell."""
        objects = sum(len(video.labels - {0}) for video in videos.values())
        if self._masks[True] and not self._masks[False] and objects:
            detail = f"all {self._masks[True]} masks are empty, of {objects} objects"
            self.add("all-empty", "archive", detail)

    def add(self, code: str, where: str, detail: str, group: str = "") -> None:
        self._first.setdefault((code, group), (where, detail))
        self._count[code, group] += 1

    def merge(self, other: "_Findings") -> None:
        """Take over the findings on other videos."""
        self._first |= other._first
        self._count += other._count
        self._masks += other._masks

    def sorted(self) -> list[Finding]:
        rows = []
        for (code, group), (where, detail) in self._first.items():
            rule = RULES[code]
            what = (
                f"{detail}; the server {rule.outcome}" if detail else f"The server {rule.outcome}"
            )
            rows.append(
                Finding(rule.severity, code, where, what, rule.fix, self._count[code, group])
            )
        return sorted(rows, key=lambda row: (row.severity.rank, row.where, row.code))


def _check_names(tree: Source, videos: Mapping[str, Video], findings: _Findings) -> Layout | None:
    """Everything but the videos' files; None where those must not be read."""
    found = layout.find(_check_entries(tree.entries, findings), videos)
    _check_layout(found, videos, findings)
    _check_others(tree, found, videos, findings)
    total = sum(entry.size for entry in tree.entries)
    if total <= MAX_TOTAL_BYTES:
        return found
    findings.add("too-large", "archive", f"{total:,} bytes in all, limit {MAX_TOTAL_BYTES:,}")
    return None


def _check_videos(
    tree: Source, videos: Mapping[str, Video], found: Layout, findings: _Findings
) -> None:
    by_object = layout.object_folders(found)
    for name, files in found.files.items():
        if name in videos and name in by_object:
            findings.add("object-folders", by_object[name], "a folder per object", name)
        elif name in videos:
            _check_video(tree, videos[name], files, findings)


def _check_shares(
    source: Path, videos: Mapping[str, Video], workers: int, findings: _Findings
) -> None:
    """The videos' files, by several processes that each open the source for themselves."""
    shares = [list(videos)[start::workers] for start in range(workers)]
    # Spawned, not forked: the caller may have threads or a CUDA context.
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for share in pool.map(_check_share, repeat(source), repeat(videos), shares):
            findings.merge(share)


def _check_share(source: Path, videos: Mapping[str, Video], names: list[str]) -> _Findings:
    findings = _Findings()
    with open_source(source) as tree:
        found = layout.find(_check_entries(tree.entries, _Findings()), videos)
        _check_videos(tree, {name: videos[name] for name in names}, found, findings)
    return findings


def _check_entries(entries: list[Entry], findings: _Findings) -> list[Entry]:
    """Report flawed names; return the entries that unpack to where they say."""
    usable = []
    for entry in entries:
        if entry.flaw:
            findings.add(entry.flaw, entry.name, "")
        if entry.flaw not in {"unsafe-name", "backslash"}:
            usable.append(entry)
    copies = Counter(entry.name for entry in usable if not entry.is_dir)
    for name, count in copies.items():
        if count > 1:
            findings.add("duplicate-name", name, f"{count} entries of this name")
    for name in layout.clashes(usable):
        findings.add("name-clash", name, "a file and a folder")
    return usable


def _check_layout(found: Layout, videos: Mapping[str, Video], findings: _Findings) -> None:
    if found.base is not None and found.base != found.scored:
        code = "wrapper" if found.base else "lone-video"
        place = f"videos are in {found.base or 'the root'!r}"
        findings.add(code, found.scored or found.base, f"{place}, scored is {found.scored!r}")
    elif found.base:
        findings.add("lone-wrapper", found.base, "a wrapper folder")
    for name in videos:
        if name not in found.files:
            findings.add("video-missing", name, f"no folder {name}")


def _check_others(
    tree: Source, found: Layout, videos: Mapping[str, Video], findings: _Findings
) -> None:
    """Everything that is not a file of a video."""
    base, by_object = found.base or "", layout.object_folders(found)
    for entry in found.others:
        inside = entry.name.removeprefix(f"{base}/") if base else entry.name
        top, deeper = inside.split("/")[0], "/" in inside or entry.is_dir
        if entry.is_dir and (inside in found.files or f"{base}/".startswith(f"{entry.name}/")):
            continue
        if inside == "team.json" or entry.name == "team.json":
            _check_team(tree, entry, findings)
        elif top in by_object:
            continue  # told of the video as a whole: to remove them would be wrong
        elif inside in videos:
            findings.add("video-file", entry.name, "a file where a folder is expected")
        elif deeper and top not in found.files and not is_clutter(top):
            findings.add("video-extra", layout.join(base, top), "not in meta", top)
        else:
            findings.add("junk", entry.name, "not part of a submission", top)


def _check_team(tree: Source, entry: Entry, findings: _Findings) -> None:
    try:
        for problem in team.problems(tree.read(entry)):
            findings.add("team", entry.name, problem, problem)
    except Broken as broken:
        findings.add(broken.code, entry.name, str(broken))


def _check_video(
    tree: Source, video: Video, files: Mapping[str, Entry], findings: _Findings
) -> None:
    masks = {name: entry for name, entry in files.items() if frames.is_mask(name)}
    for name in files.keys() - masks.keys():
        findings.add("junk", files[name].name, "not listed by the scorer", video.name)
    for code, name, detail in frames.judge(list(masks), video):
        where = f"{video.name}/{name}" if name else video.name
        findings.add(code, where, detail, video.name)
    for name in sorted(masks):
        if not masks[name].flaw:
            _check_mask(tree, masks[name], video, findings)


def _check_mask(tree: Source, entry: Entry, video: Video, findings: _Findings) -> None:
    try:
        picture = png.look(tree.read(entry), video.size, video.labels)
    except Broken as broken:
        findings.add(broken.code, entry.name, str(broken), video.name)
    except png.NotAPicture as error:
        findings.add("unreadable", entry.name, str(error), video.name)
    else:
        findings.saw(picture)
        for code, detail in _picture_defects(picture, video):
            findings.add(code, entry.name, detail, video.name)


def _picture_defects(picture: png.Picture, video: Video) -> Iterable[tuple[str, str]]:
    if video.size is not None and picture.size != video.size:
        code = "size-broadcast" if _broadcasts(picture.size, video.size) else "size"
        yield code, f"{_wide(picture.size)}, the video is {_wide(video.size)}"
        return
    if picture.format != "PNG":
        yield "not-png", f"{picture.format} data under a PNG name"
    strangers = picture.strangers
    if picture.mode == "1":
        yield "one-bit", "1-bit picture"
    elif picture.mode not in {"P", "L", "LA"} and not picture.mode.startswith("I"):
        yield "colour", f"mode {picture.mode}"
    elif picture.disorder:
        yield "palette-order", picture.disorder
    elif strangers == {255}:
        yield "zero-255", "object pixels have the value 255"
    elif strangers:
        known = sorted(video.labels - {0})
        yield "label", f"labels {sorted(strangers)[:8]}, the video has objects {known[:8]}"
    if picture.mode.startswith("I"):
        yield "deep", f"mode {picture.mode}"


def _broadcasts(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return all(have in {1, want} for have, want in zip(size, wanted, strict=True))


def _wide(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
