"""What the tiny family can do, on drawn videos that it was not trained on.

    python benchmarks/tiny.py                        # the table of the README, on the test split
    python benchmarks/tiny.py --split validation     # to look at while changing things
    python benchmarks/tiny.py --sam2 FOLDER --sam3 FOLDER --dinov3 FOLDER

Each number is the mean over three groups of videos, with the half width of its 95 % interval (t
distribution, three groups). Nothing is tuned on the test split: its seeds appear here alone.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tiny_baselines import colour_histogram
from tiny_retrieval import Mining, retrieval, search, video_of

from kit import plugins
from kit.config import load
from kit.core.errors import ConfigError
from kit.core.masks import decode_rle, encode_png
from kit.core.types import FirstPass, Prompt, State
from kit.data import synthetic
from kit.labelling.overlaps import resolve_overlaps, settle
from kit.metrics import mosev2
from kit.metrics.objects import ObjectResult
from kit.propagators import flow, greedy, hold, memory_tree
from kit.runtime import models
from kit.trackers import sam2, sam3
from kit.trackers.base import Tracker

RECIPE = Path(__file__).parents[1] / "config" / "train_tiny.yaml"  # settings chosen on validation
GROUPS, APART = 3, 10_000  # groups of videos, and how far their indices lie apart
T_95 = 4.303  # two-sided 95 % quantile of Student's t with two degrees of freedom
SUITES = {
    # nobody leaves; occluders pass and distractors of the same category wander about
    "steady": synthetic.Config(frames=16, gap_share=0.0),
    # one object leaves for a quarter of the video and comes back over the opposite border
    "gap": synthetic.Config(frames=28, gap_share=1.0, return_share=1.0),
    # away for so long that memory holds nothing but the first mask
    "away": synthetic.Config(
        frames=48, gap_share=1.0, gap=0.4, return_share=1.0, distractors=2, shared_colours=1.0
    ),
    # crowds of one category in the same colours, faster, behind two occluders
    "ambiguous": synthetic.Config(
        frames=28, gap_share=0.5, distractors=2, occluders=2, sibling_share=1.0,
        shared_colours=1.0, speed=3.0, size_max=0.18,
    ),
}  # fmt: skip
LabelMaps = NDArray[np.uint8]  # [T, H, W]


def clips_of(suite: str, split: str, group: int, count: int) -> Iterator[synthetic.Clip]:
    """The videos of one group; where a crowd finds no place in one, the next."""
    numbers = range(group * APART, (group + 1) * APART)
    for number in numbers:
        if count == 0:
            return
        with suppress(ConfigError):
            yield synthetic.draw(synthetic.seed_of(split, number), SUITES[suite])
            count -= 1


def first_prompts(clip: synthetic.Clip) -> list[Prompt]:
    """The given masks of the objects that frame 0 shows."""
    ids = [int(i) for i in np.unique(clip.labels[0]) if i]
    return [Prompt(0, i, clip.labels[0] == i, True) for i in ids]


def track(
    tracker: Tracker | None,
    clip: synthetic.Clip,
    prompts: Sequence[Prompt],
    policy: Any,
    config: Any,
    overlap: str = "logits",
) -> LabelMaps:
    """Label maps of a whole clip; empty before the earliest prompt.

    Of an overlap the higher logit wins, or with "nearest" who was prompted nearest in time.
    """
    maps = np.zeros_like(clip.labels)
    for result in policy.propagate(tracker, list(clip.frames), prompts, config):
        labels, ids = resolve_overlaps(result.logits, result.object_ids), result.object_ids
        if overlap == "nearest":
            claims = dict(zip(ids, result.logits > 0, strict=True))
            settle(labels, claims, {i: -_frames_away(prompts, i, result.frame) for i in ids})
        maps[result.frame] = labels
    return maps


def _frames_away(prompts: Sequence[Prompt], object_id: int, frame: int) -> int:
    return min(abs(p.frame - frame) for p in prompts if p.object_id == object_id)


def first_pass(tracker: Tracker, clip: synthetic.Clip) -> tuple[LabelMaps, FirstPass]:
    """Label maps of a clip tracked from its first masks alone, and the same to go on from."""
    video, maps = video_of(clip, "drawn"), np.zeros_like(clip.labels)
    states: dict[int, dict[str, State]] = {o.id: {} for o in video.objects}
    prompts = first_prompts(clip)
    for result in greedy.propagate(tracker, list(clip.frames), prompts, greedy.Config()):
        maps[result.frame] = resolve_overlaps(result.logits, result.object_ids)
        for i, presence, quality in zip(
            result.object_ids, result.presence, result.iou, strict=True
        ):
            states[i][video.frames[result.frame]] = State(float(presence), float(quality))
    return maps, FirstPass((), states, dict(zip(video.frames, maps, strict=True)))


def scored(clip: synthetic.Clip, maps: LabelMaps) -> dict[int, ObjectResult]:
    """The official measures of the objects that frame 0 shows."""
    ids = [prompt.object_id for prompt in first_prompts(clip)]
    truth, told = ([encode_png(m) for m in each] for each in (clip.labels, maps))
    return dict(zip(ids, mosev2.evaluate_video(truth, told, ids), strict=True))


def mean_of(results: Iterable[ObjectResult], *keys: str) -> float:
    """Mean of measures over the objects for which they are defined."""
    found = [[result.measures[key] for key in keys] for result in results]
    return float(np.mean([values for values in found if None not in values]))


# --- the rows of the table ------------------------------------------------------------------------


def steady(tracker: Tracker, clips: Sequence[synthetic.Clip]) -> dict[str, float]:
    """J of first-frame tracking and of three ways that know nothing, on steady videos."""
    ways: dict[str, Callable[[synthetic.Clip], LabelMaps]] = {
        "J": lambda c: track(tracker, c, first_prompts(c), greedy, greedy.Config()),
        "J of copying": lambda c: track(None, c, first_prompts(c), hold, hold.Config()),
        "J of optical flow": lambda c: track(None, c, first_prompts(c), flow, flow.Config()),
        "J of a colour histogram": colour_histogram,
    }
    return {
        name: mean_of((r for c in clips for r in scored(c, way(c)).values()), "J")
        for name, way in ways.items()
    }


def presence(tracker: Tracker, clips: Sequence[synthetic.Clip]) -> dict[str, float]:
    """How often an absent object has an empty mask, and a visible one has not."""
    absent, visible = [], []
    for clip in clips:
        maps = track(tracker, clip, first_prompts(clip), greedy, greedy.Config())
        for prompt in first_prompts(clip):
            there = (clip.labels == prompt.object_id).any((1, 2))[1:]
            told = (maps == prompt.object_id).any((1, 2))[1:]
            absent += list(~told[~there])
            visible += list(told[there])
    return {"absent told right": float(np.mean(absent)), "present": float(np.mean(visible))}


Find = Callable[[synthetic.Clip, FirstPass], list[Prompt]]  # anchors, after a first pass


def reprompting(
    tracker: Tracker,
    clips: Sequence[synthetic.Clip],
    find: Find,
    config: greedy.Config,
    overlap: str = "logits",
) -> dict[str, float]:
    """First frame only, re-prompted with found anchors, and restarted from each anchor alone.

    The restart is the control: what an anchor gives without the memory of the first mask. It has
    the first-frame masks up to the object's first anchor and the anchors alone from there on.
    """
    rows: dict[str, list[ObjectResult]] = {"first": [], "reprompted": [], "restart": []}
    for clip in clips:
        given = first_prompts(clip)
        alone, first = first_pass(tracker, clip)
        found = find(clip, first)
        maps = {
            "first": alone,
            "reprompted": track(tracker, clip, [*given, *found], greedy, config, overlap),
        }
        maps["restart"] = restarted(tracker, clip, maps["first"], found)
        for name, each in maps.items():
            rows[name] += scored(clip, each).values()
    numbers = {}
    for name, results in rows.items():
        for part in ("reappear", "disappear"):
            keys = (f"{part}_J", f"{part}_F_new")
            numbers[f"{part} J&F of {name}"] = mean_of(results, *keys)
        numbers[f"J&F of {name}"] = mean_of(results, "J", "F_new")
    for name, part in (("gain", "reappear"), ("loss", "disappear")):
        sign = 1 if name == "gain" else -1
        first, both = (numbers[f"{part} J&F of {n}"] for n in ("first", "reprompted"))
        numbers[f"{name} of {part} J&F"] = sign * (both - first)
    numbers["gain over restart"] = (
        numbers["reappear J&F of reprompted"] - numbers["reappear J&F of restart"]
    )
    return numbers


def restarted(
    tracker: Tracker, clip: synthetic.Clip, maps: LabelMaps, anchors: Sequence[Prompt]
) -> LabelMaps:
    """Each anchor's tracking replaces what was there, from its frame on."""
    maps = maps.copy()
    for anchor in sorted(anchors, key=lambda p: p.frame):
        alone = Prompt(anchor.frame, anchor.object_id, anchor.mask, True)
        own = track(tracker, clip, [alone], greedy, greedy.Config())
        later = maps[anchor.frame :]
        later[later == anchor.object_id] = 0
        later[(own[anchor.frame :] > 0) & (later == 0)] = anchor.object_id
    return maps


