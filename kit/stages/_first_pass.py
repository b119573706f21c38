"""What an earlier recipe left of a video, for stages that go on from it. Not a stage itself."""

import argparse
from pathlib import Path

from kit.core import artifacts
from kit.core.errors import ConfigError
from kit.core.files import sha256
from kit.core.labels import Labels
from kit.core.mask_archive import read_masks
from kit.core.types import FirstPass, Video
from kit.methods import Method


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where a first pass lies."""
    parser.add_argument("--first-masks", type=Path, help="masks of a first pass (.zip)")
    parser.add_argument("--first-anchors", type=Path, help="their anchors (.json)")


def named(args: argparse.Namespace, video: Video) -> tuple[FirstPass | None, dict[str, str]]:
    """The first pass that the command line names, and the digests of its files; None without one.

    Raises:
        ConfigError: One of its two files is missing.
    """
    paths = {"first_masks": args.first_masks, "first_anchors": args.first_anchors}
    if not any(paths.values()):
        return None, {}
    if not all(paths.values()):
        raise ConfigError("--first-masks and --first-anchors go together; one is missing.")
    digests = {key: sha256(path) for key, path in paths.items()}
    return read(args.first_masks, args.first_anchors, video), digests


def demand(method: Method, first: FirstPass | None) -> None:
    """See that a method that goes on from a first pass has one.

    Raises:
        ConfigError: It has none.
    """
    if method.reads_first and first is None:
        raise ConfigError(
            f"`{method.name}`, set like this, goes on from a first pass, and none is given: in a "
            "config, name its recipe with `after`; by hand, its files (see --help)."
        )


def read(masks: Path, anchors: Path, video: Video) -> FirstPass:
    """Masks with their soft scores, and the anchors they were made with."""
    selection = artifacts.read_anchors(anchors, video, {"video": video.digest})
    notes = read_masks(masks, video, {"video": video.digest, "anchors": sha256(anchors)})
    return FirstPass(selection.anchors, notes.states, Labels(masks, video))
