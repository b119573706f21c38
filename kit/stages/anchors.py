"""Choose the frames and masks that will condition propagation beside the given one.

Knows nothing about models: identities arrive as feature rows, regions as masks. Reads the manifest
of all videos; writes a decision per video, as text that explains itself and can be edited.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kit import plugins
from kit.core import artifacts, grounds
from kit.core.checks import Inputs, check_inputs
from kit.core.files import sha256
from kit.core.types import Evidence, Features, Video
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
    decisions = []
    for entry in grounds.read_manifest(args.manifest):
        video = artifacts.read_video(entry.frames)
        made_of = {"video": video.digest} | {k: sha256(path) for k, path in entry.files.items()}
        evidence = _evidence(entry.files, video, made_of)
        _first_pass.demand(selector, evidence.first)
        check_inputs(args.manifest, entry.digests, made_of)
        decisions.append((video, selector.select(video, evidence), made_of))
    for video, selection, made_of in decisions:
        artifacts.write_anchors(args.output / f"{video.name}.json", video, selection, made_of)


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
