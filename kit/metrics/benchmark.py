"""`kit score --protocol NAME`: a set scored as another benchmark's evaluator scores it."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from kit.core.errors import ConfigError
from kit.core.files import write_text
from kit.core.name_lists import read_list
from kit.metrics import box_set, protocol_set
from kit.metrics.folders import open_folder
from kit.metrics.protocol_video import Track
from kit.metrics.protocols import PROTOCOLS

MOSEV2 = "mosev2"
NAMES = (MOSEV2, *PROTOCOLS, *box_set.NAMES)
Numbers = dict[str, float | None]


def score(args: Namespace) -> str:
    """Score, write `scores.txt` and `protocol.json` into the output folder, return the text.

    Raises:
        ConfigError: an option that the protocol does not take.
        DataError: ground truth that cannot be used.
        SubmissionError: predictions that cannot.
    """
    name = args.protocol
    truth, predictions = open_folder(args.gt), open_folder(args.pred)
    takes_lists = name in PROTOCOLS and PROTOCOLS[name].objects == "given"
    if not takes_lists and (args.meta or args.unseen):
        raise ConfigError(f"--protocol {name} takes neither --meta nor --unseen.")
    if name in box_set.NAMES:
        scores, each = box_set.score_boxes(name, truth, predictions)
        return _written(args.output, name, scores, each, box_set.SOURCES[name])
    unseen = read_list(args.unseen, or_none=True) if args.unseen else ()
    scores, tracks = protocol_set.score_set(name, truth, predictions, args.meta, unseen)
    objects = {f"{video}_{i}": _means(track) for (video, i), track in tracks.items()}
    return _written(args.output, name, scores, objects, PROTOCOLS[name].source)


def _means(track: Track) -> Numbers:
    curves = {"J": track.j} | ({} if track.f is None else {"F": track.f})
    return {key: float(curve.mean()) if len(curve) else None for key, curve in curves.items()}


def _written(
    output: Path, name: str, scores: Numbers, each: dict[str, Numbers], source: str
) -> str:
    text = "\n".join(f"{k}: {'-' if v is None else f'{v * 100:.2f}'}" for k, v in scores.items())
    text += f"\n{len(each)} measured by {name} ({source})\n"
    content: dict[str, Any] = {"schema": "protocol/1", "protocol": name, "source": source}
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "scores.txt", text)
    details = content | {"scores": scores, "objects": each}
    write_text(output / "protocol.json", json.dumps(details, indent=1))
    return text
