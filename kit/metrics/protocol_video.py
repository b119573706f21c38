"""One video measured by a row of `kit.metrics.protocols`: curves over time, per object.

Frames are known by name; a video is a mapping from frame name to PNG file for the ground truth and
for the predictions, of which frames without ground truth are ignored. What an official evaluator
refuses is refused here, with the frame's name.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kit.core import png
from kit.core.errors import DataError, SubmissionError
from kit.metrics import counts, disks, measures
from kit.metrics.protocols import Protocol

Labels = NDArray[np.uint8]
Curve = NDArray[np.float64]
Files = Mapping[str, bytes]
LVOS_STEP = 5  # frames from one annotation to the next


@dataclass(frozen=True)
class Span:
    """Frames of an object in LVOS: numbers `start`, `start` + 5, ... below `end`."""

    start: int
    end: int
    count: int  # `frame_nums` of the meta file; frames that lack stay 0 in its measures

    @property
    def names(self) -> list[str]:
        """Names of all annotated frames of the span."""
        return [f"{number:08d}" for number in range(self.start, self.end, LVOS_STEP)]


@dataclass(frozen=True)
class Track:
    """One object of one video: float64[n] curves over its evaluated frames; F may be undefined."""

    j: Curve
    f: Curve | None


def evaluate_video(
    protocol: Protocol,
    ground_truth: Files,
    predictions: Files,
    objects: Sequence[int] = (),
    spans: Mapping[int, Span] | None = None,
) -> dict[int, Track]:
    """Measure one video (of SA-V: one object's folder).

    Args:
        protocol: a row of `PROTOCOLS`.
        ground_truth: PNG files by frame name, annotated frames only.
        predictions: PNG files by frame name; more frames are ignored.
        objects: ids, only for protocols where they are given.
        spans: by id, only for LVOS.

    Returns:
        A track per object id.

    Raises:
        DataError: ground truth that the official evaluator refuses too: a frame that is missing or
            no label map, too few frames, no object, a span that does not fit its meta file.
        SubmissionError: a prediction that it refuses: missing, of another size, no label map, or
            with labels that the protocol does not take.
    """
    if protocol.has_spans:
        return _evaluate_spans(protocol, ground_truth, predictions, spans or {})
    names = sorted(ground_truth, key=None if protocol.objects == "given" else _file)
    inner = names if protocol.frames in ("all", "after_first") else names[1:-1]
    if not inner and protocol.few_frames == "refused":
        raise DataError(
            f"{len(names)} annotated frames; at least three are needed, for the first and the last "
            "are not evaluated."
        )
    pairs = _Pairs(protocol, ground_truth, predictions)
    ids = _objects(protocol, pairs, names, inner, objects)
    rows = pairs.count(inner, ids)
    return {i: _track(protocol, rows[k]) for k, i in enumerate(ids)}


def _file(name: str) -> str:
    """A frame's file; evaluators that list a folder order files, so that `a-1` precedes `a`."""
    return f"{name}.png"


def _objects(
    protocol: Protocol,
    pairs: "_Pairs",
    names: list[str],
    inner: list[str],
    given: Sequence[int],
) -> list[int]:
    if protocol.objects == "given":
        return list(given)
    if protocol.objects == "single":
        return [1]
    if protocol.objects == "first_frame":
        return list(range(1, int(pairs.truth(names[0]).max()) + 1))
    seen = {int(label) for name in inner for label in np.unique(pairs.truth(name))} - {0}
    if not seen and protocol.few_frames == "refused":
        raise DataError("no object in any frame of the ground truth.")
    return sorted(seen)


def _track(protocol: Protocol, rows: NDArray[np.int64]) -> Track:
    present = rows[:, counts.AREA_GT] > 0
    seen = present | (rows[:, counts.AREA_PRED] > 0)
    if protocol.objects == "single" and not present.any():
        raise DataError(
            "the object is in no evaluated frame of the ground truth, and the official evaluator "
            "stops there. Evaluated are all annotated frames but the first and the last."
        )
    if protocol.frames == "after_first":
        rows = rows[int(present.argmax()) + 1 : -1] if present.any() else rows[:0]
    elif protocol.first_sight:
        rows = rows[int(seen.argmax()) :]
    return _measured(protocol, rows)


def _measured(protocol: Protocol, rows: NDArray[np.int64]) -> Track:
    f = None if protocol.tolerance is None else measures.boundary_f(rows)
    return Track(measures.jaccard(rows), f)


def _evaluate_spans(
    protocol: Protocol, ground_truth: Files, predictions: Files, spans: Mapping[int, Span]
) -> dict[int, Track]:
    names = sorted({name for span in spans.values() for name in _evaluated(protocol, span)})
    rows = _Pairs(protocol, ground_truth, predictions).count(names, list(spans))
    place = {name: t for t, name in enumerate(names)}
    tracks = {}
    for k, (i, span) in enumerate(spans.items()):
        chosen = _measured(protocol, rows[k, [place[name] for name in _evaluated(protocol, span)]])
        lacking = (0, _length(protocol, span) - len(chosen.j))
        f = None if chosen.f is None else np.pad(chosen.f, lacking)
        tracks[i] = Track(np.pad(chosen.j, lacking), f)
    return tracks


def _evaluated(protocol: Protocol, span: Span) -> list[str]:
    """Frames of a span that are measured; those that the meta file does not count are refused."""
    if len(span.names) > span.count or _length(protocol, span) < 0:
        raise DataError(
            f"the meta file counts {span.count} frames (`frame_nums`) for an object whose span, "
            f"{span.start} to {span.end}, has {len(span.names)}. Correct the meta file."
        )
    if protocol.frames == "whole_span":
        return span.names
    return [name for i, name in enumerate(span.names) if i not in (0, span.count - 1)]


def _length(protocol: Protocol, span: Span) -> int:
    return span.count if protocol.frames == "whole_span" else span.count - 2


@dataclass(frozen=True)
class _Pairs:
    """Ground truth and prediction of a video's frames, read and checked as its protocol says."""

    protocol: Protocol
    ground_truth: Files
    predictions: Files

    def truth(self, name: str) -> Labels:
        """Labels of an annotated frame, uint8[H, W]; void is background."""
        if name not in self.ground_truth:
            raise DataError(f"frame {name} is to be evaluated and has no annotation.")
        data = self.ground_truth[name]
        palette = self.protocol.truth == "palette"
        try:
            labels = png.decode(data) if palette else as_numpy(data)
            if self.protocol.objects == "single":
                return _single(labels)
        except (OSError, ValueError) as error:
            raise DataError(f"frame {name}: the annotation cannot be used: {error}") from None
        void = self.protocol.void
        return labels if void is None else np.where(labels == void, np.uint8(0), labels)

    def prediction(self, name: str, shape: tuple[int, ...]) -> Labels:
        """Labels of a predicted frame, uint8[H, W], of the annotation's shape."""
        if name not in self.predictions:
            raise SubmissionError(f"frame {name} is annotated but not predicted.")
        try:
            labels = as_numpy(self.predictions[name])
            if self.protocol.objects == "single":
                labels = _single(labels)
        except (OSError, ValueError) as error:
            raise SubmissionError(f"frame {name}: the prediction cannot be used: {error}") from None
        if labels.shape != shape:
            raise SubmissionError(
                f"frame {name}: prediction {labels.shape}, ground truth {shape} (height,"
                " width). Predictions must keep the size of the ground truth."
            )
        return labels

    def count(self, names: list[str], ids: list[int]) -> NDArray[np.int64]:
        """int64[objects, frames, 9], columns as in `kit.metrics.counts`."""
        rows = np.zeros((len(ids), len(names), 9), dtype=np.int64)
        for t, name in enumerate(names):
            gt = self.truth(name)
            pred = self.prediction(name, gt.shape)
            if self.protocol.extra_labels == "refused" and pred.max() > len(ids):
                raise SubmissionError(
                    f"frame {name}: label {pred.max()}, but the video has {len(ids)} objects."
                )
            disk = disks.standard(gt.shape, self.protocol.tolerance or 0.0)
            rows[:, t] = counts.count(gt, pred, ids, disk)
        return rows


def as_numpy(data: bytes) -> Labels:
    """Labels of a PNG file as `np.array(Image.open(file))` has them, uint8[H, W].

    That is how all evaluators of the table read predictions: 1-bit pictures are 0 and 1, and 16-bit
    ones keep their numbers. The organisers of MOSEv2 read otherwise: `kit.core.png.decode`.

    Raises:
        OSError: a damaged file.
        ValueError: a picture in colours, with transparency, or with labels above 255.
    """
    if data[25:26] == b"\x03" or data[24:26] == b"\x08\x00":  # palette, or 8-bit grey
        return png.decode(data)
    with Image.open(io.BytesIO(data)) as image:
        labels = np.asarray(image)
    if labels.ndim != 2 or labels.max(initial=0) > 255:
        raise ValueError(
            f"a picture of mode {image.mode} is no label map. Write palette PNGs with the ids as "
            "indices."
        )
    return labels.astype(np.uint8)


def _single(labels: Labels) -> Labels:
    """1 where a mask is not 0.

    Raises:
        ValueError: more than two values; SA-V has one object per file.
    """
    if len(np.unique(labels)) > 2:
        raise ValueError("more than two values; SA-V has one object per file.")
    return (labels > 0).astype(np.uint8)
