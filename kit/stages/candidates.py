"""Search later frames for whatever looks like the target: candidates of its category.

Reads the index and the frames of one video; writes scored masks, a line per region. Several sources
at once (a list of settings) share one vision pass per frame.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit import plugins
from kit.core import artifacts, images
from kit.core.errors import ConfigError
from kit.core.types import Candidate, Video
from kit.detectors.base import Exemplar, Search
from kit.methods import Detector
from kit.stages import _first_pass, _settings

if TYPE_CHECKING:
    from kit.runtime.job import Job

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument(
        "--settings", type=_settings.several, required=True,
        help="detector preset, JSON; or a list of presets that share a vision pass",
    )  # fmt: skip
    _first_pass.add_arguments(parser)
    parser.add_argument("--batch", type=int, default=4, help="frames per forward (%(default)s)")
    parser.add_argument("--record", type=Path, help="what the job took (.json)")
    parser.add_argument("--output", type=Path, required=True, help="candidates (.jsonl.zst)")


def run(args: argparse.Namespace) -> None:
    """Find the candidates of one video."""
    video = artifacts.read_video(args.frames)
    exemplars = [
        Exemplar(o.id, video.index(o.first_frame), images.first_mask(video, o))
        for o in video.objects
    ]
    first, inputs = _first_pass.named(args, video)
    sources = [Source.named(own) for own in args.settings]
    _check_shared(sources)
    for source in sources:
        _first_pass.demand(source.detector, first)

    from kit.runtime.job import on_device

    with on_device(f"candidates of {video.name}", images.Frames(video), args.record) as job:
        model, decoder = _loaded(job, sources[0])
        search = Search(video, job.frames, exemplars, model, decoder, first=first)

        def detect(batch: int) -> list[Candidate]:
            with job.timed():
                return find(replace(search, batch=batch), sources)

        found = job.fitting(detect, args.batch, "frames", _settings.SMALLER)
        artifacts.write_candidates(args.output, video, in_order(video, found), inputs)


@dataclass(frozen=True)
class Source:
    """A detector, and the settings of what it needs loaded."""

    detector: Detector
    weights: Mapping[str, Mapping[str, Any]]

    @classmethod
    def named(cls, own: Mapping[str, Any]) -> "Source":
        """The source that settings describe.

        Raises:
            ConfigError: There is none, or it searches no frames, or its model is not named.
        """
        blocks = [k for k in plugins.LOADED if k in own] or ["model"]
        weights = {
            key: _settings.block(own, key, "method" if key == "tracker" else "source")
            for key in blocks
        }
        return cls(plugins.detector(own), weights)  # imports torch: checks first


def _loaded(job: "Job", source: Source) -> tuple[Any, Any]:
    """The model to search with and, if there is one, that to draw with."""
    if "tracker" in source.weights:
        chosen = source.weights["tracker"]
        library = plugins.tracker(chosen)
        return library.build(
            job.load(library.model, _settings.block(chosen, "model", "source"))
        ), None
    decoder = source.weights.get("decoder")
    model = job.load(source.detector.model, source.weights["model"])
    return model, None if decoder is None else job.load("sam3", decoder)


def find(search: Search, sources: Sequence[Source]) -> list[Candidate]:
    """What the sources find; several share each frame's vision pass."""
    if len(sources) == 1:
        return list(sources[0].detector.detect(search))
    from kit.detectors import prompting

    views = prompting.Views(search)
    asked = [a for s in sources for a in s.detector.asked(search, views)]
    return list(prompting.detect(search, views, asked))


def in_order(video: Video, found: Sequence[Candidate]) -> list[Candidate]:
    """By frame and object, whatever the batch; what a source said first stays first."""
    places = {frame: index for index, frame in enumerate(video.frames)}
    return sorted(found, key=lambda c: (places[c.frame], c.object_id))


def _check_shared(sources: Sequence[Source]) -> None:
    alone = [s.detector.name for s in sources if not s.detector.shares_pass]
    other = any(s.weights != sources[0].weights for s in sources)
    if len(sources) > 1 and (alone or other):
        what = f"`{alone[0]}` needs a pass of its own" if alone else "they name different models"
        raise ConfigError(f"--settings: these sources cannot share a vision pass: {what}.")
