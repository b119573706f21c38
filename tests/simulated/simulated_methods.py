"""Stand-ins for torch and for the methods, of the same interface: quick, exact, and able to fail.

Masks follow the prompts and the pixels, so that another anchor or another frame is another result.
"""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

FOLDER = Path(os.environ["SIMULATED_FOLDER"])


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@dataclass(frozen=True)
class Config:
    """No settings of its own."""

    accepted: bool = False
    is_forward: ClassVar[bool] = True


@dataclass(frozen=True)
class Switches:
    """As those of a tracker."""

    rows: int = 1
    rows_share_calls: ClassVar[bool] = False


def install() -> None:
    """Stand where torch and the methods would be imported from."""
    cuda = {
        "mem_get_info": lambda: (1 << 30, 1 << 30),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
        "max_memory_allocated": lambda: 1 << 20,
        "get_device_name": lambda: "simulated",
    }
    _module("torch", __version__="simulated", Tensor=object, cuda=_module("torch.cuda", **cuda))
    kept = ModuleType("kept")
    kept.keep = lambda count, device: 0  # type: ignore[attr-defined]
    _module(
        "kit.runtime.models", load=lambda *_: "model", precision=lambda _: nullcontext(),
        RECENT=kept, Settings=dict, Kind=str,
    )  # fmt: skip
    _module(
        "kit.detectors.exemplar_tokens", MODEL="sam3_detector", Config=Config, detect=detect,
        asked=asked,
    )  # fmt: skip
    _module("kit.embedders.dinov3", Config=Config, pool=pool, crop=crop, embed=embed)
    _module("kit.trackers.sam3", Config=Switches, build=lambda model, config: model)
    _module("kit.propagators.stream", enlarged=lambda low, size, device: low)
    _module("kit.propagators.greedy", Config=Config, propagate=propagate)


def _module(name: str, **content: Any) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(content)
    return module


def detect(search: Any, config: Config) -> Iterator[Any]:
    """On every other frame the target's first mask."""
    from kit.core.masks import encode_rle
    from kit.core.types import Candidate

    video, frames = search.video, search.frames
    for index in range(2, len(frames), 2):
        _frame(video, index, len(frames) // 2)
        for e in search.exemplars:
            score = 0.5 + float(frames[index].mean()) / 1000
            rle = encode_rle(e.mask)
            yield Candidate(video.frames[index], e.object_id, score, rle, video.shape, "simulated")


def asked(search: Any, views: Any, config: Config) -> list[Any]:
    """Never called: a single source searches by itself."""
    raise NotImplementedError


def crop(image: Any, mask: Any, config: Config, corner: tuple[int, int] = (0, 0)) -> Any:
    """The region's mean colour."""
    top, left = corner
    return image[top : top + mask.shape[0], left : left + mask.shape[1]][mask].mean(0)


def pool(image: Any, mask: Any, config: Config) -> list[Any]:
    """One view."""
    return [crop(image, mask, config)]


def embed(model: Any, crops: Sequence[Any], config: Config, batch: int) -> Any:
    """Colours as unit vectors."""
    import numpy as np

    rows = np.asarray(crops, np.float32).reshape(-1, 3) + 1
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def propagate(model: Any, frames: Any, prompts: Sequence[Any], config: Config) -> Iterator[Any]:
    """Every object keeps the mask of its last prompt, as loud as the frame is bright."""
    import numpy as np

    from kit.core.types import FrameResult

    video, start = frames._frames._video, time.monotonic()
    for index in range(len(frames)):
        _frame(video, index, len(frames))
        shown = {p.object_id: p for p in prompts if p.frame <= index}
        loud = 1 + float(frames[index].mean()) / 255
        logits = np.stack([np.where(p.mask, loud, -1) for p in shown.values()]).astype(np.float32)
        sure = np.full(len(shown), 3.0, np.float32), np.full(len(shown), 0.9, np.float32)
        yield FrameResult(index, tuple(shown), logits, *sure, logits)
    with (FOLDER / "timeline").open("a") as page:
        page.write(json.dumps(["masks", start, time.monotonic()]) + "\n")


def _frame(video: Any, index: int, count: int) -> None:
    """Take the time of a frame, and do what is planned for it."""
    seconds = FOLDER / "seconds"
    if seconds.is_file():
        time.sleep(float(seconds.read_text()) / count)
    plan = FOLDER / "faults.json"
    fault = json.loads(plan.read_text()).get(video.name) if plan.is_file() else None
    if fault is None or index != fault["frame"]:
        return
    if fault.get("device") not in (None, os.environ.get("CUDA_VISIBLE_DEVICES")):
        return
    for number in range(fault.get("times", 1000)):
        try:
            (FOLDER / f"{video.name}.{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        _do(fault["do"])
        return


def _do(what: str) -> None:
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if what == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "masks")
    if what == "oom":
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    while what == "wait" and not (FOLDER / "go").exists():
        time.sleep(0.02)