def tree(tracker: Tracker, clips: Sequence[synthetic.Clip]) -> dict[str, float]:
    """The memory tree beside greedy, over all clips and over those where it decides otherwise."""
    ways: dict[str, tuple[Any, Any]] = {
        "greedy": (greedy, greedy.Config()),
        "the published tree": (memory_tree, memory_tree.Config()),
        "the tree": (memory_tree, recipe_propagator("sam2_tree")),
    }
    values = {
        name: [
            mean_of(scored(c, track(tracker, c, first_prompts(c), *how)).values(), "J", "F_new")
            for c in clips
        ]
        for name, how in ways.items()
    }
    numbers = {f"J&F of {name}": float(np.mean(each)) for name, each in values.items()}
    gains = np.subtract(values["the tree"], values["greedy"])
    differ = gains[gains != 0]
    return numbers | {
        "gain": float(gains.mean()),
        "clips that differ": len(differ) / len(gains),
        "gain where they differ": float(differ.mean()) if len(differ) else 0.0,
    }


# --- the table ------------------------------------------------------------------------------------


def over_groups(
    measure: Callable[[Sequence[synthetic.Clip]], Mapping[str, float]],
    suite: str,
    split: str,
    count: int,
) -> dict[str, tuple[float, float]]:
    """Mean and half width of the 95 % interval of each number, over the groups."""
    found = [measure(list(clips_of(suite, split, g, count))) for g in range(GROUPS)]
    table = {}
    for key in found[0]:
        values = np.array([numbers[key] for numbers in found])
        table[key] = (float(values.mean()), T_95 * float(values.std(ddof=1)) / GROUPS**0.5)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("test", "validation"), default="test")
    parser.add_argument("--videos", type=int, default=20, help="of each group (%(default)s)")
    for kind in ("sam2", "sam3", "dinov3"):
        parser.add_argument(f"--{kind}", default="tiny", help="folder of a trained model")
    parser.add_argument("--rows", nargs="+", help="parts to measure, all if left out")
    parser.add_argument("--output", type=Path, help="write the numbers here too (.json)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for name, suite, measure in _rows(args):
        if args.rows and name not in args.rows:
            continue
        rows[name] = over_groups(measure, suite, args.split, args.videos)
        for key, (mean, half) in rows[name].items():
            print(f"{name:22s} {key:34s} {mean:7.3f} ± {half:.3f}", flush=True)
    if args.output:
        args.output.write_text(json.dumps(rows, indent=1) + "\n")


Row = tuple[str, str, Callable[[Sequence[synthetic.Clip]], Mapping[str, float]]]


def _rows(args: argparse.Namespace) -> Iterator[Row]:
    """Name, suite and measurement of each part of the table."""
    two = sam2.build(models.load("sam2", {"source": args.sam2}, "cpu"), sam2.Config(rows=8))
    three = sam3.build(models.load("sam3", {"source": args.sam3}, "cpu"), sam3.Config(rows=8))
    for name, tracker in (("sam2", two), ("sam3", three)):
        yield f"{name} steady", "steady", lambda c, t=tracker: steady(t, c)
        yield f"{name} presence", "gap", lambda c, t=tracker: presence(t, c)
        yield f"{name} tree", "ambiguous", lambda c, t=tracker: tree(t, c)
    mining = recipe_mining(args.sam3, args.dinov3)
    yield "detector", "gap", lambda c: asdict(search(mining.detector, c, mining.search))
    yield "embedder", "gap", lambda c: asdict(retrieval(mining.embedder, c, mining.describe))

    for suite in ("gap", "away"):
        for name, tracker in (("sam3", three), ("sam2", two)):
            how = {
                "find": partial(anchors_of, mining, tracker),
                "config": recipe_propagator("two_pass"),
                "overlap": recipe_overlap("two_pass"),
            }
            measure = partial(reprompting, tracker, **how)
            yield f"{name} re-prompting, {suite}", suite, measure
    measure = partial(reprompting, three, find=true_anchors, config=greedy.Config())
    yield "sam3 with true anchors", "away", measure


def true_anchors(clip: synthetic.Clip, first: FirstPass) -> list[Prompt]:
    """What perfect retrieval would give: of each object one true mask, soon after it came back.

    On the third frame, or the last before that, of those that show half of its first area or more
    after it was gone.
    """
    anchors = []
    for prompt in first_prompts(clip):
        areas = (clip.labels == prompt.object_id).sum((1, 2))
        gone = np.flatnonzero(areas == 0)
        back = np.flatnonzero(areas >= 0.5 * areas[0])
        back = back[back > gone[0]] if len(gone) else gone
        if len(back):
            frame = int(back[min(2, len(back) - 1)])
            mask = clip.labels[frame] == prompt.object_id
            anchors.append(Prompt(frame, prompt.object_id, mask, False))
    return anchors


def anchors_of(
    mining: Mining, tracker: Tracker, clip: synthetic.Clip, first: FirstPass
) -> list[Prompt]:
    """The anchors that a recipe finds in a clip, as prompts."""
    shape = clip.labels.shape[1:]
    return [
        Prompt(int(anchor.frame), anchor.object_id, decode_rle(anchor.rle, *shape), False)
        for anchor in mining.anchors(tracker, clip, first).anchors
    ]


def recipe_propagator(recipe: str) -> Any:
    """How a recipe of the tiny family propagates."""
    values = load(RECIPE).values
    preset = values["propagators"][values["recipes"][recipe]["propagator"]]
    return plugins.configured("propagators", preset).config


def recipe_overlap(recipe: str) -> str:
    """Who wins an overlap in a recipe of the tiny family."""
    values = load(RECIPE).values
    return str(values["emissions"][values["recipes"][recipe]["emission"]]["overlap"])


def recipe_mining(sam3_source: str, dinov3_source: str) -> Mining:
    """What mines in the recipe `two_pass` of the tiny family, with these models."""
    config = load(RECIPE)
    parts = config.values["recipes"]["two_pass"]
    checked = config.values["selectors"][parts["selector"]]

    def configured(family: str, name: str) -> Any:
        return plugins.configured(family, json.loads(config.settings(family, name))).config

    return Mining(
        models.load("sam3_detector", {"source": sam3_source}, "cpu"),
        models.load("dinov3", {"source": dinov3_source}, "cpu"),
        configured("detectors", parts["detector"]),
        configured("embedders", parts["embedder"]),
        configured("selectors", checked["of"]),
        configured("selectors", parts["selector"]),
        configured("propagators", checked["propagator"]),
    )


if __name__ == "__main__":
    sys.exit(main())
