"""Choose the frames and masks that will condition propagation beside the given one.

Knows nothing about models: identities arrive as feature rows, regions as masks. Reads the manifest
of all videos; writes a decision per video, as text that explains itself and can be edited.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from kit import plugins
from kit.core import artifacts, files
from kit.core.errors import ArtifactError
from kit.core.files import sha256
from kit.core.types import Candidate, Features

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--manifest", type=Path, required=True, help="files of all videos (.json)")
    parser.add_argument("--settings", type=json.loads, required=True, help="selector preset, JSON")
    parser.add_argument("--output", type=Path, required=True, help="folder of decisions to write")


def run(args: argparse.Namespace) -> None:
    """Decide for every video of the manifest."""
    method, config = plugins.configured("selectors", args.settings)
    manifest = files.read_json(args.manifest)
    if manifest.get("schema") != "manifest/1":
        raise ArtifactError(f"{args.manifest}: no manifest. {files.rebuild_hint(args.manifest)}")
    for name, entry in manifest["videos"].items():
        video = artifacts.read_video(Path(entry["frames"]))
        candidates, features, inputs = _evidence(entry)
        selection = method.select(video, candidates, features, config)
        artifacts.write_anchors(args.output / f"{name}.json", video, selection, inputs)


def _evidence(entry: dict[str, Any]) -> tuple[list[Candidate], Features, dict[str, str]]:
    """Candidates, their features, and the digests of both; nothing where nothing is mined."""
    video = artifacts.read_video(Path(entry["frames"]))
    if "candidates" not in entry:
        return [], Features(np.zeros((0, 0), np.float32), {}), {"video": video.digest}
    path, rows = Path(entry["candidates"]), Path(entry["features"])
    candidates = artifacts.read_candidates(path, video)
    made_of = {"video": video.digest, "candidates": sha256(path)}
    features = artifacts.read_features(rows, made_of, len(candidates))
    return candidates, features, {**made_of, "features": sha256(rows)}
