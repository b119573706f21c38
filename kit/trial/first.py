"""The masks on the first frame: read from a file, or drawn from boxes or points by the tracker."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import label_maps
from kit.core.errors import ConfigError, DataError
from kit.core.masks import VOID, LabelMap, encode_png
from kit.core.types import Image


def numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    """A reader of `1,2,...` for argparse."""

    def read(text: str) -> tuple[float, ...]:
        try:
            values = tuple(float(word) for word in text.split(","))
        except ValueError:
            values = ()
        if len(values) != count or not np.isfinite(values).all():
            raise argparse.ArgumentTypeError(f"expected {count} numbers with commas, got {text!r}")
        return values

    return read


def write(path: Path, image: Image, args: argparse.Namespace, chosen: Mapping[str, Any]) -> None:
    """Write the first frame's label map.

    Args:
        path: Where.
        image: `uint8[H, W, 3]`, the first frame.
        args: With `mask`, `box` or `point`.
        chosen: Settings of the propagator, whose tracker draws what is not given as a mask.

    Raises:
        DataError: The mask does not fit, or nothing is drawn at a place.
        ConfigError: The propagator has no tracker that takes boxes and points.
    """
    size = (image.shape[0], image.shape[1])
    if args.mask is not None:
        labels = _read(args.mask, size)
    else:
        prompts = args.box or args.point
        for prompt in prompts:
            _check(prompt, size)
        labels = _drawn(image, prompts, chosen)
    path.write_bytes(encode_png(labels))


def _read(path: Path, size: tuple[int, int]) -> LabelMap:
    labels = label_maps.read_labels(path, size)
    if not ((labels > 0) & (labels != VOID)).any():  # 255 is void, but with nothing else it is
        labels = (labels == VOID).astype(np.uint8)  # the usual mask of one object
    if not labels.any():
        raise DataError(f"{path}: the mask is empty; draw the object that is to be followed.")
    return labels


def _check(prompt: Sequence[float], size: tuple[int, int]) -> None:
    xs, ys = prompt[0::2], prompt[1::2]
    inside = all(0 <= x <= size[1] for x in xs) and all(0 <= y <= size[0] for y in ys)
    ordered = len(prompt) == 2 or (xs[0] < xs[1] and ys[0] < ys[1])
    if not inside or not ordered:
        raise DataError(
            f"{','.join(f'{v:g}' for v in prompt)}: not within the first frame, which is "
            f"{size[1]} wide and {size[0]} high; a box is left, top, right, bottom."
        )


def _drawn(image: Image, prompts: Sequence[Sequence[float]], chosen: Mapping[str, Any]) -> LabelMap:
    """The mask decoder's best answer to each prompt; a later object wins a pixel of two."""
    import torch
    from torch.nn import functional

    from kit.runtime.job import on_device
    from kit.stages._tracker import library_of
    from kit.trackers.clicks import clicks_of

    library = library_of(chosen)
    if library is None:
        raise ConfigError(
            f"propagator `{chosen['method']}` has no tracker that could draw a mask from a box or "
            "point; give --mask, or another --propagator."
        )
    height, width = image.shape[:2]
    shares = torch.tensor(prompts, dtype=torch.float32)
    shares /= torch.tensor([width, height] * (shares.shape[1] // 2))
    with on_device("the first mask", [image], None) as job:
        clicks = clicks_of(job.load(library.model, chosen["tracker"]["model"]))
        points, boxes = (shares, None) if shares.shape[1] == 2 else (None, shares)
        logits = clicks.masks(clicks.look(image), points, boxes)
        full = functional.interpolate(logits[None], (height, width), mode="bilinear")[0]
        found = (full > 0).cpu().numpy()
    labels = np.zeros((height, width), np.uint8)
    for number, (mask, prompt) in enumerate(zip(found, prompts, strict=True), 1):
        labels[mask] = number
        if not (labels == number).any():
            raise DataError(
                f"{','.join(f'{v:g}' for v in prompt)}: the tracker draws nothing there. Try a box "
                "around the object, or give a mask."
            )
    for number in range(1, len(prompts) + 1):
        if not (labels == number).any():
            raise DataError(
                f"object {number} is covered by one that was named later; name it last."
            )
    return labels
