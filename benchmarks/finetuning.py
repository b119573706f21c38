"""Cost of a training step at full size, on random weights and drawn 1080p frames read from JPEG.

    python benchmarks/finetuning.py --device cuda --model sam3 hiera_l --frames 8 --objects 3
    python benchmarks/finetuning.py --model tiny --size 256

A step is what `kit train` does: run a clip through memory with gradients, and apply them, while the
next clip is read and resized. Peak memory is that of the device, and 0 on a CPU. Weights are
random, so nothing here speaks of accuracy.
"""

import argparse
import gc
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from engine import clock_of
from libraries import NAMES, SAM2, build

from kit.data import synthetic
from kit.training import clips, loop, optimiser, starting, tracker
from kit.training.objective import Outcome


class Timed:
    """An objective that notes when steps begin, and how long clips take in their own thread."""

    def __init__(self, objective: tracker.Tracking, device: str) -> None:
        self._objective = objective
        self._clock = clock_of(device)
        self._own_clock = time.thread_time if device == "cpu" else time.perf_counter
        self.model = objective.model
        self.begun: list[float] = []
        self.read: list[float] = []

    def batch(self, phase: tracker.Config, generators: Sequence[np.random.Generator]) -> Any:
        """See `Objective`."""
        start = self._own_clock()
        found = self._objective.batch(phase, generators)
        self.read.append(self._own_clock() - start)
        return found

    def loss(self, phase: tracker.Config, batch: Any) -> Outcome:
        """See `Objective`."""
        self.begun.append(self._clock())
        return self._objective.loss(phase, batch)


def cost(name: str, recompute: bool, source: clips.Source, args: argparse.Namespace) -> str:
    """Seconds a step, seconds that a clip takes beside it, and peak memory."""
    model = build(name, args.size, args.device).model
    model.requires_grad_(True)
    if recompute:
        starting.recompute(model)
    steps = tracker.STEPS["sam2" if name in SAM2 else "sam3"](model)
    timed = Timed(tracker.Tracking(steps, source, {}), args.device)
    settings = tracker.Config(clip=clips.Config(frames=args.frames, objects=args.objects))
    phase = loop.Phase(args.steps + 3, args.batch, settings)
    with tempfile.TemporaryDirectory() as folder:
        loop.train(
            timed, [phase], optimiser.Config(), loop.Config(), Path(folder), "", args.steps + 2
        )
    took = [after - before for before, after in pairwise(timed.begun)]
    peak = torch.cuda.max_memory_allocated() / 1e9 if args.device == "cuda" else 0.0
    step, clip = median(took[1:]), median(timed.read[1:])
    return f"{step:8.2f} s a step, {clip:6.2f} s a batch of clips beside it, {peak:6.1f} GB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", nargs="+", choices=NAMES, default=["tiny"])
    parser.add_argument("--size", type=int, default=256, help="side of SAM 2's input")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3, help="timed, after one to warm up")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"{args.frames} frames, up to {args.objects} objects, batch {args.batch}, {where}")
    with tempfile.TemporaryDirectory() as folder:
        config = synthetic.Config(frames=16, width=1920, height=1080)
        for number in range(2):
            synthetic.write_video(Path(folder), f"v{number}", number, config)
        source = clips.source_of([{"root": folder}])
        for name in args.model:
            for recompute in (False, True):
                gc.collect()
                if args.device == "cuda":
                    torch.cuda.empty_cache()
                    torch.cuda.reset_peak_memory_stats()
                try:
                    told = cost(name, recompute, source, args)
                except torch.OutOfMemoryError:
                    told = "out of memory"
                words = "layers recomputed" if recompute else "layers kept"
                print(f"{name:10} {words:18} {told}", flush=True)


if __name__ == "__main__":
    main()
