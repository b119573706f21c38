"""Put a trained tiny family beside the code, as float16.

    python -m kit.training.embed work/trainings
    python -m kit.training.embed work/trainings --sam2 sam2_wide --parts sam2

Takes the runs `sam2`, `sam3_tracker`, `sam3_detector` and `dinov3` of `config/train_tiny.yaml`, or
those that are named; `embedded` is what is there already. SAM 3's two halves become one checkpoint
in the public layout, which holds their common trunk once. The logs of all runs go with them.
"""

import argparse
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from kit.core import files
from kit.core.errors import ConfigError
from kit.runtime import models, tiny
from kit.runtime.models import Detector
from kit.training import loop, starting

PARTS = ("sam2", "sam3", "dinov3")
TRUNK, NECK = "vision_encoder.backbone.", "vision_encoder.neck."


def main(arguments: list[str] | None = None) -> None:
    """Read trained models, write their folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trainings", type=Path, help="folder of the runs")
    for run in ("sam2", "sam3_tracker", "sam3_detector", "dinov3"):
        flag = run.replace("_", "-")
        parser.add_argument(f"--{flag}", default=run, help="name of the run (%(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    parser.add_argument("--output", type=Path, default=tiny.WEIGHTS, help="default: %(default)s")
    args = parser.parse_args(arguments)

    def trained(kind: str, run: str) -> Any:
        source = "tiny" if run == "embedded" else str(args.trainings / run)
        return models.load(kind, {"source": source}, "cpu")

    if "sam2" in args.parts:
        half(trained("sam2", args.sam2), args.output / "sam2")
    if "sam3" in args.parts:
        write_sam3(
            trained("sam3", args.sam3_tracker),
            trained("sam3_detector", args.sam3_detector),
            args.output / "sam3",
        )
    if "dinov3" in args.parts:
        half(trained("dinov3", args.dinov3), args.output / "dinov3")
    for log in sorted(args.trainings.glob(f"*/{loop.LOG}")):
        copied = args.output / "logs" / f"{log.parent.name}.csv"
        files.write_text(copied, log.read_text())
    size = sum(path.stat().st_size for path in args.output.rglob("*") if path.is_file())
    print(f"{args.output}: {size / 1e6:.1f} MB")


def half(model: Any, folder: Path) -> None:
    """Write a model as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    starting.save_model(deepcopy(model).half(), {"source": starting.SCRATCH}, folder)


def write_sam3(tracker: Any, detector: Detector, folder: Path) -> None:
    """Write a tracker and the detector that was trained on its trunk as one checkpoint, float16.

    The layout is that of the public one: `detector_model`, which holds the trunk, `tracker_model`,
    `tracker_neck`. `Sam3Model` and `Sam3TrackerVideoModel` each read their half of it.

    Raises:
        ConfigError: Their trunks differ, so that they cannot share one.
    """
    from transformers import Sam3VideoConfig

    seeking, tracking = detector.model.state_dict(), tracker.state_dict()
    for name in (name for name in tracking if name.startswith(TRUNK)):
        if not torch.equal(tracking[name], seeking[name]):
            raise ConfigError(
                f"trunks of SAM 3's tracker and detector differ, in {name} first. Train the "
                "detector from this tracker, with its trunk frozen."
            )
    weights = {f"detector_model.{name}": value for name, value in seeking.items()}
    for name, value in tracking.items():
        if name.startswith(NECK):
            weights[f"tracker_neck.{name.removeprefix(NECK)}"] = value
        elif not name.startswith(TRUNK):
            weights[f"tracker_model.{name}"] = value
    folder.mkdir(parents=True, exist_ok=True)
    configs = {"detector_config": detector.model.config, "tracker_config": tracker.config}
    Sam3VideoConfig(**{k: v.to_dict() for k, v in configs.items()}).save_pretrained(folder)
    starting.write_weights({k: v.to(torch.float16) for k, v in weights.items()}, folder)
    starting.describe(folder, {"tokenizer": models.TINY})


if __name__ == "__main__":
    main()
