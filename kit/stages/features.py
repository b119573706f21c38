"""Describe the target and every candidate by feature vectors.

Reads candidates and frames of one video; writes a row per candidate and, per object, a pool of
rows for transformed views of its first mask, and for the anchors of a first pass if wanted.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kit import plugins
from kit.core import artifacts, images
from kit.core.ahead import ahead
from kit.core.files import sha256
from kit.core.images import first_mask
from kit.core.masks import Mask, decode_part
from kit.core.types import Candidate, Features, FirstPass, FrameSource, Image, Video
from kit.methods import Embedder
from kit.stages import _first_pass, _settings

if TYPE_CHECKING:
    from kit.embedders.crops import Crop

VERSION = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--candidates", type=Path, required=True, help="its candidates")
    parser.add_argument(
        "--settings", type=_settings.parsed, required=True, help="embedder preset, JSON"
    )
    _first_pass.add_arguments(parser)
    parser.add_argument("--batch", type=int, default=32, help="crops per forward (%(default)s)")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="features (.safetensors)")


def run(args: argparse.Namespace) -> None:
    """Describe one video's objects and candidates."""
    video = artifacts.read_video(args.frames)
    candidates = artifacts.read_candidates(args.candidates, video)
    weights = _settings.block(args.settings, "model", "source")
    first, digests = _first_pass.named(args, video)
    given = {o.id: first_mask(video, o) for o in video.objects}
    embedder = plugins.embedder(args.settings)  # imports torch: checks first
    _first_pass.demand(embedder, first)
    views = views_of(video, given, first if embedder.reads_first else None)

    from kit.runtime.job import on_device

    with on_device(f"features of {video.name}", images.Frames(video), args.record) as job:
        model = job.load(embedder.model, weights)

        def describe(batch: int) -> Features:
            one = Describe(embedder, model, batch)
            with job.timed():
                return Features(
                    candidates=one.candidates(video, job.frames, candidates),
                    pools=one.pools(job.frames, views),
                )

        features = job.fitting(describe, args.batch, "crops", _settings.SMALLER)
    inputs = {"video": video.digest, "candidates": sha256(args.candidates), **digests}
    artifacts.write_features(args.output, features, inputs)


Views = Mapping[int, Sequence[tuple[int, Mask]]]  # by object id: (index of the frame, mask)


def views_of(video: Video, given: Mapping[int, Mask], first: FirstPass | None) -> Views:
    """Where each object is known: its first mask, then the anchors of a first pass."""
    return {
        target.id: [
            (video.index(target.first_frame), given[target.id]),
            *([] if first is None else first.accepted(video, target.id)),
        ]
        for target in video.objects
    }


class Describe:
    """An embedder with its model."""

    def __init__(self, embedder: Embedder, model: Any, batch: int) -> None:
        self.embedder, self.model, self.batch = embedder, model, batch

    def pools(self, frames: FrameSource, views: Views) -> dict[int, NDArray[np.float32]]:
        """Per object the `float32[V, D]` rows of its first mask's views, then of the others."""
        return {i: self._embed(list(self._pool(frames, shown))) for i, shown in views.items()}

    def _pool(self, frames: FrameSource, shown: Sequence[tuple[int, Mask]]) -> Iterator["Crop"]:
        (index, mask), *others = shown
        yield from self.embedder.pool(frames[index], mask)
        for index, mask in others:
            yield self.embedder.crop(frames[index], mask)

    def candidates(
        self, video: Video, frames: FrameSource, candidates: Sequence[Candidate]
    ) -> NDArray[np.float32]:
        """`float32[N, D]`, aligned with the candidates; each frame is decoded once, in order.

        The next batch is cut out by a thread while one is embedded.
        """
        indices = [video.index(candidate.frame) for candidate in candidates]
        order = sorted(range(len(candidates)), key=indices.__getitem__)
        batches = [order[at : at + self.batch] for at in range(0, len(order), self.batch)]
        shown = Shown(frames)

        def cut(rows: Sequence[int]) -> list["Crop"]:
            return [self._crop(shown.frame(indices[row]), candidates[row]) for row in rows]

        rows = [self._embed([]), *map(self._embed, ahead(cut, batches))]
        aligned = np.concatenate(rows)
        aligned[order] = aligned.copy()
        return aligned

    def _crop(self, image: Image, candidate: Candidate) -> "Crop":
        part, corner = decode_part(candidate.rle, *candidate.shape)
        return self.embedder.crop(image, part, corner=corner)

    def _embed(self, crops: Sequence["Crop"]) -> NDArray[np.float32]:
        return self.embedder.embed(self.model, crops, batch=self.batch)


class Shown:
    """Keeps the last frame that was asked for."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames
        self._last: tuple[int, Image] | None = None

    def frame(self, index: int) -> Image:
        """`uint8[H, W, 3]`."""
        if self._last is None or self._last[0] != index:
            self._last = index, self._frames[index]
        return self._last[1]
