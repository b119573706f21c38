"""Choose the frames and masks that will condition propagation beside the given one.

Knows nothing about models: identities arrive as feature rows, regions as masks. Reads the manifest
of all videos; writes a decision per video, as text that explains itself and can be edited.
"""

import argparse
from pathlib import Path

import numpy as np

from kit import plugins
from kit.core import artifacts
from kit.core.artifacts import Evidence
from kit.core.checks import check_inputs
from kit.core.files import sha256
from kit.core.types import Candidate, Features, Video
from kit.stages import settings

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--manifest", type=Path, required=True, help="files of all videos (.json)")
    parser.add_argument(
        "--settings", type=settings.parsed, required=True, help="selector preset, JSON"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of decisions to write")


def run(args: argparse.Namespace) -> None:
    """Decide for every video of the manifest; nothing is written before all are decided."""
    method, config = plugins.configured("selectors", args.settings)
    decisions = []
    for evidence in artifacts.read_manifest(args.manifest):
        video = artifacts.read_video(evidence.frames)
        candidates, features, inputs = _read(evidence, video)
        check_inputs(args.manifest, evidence.digests, inputs)
        decisions.append((video, method.select(video, candidates, features, config), inputs))
    for video, selection, inputs in decisions:
        artifacts.write_anchors(args.output / f"{video.name}.json", video, selection, inputs)


def _read(evidence: Evidence, video: Video) -> tuple[list[Candidate], Features, dict[str, str]]:
    """Candidates, their features, and the digests of both; nothing where nothing is mined."""
    if evidence.candidates is None or evidence.features is None:
        return [], Features(np.zeros((0, 0), np.float32), {}), {"video": video.digest}
    candidates = artifacts.read_candidates(evidence.candidates, video)
    made_of = {"video": video.digest, "candidates": sha256(evidence.candidates)}
    features = artifacts.read_features(evidence.features, made_of, video, len(candidates))
    return candidates, features, {**made_of, "features": sha256(evidence.features)}
