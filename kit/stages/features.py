"""Describe the target and every candidate by feature vectors.

Reads candidates and frames of one video; writes a row per candidate and, per object, a pool of
rows for transformed views of its first mask.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit import plugins
from kit.core import artifacts, images
from kit.core.files import sha256
from kit.core.masks import Mask
from kit.core.types import Candidate, Features, FrameSource, Video
from kit.stages import settings
from kit.stages.candidates import first_mask

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--candidates", type=Path, required=True, help="its candidates")
    parser.add_argument(
        "--settings", type=settings.parsed, required=True, help="embedder preset, JSON"
    )
    parser.add_argument("--batch", type=int, default=32, help="crops per forward (%(default)s)")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="features (.safetensors)")


def run(args: argparse.Namespace) -> None:
    """Describe one video's objects and candidates."""
    video = artifacts.read_video(args.frames)
    candidates = artifacts.read_candidates(args.candidates, video)
    masks = {target.id: first_mask(video, target) for target in video.objects}
    weights = settings.block(args.settings, "model", "source")
    method, config = plugins.configured("embedders", args.settings)  # imports torch: checks first

    from kit.runtime.job import on_device

    with on_device(f"features of {video.name}", images.Frames(video), args.record) as job:
        model = job.load("dinov3", weights)

        def describe(batch: int) -> Features:
            one = Describe(method, model, config, batch)
            with job.timed():
                return Features(
                    candidates=one.candidates(video, job.frames, candidates),
                    pools=one.pools(video, job.frames, masks),
                )

        features = job.fitting(describe, args.batch, "crops", settings.SMALLER)
    inputs = {"video": video.digest, "candidates": sha256(args.candidates)}
    artifacts.write_features(args.output, features, inputs)


class Describe:
    """An embedder with its model and settings."""

    def __init__(self, method: Any, model: Any, config: Any, batch: int) -> None:
        self.method, self.model, self.config, self.batch = method, model, config, batch

    def pools(
        self, video: Video, frames: FrameSource, masks: Mapping[int, Mask]
    ) -> dict[int, NDArray[np.float32]]:
        """Per object the `float32[V, D]` rows of its transformed first views."""
        return {
            target.id: self._embed(
                self.method.pool(
                    frames[video.index(target.first_frame)], masks[target.id], self.config
                )
            )
            for target in video.objects
        }

    def candidates(
        self, video: Video, frames: FrameSource, candidates: Sequence[Candidate]
    ) -> NDArray[np.float32]:
        """`float32[N, D]`, aligned with the candidates; each frame is decoded once, in order."""
        order = sorted(range(len(candidates)), key=lambda i: video.index(candidates[i].frame))
        rows = [self._embed([])]
        crops: list[Any] = []
        for crop in self._crops(video, frames, [candidates[i] for i in order]):
            crops.append(crop)
            if len(crops) == self.batch:
                rows.append(self._embed(crops))
                crops = []
        rows.append(self._embed(crops))
        aligned = np.concatenate(rows)
        aligned[order] = aligned.copy()
        return aligned

    def _crops(
        self, video: Video, frames: FrameSource, candidates: Sequence[Candidate]
    ) -> Iterator[Any]:
        for frame, group in groupby(candidates, key=lambda c: c.frame):
            image = frames[video.index(frame)]
            for candidate in group:
                yield self.method.crop(image, candidate.mask, self.config)

    def _embed(self, crops: Sequence[Any]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self.method.embed(self.model, crops, self.config, self.batch)
        return rows
