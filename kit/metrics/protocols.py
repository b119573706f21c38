"""Other benchmarks' measures by the same counts: what differs between them is one row of a table.

Frames are known by name; a video is a mapping from frame name to PNG file for the ground truth and
for the predictions, of which frames without ground truth are ignored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kit.core import png
from kit.core.errors import DataError, SubmissionError
from kit.metrics import counts, disks, measures
from kit.metrics.objects import mean

Labels = NDArray[np.uint8]
Curve = NDArray[np.float64]


@dataclass(frozen=True)
class Protocol:
    """A row of the table. All share J = inter / union without smoothing (1 if both are empty).

    Attributes:
        frames: evaluated ones. `inner`: annotated without the first and the last; `all`: annotated;
            `after_first`: annotated after the object's first appearance, the last one kept;
            `span`: every fifth of the object's own span, without its first and last.
        objects: `first_frame`: 1 to the highest label of the first ground truth frame; `seen`: the
            labels of the evaluated ground truth frames; `given`: told by the caller; `single`: all
            pixels that are not 0 are one object.
        averaging: `objects`: mean over the objects of all videos; `seen_unseen`: mean of the means
            over seen and over unseen groups.
        tolerance: radius of F as a fraction of the diagonal, rounded up; None: no F.
        short_side: F is taken on masks resized to it (nearest neighbour), None: in native size.
        void: label of the ground truth that is turned into background.
        first_sight: frames count from where the object is first in ground truth or prediction.
        extra_labels: whether predicted labels beyond the objects are refused.
        reports: beyond the means: `recall`, `decay`, `variability`, `last_quarter`.
        source: of the rules; starts with "no public evaluator" where that is so.
    """

    frames: Literal["inner", "all", "after_first", "span"]
    objects: Literal["first_frame", "seen", "given", "single"]
    averaging: Literal["objects", "seen_unseen"]
    source: str
    tolerance: float | None = 0.008
    short_side: int | None = None
    void: int | None = None
    first_sight: bool = False
    extra_labels: Literal["ignored", "refused"] = "ignored"
    reports: tuple[str, ...] = ()


LVOS = Protocol(
    frames="span",
    objects="given",
    averaging="seen_unseen",  # groups of videos
    void=255,
    reports=("variability",),
    source="lvos-evaluation @25cb02d, Python boundary (its Cython one keeps 60 % of the pixels)",
)

PROTOCOLS = {
    "davis2017": Protocol(
        frames="inner",
        objects="first_frame",
        averaging="objects",
        void=255,
        extra_labels="refused",
        reports=("recall", "decay"),
        source="davis2017-evaluation @ac7c43f, semi-supervised",
    ),
    "vos-benchmark": Protocol(
        frames="inner",
        objects="seen",
        averaging="objects",
        first_sight=True,
        source="hkchengrex/vos-benchmark @acb4733",
    ),
    "sa-v": Protocol(
        frames="inner",
        objects="single",  # a folder per object; ground truth at 6 of the 24 frames per second
        averaging="objects",
        first_sight=True,
        source="facebookresearch/sam2 @2b90b9f, sav_dataset",
    ),
    "lvos-v1": LVOS,
    "lvos-v2": LVOS,
    "youtube-vos": Protocol(
        frames="after_first",
        objects="given",
        averaging="seen_unseen",  # groups of categories
        short_side=360,
        source="no public evaluator: the server's rules as re-implemented by others",
    ),
    "vost": Protocol(
        frames="inner",
        objects="first_frame",
        averaging="objects",
        tolerance=None,
        void=255,
        reports=("recall", "decay", "last_quarter"),
        source="TRI-ML/VOST @fe27457, evaluation",
    ),
    "mosev1": Protocol(
        frames="inner",
        objects="first_frame",
        averaging="objects",
        source="no public evaluator: as DAVIS by the paper",
    ),
    "pumavos": Protocol(
        frames="all",
        objects="first_frame",
        averaging="objects",
        source="no public evaluator: all frames, measures of DAVIS",
    ),
}


@dataclass(frozen=True)
class Span:
    """Frames of an object in LVOS: numbers `start`, `start` + 5, ... below `end`."""

    start: int
    end: int
    count: int  # frame_nums of the meta file; frames that lack stay 0 in its measures


@dataclass(frozen=True)
class Track:
    """One object of one video: float64[n] curves over its evaluated frames; F may be undefined."""

    j: Curve
    f: Curve | None


def evaluate_video(
    protocol: Protocol,
    ground_truth: Mapping[str, bytes],
    predictions: Mapping[str, bytes],
    objects: Sequence[int] = (),
    spans: Mapping[int, Span] | None = None,
) -> dict[int, Track]:
    """Measure one video (of SA-V: one object's folder).

    Args:
        protocol: a row of `PROTOCOLS`.
        ground_truth: PNG files by frame name, annotated frames only.
        predictions: PNG files by frame name; more frames are ignored.
        objects: ids, only for protocols where they are given.
        spans: by id, only for `frames="span"`.

    Returns:
        A track per object id.

    Raises:
        DataError: a frame of the ground truth is not predicted, or sizes differ.
        SubmissionError: labels that the protocol refuses.
        AssertionError: an SA-V object that is in no frame, as the official evaluator.
    """
    names = sorted(ground_truth)
    ids = list(objects)
    if protocol.objects == "first_frame":
        ids = list(range(1, int(_labels(protocol, ground_truth[names[0]], True).max()) + 1))
    elif protocol.objects == "single":
        ids = [1]
    inner = names if protocol.frames in ("all", "after_first") else names[1:-1]
    if protocol.frames == "span":
        inner = sorted({n for span in (spans or {}).values() for n in _span_names(span)})
    elif protocol.objects == "seen":
        seen = {int(v) for n in inner for v in np.unique(png.decode(ground_truth[n]))}
        ids = sorted(seen - {0})
    rows = _count(protocol, inner, ground_truth, predictions, ids)
    if protocol.frames == "span":
        return {i: _span_track(rows[k], inner, (spans or {})[i]) for k, i in enumerate(ids)}
    return {i: _track(protocol, rows[k]) for k, i in enumerate(ids)}


def _labels(protocol: Protocol, data: bytes, is_truth: bool) -> Labels:
    labels = png.decode(data)
    if protocol.objects == "single":
        return (labels > 0).astype(np.uint8)
    if is_truth and protocol.void is not None:
        return np.where(labels == protocol.void, np.uint8(0), labels)
    return labels


def _count(
    protocol: Protocol,
    names: list[str],
    ground_truth: Mapping[str, bytes],
    predictions: Mapping[str, bytes],
    ids: list[int],
) -> NDArray[np.int64]:
    """int64[objects, frames, 9]; the boundary columns are those of the resized masks, if any."""
    rows = np.zeros((len(ids), len(names), 9), dtype=np.int64)
    for t, name in enumerate(names):
        if name not in predictions:
            raise DataError(f"frame {name} is annotated but not predicted.")
        pair = [
            _labels(protocol, ground_truth[name], True),
            _labels(protocol, predictions[name], False),
        ]
        if pair[0].shape != pair[1].shape:
            raise DataError(
                f"frame {name}: prediction {pair[1].shape}, ground truth {pair[0].shape} (height,"
                " width). Predictions must keep the size of the ground truth."
            )
        if protocol.extra_labels == "refused" and pair[1].max() > len(ids):
            raise SubmissionError(
                f"frame {name}: label {pair[1].max()}, but the video has {len(ids)} objects."
            )
        rows[:, t] = _count_frame(protocol, pair[0], pair[1], ids)
    return rows


def _count_frame(protocol: Protocol, gt: Labels, pred: Labels, ids: list[int]) -> NDArray[np.int64]:
    fraction = protocol.tolerance or 0.0
    rows = counts.count(gt, pred, ids, disks.standard(gt.shape, fraction))
    if protocol.short_side is not None:
        gt, pred = (_resized(labels, protocol.short_side) for labels in (gt, pred))
        small = counts.count(gt, pred, ids, disks.standard(gt.shape, fraction))
        rows[:, counts.BOUNDARY_GT :] = small[:, counts.BOUNDARY_GT :]
    return rows


def _resized(labels: Labels, short_side: int) -> Labels:
    scale = short_side / min(labels.shape)
    size = round(labels.shape[1] * scale), round(labels.shape[0] * scale)
    return np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def _track(protocol: Protocol, rows: NDArray[np.int64]) -> Track:
    present = rows[:, counts.AREA_GT] > 0
    seen = present | (rows[:, counts.AREA_PRED] > 0)
    if protocol.objects == "single" and not seen.any():
        raise AssertionError("the object is in no evaluated frame, neither annotated nor predicted")
    if protocol.frames == "after_first":
        rows = rows[int(present.argmax()) + 1 :] if present.any() else rows[:0]
    elif protocol.first_sight:
        rows = rows[int(seen.argmax()) :]
    f = None if protocol.tolerance is None else measures.boundary_f(rows)
    return Track(measures.jaccard(rows), f)


def _span_names(span: Span) -> list[str]:
    """Names of an object's evaluated frames: all of its span but index 0 and count - 1."""
    frames = list(range(span.start, span.end, 5))
    return [f"{n:08d}" for i, n in enumerate(frames) if i not in (0, span.count - 1)]


def _span_track(rows: NDArray[np.int64], names: list[str], span: Span) -> Track:
    chosen = rows[[names.index(name) for name in _span_names(span)]]
    lacking = (0, span.count - 2 - len(chosen))
    return Track(
        np.pad(measures.jaccard(chosen), lacking), np.pad(measures.boundary_f(chosen), lacking)
    )


def recall(curve: Curve) -> float:
    """Part of the frames above 0.5; of n > 0 frames. Source: `db_statistics` of DAVIS 2017."""
    return float((curve > 0.5).mean())


def decay(curve: Curve) -> float:
    """Mean of the first minus mean of the last quarter of n > 0 frames.

    Source: `db_statistics` of DAVIS 2017. That casts the limits to uint8, so that its numbers mean
    nothing above 256 frames; ours do.
    """
    ids = (np.round(np.linspace(1, len(curve), 5) + 1e-10) - 1).astype(int)
    return float(curve[: ids[1] + 1].mean() - curve[ids[3] :].mean())


def variability(track: Track) -> float:
    """Standard deviation of J&F over frames, its square rounded to 4 decimals first.

    Source: `db_statistics_var` of lvos-evaluation @25cb02d.
    """
    both = track.j if track.f is None else (track.j + track.f) / 2
    return float(np.sqrt(round(float(np.sum((both.mean() - both) ** 2) / len(both)), 4)))


def last_quarter(curve: Curve) -> float:
    """Mean from frame floor(0.75 n) of n > 0 on. Source: J_tr of TRI-ML/VOST @fe27457."""
    return float(curve[int(np.floor(len(curve) * 0.75)) :].mean())


def aggregate(
    protocol: Protocol, tracks: Mapping[str, Track], unseen: Iterable[str] = ()
) -> dict[str, float | None]:
    """The numbers of a set.

    Args:
        protocol: a row of `PROTOCOLS`.
        tracks: of all objects of all videos, by any key; those without frames are left out.
        unseen: keys of the unseen group, for `averaging="seen_unseen"`.

    Returns:
        In [0, 1]: `J`, `F`, `J&F` (the headline; J alone where there is no F), with the suffixes
        `_seen` and `_unseen` where so averaged, and what the protocol reports beside them; None
        where no object defines it.
    """
    full = {key: track for key, track in tracks.items() if len(track.j)}
    if protocol.averaging == "objects":
        return _means(protocol, list(full.values()))
    apart = set(unseen)
    groups = {
        "_seen": _means(protocol, [track for key, track in full.items() if key not in apart]),
        "_unseen": _means(protocol, [track for key, track in full.items() if key in apart]),
    }
    scores = {name + end: value for end, group in groups.items() for name, value in group.items()}
    for name in groups["_seen"]:
        values = [group[name] for group in groups.values()]
        scores[name] = mean([v for v in values if v is not None]) if None not in values else None
    return scores


def _means(protocol: Protocol, tracks: list[Track]) -> dict[str, float | None]:
    curves = {"J": [track.j for track in tracks]}
    if protocol.tolerance is not None:
        curves["F"] = [track.f for track in tracks if track.f is not None]
    scores = {name: mean([float(c.mean()) for c in some]) for name, some in curves.items()}
    values = [value for value in scores.values() if value is not None]
    scores["J&F"] = sum(values) / len(values) if values else None
    for name, some in curves.items():
        if "recall" in protocol.reports:
            scores[f"{name}_recall"] = mean([recall(curve) for curve in some])
        if "decay" in protocol.reports:
            scores[f"{name}_decay"] = mean([decay(curve) for curve in some])
    if "last_quarter" in protocol.reports:
        scores["J_tr"] = mean([last_quarter(curve) for curve in curves["J"]])
    if "variability" in protocol.reports:
        scores["V"] = mean([variability(track) for track in tracks])
    return scores
