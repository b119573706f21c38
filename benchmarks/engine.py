"""Cost of the tracking engine beside the `sam2` package, on random weights.

    python benchmarks/engine.py --trunk tiny hiera_t --objects 1 3 10 --pathways 1 2 3 4
    python benchmarks/engine.py --memory 100 1000

Times are CPU time of the process (single thread), the least of the repetitions, reading of JPEG
frames included on both sides; with --device cuda they are wall time. Weights are random, so nothing
here speaks of accuracy; object scores are raised so that objects count as present.
"""

import argparse
import contextlib
import gc
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from kit.propagators import greedy, memory_tree
from kit.trackers import sam2
from kit.trackers.base import Context, Encoded, Hypothesis, Memory, Prompt

HEIGHT, WIDTH = 270, 480
TRUNKS = {  # overrides of sam2.1_hiera_t.yaml
    "tiny": (
        "++model.image_encoder.trunk.embed_dim=16",
        "++model.image_encoder.trunk.stages=[1,1,2,1]",
        "++model.image_encoder.trunk.global_att_blocks=[3]",
        "++model.image_encoder.neck.backbone_channel_list=[128,64,32,16]",
    ),
    "hiera_t": (),
}


class Folder:
    """JPEG frames of a folder, decoded when asked for."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(self._paths[index]) as image:
            return np.array(image.convert("RGB"))


class Stopwatch:
    """A tracker that notes how long each verb takes."""

    def __init__(self, tracker: sam2.Sam2Tracker, clock: Callable[[], float]) -> None:
        self._tracker = tracker
        self._clock = clock
        self.span = tracker.span
        self.spent: dict[str, float] = defaultdict(float)
        self.rows = 0

    def _timed(self, verb: str, *args: Any) -> Any:
        start = self._clock()
        found = getattr(self._tracker, verb)(*args)
        self.spent[verb] += self._clock() - start
        return found

    def encode(self, image: np.ndarray) -> Encoded:
        """Timed."""
        return self._timed("encode", image)

    def condition(self, encoded: Encoded, mask: np.ndarray) -> Hypothesis:
        """Timed."""
        return self._timed("condition", encoded, mask)

    def decode(
        self, encoded: Encoded, contexts: Sequence[Context], every: bool = False
    ) -> list[Hypothesis]:
        """Timed; rows are counted."""
        self.rows += len(contexts)
        return self._timed("decode", encoded, contexts, every)

    def remember(self, encoded: Encoded, hypotheses: Sequence[Hypothesis]) -> list[Memory]:
        """Timed."""
        return self._timed("remember", encoded, hypotheses)


def build_model(trunk: str, size: int, device: str) -> Any:
    """A SAM 2.1 predictor with random weights."""
    import sam2 as package  # noqa: F401  (initialises hydra's configuration module)
    from hydra import compose
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    overrides = [
        "++model._target_=sam2.sam2_video_predictor.SAM2VideoPredictor",
        f"++model.image_size={size}",
        *TRUNKS[trunk],
    ]
    config = compose(config_name="configs/sam2.1/sam2.1_hiera_t.yaml", overrides=overrides)
    OmegaConf.resolve(config)
    torch.manual_seed(0)
    model = instantiate(config.model, _recursive_=True).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "pred_obj_score_head.layers.2.bias" in name:
                value.fill_(5)
            if "iou_prediction_head.layers.2.weight" in name:
                value.mul_(20)
    return model.to(device)


def write_frames(folder: Path, count: int) -> None:
    """A slowly moving texture."""
    ground = np.random.default_rng(0).integers(0, 255, (HEIGHT // 6, WIDTH // 6, 3), np.uint8)
    picture = Image.fromarray(ground).resize((WIDTH, HEIGHT))
    for index in range(count):
        rolled = np.roll(np.array(picture), 2 * index, axis=1)
        Image.fromarray(rolled).save(folder / f"{index:05d}.jpg")


def prompts_for(objects: int) -> list[Prompt]:
    masks = np.zeros((objects, HEIGHT, WIDTH), bool)
    for index in range(objects):
        left = 20 + index * (WIDTH - 80) // objects
        masks[index, 60:200, left : left + 40] = True
    return [Prompt(0, index + 1, mask, True) for index, mask in enumerate(masks)]


def run_package(model: Any, folder: Path, prompts: Sequence[Prompt]) -> None:
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        state = model.init_state(str(folder))
        for prompt in prompts:
            model.add_new_mask(state, prompt.frame, prompt.object_id, prompt.mask)
        for _, _, logits in model.propagate_in_video(state):
            logits.cpu().numpy()


def run_separately(model: Any, folder: Path, prompts: Sequence[Prompt]) -> None:
    """As published scripts do it: a pass per object, the encoder again in each."""
    for prompt in prompts:
        run_package(model, folder, [prompt])


def run_engine(tracker: Any, folder: Path, prompts: Sequence[Prompt], config: Any) -> None:
    module = memory_tree if isinstance(config, memory_tree.Config) else greedy
    for _ in module.propagate(tracker, Folder(folder), prompts, config):
        pass


def clock_of(device: str) -> Callable[[], float]:
    if device == "cpu":
        return time.process_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def least(clock: Callable[[], float], repetitions: int, *runs: Callable[[], None]) -> list[float]:
    """Seconds of each run, the least of several; runs take turns, so that load hits all alike."""
    best = [float("inf")] * len(runs)
    for _ in range(repetitions):
        for index, run in enumerate(runs):
            gc.collect()
            start = clock()
            run()
            best[index] = min(best[index], clock() - start)
    return best


def compare_objects(model: Any, tracker: Any, folder: Path, args: argparse.Namespace) -> None:
    print(
        f"{'objects':>8} {'package':>9} {'separately':>11} {'engine':>8} {'ratio':>6} {'gain':>6}"
    )
    for count in args.objects:
        prompts = prompts_for(count)
        package, apart, engine = least(
            clock_of(args.device),
            args.repeat,
            lambda p=prompts: run_package(model, folder, p),
            lambda p=prompts: run_separately(model, folder, p),
            lambda p=prompts: run_engine(tracker, folder, p, greedy.Config()),
        )
        per = 1000 / args.frames
        print(
            f"{count:8} {package * per:9.1f} {apart * per:11.1f} {engine * per:8.1f} "
            f"{engine / package:6.2f} {apart / engine:6.2f}"
        )


def compare_pathways(tracker: Any, folder: Path, args: argparse.Namespace) -> None:
    print(f"{'pathways':>8} {'greedy':>9} {'identical':>11} {'ratio':>6} {'apart':>8} {'ratio':>6}")
    prompts = prompts_for(1)
    for count in args.pathways:
        same = memory_tree.Config(pathways=count, uncertainty=0.0)  # never branches
        apart = memory_tree.Config(pathways=count, uncertainty=1e9)  # branches on every frame
        plain, certain, uncertain = least(
            clock_of(args.device),
            args.repeat,
            lambda: run_engine(tracker, folder, prompts, greedy.Config()),
            lambda c=same: run_engine(tracker, folder, prompts, c),
            lambda c=apart: run_engine(tracker, folder, prompts, c),
        )
        per = 1000 / args.frames
        print(
            f"{count:8} {plain * per:9.1f} {certain * per:11.1f} {certain / plain:6.2f} "
            f"{uncertain * per:8.1f} {uncertain / plain:6.2f}"
        )


def show_stages(tracker: Any, folder: Path, args: argparse.Namespace) -> None:
    for name, config in (
        ("greedy", greedy.Config()),
        ("tree, P = 3, apart", memory_tree.Config(uncertainty=1e9)),
    ):
        clock = clock_of(args.device)
        watch = Stopwatch(tracker, clock)
        start = clock()
        run_engine(watch, folder, prompts_for(3), config)
        watch.spent["rest"] = clock() - start - sum(watch.spent.values())
        shares = ", ".join(
            f"{verb} {1000 * spent / args.frames:.1f}" for verb, spent in watch.spent.items()
        )
        print(f"{name}, 3 objects, {watch.rows / args.frames:.1f} rows a frame: {shares}")


def measure_memory(args: argparse.Namespace) -> None:
    """Peak resident memory by length of the video, each in a process of its own."""
    print(f"{'frames':>8} {'engine MB':>10} {'package MB':>11}")
    for count in args.memory:
        peaks = []
        for side in ("engine", "package"):
            command = [sys.executable, __file__, "--peak", side, "--frames", str(count)]
            command += ["--size", str(args.size), "--device", args.device]
            peaks.append(float(subprocess.check_output(command, text=True).split()[-1]))
        print(f"{count:8} {peaks[0]:10.0f} {peaks[1]:11.0f}")


def print_peak(args: argparse.Namespace, folder: Path) -> None:
    model = build_model("tiny", args.size, args.device)
    if args.peak == "engine":
        run_engine(sam2.build(model, sam2.Config()), folder, prompts_for(1), greedy.Config())
    else:
        run_package(model, folder, prompts_for(1))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trunk", nargs="+", choices=TRUNKS, default=["tiny"])
    parser.add_argument("--objects", nargs="*", type=int, default=[1, 3, 10])
    parser.add_argument("--pathways", nargs="*", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--memory", nargs="*", type=int, default=[], help="lengths of video")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=256, help="side of the model's input")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1, help="rows of one call")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak", choices=["engine", "package"], help=argparse.SUPPRESS)
    return parser.parse_args()


@contextlib.contextmanager
def frames_of(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        write_frames(Path(name), count)
        yield Path(name)


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    if args.memory:
        measure_memory(args)
        return
    with frames_of(args.frames) as folder:
        if args.peak:
            print_peak(args, folder)
            return
        for trunk in args.trunk:
            model = build_model(trunk, args.size, args.device)
            tracker = sam2.build(model, sam2.Config(rows=args.rows))
            print(f"\n{trunk} trunk, {args.size} px, ms per frame on {args.device}")
            compare_objects(model, tracker, folder, args)
            compare_pathways(tracker, folder, args)
            show_stages(tracker, folder, args)


if __name__ == "__main__":
    main()
