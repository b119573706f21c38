"""Try the kit on one clip: follow what a mask, a box or a point shows, and draw it over the video.

    kit try CLIP.mp4 --mask FIRST.png
    kit try FRAMES/ --box 120,80,260,210 --box 300,90,380,200
    kit try CLIP.mp4 --point 190,140 --models config/mosev2.yaml

Writes masks as palette PNGs, an overlay video, a sheet of a few frames, and what the result is
worth. Without --models the embedded family is used, which is small enough for any machine.
"""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.config import load
from kit.core import files, images, weights
from kit.core.errors import ConfigError, DataError
from kit.core.images import first_mask
from kit.core.types import Prompt, Video
from kit.data import extract, layout
from kit.stages import frames as frames_stage
from kit.trial import first, worth

DONE = "try.json"  # marks a folder as ours
TINY = {"source": "tiny"}
WIDE = {"source": str(weights.TINY / "wide" / "sam2")}  # of the family, trained on real things too
EMBEDDED: Mapping[str, Mapping[str, Any]] = {
    "sam2": {"method": "greedy", "tracker": {"method": "sam2", "model": WIDE}},
    "sam3": {"method": "greedy", "tracker": {"method": "sam3", "model": TINY}},
    "tree": {"method": "memory_tree", "tracker": {"method": "sam2", "model": WIDE}},
    "hold": {"method": "hold"},
    "flow": {"method": "flow"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", type=Path, help="video file, or folder of frames")
    shown = parser.add_mutually_exclusive_group(required=True)
    shown.add_argument(
        "--mask", type=Path, help="label map of the first frame (PNG): 0/255, or an id per object"
    )
    shown.add_argument(
        "--box", type=first.numbers(4), action="append", metavar="X0,Y0,X1,Y1",
        help="box of an object on the first frame, pixels; several times for several objects",
    )  # fmt: skip
    shown.add_argument(
        "--point", type=first.numbers(2), action="append", metavar="X,Y",
        help="a point on an object, pixels; several times for several objects",
    )  # fmt: skip
    parser.add_argument("--models", type=Path, help="a config whose models and propagators to use")
    parser.add_argument(
        "--propagator",
        help=f"a preset of that config; without one: {', '.join(EMBEDDED)}. Default: that of the "
        "config's first recipe, or sam2",
    )
    parser.add_argument("--output", type=Path, help="folder to write; default: try/CLIP")
    parser.add_argument("--fps", type=float, help="of the overlay; default: the clip's, or 12")


def run(args: argparse.Namespace) -> None:
    """Follow the objects and write everything, or nothing."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", args.source.stem).strip("_") or "clip"
    output = args.output or Path("try") / name
    if output.exists() and not (output / DONE).is_file():
        raise ConfigError(f"{output}: is there and no result of `kit try`; give another --output.")
    chosen = propagator_of(args.models, args.propagator)
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        told = _follow(args, name, chosen, part)
        shutil.rmtree(output, ignore_errors=True)
        part.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    print(f"{output}/overlay.mp4, sheet.png, masks/\n{told}")


def propagator_of(config: Path | None, name: str | None) -> dict[str, Any]:
    """Settings of a propagator, with tracker and model resolved.

    Args:
        config: A configuration, or None for the embedded family.
        name: Of the preset, or None for the first one that is fit.

    Raises:
        ConfigError: There is no preset of that name, or it goes on from what is trained first.
    """
    if config is None:
        if name is not None and name not in EMBEDDED:
            raise ConfigError(f"--propagator {name}: the embedded ones are {', '.join(EMBEDDED)}.")
        return dict(EMBEDDED[name or "sam2"])
    known = load(config)
    presets = known.values["propagators"]
    name = name or next(iter(known.values["recipes"].values()))["propagator"]
    if name not in presets:
        raise ConfigError(f"--propagator {name}: {config} has {', '.join(presets)}.")
    if unmade := known.trained("propagators", name):
        raise ConfigError(
            f"--propagator {name}: its model is what the training `{unmade[0]}` leaves. Train "
            "first (the config's own command does), then name its folder as `source` of the model."
        )
    settings: dict[str, Any] = json.loads(known.settings("propagators", name))
    return settings


def _follow(args: argparse.Namespace, name: str, chosen: Mapping[str, Any], part: Path) -> str:
    """Everything that is written, into a folder; returns what to say of it."""
    if not args.source.exists():
        raise DataError(f"{args.source}: there is no such video file or folder of frames.")
    folder, rate = args.source, ""
    if args.source.is_file():
        folder = part / "frames"
        rate = extract.extract(args.source, folder)
    paths = layout.frame_files(folder)
    given = part / "given"
    given.mkdir()
    first.write(given / f"{paths[0].stem}.png", images.read_image(paths[0]), args, chosen)
    video = frames_stage.index(name, folder.resolve(), given, None, rate)
    _draw(video, chosen, part, args.fps or _fps(args.source))
    told = worth.words(chosen)
    text = {"source": str(args.source), "objects": [o.id for o in video.objects]}
    files.write_json(part / DONE, {**text, "frames": len(video.frames), "propagator": chosen})
    files.write_text(part / "READ_ME.txt", told + "\n")
    shutil.rmtree(part / "frames", ignore_errors=True)
    return told


def _draw(video: Video, chosen: Mapping[str, Any], part: Path, fps: float) -> None:
    """Propagate, and write masks, overlay and sheet."""
    from kit.labelling.painter import Painter
    from kit.runtime.job import on_device
    from kit.stages._propagation import Propagation
    from kit.trial.overlay import Overlay

    masks = {o.id: first_mask(video, o) for o in video.objects}
    prompts = [Prompt(0, i, mask, given=True) for i, mask in masks.items()]
    (part / "masks").mkdir()
    source = images.Frames(video)
    with on_device(f"try {video.name}", source, None) as job:
        results = Propagation(job, chosen, prompts, None, []).results(len(prompts))
        overlay = Overlay(part, video.shape, len(video.frames), fps)
        for row, (frame, png) in enumerate(Painter(video, masks, prompts).paint(results)):
            (part / "masks" / f"{frame}.png").write_bytes(png)
            overlay.add(source[row], png)
        overlay.close()
        record = job.record()
    print(
        f"{record['frames']} frames, {len(prompts)} objects: {record['seconds']:.0f} s on "
        f"{record['device']}",
        file=sys.stderr,
    )


def _fps(source: Path) -> float:
    """Frames per second of a video file; 12 of a folder, which has none."""
    if source.is_dir():
        return 12.0
    import cv2

    capture = cv2.VideoCapture(str(source))
    found = float(capture.get(cv2.CAP_PROP_FPS))
    capture.release()
    return found if 0.1 <= found <= 1000 else 12.0
