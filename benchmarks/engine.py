"""Cost of the tracking engine beside the libraries' own propagation, on random weights.

    python benchmarks/engine.py --model tiny hiera_t --objects 1 3 10 --pathways 1 2 3 4
    python benchmarks/engine.py --memory 100 1000 7000 --size 128
    python benchmarks/engine.py --memory 100 1000 7000 --sides sam31
    python benchmarks/engine.py --device cuda --model hiera_l sam3 sam31 --size 1024 --rows 16
    python benchmarks/engine.py --operations --objects 1 3 16

One run, one thread. Times are CPU time of the process, reading of JPEG frames included on both
sides; with --device cuda they are wall time, and peak device memory is shown. Runs take turns; a
time is the median of the repetitions, a ratio the median of their paired ratios. Weights are
random, so nothing here speaks of accuracy; object scores are raised so that objects are present.
"""

import argparse
import contextlib
import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from libraries import NAMES, Folder, Subject, build
from operations import show_operations
from PIL import Image

from kit.core.types import Prompt
from kit.propagators import greedy, memory_tree
from kit.runtime import models
from kit.trackers.base import Context, Encoded, Hypothesis

SURE = 0.0  # of `uncertainty`: pathways stay identical


class Stopwatch:
    """A tracker that notes how long each verb takes."""

    def __init__(self, tracker: Any, clock: Callable[[], float]) -> None:
        self._tracker = tracker
        self._clock = clock
        self.span = tracker.span
        self.spent: dict[str, float] = defaultdict(float)
        self.rows = 0

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def timed(*args: Any) -> Any:
            start = self._clock()
            found = getattr(self._tracker, verb)(*args)
            self.spent[verb] += self._clock() - start
            self.rows += len(args[1]) if verb == "decode" else 0
            return found

        return timed


class Undecided:
    """A tracker under which pathways part on their first frames and never agree again."""

    def __init__(self, tracker: Any) -> None:
        self.span, self.encode = tracker.span, tracker.encode
        self.condition, self.remember = tracker.condition, tracker.remember
        self._decode = tracker.decode
        self._frames = 0

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        """All masks differ in their IoU at first, then in nothing; nobody is sure."""
        answers = self._decode(encoded, contexts, every)
        if not (every and contexts):
            return answers
        self._frames += 1
        steps = torch.tensor([0.0, 0.3, 0.6]) if self._frames <= 2 else torch.zeros(3)
        shift = 0.01 if self._frames <= 2 else 0.0
        return [
            replace(
                answer,
                iou=(0.9 - steps - shift * row).to(answer.iou.device),
                presence=torch.ones_like(answer.presence),
            )
            for row, answer in enumerate(answers)
        ]


@dataclass
class Cost:
    """Of one way of doing it, a value per repetition."""

    seconds: list[float]
    peak: float = 0.0  # GB of device memory

    def over(self, other: "Cost") -> float:
        """Median of the paired ratios."""
        return median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))


