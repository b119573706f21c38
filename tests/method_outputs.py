"""What every method says of a small made-up input, in a few numbers; see `test_versions`.

Small random models, so that no weights are needed and no accuracy is meant. The numbers are means
and decisions that a change of the method moves far more than another CPU's rounding does.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny_models import (
    Clip,
    tiny_detector,
    tiny_dinov3,
    tiny_sam2,
    tiny_sam3,
    tiny_sam31,
    with_presence,
)

from kit import plugins
from kit.core.masks import encode_rle
from kit.core.types import (
    Anchor,
    Candidate,
    Cycle,
    Evidence,
    Features,
    FirstPass,
    Prompt,
    Rejected,
    Selection,
    State,
    Video,
    VideoObject,
)
from kit.detectors.base import Exemplar, Search
from kit.trackers.base import Context, Recall

Numbers = Mapping[str, Sequence[float]]
LENGTH = 20
FRAMES = tuple(f"{number:05d}" for number in range(LENGTH))
SHAPE = (60, 84)
CLIP = Clip(LENGTH, *SHAPE)
OBJECTS = (VideoObject(1, FRAMES[0]), VideoObject(2, FRAMES[0]))
VIDEO = Video("v", *SHAPE, FRAMES, Path(), ".jpg", Path(), OBJECTS, "digest")


def outputs(family: str, method: str) -> Numbers:
    """The numbers of a method."""
    with torch.inference_mode():
        return FAMILIES[family](method)


# --- trackers and propagators -------------------------------------------------------------------

TRACKERS: Mapping[str, Callable[[], Any]] = {
    "sam2": lambda: with_presence(tiny_sam2(), 20),
    "sam3": lambda: with_presence(tiny_sam3(), 20),
    "sam31": tiny_sam31,
}


@cache
def unsure_tracker() -> Any:
    """A SAM 3 that finds its object on some frames and not on others."""
    return plugins.tracker({"method": "sam3"}).build(with_presence(tiny_sam3(), -5.2))


def of_tracker(method: str) -> Numbers:
    """Its four verbs: two frames remembered, a third one asked."""
    tracker = plugins.tracker({"method": method}).build(TRACKERS[method]())
    encoded = [tracker.encode(CLIP[frame]) for frame in range(3)]
    given = tracker.condition(encoded[0], CLIP.mask(0, 1))
    (first,) = tracker.remember(encoded[0], [[given]])
    prompted = Recall(first, 1, prompted=True)
    (answer,) = tracker.decode(encoded[1], [Context((prompted,), (prompted,), 16)])
    (second,) = tracker.remember(encoded[1], [[answer]])
    recalled = (Recall(first, 2, prompted=True), Recall(second, 1))
    (every,) = tracker.decode(encoded[2], [Context(recalled, recalled, 16)], every=True)
    return {
        "features": spread(encoded[0].tokens),
        "memory": spread(first.spatial.float()),
        "pointer": spread(second.pointer),
        "logits": spread(every.logits),
        "iou": every.iou.tolist(),
        "presence": [float(every.presence)],
    }


# With untrained models the policies act on other numbers than with trained ones.
LIVELY: Mapping[str, Mapping[str, Any]] = {
    "memory_tree": {"uncertainty": 1.0},
    "rcms": {"min_quality": 0.05, "every": True},
    "samurai": {"warm_up": 3},
    "dam4sam": {"min_iou": 0.5, "max_change": 1.0, "max_ratio": 1.0, "gap": 2, "stride": 2},
}


def of_propagator(method: str) -> Numbers:
    """Two discs that cross, an anchor on one of them, and another object from frame 3 on."""
    propagator = plugins.propagator({"method": method, **LIVELY.get(method, {})})
    tracker = unsure_tracker() if "tracker" in plugins.needs("propagators", method) else None
    prompts = [
        Prompt(frame, object_id, CLIP.mask(frame, object_id), given)
        for frame, object_id, given in ((0, 1, True), (9, 1, False), (3, 2, True))
    ]
    results = list(propagator.propagate(tracker, CLIP, prompts))
    rows = [(r.frame, i, row, r) for r in results for row, i in enumerate(r.object_ids)]
    found = {}
    for object_id in (1, 2):
        own = [(r.presence[row], r.iou[row], (r.logits[row] > 0).mean())
               for _, i, row, r in rows if i == object_id]  # fmt: skip
        thirds = [np.mean(part, 0) for part in np.array_split(np.array(own), 4)]
        for name, column in zip(("presence", "iou", "area"), np.array(thirds).T, strict=True):
            found[f"{name} {object_id}"] = column.tolist()
    return found


# --- detectors and embedders --------------------------------------------------------------------


@cache
def detector() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return tiny_detector(Path(folder))


def of_detector(method: str) -> Numbers:
    """Both discs sought on three later frames; of what is found, scores and regions."""
    settings: dict[str, Any] = {"method": method}
    if method == "union":
        sources = [[region(f, 1, s, a, n) for f, s in ((1, 0.9), (2, 0.4))]
                   for a, n in ((8, "a"), (9, "b"), (30, "c"))]  # fmt: skip
        return described(plugins.merger(settings).merge(sources))
    if method == "concept":
        settings["concepts"] = {"1": "ball", "2": "red box"}
    model = detector()
    if method == "dense_match":
        model, settings["size"] = tiny_dinov3(), 128
    if method == "tracker_hypotheses":
        model = unsure_tracker()
    chosen = plugins.detector({**settings, "threshold": 0.0, "stride": 5})
    exemplars = [Exemplar(i, 0, CLIP.mask(0, i)) for i in (1, 2)]
    search = Search(VIDEO, CLIP, exemplars, model, batch=2, first=first_pass())
    return described(list(chosen.detect(search)))


def described(found: Sequence[Candidate]) -> Numbers:
    best = sorted(found, key=lambda c: (c.object_id, c.frame, -c.score))
    areas = [float(c.mask.mean()) for c in best]
    return {
        "count": [len(best)],
        "scores": [float(np.mean([c.score for c in best if c.object_id == i] or [0]))
                   for i in (1, 2)],
        "areas": [float(np.mean(areas)), float(np.max(areas))],
    }  # fmt: skip


def of_embedder(method: str) -> Numbers:
    """A target's pool, and how like it two regions of a later frame are."""
    embedder = plugins.embedder({"method": method})
    model = tiny_dinov3()
    pool = embedder.embed(model, embedder.pool(CLIP[0], CLIP.mask(0, 1)), batch=4)
    views = [embedder.crop(CLIP[4], CLIP.mask(4, i)) for i in (1, 2)]
    likeness = pool @ embedder.embed(model, views, batch=4).T
    return {"shape": pool.shape, "likeness 1": likeness[:, 0].tolist(),
            "likeness 2": likeness[:, 1].tolist()}  # fmt: skip


