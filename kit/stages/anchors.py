"""Choose the frames and masks that will condition propagation beside the given one.

Knows nothing about models: identities arrive as feature rows, regions as masks. Reads the manifest
of all videos; writes a decision per video, as text that explains itself and can be edited.
"""

import argparse
import traceback
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kit import plugins
from kit.core import artifacts, broken, grounds
from kit.core.broken import Broken
from kit.core.checks import Inputs, check_inputs
from kit.core.errors import ConfigError, KitError
from kit.core.files import sha256
from kit.core.types import Evidence, Features, Selection, Video
from kit.methods import Selector
from kit.stages import _first_pass, _settings

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--manifest", type=Path, required=True, help="files of all videos (.json)")
    parser.add_argument(
        "--settings", type=_settings.parsed, required=True, help="selector preset, JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of decisions to write")


def run(args: argparse.Namespace) -> None:
    """Decide for every video of the manifest; nothing is written before all are decided."""
    selector = plugins.selector(args.settings)
    manifest, work = grounds.read_manifest(args.manifest), broken.work_folder()
    decisions, lost = [], dict(manifest.broken)
    for entry in manifest.entries:
        try:
            decisions.append(_decision(entry, selector, args.manifest))
        except Exception as error:
            if work is None or isinstance(error, ConfigError):  # the latter is no video's
                raise
            name = entry.frames.stem
            lost[name] = Broken(name, "anchors", _told(error), str(args.output / f"{name}.json"))
    for video, selection, made_of in decisions:
        artifacts.write_anchors(args.output / f"{video.name}.json", video, selection, made_of)
    for name, record in lost.items():
        print(f"no anchors, for the video is broken: {record}")
        if work is not None:
            broken.write(args.output / f"{name}.json", record, work)


def _decision(
    entry: grounds.Entry, selector: Selector, manifest: Path
) -> tuple[Video, Selection, Inputs]:
    """What is chosen for one video, and what it is made of."""
    video = artifacts.read_video(entry.frames)
    made_of = {"video": video.digest} | {k: sha256(path) for k, path in entry.files.items()}
    evidence = _evidence(entry.files, video, made_of)
    _first_pass.demand(selector, evidence.first)
    check_inputs(manifest, entry.digests, made_of)
    return video, selector.select(video, evidence), made_of


def _told(error: Exception) -> str:
    """What went wrong; a defect of the kit also leaves its traceback in the log."""
    if isinstance(error, KitError):
        return str(error)
    traceback.print_exception(error)
    return f"{type(error).__name__}: {error}"


def _evidence(files: Mapping[str, Path], video: Video, made_of: Inputs) -> Evidence:
    """All that there is, each file made from those it lies beside."""
    candidates, features = [], Features(np.zeros((0, 0), np.float32), {})
    if "candidates" in files:
        candidates = artifacts.read_candidates(files["candidates"], video)
        described = {key: made_of[key] for key in ("video", "candidates")}
        features = artifacts.read_features(files["features"], described, video, len(candidates))
    first = None
    if "first_masks" in files:
        first = _first_pass.read(files["first_masks"], files["first_anchors"], video)
    if "proposals" not in files:
        return Evidence(candidates, features, first)
    proposed = {k: v for k, v in made_of.items() if k not in ("proposals", "cycles")}
    proposals = artifacts.read_anchors(files["proposals"], video, proposed)
    tracked = {"video": video.digest, "anchors": made_of["proposals"]}
    cycles = grounds.read_cycles(files["cycles"], video, tracked)
    return Evidence(candidates, features, first, proposals, cycles)
