"""CPU time of the evaluator against the PyPI peer `vos-benchmark`, on masks drawn here.

    python benchmarks/evaluator.py [--peer-python PYTHON] [--videos 2] [--frames 30] [--repeats 3]

Both run in one process and one thread, on the same files; the smallest of the repeats counts. The
peer may live in an environment of its own (`pip install vos-benchmark` there).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = ((854, 480), (1920, 1080))
OBJECTS = 3
PALETTE = np.random.default_rng(7).integers(0, 256, 768, dtype=np.uint8).tobytes()
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

PEER = """
import json, sys, time
import cv2
from vos_benchmark.benchmark import VideoEvaluator
cv2.setNumThreads(0)
gt, pred, repeats, *videos = sys.argv[1:]
run = VideoEvaluator(gt, pred)
run(videos[0])
times = []
for _ in range(int(repeats)):
    start = time.process_time()
    for video in videos:
        run(video)
    times.append(time.process_time() - start)
print(json.dumps(times))
"""

OURS = """
import json, sys, time
from kit.metrics.mosev2 import evaluate_set
gt, pred, meta, repeats = sys.argv[1:]
evaluate_set(gt, pred, meta)
times = []
for _ in range(int(repeats)):
    start = time.process_time()
    evaluate_set(gt, pred, meta)
    times.append(time.process_time() - start)
print(json.dumps(times))
"""


def blob(labels, label, centre, radius, phase, rng):
    """Paint a wobbling disc; `phase` moves the wobble."""
    height, width = labels.shape
    reach = int(radius * 1.6) + 2
    y0, y1 = max(0, int(centre[1]) - reach), min(height, int(centre[1]) + reach)
    x0, x1 = max(0, int(centre[0]) - reach), min(width, int(centre[0]) + reach)
    if y0 >= y1 or x0 >= x1:
        return
    y, x = np.mgrid[y0:y1, x0:x1]
    angle = np.arctan2(y - centre[1], x - centre[0])
    limit = radius * (1 + 0.25 * np.sin(3 * angle + phase) + 0.1 * np.sin(7 * angle - 2 * phase))
    inside = np.hypot(y - centre[1], x - centre[0]) < limit * (1 + rng.normal(0, 0.01))
    labels[y0:y1, x0:x1][inside] = label


def draw(video, size, frames):
    """Yield (ground truth, prediction): drifting blobs, gaps, an occluder, lost tracks, speckle."""
    rng = np.random.default_rng((video, *size))
    width, height = size
    top = np.sqrt(0.16 * width * height / np.pi)
    radii = np.exp(rng.uniform(np.log(height / 55), np.log(top), OBJECTS))
    centres = rng.uniform(
        (0.15 * width, 0.15 * height), (0.85 * width, 0.85 * height), (OBJECTS, 2)
    )
    speed = rng.normal(0, 0.004 * width, (OBJECTS, 2))
    gaps = rng.integers(0, frames, (OBJECTS, 1)) + np.array([[0, frames // 8]])
    lost = rng.integers(0, frames, (OBJECTS, 1)) + np.array([[0, frames // 6]])
    for t in range(frames):
        gt = np.zeros((height, width), np.uint8)
        pred = np.zeros_like(gt)
        for k in np.argsort(-radii):
            here = centres[k] + speed[k] * t
            if t == 0 or not gaps[k, 0] <= t < gaps[k, 1]:
                blob(gt, k + 1, here, radii[k], 0.1 * t, rng)
            elsewhere = rng.uniform(0, 0.3 * width, 2) if lost[k, 0] <= t < lost[k, 1] else 0
            error = rng.normal(0, 0.01 * radii[k] + 0.5, 2)
            blob(pred, k + 1, here + error + elsewhere, radii[k], 0.1 * t + 0.05, rng)
        bar = int(width * t / frames)
        for labels in (gt, pred):
            labels[:, bar : bar + width // 20] = 0
        speckle = rng.integers(0, (height, width), (20, 2))
        pred[speckle[:, 0], speckle[:, 1]] = rng.integers(1, OBJECTS + 1, 20)
        yield gt, pred


def write_set(root, size, videos, frames):
    """Write `gt/`, `pred/` and `meta.json`."""
    meta = {}
    for video in range(videos):
        name = f"video{video}"
        for part in ("gt", "pred"):
            (root / part / name).mkdir(parents=True)
        for t, pair in enumerate(draw(video, size, frames)):
            for part, labels in zip(("gt", "pred"), pair, strict=True):
                image = Image.fromarray(labels, "L")
                image.putpalette(PALETTE)
                image.save(root / part / name / f"{t:05d}.png")
        ids = list(range(1, OBJECTS + 1))
        meta[name] = {"length": frames, "height": size[1], "width": size[0], "objects": ids}
    (root / "pred" / "notes.txt").touch()  # else a single video would be taken for a wrapper
    (root / "meta.json").write_text(json.dumps({"videos": meta}))


def seconds(python, code, *arguments):
    """Smallest CPU time of the repeats, None if the program does not run."""
    command = [python, "-c", code, *map(str, arguments)]
    here = str(Path(__file__).resolve().parents[1])
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"PYTHONPATH": here}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    return min(json.loads(done.stdout.splitlines()[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter with the peer")
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print("| size | objects | peer ms/frame | kit ms/frame | ratio |\n|---|---|---|---|---|")
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_set(root, size, args.videos, args.frames)
            gt, pred, videos = (
                root / "gt",
                root / "pred",
                sorted(p.name for p in (root / "gt").iterdir()),
            )
            ours = seconds(sys.executable, OURS, gt, pred, root / "meta.json", args.repeats)
            peer = seconds(args.peer_python, PEER, gt, pred, min(args.repeats, 2), *videos)
        scale = 1000 / (args.videos * (args.frames - 2))
        theirs = "not installed" if peer is None else f"{peer * scale:.1f}"
        ratio = "" if peer is None or ours is None else f"{peer / ours:.0f}x"
        mine = "failed" if ours is None else f"{ours * scale:.3f}"
        print(f"| {size[0]}x{size[1]} | {OBJECTS} | {theirs} | {mine} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
