"""A set of videos on disk, scored by a row of `kit.metrics.protocols`.

Label maps lie in VIDEO/FRAME.png, for SA-V in VIDEO/OBJECT/FRAME.png, in the ground truth and in
the predictions alike. LVOS and YouTube-VOS need their meta file, and a list of what is unseen.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from kit.core.errors import DataError, KitError
from kit.core.files import MAX_JSON_BYTES, parse_json
from kit.metrics.folders import Folder
from kit.metrics.protocol_means import Key, Scores, aggregate
from kit.metrics.protocol_video import Files, Span, Track, evaluate_video
from kit.metrics.protocols import PROTOCOLS, Protocol

Evaluated = dict[Key, Track]


def score_set(
    name: str,
    truth: Folder,
    predictions: Folder,
    meta: Path | None = None,
    unseen: Collection[str] = (),
) -> tuple[Scores, Evaluated]:
    """Score all videos of a set.

    Args:
        name: a key of `PROTOCOLS`.
        truth: folder of ground truth videos.
        predictions: folder or archive of the same videos.
        meta: of LVOS and YouTube-VOS, as published; other protocols take none.
        unseen: names of unseen videos (LVOS), or unseen categories (YouTube-VOS).

    Returns:
        The numbers of the set, and every object's curves.

    Raises:
        DataError: ground truth or meta file that cannot be used.
        SubmissionError: predictions that the official evaluator refuses.
    """
    protocol = PROTOCOLS[name]
    infos = _meta(name, protocol, meta)
    tracks: Evaluated = {}
    apart: list[Key] = []
    for video in sorted(infos if infos else _folders(truth)):
        found = _named(video, lambda v: _video(protocol, v, truth, predictions, infos.get(v, {})))
        tracks |= found
        apart += [key for key in found if _group(protocol, key, infos) in unseen]
    if not tracks:
        raise DataError("the ground truth has no video with an object. Name the folder of videos.")
    return aggregate(protocol, tracks, apart), tracks


def _named(video: str, evaluate: Callable[[str], Evaluated]) -> Evaluated:
    """What a video gives; whatever is wrong with it is said with its name."""
    try:
        return evaluate(video)
    except KitError as error:
        raise type(error)(f"{video}: {error}") from None


def _video(
    protocol: Protocol, video: str, truth: Folder, predictions: Folder, info: dict[str, Any]
) -> Evaluated:
    if protocol.objects == "single":
        return dict(_object_folders(protocol, video, truth, predictions))
    pngs = _pngs(truth, video), _pngs(predictions, video)
    if protocol.has_spans:
        found = evaluate_video(protocol, *pngs, spans=_spans(info))
    else:
        found = evaluate_video(protocol, *pngs, objects=[_id(i) for i in info.get("objects", {})])
    return {(video, str(i)): track for i, track in found.items()}


def _object_folders(
    protocol: Protocol, video: str, truth: Folder, predictions: Folder
) -> Iterator[tuple[Key, Track]]:
    names = [name for name in truth.names(video) if truth.is_folder(f"{video}/{name}")]
    if not names:
        raise DataError(
            "no folders of objects. SA-V has VIDEO/OBJECT/FRAME.png; masks of all objects in one "
            "picture are scored by --protocol vos-benchmark."
        )
    for name in names:
        path = f"{video}/{name}"
        pair = _pngs(truth, path), _pngs(predictions, path)
        yield (video, name), evaluate_video(protocol, *pair)[1]


def _pngs(folder: Folder, path: str) -> Files:
    """PNG files of a folder by stem; none where there is no folder."""
    names = folder.names(path) if folder.is_folder(path) else []
    found = {n[:-4]: n for n in names if n.lower().endswith(".png")}
    return {stem: folder.read(f"{path}/{name}") for stem, name in found.items()}


def _folders(truth: Folder) -> list[str]:
    return [name for name in truth.names() if truth.is_folder(name)]


def _meta(name: str, protocol: Protocol, meta: Path | None) -> dict[str, Any]:
    """Entries of the meta file by video; empty where a protocol needs none."""
    if protocol.objects != "given":
        return {}
    if meta is None:
        raise DataError(f"{name} needs the data set's meta file, which names its objects: --meta.")
    try:
        if meta.stat().st_size > MAX_JSON_BYTES:
            raise DataError(f"{meta}: {meta.stat().st_size} bytes, at most {MAX_JSON_BYTES}.")
        videos = parse_json(meta.read_text())["videos"]
        return {str(video): dict(info) for video, info in videos.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{meta}: no meta file of {name} ({type(error).__name__}: {error}). Expected is "
            '{"videos": {NAME: {"objects": {ID: ...}}}}, as the data set has it.'
        ) from None


def _spans(info: dict[str, Any]) -> dict[int, Span]:
    spans = {}
    for i, entry in info.get("objects", {}).items():
        number = _id(i)
        try:
            told = entry["frame_range"]
            spans[number] = Span(*(int(told[key]) for key in ("start", "end", "frame_nums")))
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"object {i} in the meta file: expected `frame_range` with the numbers `start`, "
                f"`end` and `frame_nums`, found {str(entry)[:80]}."
            ) from None
    return spans


def _id(text: str) -> int:
    if not text.isdecimal() or len(text) > 3 or not 0 < int(text) <= 255:
        raise DataError(f"object {text[:20]!r} in the meta file: ids go from 1 to 255.")
    return int(text)


def _group(protocol: Protocol, key: Key, infos: dict[str, Any]) -> str:
    """What decides whether an object is unseen: its category (YouTube-VOS), or its video."""
    video, i = key
    entry = infos.get(video, {}).get("objects", {}).get(i, {})
    return str(entry.get("category", video)) if isinstance(entry, dict) else video
