"""Compare what was mined with the ground truth: was there something to choose, was it right?

Reads index, label maps, candidates and anchors of one video, and the masks of the first pass whose
gaps the anchors were meant for, if there was one. Writes, per object, what each source found on
each frame that shows it, and what each anchor shows. The report sums up all videos; `kit audit`
does the same by hand.
"""

import argparse
from pathlib import Path

from kit.core import artifacts
from kit.core.audits import write_audit
from kit.core.files import sha256
from kit.metrics import audit
from kit.stages import _first_pass

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--frames", type=Path, required=True, help="index of the video (.json)")
    parser.add_argument("--candidates", type=Path, required=True, help="its candidates")
    parser.add_argument("--anchors", type=Path, required=True, help="the decision made of them")
    _first_pass.add_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="numbers to write (.json)")


def run(args: argparse.Namespace) -> None:
    """Audit one video."""
    video = artifacts.read_video(args.frames)
    first, digests = _first_pass.named(args, video)
    tracked = None if first is None else first.labels.values()
    audited = audit.of_video(video, args.candidates, args.anchors, tracked)
    made_of = {key: sha256(getattr(args, key)) for key in ("candidates", "anchors")}
    inputs = {"video": video.digest, **made_of, **digests}
    write_audit(args.output, video, audited, inputs)
