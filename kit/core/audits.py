"""Evidence against the ground truth: `audits/.../VIDEO.json`, schema audits/1.

Candidates and anchors of one video, object by object; `kit.metrics.mining` makes and sums them up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.core import files
from kit.core.checks import Inputs, check_inputs, check_name, document, inputs_of
from kit.core.fields import Field
from kit.core.types import Video


@dataclass(frozen=True)
class Sighting:
    """One object on one frame on which the ground truth shows it, after its given frame.

    Attributes:
        frame: Index, in time.
        gap: Whether a first pass has lost it there, or is expected to.
        best: By source, the greatest IoU of a candidate that was sought for it.
    """

    frame: int
    gap: bool
    best: Mapping[str, float]


@dataclass(frozen=True)
class Judged:
    """An anchor against the ground truth of its frame.

    Attributes:
        frame: Index, in time.
        target: IoU with its object, 0 where that is absent.
        distractor: Greatest IoU with another labelled object.
        distance: Frames to the nearest gap; None where the object has none.
    """

    frame: int
    target: float
    distractor: float
    distance: int | None


@dataclass(frozen=True)
class Audited:
    """What is known of one object of one video."""

    sightings: Sequence[Sighting]
    anchors: Sequence[Judged]


def write_audit(path: Path, video: Video, audited: Mapping[int, Audited], inputs: Inputs) -> None:
    """Write what the ground truth says of one video's candidates and anchors, by object."""
    objects = {
        str(i): {
            "sightings": [
                [s.frame, s.gap, {name: round(iou, 4) for name, iou in s.best.items()}]
                for s in one.sightings
            ],
            "anchors": [
                [a.frame, round(a.target, 4), round(a.distractor, 4), a.distance]
                for a in one.anchors
            ],
        }
        for i, one in audited.items()
    }
    body = {"schema": "audits/1", "video": video.name, "inputs": dict(inputs), "objects": objects}
    files.write_text(path, files.canonical_json(body) + "\n")


def read_audit(path: Path, video: Video, inputs: Inputs) -> dict[int, Audited]:
    """Read what the ground truth says, by object.

    Raises:
        ArtifactError: The file is missing, damaged, another video's, or made from others.
    """
    with document(path, "audit", "audits/1") as body:
        check_inputs(path, inputs_of(body), inputs)
        check_name(path, body["video"].text(), video.name)
        objects = body["objects"].by_id()
        body["objects"].only(sorted(objects), [o.id for o in video.objects])
        last = len(video.frames) - 1
        return {i: _audited(one, last) for i, one in objects.items()}


def _audited(one: Field, last: int) -> Audited:
    return Audited(
        [_sighting(row, last) for row in one["sightings"].items()],
        [_judged(row, last) for row in one["anchors"].items()],
    )


def _sighting(row: Field, last: int) -> Sighting:
    best = {source: iou.share() for source, iou in row[2].entries().items()}
    return Sighting(row[0].integer(0, last), row[1].flag(), best)


def _judged(row: Field, last: int) -> Judged:
    away = row[3].or_null(lambda field: field.integer(0, last))
    return Judged(row[0].integer(0, last), row[1].share(), row[2].share(), away)