def write_frames(folder: Path, count: int, width: int, height: int) -> None:
    """A slowly moving texture."""
    ground = np.random.default_rng(0).integers(0, 255, (height // 6, width // 6, 3), np.uint8)
    picture = np.array(Image.fromarray(ground).resize((width, height)))
    for index in range(count):
        rolled = np.roll(picture, 2 * index, axis=1)
        Image.fromarray(rolled).save(folder / f"{index:05d}.jpg")


def prompts_for(objects: int, frames: Folder) -> list[Prompt]:
    height, width = frames[0].shape[:2]
    masks = np.zeros((objects, height, width), bool)
    for index in range(objects):
        left = width // 24 + index * (width - width // 6) // objects
        masks[index, height // 4 : height * 3 // 4, left : left + width // 12] = True
    return [Prompt(0, index + 1, mask, True) for index, mask in enumerate(masks)]


def run_engine(tracker: Any, frames: Folder, prompts: Sequence[Prompt], config: Any) -> None:
    module = memory_tree if isinstance(config, memory_tree.Config) else greedy
    for _ in module.propagate(tracker, frames, prompts, config):
        pass


def clock_of(device: str) -> Callable[[], float]:
    if device == "cpu":
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def measured(device: str, repetitions: int, *runs: Callable[[], None]) -> list[Cost]:
    """Costs of runs that take turns, so that load hits all alike; on CUDA after a warm-up."""
    clock, costs = clock_of(device), [Cost([]) for _ in runs]
    for repetition in range(repetitions + (device == "cuda")):
        for cost, run in zip(costs, runs, strict=True):
            gc.collect()
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = clock()
            run()
            cost.seconds.append(clock() - start)
            if device == "cuda":
                cost.peak = torch.cuda.max_memory_allocated() / 1e9
                if repetition == 0:
                    cost.seconds.clear()
    return costs


def per_frame(cost: Cost, frames: Folder) -> str:
    """Median in ms, with the peak memory where it is known."""
    memory = f" ({cost.peak:.1f} GB)" if cost.peak else ""
    return f"{1000 * median(cost.seconds) / len(frames):.1f}{memory}"


def compare_objects(subject: Subject, frames: Folder, args: argparse.Namespace) -> None:
    """Greedy against the library: all objects in one session, and a session each."""
    print("\ngreedy, ms per frame: library, library a pass per object, kit")
    tracker = subject.tracker(args.rows)
    if not subject.has_library:
        compare_counts(tracker, frames, args)
        return
    for count in args.objects:
        prompts = prompts_for(count, frames)
        library, apart, kit = measured(
            args.device,
            args.repeat,
            lambda p=prompts: subject.run_library(frames, p),
            lambda p=prompts: subject.run_library_apart(frames, p),
            lambda p=prompts: run_engine(tracker, frames, p, greedy.Config()),
        )
        times = "".join(f"{per_frame(cost, frames):>16}" for cost in (library, apart, kit))
        print(
            f"{count:3} objects{times}    kit/library {kit.over(library):.2f}, "
            f"a pass per object/kit {apart.over(kit):.2f}",
            flush=True,
        )


def compare_counts(tracker: Any, frames: Folder, args: argparse.Namespace) -> None:
    """The kit alone, more objects against the fewest."""
    plans = [prompts_for(count, frames) for count in args.objects]
    runs = [lambda p=plan: run_engine(tracker, frames, p, greedy.Config()) for plan in plans]
    first, *_ = costs = measured(args.device, args.repeat, *runs)
    for count, cost in zip(args.objects, costs, strict=True):
        times = f"{'-':>16}{'-':>16}{per_frame(cost, frames):>16}"
        least = f"{args.objects[0]} objects"
        print(f"{count:3} objects{times}    times {least} {cost.over(first):.2f}", flush=True)


def compare_pathways(subject: Subject, frames: Folder, args: argparse.Namespace) -> None:
    """The tree against greedy, pathways identical and branching."""
    print("\ntree, ms per frame (times greedy), by number of pathways: identical, branching")
    tracker = subject.tracker(args.rows)
    for count in args.objects:
        prompts = prompts_for(count, frames)

        def run(config: Any, tracker: Any = tracker, prompts: Any = prompts) -> None:
            run_engine(tracker, frames, prompts, config)

        runs = [lambda: run(greedy.Config())]
        for pathways in args.pathways:
            same = memory_tree.Config(pathways=pathways, uncertainty=SURE)
            tree = memory_tree.Config(pathways=pathways)
            runs.append(lambda c=same: run(c))
            runs.append(lambda c=tree: run(c, Undecided(tracker)))
        plain, *trees = measured(args.device, args.repeat, *runs)
        print(f"{count:3} objects, greedy {per_frame(plain, frames)}")
        for pathways, *pair in zip(args.pathways, trees[::2], trees[1::2], strict=True):
            cells = (f"{per_frame(c, frames):>10} ({c.over(plain):.2f}x)" for c in pair)
            print(f"    {pathways} pathways {' '.join(cells)}", flush=True)


def show_stages(subject: Subject, frames: Folder, args: argparse.Namespace) -> None:
    print("\nwhere the time goes, ms per frame, 3 objects")
    clock = clock_of(args.device)
    for name, config in (("greedy", greedy.Config()), ("tree, branching", memory_tree.Config())):
        watch = Stopwatch(subject.tracker(args.rows), clock)
        tracker = watch if name == "greedy" else Undecided(watch)
        start = clock()
        run_engine(tracker, frames, prompts_for(3, frames), config)
        watch.spent["rest"] = clock() - start - sum(watch.spent.values())
        shares = (f"{verb} {1000 * t / len(frames):.1f}" for verb, t in watch.spent.items())
        print(f"{name}: {', '.join(shares)}; {watch.rows / len(frames):.1f} rows a frame")


PEAKS: dict[str, Callable[[Subject, Folder, list[Prompt]], None]] = {
    "greedy": lambda s, f, p: run_engine(s.tracker(1), f, p, greedy.Config()),
    "backward": lambda s, f, p: run_engine(
        s.tracker(1), f, [replace(p[0], frame=len(f) - 1)], greedy.Config(direction="backward")
    ),
    "tree": lambda s, f, p: run_engine(Undecided(s.tracker(1)), f, p, memory_tree.Config()),
    "library": lambda s, f, p: s.run_library(f, p),
    "sam31": lambda s, f, p: run_engine(s.tracker(1), f, p, greedy.Config()),
}


def measure_memory(args: argparse.Namespace) -> None:
    """Peak resident memory by length of the video, each in a process of its own."""
    print("peak MB, one object; the tree's pathways never agree")
    print(f"{'frames':>8}" + "".join(f"{side:>10}" for side in args.sides))
    for count in args.memory:
        print(f"{count:8}", end="", flush=True)
        for side in args.sides:
            command = [sys.executable, __file__, "--peak", side, "--frames", str(count)]
            command += ["--size", str(args.size), "--picture", *map(str, args.picture)]
            peak = subprocess.check_output(command, text=True).split()[-1]
            print(f"{float(peak):10.0f}", end="", flush=True)
        print()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", nargs="+", choices=NAMES, default=["tiny"])
    parser.add_argument("--objects", nargs="*", type=int, default=[1, 3, 10])
    parser.add_argument("--pathways", nargs="*", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--memory", nargs="*", type=int, default=[], help="lengths of video")
    parser.add_argument("--sides", nargs="+", choices=PEAKS, default=list(PEAKS))
    parser.add_argument("--operations", action="store_true", help="count, and measure nothing")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--picture", nargs=2, type=int, default=[480, 270], help="width height")
    parser.add_argument("--size", type=int, default=256, help="side of SAM 2's input")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1, help="rows of one call")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peak", choices=PEAKS, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextlib.contextmanager
def frames_of(args: argparse.Namespace) -> Iterator[Folder]:
    with tempfile.TemporaryDirectory() as name:
        write_frames(Path(name), args.frames, *args.picture)
        yield Folder(Path(name))


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    if args.operations:
        show_operations(args.objects)
        return
    if args.memory:
        measure_memory(args)
        return
    with frames_of(args) as frames:
        if args.peak:
            name = "sam31_tiny" if args.peak == "sam31" else "tiny"
            PEAKS[args.peak](build(name, args.size, "cpu"), frames, prompts_for(1, frames))
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            return
        where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
        for name in args.model:
            subject = build(name, args.size, args.device)
            print(f"\n{name}, {subject.size} px, {args.rows} rows a call, {where}", flush=True)
            with models.precision(args.device):
                compare_objects(subject, frames, args)
                if args.pathways:
                    compare_pathways(subject, frames, args)
                show_stages(subject, frames, args)


if __name__ == "__main__":
    main()
