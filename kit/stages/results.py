"""Put the scores of all videos together: the seven official numbers of a recipe.

Reads the scores of every video and checks that each was taken from the masks that lie there now;
writes the organisers' two files, one with unrounded numbers and a table of objects.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from kit.core import broken, files
from kit.core.files import sha256
from kit.core.mask_archive import masks_header
from kit.core.scored import RAW_SCHEMA, read_scores
from kit.metrics import disks, mosev2, report

VERSION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--scores", type=Path, required=True, help="folder of scores")
    parser.add_argument("--masks", type=Path, required=True, help="folder of masks")
    parser.add_argument(
        "--videos", nargs="+", action="extend", required=True, help="names of the videos"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of results to write")


def run(args: argparse.Namespace) -> None:
    """Write scores.txt, metrics.json, results.json, objects.csv; print the seven numbers."""
    objects, missing, small = {}, {}, list[str]()
    for video in sorted(args.videos):
        masks, path = args.masks / f"{video}.zip", args.scores / f"{video}.json"
        if (record := broken.first([masks, path])) is not None:
            missing[video] = record
            continue
        current = {"masks": sha256(masks)}
        ids, shape = masks_header(masks)
        small += [video] * disks.too_small(shape)
        scores = read_scores(path, video, ids, current)
        for object_id, result in scores.objects.items():
            objects[f"{video}_{object_id}"] = result.measures
    totals = mosev2.aggregate(objects.values())
    head = "".join(f"{line}\n" for line in broken.told(missing.values(), len(args.videos)))
    text = head + report.scores_text(totals)
    files.write_text(args.output / "scores.txt", text)
    files.write_text(args.output / "metrics.json", report.metrics_json(objects) + "\n")
    raw = {"schema": RAW_SCHEMA, "objects": objects, "scores": totals}
    why = {"missing": {name: str(record) for name, record in missing.items()}} if missing else {}
    files.write_json(args.output / "results.json", {**raw, **why})
    table = pd.DataFrame.from_dict(objects, orient="index").sort_index(axis="columns")
    files.write_text(args.output / "objects.csv", table.to_csv(index_label="object"))
    if small:
        print(f"{small[0]} and {len(small) - 1} others: {disks.TOO_SMALL}", file=sys.stderr)
    print(text, end="")
