"""What mining costs: candidates and features per second, the share outside the models, file sizes.

    python benchmarks/mining.py --frames 16 --sizes 320x192 1920x1080 --objects 1 3 --batches 1 4 8
    python benchmarks/mining.py --artifacts
    python benchmarks/mining.py --device cuda --full --sizes 1920x1080

Runs on the tiny models, or with --full on random weights of public size, and on drawn videos;
nothing here speaks of accuracy. Times are CPU seconds (single thread): "main" is the thread that
feeds the model, whose share outside the model is what a device would wait for; "beside" are the
threads that read frames and write masks. With --device cuda they are wall time.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from kit import plugins
from kit.core import artifacts, images, label_maps
from kit.core.images import first_mask
from kit.core.masks import encode_rle
from kit.core.types import Candidate, Features, Video
from kit.data import scenes, synthetic
from kit.detectors import exemplar_tokens
from kit.detectors.base import Exemplar, Search
from kit.runtime import models, tiny
from kit.stages import features as describing
from kit.stages import frames as indexing

TINY = {"source": "tiny"}
Measured = tuple[int, float, float, float]  # see `measure`


class Meter:
    """Seconds by what they were spent on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def taking(self, what: str) -> Iterator[None]:
        """What happens inside is spent on this."""
        start = self.clock()
        try:
            yield
        finally:
            self.seconds[what] += self.clock() - start

    def watch(self, owner: Any, name: str) -> None:
        """Count calls of a method as the model's."""
        call = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.taking("model"):
                return call(*args, **kwargs)

        setattr(owner, name, watched)


def drawn(folder: Path, width: int, height: int, objects: int, frames: int) -> Video:
    """One drawn video as indexed."""
    config = scenes.Config(
        frames=frames, width=width, height=height, objects=objects, distractors=0, size_max=0.2
    )
    root = folder / f"{width}x{height}x{objects}"
    synthetic.write_video(root, "v", 7, config)
    parser = argparse.ArgumentParser()
    indexing.add_arguments(parser)
    output = root / "v.json"
    indexing.run(parser.parse_args(["--root", str(root), "--video", "v", "--output", str(output)]))
    return artifacts.read_video(output)


def measure(work: Callable[[Meter], int], device: str) -> Measured:
    """(things made, seconds in the model, of the main thread outside it, of other threads)."""
    on_gpu = device == "cuda"
    meter = Meter(time.perf_counter if on_gpu else time.thread_time)
    start_all = time.process_time()
    with meter.taking("main"):
        made = work(meter)
    everything = time.process_time() - start_all
    model, main = meter.seconds["model"], meter.seconds["main"]
    return made, model, main - model, 0.0 if on_gpu else max(everything - main, 0.0)


def full_size(kind: str, device: str) -> Any:
    """SAM 3 at 1008 px, or DINOv3 ViT-L/16 as on the hub, with random weights."""
    torch.manual_seed(0)
    with torch.device(device):
        if kind == "sam3_detector":
            model = transformers.Sam3Model(transformers.Sam3Config()).eval()
            return models.Detector(model, tiny.tokenize, device)
        shape = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
        config = transformers.DINOv3ViTConfig(
            **shape, intermediate_size=4096, num_register_tokens=4
        )
        return transformers.DINOv3ViTModel(config).eval()


def load(kind: str, full: bool, device: str) -> Any:
    """A model that nobody watches yet."""
    models.RECENT.keep(0, device)
    return full_size(kind, device) if full else models.load(kind, TINY, device)


def candidates(video: Video, batch: int, full: bool, device: str) -> Measured:
    """Search one video."""
    detector = load("sam3_detector", full, device)
    exemplars = [
        Exemplar(o.id, video.index(o.first_frame), first_mask(video, o)) for o in video.objects
    ]
    search = Search(video, images.Frames(video), exemplars, detector, batch=batch)
    # of random weights of full size a mask is noise all over the frame, slow to write down
    config = exemplar_tokens.Config(threshold=1.0 if full else 0.01, max_per_frame=5)

    def work(meter: Meter) -> int:
        for name in ("get_vision_features", "forward", "get_text_features"):
            meter.watch(detector.model, name)
        meter.watch(detector.model.geometry_encoder, "forward")
        return sum(1 for _ in exemplar_tokens.detect(search, config))

    with models.precision(device):
        return measure(work, device)