# --- selectors ----------------------------------------------------------------------------------


def of_selector(method: str) -> Numbers:
    """Of two candidates a frame, among which the right one is more alike but for some frames."""
    chosen = plugins.selector({"method": method}).select(VIDEO, evidence())
    return {
        "frames": [VIDEO.index(a.frame) for a in chosen.anchors],
        "objects": [a.object_id for a in chosen.anchors],
        "scores": [a.score for a in chosen.anchors],
        "rejected": [VIDEO.index(r.frame) for r in chosen.rejected],
    }


def evidence() -> Evidence:
    rng = np.random.default_rng(0)
    found = [region(f, i, 0.8, 4 + 5 * i + 30 * k, "made_up")
             for i in (1, 2) for f in (0, *range(1, LENGTH)) for k in (0, 1)]  # fmt: skip
    targets = {i: unit(rng.standard_normal((1, 8))) for i in (1, 2)}
    near = [targets[c.object_id][0] * (1.2 if row % 2 else 0.9) for row, c in enumerate(found)]
    rows = unit(np.array(near) + 0.5 * rng.standard_normal((len(found), 8)))
    proposed = Selection([anchor(f, 1, 0.9) for f in (5, 11, 17)], [rejected(8)])
    cycles = [Cycle(1, FRAMES[f], "anchor", share, gone)
              for f, share, gone in ((5, 0.8, 0), (11, 0.1, 6), (17, 0.45, 0))]  # fmt: skip
    return Evidence(found, Features(rows, targets), first_pass(), proposed, cycles)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def first_pass() -> FirstPass:
    """It loses disc 1 for a while from frame 6 on and disc 2 at the end."""
    sure = {1: {*range(6), *range(10, LENGTH)}, 2: set(range(14))}
    states = {i: {f: State(4.0, 0.9) if n in own else State(-3.0, 0.2)
                  for n, f in enumerate(FRAMES)} for i, own in sure.items()}  # fmt: skip
    labels = {f: np.zeros(SHAPE, np.uint8) for f in FRAMES}
    for n, f in enumerate(FRAMES):
        for i, own in sure.items():
            if n in own:
                labels[f][CLIP.mask(n, i)] = i
    return FirstPass([anchor(12, 1, 0.7)], states, labels)


def region(frame: int, object_id: int, score: float, column: int, source: str) -> Candidate:
    mask = np.zeros(SHAPE, bool)
    mask[20:40, column : column + 20] = True
    return Candidate(FRAMES[frame], object_id, score, encode_rle(mask), SHAPE, source)


def anchor(frame: int, object_id: int, score: float) -> Anchor:
    rle = encode_rle(CLIP.mask(frame, object_id))
    return Anchor(FRAMES[frame], object_id, rle, score, None, "made up")


def rejected(frame: int) -> Rejected:
    return Rejected(FRAMES[frame], 1, 0.3, "made up")


def spread(values: torch.Tensor) -> list[float]:
    """Mean and standard deviation."""
    return [float(values.mean()), float(values.std())]


FAMILIES: Mapping[str, Callable[[str], Numbers]] = {
    "detectors": of_detector,
    "embedders": of_embedder,
    "selectors": of_selector,
    "trackers": of_tracker,
    "propagators": of_propagator,
}
