"""A hold-out of the train set, since the validation set's truth stays with the server.

Whole videos are held out, spread evenly over length, object size and gaps, so that a score on
them moves as a score on the server does. Images stay where they are. Knows nothing of methods.
"""

import argparse
import os
import random
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.core.errors import DataError
from kit.core.files import write_json, write_text
from kit.core.label_maps import read_labels
from kit.core.name_lists import read_list
from kit.data.layout import Split, label_files, read_meta

MIN_FRAMES = 3  # the scorer leaves out the first and the last frame: shorter clips always get 0
SAMPLES = 32  # label maps looked at per video, evenly spaced


@dataclass(frozen=True)
class Clip:
    """What a video is like.

    `area` is that of the smallest object, as a share of the frame in [0, 1], averaged over the
    frames looked at that show it; `gaps` counts, over all objects, how often one that was seen
    goes out of sight.
    """

    name: str
    length: int
    area: float
    gaps: int


def describe(split: Split, video: str, entry: Mapping[str, Any], samples: int = SAMPLES) -> Clip:
    """Look at a video's label maps.

    Args:
        split: folder in MOSE layout with truth for every frame.
        video: its name.
        entry: what meta says of it; `Split.entry` would read the whole meta file again.
        samples: label maps to look at; gaps that fall between them are not seen.

    Raises:
        DataError: if images are missing, label maps are not one per frame of meta, or cannot be
            decoded.
    """
    files = label_files(split.labels(video))
    split.source(video)
    if len(files) != entry.get("length"):
        raise DataError(
            f"{split.labels(video)}: {len(files)} label maps, meta says {entry.get('length')}."
            " The scorer refuses such a set. Unpack the video again or --exclude it."
        )
    at = np.unique(np.linspace(0, len(files) - 1, min(samples, len(files))).round().astype(int))
    try:
        objects = [int(label) for label in entry["objects"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"meta: {video}: no usable `objects`: {error!r}.") from error
    shares = np.array([_shares(files[index], objects) for index in at])
    return Clip(video, len(files), _smallest(shares), sum(map(_gaps, (shares > 0).T)))


def _shares(path: Path, objects: Sequence[int]) -> list[float]:
    labels = read_labels(path)
    return [float((labels == label).mean()) for label in objects]


def _smallest(shares: NDArray[np.float64]) -> float:
    """Least mean share among the columns (objects) that are ever above 0; 0 if none is."""
    seen = [column[column > 0].mean() for column in shares.T if column.any()]
    return float(min(seen, default=0.0))


def _gaps(present: NDArray[np.bool_]) -> int:
    """Number of changes from present to absent."""
    return int((present[:-1] & ~present[1:]).sum())


def choose(clips: Iterable[Clip], count: int, seed: int) -> list[str]:
    """Choose videos spread evenly over the strata.

    The clips are ordered by stratum (gaps none, one, more; thirds of area; thirds of length), by
    chance within one, and every n-th is taken: each stratum gets its share to within one video.

    Args:
        clips: candidates, in any order.
        count: number of videos to choose.
        seed: the same seed and candidates give the same choice.

    Returns:
        Names, sorted.

    Raises:
        DataError: if there are fewer candidates than `count`, or `count` is not positive.
    """
    clips = sorted(clips, key=lambda clip: clip.name)
    if not 0 < count <= len(clips):
        raise DataError(f"cannot hold out {count} of {len(clips)} usable videos. Lower --count.")
    rng = random.Random(seed)
    area = _thirds({clip.name: clip.area for clip in clips})
    length = _thirds({clip.name: clip.length for clip in clips})
    chance = {clip.name: rng.random() for clip in clips}
    order = sorted(
        clips, key=lambda c: (min(c.gaps, 2), area[c.name], length[c.name], chance[c.name])
    )
    start = rng.randrange(len(order))
    return sorted(order[(start + at * len(order)) // count].name for at in range(count))


def _thirds(values: Mapping[str, float]) -> dict[str, int]:
    """0, 1 or 2 by rank; equal values fall on one side."""
    ranked = sorted(values.values())
    cuts = [ranked[len(ranked) // 3], ranked[2 * len(ranked) // 3]]
    return {name: sum(value >= cut for cut in cuts) for name, value in values.items()}


def candidates(meta: Mapping[str, Any], excluded: Collection[str]) -> list[str]:
    """Videos that can be held out: not excluded, and long enough to be scored; sorted.

    Args:
        meta: the `videos` of a meta file.
        excluded: names never to hold out, such as those of MOSEv1, which MOSEv2 contains: a model
            trained on them has seen them.

    Raises:
        DataError: if an excluded name is no video of the set.
    """
    if unknown := sorted(set(excluded) - meta.keys()):
        raise DataError(
            f"{len(unknown)} of {len(excluded)} names to exclude are not in meta: {unknown[:5]}."
            " Is the list of the same set, one name per line?"
        )
    try:
        return sorted(
            name
            for name, entry in meta.items()
            if int(entry["length"]) >= MIN_FRAMES and name not in excluded
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"meta: a video has no usable `length`: {error!r}.") from error


def write(output: Path, chosen: Collection[str], meta: Mapping[str, Any]) -> None:
    """Write `videos.txt`, `rest.txt` (all others, to train on) and `meta.json` to a folder."""
    rest = sorted(meta.keys() - set(chosen))
    write_text(output / "videos.txt", "".join(f"{name}\n" for name in sorted(chosen)))
    write_text(output / "rest.txt", "".join(f"{name}\n" for name in rest))
    write_json(output / "meta.json", {"videos": {name: meta[name] for name in chosen}})


def summary(clips: Iterable[Clip], chosen: Collection[str]) -> str:
    """Hold-out against all candidates, one line each: the means should agree."""
    clips = list(clips)
    held = [clip for clip in clips if clip.name in chosen]
    return "\n".join(
        f"{title:9} {len(group):5} videos, {fmean(clip.length for clip in group):6.1f} frames,"
        f" smallest object {fmean(clip.area for clip in group):6.2%} of the frame,"
        f" {fmean(clip.gaps for clip in group):5.2f} gaps"
        for title, group in (("all", clips), ("hold-out", held))
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kit holdout`."""
    parser.add_argument("root", type=Path, help="train set: JPEGImages, Annotations")
    parser.add_argument("--meta", default="meta_train.json", help="meta file, relative to the root")
    parser.add_argument("--output", type=Path, required=True, help="folder for the split")
    parser.add_argument("--count", type=int, default=200, help="videos to hold out")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another choice")
    parser.add_argument("--exclude", type=Path, help="file of names never to hold out (MOSEv1)")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="label maps read per video")


def run(args: argparse.Namespace) -> int:
    """Choose and write a hold-out, and print how it compares with the whole; returns 0."""
    split = Split(args.root, meta=args.meta)
    meta = read_meta(args.root / args.meta)
    videos = candidates(meta, _names(args.exclude))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding PNGs leaves the interpreter free
        clips = list(pool.map(lambda name: describe(split, name, meta[name], args.samples), videos))
    chosen = choose(clips, args.count, args.seed)
    write(args.output, chosen, meta)
    output = args.output.resolve()
    sys.stdout.write(
        f"{summary(clips, chosen)}\nTo run on it:\ndata:\n  root: {args.root.resolve()}\n"
        f"  meta: {output / 'meta.json'}\n  videos: {output / 'videos.txt'}\n  ground_truth: true\n"
    )
    return 0


def _names(path: Path | None) -> list[str]:
    return [] if path is None else read_list(path, or_none=True)