def described(video: Video, batch: int, full: bool, device: str) -> Measured:
    """Describe five true masks per object and frame."""
    model = load("dinov3", full, device)
    found = regions(video, 5)
    stage = describing.Describe(plugins.embedder({"method": "dinov3"}), model, batch)

    def work(meter: Meter) -> int:
        meter.watch(model, "forward")
        return len(stage.candidates(video, images.Frames(video), found))

    with models.precision(device):
        return measure(work, device)


def regions(video: Video, each: int) -> list[Candidate]:
    """For every object and frame the true masks of all, moved a little and rough at the edge."""
    rng = np.random.default_rng(0)
    found = []
    for frame in video.frames[1:]:
        labels = label_maps.read_labels(video.annotation(frame), video.shape)
        shown = [np.asarray(labels == o.id) for o in video.objects]
        for target in video.objects:
            for number in range(each):
                mask = np.roll(shown[number % len(shown)], rng.integers(-9, 9, 2), (0, 1))
                rough = mask & ~((rng.random(mask.shape) < 0.02) & edge(mask))
                if rough.any():
                    rle = encode_rle(rough)
                    found.append(Candidate(frame, target.id, 0.5, rle, video.shape, "drawn"))
    return found


def edge(mask: np.ndarray) -> np.ndarray:
    """Pixels beside another value."""
    found = np.zeros_like(mask)
    found[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    found[1:] |= mask[1:] != mask[:-1]
    return found


def sizes(folder: Path) -> None:
    """Artifacts of 100 frames at 1080p with 3 objects, by candidates per object and frame."""
    video = drawn(folder, 1920, 1080, 3, 100)
    print(f"{'candidates':>10}  {'per frame and object':>20}  {'candidates':>10}  features at 1024")
    for each in (1, 3, 10):
        found = regions(video, each)
        artifacts.write_candidates(folder / "c", video, found)
        rows = np.random.default_rng(0).standard_normal((len(found) + 24, 1024)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        pools = {o.id: rows[8 * i : 8 * i + 8] for i, o in enumerate(video.objects)}
        artifacts.write_features(folder / "f", Features(rows[24:], pools), {})
        told = [(folder / name).stat().st_size / 1e6 for name in "cf"]
        print(f"{len(found):>10}  {each:>20}  {told[0]:>7.2f} MB  {told[1]:>7.2f} MB")


def table(args: argparse.Namespace, folder: Path) -> None:
    """Candidates and features by size, objects and batch."""
    print(f"{'':<10} {'frame':>10} {'objects':>7} {'batch':>5} {'made':>6} {'per second':>10} "
          f"{'frames/s':>8} {'model':>8} {'main':>8} {'beside':>8} {'waited':>7}")  # fmt: skip
    for size in args.sizes:
        width, height = map(int, size.split("x"))
        for objects in args.objects:
            video = drawn(folder, width, height, objects, args.frames)
            for name, task in (("candidates", candidates), ("features", described)):
                for batch in args.batches:
                    runs = [task(video, batch, args.full, args.device) for _ in range(args.repeat)]
                    made, model, main, beside = min(runs, key=lambda run: run[1] + run[2])
                    rates = made / (model + main), (args.frames - 1) / (model + main)
                    print(
                        f"{name:<10} {size:>10} {objects:>7} {batch:>5} {made:>6} "
                        f"{rates[0]:>10.1f} {rates[1]:>8.1f} "
                        f"{model:>8.3f} {main:>8.3f} {beside:>8.3f} "
                        f"{100 * main / (model + main):>5.1f} %",
                        flush=True,
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--sizes", nargs="+", default=["320x192", "854x480", "1920x1080"])
    parser.add_argument("--objects", nargs="+", type=int, default=[1, 3])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 8])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--full", action="store_true", help="models of public size")
    parser.add_argument("--artifacts", action="store_true", help="file sizes instead of times")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.artifacts:
            sizes(Path(folder))
        else:
            table(args, Path(folder))


if __name__ == "__main__":
    main()
