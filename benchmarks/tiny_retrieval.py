"""How well the tiny detector finds, and the tiny embedder tells apart, what drawn videos show.

Every function measures one model on one group of videos of a split; the table of the family gives
mean and interval over three groups of the test split. Nothing is tuned on that split.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kit import plugins
from kit.core.masks import Mask, decode_rle, iou
from kit.core.types import (
    Candidate,
    Cycle,
    Evidence,
    Features,
    FirstPass,
    Selection,
    Video,
    VideoObject,
)
from kit.data import synthetic
from kit.detectors import exemplar_tokens
from kit.detectors.base import Exemplar, Search
from kit.embedders import dinov3
from kit.propagators import greedy
from kit.propagators.track_back import Claim, track_back
from kit.runtime.models import Detector
from kit.selectors import gaps, verified
from kit.stages.features import Describe
from kit.trackers.base import Tracker

FOUND = 0.5  # IoU from which on a candidate is what was sought
VISIBLE = 0.0005  # share of a frame from which on an object counts as shown, as in training


@dataclass(frozen=True)
class Found:
    """What a detector's candidates are worth.

    Attributes:
        recall: Share of the visible targets that some candidate shows.
        kin: Share of the visible instances of the targets' categories, likewise.
        precision: Share of the candidates that show some instance of the target's category.
        per_frame: Candidates per target and frame.
        purity: Share of candidates that show a labelled thing of whichever category.
    """

    recall: float
    kin: float
    precision: float
    per_frame: float
    purity: float


@dataclass(frozen=True)
class Retrieval:
    """How often the target is told from others of its category that the same frame shows.

    Attributes:
        model: Share of right choices of the embedder.
        histogram: Of a colour histogram on the same crops.
        chance: Of a blind guess.
        count: Choices made.
    """

    model: float
    histogram: float
    chance: float
    count: int


def video_of(clip: synthetic.Clip, name: str) -> Video:
    """A drawn clip as the stages know it, without files."""
    length, height, width = clip.labels.shape
    names = tuple(f"{t:05d}" for t in range(length))
    objects = tuple(VideoObject(i, names[0]) for i in targets_of(clip))
    return Video(name, height, width, names, Path(), ".jpg", Path(), objects, "drawn")


def targets_of(clip: synthetic.Clip) -> list[int]:
    """Ids of the labelled objects that frame 0 shows."""
    return [int(i) for i in np.unique(clip.labels[0]) if i and shown(clip.labels[0] == i)]


def shown(mask: Mask) -> bool:
    """Whether enough of an object is seen to be looked for."""
    return bool(mask.sum() >= max(1, VISIBLE * mask.size))


def candidates_of(
    detector: Detector, clip: synthetic.Clip, preset: exemplar_tokens.Config
) -> list[Candidate]:
    """Candidates from first-frame tokens on the later frames of a drawn video."""
    exemplars = [Exemplar(i, 0, clip.labels[0] == i) for i in targets_of(clip)]
    search = Search(video_of(clip, "drawn"), list(clip.frames), exemplars, detector, batch=16)
    return list(exemplar_tokens.detect(search, preset))


def search(
    detector: Detector, clips: Sequence[synthetic.Clip], preset: exemplar_tokens.Config
) -> Found:
    """What candidates from first-frame tokens are worth on drawn videos."""
    counts, frames = np.zeros(7), 0
    for clip in clips:
        counts += _searched(detector, clip, preset)
        frames += len(targets_of(clip)) * (len(clip.frames) - 1)
    seen, found, kin, kin_found, candidates, right, some = counts
    return Found(
        found / seen,
        kin_found / kin,
        right / max(candidates, 1),
        candidates / frames,
        some / max(candidates, 1),
    )


def _searched(
    detector: Detector, clip: synthetic.Clip, preset: exemplar_tokens.Config
) -> NDArray[np.float64]:
    video = video_of(clip, "drawn")
    found: dict[tuple[int, int], list[Mask]] = {}
    for one in candidates_of(detector, clip, preset):
        found.setdefault((one.object_id, video.index(one.frame)), []).append(one.mask)
    counts = np.zeros(7)
    for target in targets_of(clip):
        for t in range(1, len(clip.frames)):
            counts += _counted(clip, t, target, found.get((target, t), []))
    return counts


@dataclass(frozen=True)
class Mining:
    """What finds anchors after a first pass: the presets of a recipe, with their models.

    Attributes:
        detector, embedder: Models.
        search, describe: Settings of `exemplar_tokens` and `dinov3`.
        proposing: Settings of `gaps`, which proposes anchors.
        checking: Of `verified`, which keeps some of them.
        back: Of `greedy`, which tracks them back.
    """

    detector: Detector
    embedder: Any
    search: exemplar_tokens.Config
    describe: dinov3.Config
    proposing: gaps.Config
    checking: verified.Config
    back: greedy.Config

    def anchors(self, tracker: Tracker, clip: synthetic.Clip, first: FirstPass) -> Selection:
        """The anchors of a drawn video, as the stages would choose them."""
        video, frames = video_of(clip, "drawn"), list(clip.frames)
        candidates = candidates_of(self.detector, clip, self.search)
        settings = json.loads(json.dumps(asdict(self.describe)))  # lists, as in a configuration
        embedder = plugins.embedder({"method": "dinov3", **settings})
        one = Describe(embedder, self.embedder, 32)
        known = {i: [(0, clip.labels[0] == i)] for i in targets_of(clip)}
        features = Features(one.candidates(video, frames, candidates), one.pools(frames, known))
        evidence = Evidence(candidates, features, first)
        proposals = gaps.select(video, evidence, self.proposing)
        cycles = self._cycles(tracker, clip, video, proposals)
        judged = replace(evidence, proposals=proposals, cycles=cycles)
        return verified.select(video, judged, self.checking)

    def _cycles(
        self, tracker: Tracker, clip: synthetic.Clip, video: Video, proposals: Selection
    ) -> list[Cycle]:
        claims = [
            Claim(a.object_id, a.frame, "anchor", decode_rle(a.rle, *video.shape))
            for a in proposals.anchors
        ]
        given = {i: clip.labels[0] == i for i in targets_of(clip)}
        found = track_back(
            lambda frames, prompts: greedy.propagate(tracker, frames, prompts, self.back),
            video, list(clip.frames), claims, given,
        )  # fmt: skip
        pairs = zip(claims, found, strict=True)
        return [Cycle(c.object_id, c.frame, c.who, *arrival) for c, arrival in pairs]


def _counted(
    clip: synthetic.Clip, t: int, target: int, candidates: Sequence[Mask]
) -> NDArray[np.float64]:
    """Targets seen and found, kin seen and found, candidates, right ones, any thing's."""
    things = {
        i + 1: clip.instances[t] == i + 1
        for i in range(len(clip.categories))
        if shown(clip.instances[t] == i + 1)
    }
    kin = [i for i in things if clip.categories[i - 1] == clip.categories[target - 1]]
    hit = {i: [iou(c, mask) >= FOUND for c in candidates] for i, mask in things.items()}
    right = sum(any(hit[i][k] for i in kin) for k in range(len(candidates)))
    some = sum(any(hits[k] for hits in hit.values()) for k in range(len(candidates)))
    return np.array([
        target in things, any(hit.get(target, [])), len(kin), sum(any(hit[i]) for i in kin),
        len(candidates), right, some,
    ], np.float64)  # fmt: skip


