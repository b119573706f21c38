"""Candidates from the tracker itself: its three masks where a first pass was unsure.

A SAM answers every frame with three masks and the tracker keeps the one it thinks best. Where a
first pass is empty or unsure of an object, the others may show it. There the tracker is asked once
more, now recalling frames that are beyond doubt alone: the given mask, the first pass's anchors,
and the nearest frames on which it was sure, before and after. Where the tracker still holds the
object for absent there is no candidate.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as nnf

from kit.core.limits import Range, Share
from kit.core.masks import Mask, encode_rle
from kit.core.types import Candidate, FirstPass
from kit.detectors.base import Exemplar, Limits, Search, accepted, distinct, searched
from kit.propagators.recall import Course, by_distance, closest
from kit.trackers.base import Encoded, Hypothesis, Memory, Tracker

VERSION = 1
SOURCE = "tracker_hypotheses"
READS_FIRST = True
NEEDS = ("tracker",)


@dataclass(frozen=True)
class Config(Limits):
    """Chosen by us and not tuned on any data."""

    threshold: Share = 0.0  # of predicted IoU times presence, 0..1
    sure_iou: Share = 0.8  # IoU that the first pass must predict to be believed
    recalled: Annotated[int, Range(0, 100)] = 3  # sure frames beside the given one and the anchors


@dataclass(frozen=True)
class Doubt:
    """One object in question.

    Attributes:
        exemplar: The object.
        frames: Indices of the frames on which the first pass is unsure of it.
        shown: Masks beyond doubt by frame, ascending: the given one, and those of anchors.
        sure: Indices of the other frames on which the first pass is sure of it.
    """

    exemplar: Exemplar
    frames: Sequence[int]
    shown: Mapping[int, Mask]
    sure: Sequence[int]

    def recalled(self, frame: int, most: int) -> list[int]:
        """Frames to recall on a frame, ascending."""
        near = sorted(self.sure, key=lambda other: (abs(other - frame), other))[:most]
        return sorted({*self.shown, *near})


@torch.inference_mode()
def detect(search: Search, config: Config) -> Iterator[Candidate]:
    """Candidates of every object on the frames on which the first pass is unsure of it.

    Each frame is encoded once, whatever the number of objects.
    """
    assert search.first is not None  # stages see to it
    tracker: Tracker = search.model
    course = Course(len(search.frames), tracker.span)
    doubts = list(_doubts(search, search.first, config))
    questions = frozenset(frame for doubt in doubts for frame in doubt.frames)
    memories, waiting = _recall(search, search.first, doubts, questions, config)
    for index in sorted(questions):
        encoded = waiting.pop(index, None) or tracker.encode(search.frames[index])
        for doubt, known in zip(doubts, memories, strict=True):
            if index in doubt.frames:
                anchors = {f: known[f] for f in doubt.recalled(index, config.recalled)}
                chosen = closest(anchors, index, tracker.span.anchors, keep_first=True)
                context = by_distance(anchors, {}, index, course, chosen)
                (answer,) = tracker.decode(encoded, [context], every=True)
                found = _candidates(search, index, doubt.exemplar, answer, config)
                yield from distinct(list(found), config.nms_iou)[: config.max_per_frame]


def _doubts(search: Search, first: FirstPass, config: Config) -> Iterator[Doubt]:
    names = search.video.frames
    for exemplar, frames in searched(search, config):
        later = range(exemplar.frame + 1, len(names))
        sure = [i for i in later if first.sure(exemplar.object_id, names[i], config.sure_iou)]
        shown = {e.frame: e.mask for e in (exemplar, *accepted(search, exemplar))}
        unsure = sorted((frames & set(later)) - set(sure) - shown.keys())
        yield Doubt(exemplar, unsure, dict(sorted(shown.items())), sure)


def _recall(
    search: Search,
    first: FirstPass,
    doubts: Sequence[Doubt],
    questions: frozenset[int],
    config: Config,
) -> tuple[list[dict[int, Memory]], dict[int, Encoded]]:
    """Memories of each object by frame, and the encodings of frames that are yet to be searched."""
    wanted = [{f for t in d.frames for f in d.recalled(t, config.recalled)} for d in doubts]
    memories: list[dict[int, Memory]] = [{} for _ in doubts]
    waiting = {}
    for index in sorted(frozenset().union(*wanted)):
        encoded = search.model.encode(search.frames[index])
        for doubt, own, known in zip(doubts, wanted, memories, strict=True):
            if index in own:
                shown = doubt.shown.get(index)
                name = search.video.frames[index]
                mask = first.mask(doubt.exemplar.object_id, name) if shown is None else shown
                answer = search.model.condition(encoded, mask)
                known[index] = search.model.remember(encoded, [(answer,)])[0]
        if index in questions:
            waiting[index] = encoded
    return memories, waiting


def _candidates(
    search: Search, index: int, exemplar: Exemplar, answer: Hypothesis, config: Config
) -> Iterator[Candidate]:
    """The three masks, the one of highest predicted IoU first."""
    shape, name = search.video.shape, search.video.frames[index]
    masks = nnf.interpolate(answer.logits[:, None], shape, mode="bilinear")[:, 0] > 0
    present = float(answer.presence.sigmoid())
    for row in answer.iou.argsort(descending=True, stable=True).tolist():
        score = min(max(float(answer.iou[row]) * present, 0.0), 1.0)
        mask = masks[row].cpu().numpy()
        if mask.any() and score >= config.threshold:
            yield Candidate(name, exemplar.object_id, score, encode_rle(mask), shape, SOURCE)
