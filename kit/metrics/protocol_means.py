"""The numbers of a set, from the curves of its objects, by a row of `kit.metrics.protocols`."""

from collections.abc import Collection, Mapping

import numpy as np

from kit.metrics.protocol_video import Curve, Track
from kit.metrics.protocols import Protocol

Key = tuple[str, str]  # video, object
Scores = dict[str, float | None]


def aggregate(
    protocol: Protocol, tracks: Mapping[Key, Track], unseen: Collection[Key] = ()
) -> Scores:
    """The numbers of a set.

    Args:
        protocol: a row of `PROTOCOLS`.
        tracks: of all objects of all videos. One without an evaluated frame makes every mean that
            it takes part in undefined, as in the evaluators.
        unseen: objects of the unseen group, for `averaging="seen_unseen"`.

    Returns:
        In [0, 1]: `J`, `F`, `J&F` (the headline; J alone where there is no F), with the suffixes
        `_seen` and `_unseen` where so averaged, and what the protocol reports beside them; None
        where it is undefined.
    """
    if protocol.averaging != "seen_unseen":
        return _means(protocol, tracks)
    apart = set(unseen)
    groups = {
        "_seen": _means(protocol, {k: t for k, t in tracks.items() if k not in apart}),
        "_unseen": _means(protocol, {k: t for k, t in tracks.items() if k in apart}),
    }
    scores = {name + end: value for end, group in groups.items() for name, value in group.items()}
    for name in groups["_seen"]:
        scores[name] = _mean([group[name] for group in groups.values()])
    return scores


def _means(protocol: Protocol, tracks: Mapping[Key, Track]) -> Scores:
    curves = {"J": {key: track.j for key, track in tracks.items()}}
    if protocol.tolerance is not None:
        curves["F"] = {key: track.f for key, track in tracks.items() if track.f is not None}
    over = _over_videos if protocol.averaging == "videos" else _over_objects
    scores: Scores = {name: over(some) for name, some in curves.items()}
    scores["J&F"] = _mean(list(scores.values()))
    for name, some in curves.items():
        for report, measure in (("recall", recall), ("decay", decay)):
            if report in protocol.reports:
                scores[f"{name}_{report}"] = _mean([measure(curve) for curve in some.values()])
    if "last_quarter" in protocol.reports:
        ends = [last_quarter(curve) for curve in curves["J"].values()]
        scores["J_tr"] = _mean([float(end.mean()) for end in ends])
        scores["J_tr_recall"] = _mean([recall(end) for end in ends])
        scores["J_tr_decay"] = _mean([decay(end) for end in ends])
    if "variability" in protocol.reports:
        scores["V"] = _mean([variability(track) for track in tracks.values()])
    return scores


def _over_objects(curves: Mapping[Key, Curve]) -> float | None:
    return _mean([float(curve.mean()) if len(curve) else None for curve in curves.values()])


def _over_videos(curves: Mapping[Key, Curve]) -> float | None:
    """Mean over the objects of each frame, then over frames, then over videos."""
    videos: dict[str, list[Curve]] = {}
    for (video, _), curve in curves.items():
        videos.setdefault(video, []).append(curve)
    return _mean([float(np.mean(some, axis=0).mean()) for some in videos.values()])


def _mean(values: list[float | None]) -> float | None:
    """Mean of numbers that are all defined; None if one is not, or if there is none."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def recall(curve: Curve) -> float:
    """Part of the frames above 0.5; of n > 0 frames. Source: `db_statistics` of DAVIS 2017."""
    return float((curve > 0.5).mean())


def decay(curve: Curve) -> float:
    """Mean of the first minus mean of the last quarter of n > 0 frames.

    Source: `db_statistics` of DAVIS 2017. That casts the limits of the quarters to uint8, so that
    its numbers mean nothing from 256 frames on (257 with numpy 1); ours do.
    """
    ids = (np.round(np.linspace(1, len(curve), 5) + 1e-10) - 1).astype(int)
    return float(curve[: ids[1] + 1].mean() - curve[ids[3] :].mean())


def last_quarter(curve: Curve) -> Curve:
    """Frames from floor(0.75 n) of n > 0 on. Source: J_tr of TRI-ML/VOST @fe27457."""
    return curve[int(np.floor(len(curve) * 0.75)) :]


def variability(track: Track) -> float | None:
    """Standard deviation of J&F over frames, its square rounded to 4 decimals first.

    Source: `db_statistics_var` of lvos-evaluation @25cb02d.
    """
    both = track.j if track.f is None else (track.j + track.f) / 2
    if not len(both):
        return None
    return float(np.sqrt(round(float(np.sum((both.mean() - both) ** 2) / len(both)), 4)))