def retrieval(model: Any, clips: Sequence[synthetic.Clip], preset: dinov3.Config) -> Retrieval:
    """Choose the target among its like, by the pool of its first view, as the selector does."""
    right = np.zeros(3)
    count = 0
    for clip in clips:
        for target, views, rivals in _choices(clip, preset):
            pool = dinov3.embed(model, views, preset, 64)
            rows = dinov3.embed(model, rivals, preset, 64)
            by_model = int((rows @ pool.T).max(1).argmax())
            colours = histogram(views[0])
            by_colour = int(np.argmax([histogram(r) @ colours for r in rivals]))
            right += [by_model == target, by_colour == target, 1 / len(rivals)]
            count += 1
    return Retrieval(*(right / max(count, 1)).tolist(), count)


def _choices(
    clip: synthetic.Clip, preset: dinov3.Config
) -> Iterator[tuple[int, list[Any], list[Any]]]:
    """(which of the rivals is the target, its pool, the rivals' crops) of every choice to make."""
    for target in targets_of(clip):
        views = dinov3.pool(clip.frames[0], clip.labels[0] == target, preset)
        kin = [i + 1 for i, c in enumerate(clip.categories) if c == clip.categories[target - 1]]
        for t in range(1, len(clip.frames)):
            masks = {i: clip.instances[t] == i for i in kin}
            seen = [i for i in kin if shown(masks[i])]
            if target in seen and len(seen) > 1:
                crops = [dinov3.crop(clip.frames[t], masks[i], preset) for i in seen]
                yield seen.index(target), views, crops


def histogram(crop: Any) -> NDArray[np.float64]:
    """Square roots of the shares of 8 x 8 x 8 colours, RGB, under the mask: float64[512], length 1.

    The product of two is Bhattacharyya's coefficient.
    """
    weights = (crop.weights > 0.5).astype(np.uint8)
    counts = cv2.calcHist([crop.pixels], [0, 1, 2], weights, [8] * 3, [0, 256] * 3).ravel()
    shares: NDArray[np.float64] = np.sqrt(counts.astype(np.float64) / max(counts.sum(), 1))
    return shares
