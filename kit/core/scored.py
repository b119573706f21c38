"""The official numbers: of a video `scores/.../VIDEO.json`, of a set `results.json` and `raw.json`.

| file | schema | content |
|---|---|---|
| scores/.../VIDEO.json | scores/2 | measures of each object, with curves over time |
| results/RECIPE/results.json, raw.json of `kit score` | raw/1 | measures of all objects of a set |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kit.core import files
from kit.core.checks import Inputs, check_inputs, check_name, document, inputs_of
from kit.core.fields import Field

# The numbers of a set in the organisers' order (score.py, main), and what they are means of.
SCORE_KEYS = ("J&F_new", "J", "F_new", "disappear_J&F_new", "reappear_J&F_new", "F", "J&F")
OBJECT_KEYS = (
    "J",
    "F_new",
    "F",
    "disappear_J",
    "disappear_F_new",
    "reappear_J",
    "reappear_F_new",
)
RAW_SCHEMA = "raw/1"
_PIXELS = ("truth", "mask", "shared")
_AGAIN = "Score the run again: `kit score`, or remove the file and run snakemake again."

Measures = dict[str, float | None]


@dataclass(frozen=True)
class ObjectScores:
    """The official numbers of one object of one video.

    Attributes:
        measures: The seven of `OBJECT_KEYS`, 0..1, None where undefined.
        j: Smoothed Jaccard index of each evaluated frame, 0..1; empty in a video too short.
        f_new: Boundary F at the area-following tolerance, likewise.
        truth: Pixels of the true mask on each evaluated frame.
        mask: Pixels of the predicted one.
        shared: Pixels of both.
    """

    measures: Measures
    j: Sequence[float]
    f_new: Sequence[float]
    truth: Sequence[int]
    mask: Sequence[int]
    shared: Sequence[int]


@dataclass(frozen=True)
class VideoScores:
    """The official numbers of one video.

    Attributes:
        frames: Names of the evaluated frames: all but the first and the last one.
        objects: By object id.
    """

    frames: Sequence[str]
    objects: Mapping[int, ObjectScores]


def write_scores(path: Path, video: str, scores: VideoScores, inputs: Inputs) -> None:
    """Write the official numbers of a video; those of frames with four digits."""
    objects = {
        str(i): {
            "measures": one.measures,
            "J": [round(float(v), 4) for v in one.j],
            "F_new": [round(float(v), 4) for v in one.f_new],
            "pixels": {name: list(getattr(one, name)) for name in _PIXELS},
        }
        for i, one in scores.objects.items()
    }
    body = {"video": video, "frames": list(scores.frames), "objects": objects}
    files.write_json(path, {"schema": "scores/2", "inputs": dict(inputs), **body})


def read_scores(path: Path, video: str, object_ids: Sequence[int], inputs: Inputs) -> VideoScores:
    """Read the official numbers of a video, its inputs checked.

    Args:
        path: The file.
        video: Name of the video.
        object_ids: Of all its objects, ascending.
        inputs: Digests that the numbers must have been made from.

    Raises:
        ArtifactError: The file is missing, damaged, another video's, or made from others.
    """
    with document(path, "scores", "scores/2") as body:
        check_inputs(path, inputs_of(body), inputs)
        check_name(path, body["video"].text(), video)
        frames = body["frames"].texts()
        objects = body["objects"].by_id()
        body["objects"].only(sorted(objects), list(object_ids))
        return VideoScores(frames, {i: _object(one, len(frames)) for i, one in objects.items()})


def _object(field: Field, frames: int) -> ObjectScores:
    measures, pixels = _measures(field["measures"]), field["pixels"]
    curves = {name: [n.integer() for n in pixels[name].items()] for name in _PIXELS}
    j, f_new = field["J"].shares(), field["F_new"].shares()
    lengths = [(field["J"], len(j)), (field["F_new"], len(f_new))]
    lengths += [(pixels[name], len(curve)) for name, curve in curves.items()]
    for where, length in lengths:
        if length not in (0, frames):  # none where fewer than three frames leave none to score
            raise where.damaged(f"{frames} numbers, one a frame, or none")
    return ObjectScores(measures, j, f_new, **curves)


def _measures(field: Field) -> Measures:
    return {key: field[key].or_null(Field.share) for key in OBJECT_KEYS}


def read_measures(path: Path) -> dict[str, Measures]:
    """Measures of a scored set by `<video>_<id>`, from results.json or raw.json.

    Raises:
        ArtifactError: The file is missing, damaged or of another schema.
    """
    with document(path, "results", RAW_SCHEMA, _AGAIN) as body:
        return {name: _measures(one) for name, one in body["objects"].entries().items()}
