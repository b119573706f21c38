"""The report: what it must say, and that nothing from outside can break it or slip in stale."""

import html.parser
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kit import cli
from kit.core import artifacts, images, masks
from kit.core.errors import ArtifactError
from kit.core.files import sha256
from kit.core.types import Anchor, Rejected, Selection, Video
from kit.data import scenes, synthetic

FIRST, MINED = "first.greedy", "sam3.dinov3.top3.greedy"
RECIPES = {"prompted once": FIRST, "prompted again": MINED}
CLIP = scenes.Config(frames=14, width=160, height=96, size_min=0.15)


# --- fixtures: ground truth shifted by hand stands in for what models would predict ---------------


def shifted(labels: masks.LabelMap, by: int) -> masks.LabelMap:
    """Labels moved to the right: a mask that is wrong by a known amount."""
    return np.roll(labels, by, axis=1)


def build(work: Path, root: Path, names: list[str], scored: bool) -> None:
    """A split as the stages before would leave it, masks made up from the ground truth."""
    for number, name in enumerate(names):
        synthetic.write_video(root, name, synthetic.seed_of("demo", number), CLIP)
        call("frames", root=root, video=name, output=work / f"frames/{name}.json")
        video = artifacts.read_video(work / f"frames/{name}.json")
        for recipe, by in ((FIRST, 3 + 2 * number), (MINED, 1)):
            mine(work, recipe, video)
            track(work, recipe, video, by)
            if scored:
                made = {p: work / f"{p}/{recipe}/{name}" for p in ("masks", "scores")}
                call(
                    "scores",
                    frames=work / f"frames/{name}.json",
                    masks=made["masks"].with_name(f"{name}.zip"),
                    output=made["scores"].with_name(f"{name}.json"),
                )
    for recipe, path in RECIPES.items():
        if scored:
            folders = {p: work / p / path for p in ("scores", "masks")}
            call("results", **folders, videos=names, output=work / f"results/{recipe}")


def mine(work: Path, recipe: str, video: Video) -> None:
    """Two anchors per object, where the recipe mines any; the masks are the true ones."""
    chosen, rejected = [], []
    for target in video.objects if recipe == MINED else ():
        for index, score in ((5, 0.91), (9, 0.83)):
            mask = truth(video, index) == target.id
            reason = f"rank {index} of 13 frames <b>& more</b>"
            frame, rle = video.frames[index], masks.encode_rle(mask)
            chosen.append(Anchor(frame, target.id, rle, score, 0.125, reason))
        for index in (6, 7):
            reason = f"neighbour of {video.frames[5]}, which is more similar"
            rejected.append(Rejected(video.frames[index], target.id, 0.5, reason))
    path = work / "anchors" / recipe.rpartition(".")[0] / f"{video.name}.json"
    artifacts.write_anchors(path, video, Selection(chosen, rejected), {"video": video.digest})


def track(work: Path, recipe: str, video: Video, by: int) -> None:
    """Masks wrong by a shift, absent on the eleventh frame."""
    ids = [o.id for o in video.objects]

    def pngs() -> Iterator[tuple[str, bytes]]:
        for index, frame in enumerate(video.frames):
            labels = truth(video, index) if index == 0 else shifted(truth(video, index), by)
            yield frame, masks.encode_png(np.where(index == 10, 0, labels).astype(np.uint8))

    states = {
        frame: {"presence": -2.0 if index == 10 else 3.0, "iou": 0.75}
        for index, frame in enumerate(video.frames)
    }
    notes = {"objects": {str(i): states for i in ids}, "contested": {video.frames[3]: 17}}
    anchors = work / "anchors" / recipe.rpartition(".")[0] / f"{video.name}.json"
    inputs = {"video": video.digest, "anchors": sha256(anchors)}
    path = work / "masks" / recipe / f"{video.name}.zip"
    artifacts.write_masks(path, pngs(), lambda: notes, inputs)


def truth(video: Video, index: int) -> masks.LabelMap:
    return images.read_labels(video.annotation(video.frames[index]))


def call(command: str, **options: object) -> None:
    """One command of the kit that must succeed."""
    arguments = [command]
    for key, value in options.items():
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{key}", *map(str, values)]
    assert cli.main(arguments) == 0


def report(work: Path, output: Path, names: list[str], **options: object) -> str:
    recipes = json.dumps(RECIPES)
    call("report", work=work, split="demo", recipes=recipes, videos=names, output=output, **options)
    return output.read_text()
