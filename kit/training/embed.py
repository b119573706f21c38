"""Put a trained tiny family beside the code, as float16.

    python -m kit.training.embed work/trainings

Takes the runs `sam2`, `sam3_tracker`, `sam3_detector` and `dinov3` of `config/train_tiny.yaml`.
SAM 3's two halves become one checkpoint in the public layout, which holds their common trunk once.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from kit.core.errors import ConfigError
from kit.runtime import models, tiny
from kit.training import starting


def main(arguments: list[str] | None = None) -> None:
    """Read four trained models, write three folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trainings", type=Path, help="folder of the four runs")
    parser.add_argument("--output", type=Path, default=tiny.WEIGHTS, help="default: %(default)s")
    args = parser.parse_args(arguments)

    def trained(kind: str, run: str) -> Any:
        return models.load(kind, {"source": str(args.trainings / run)}, "cpu")

    half(trained("sam2", "sam2"), args.output / "sam2")
    detector = trained("sam3_detector", "sam3_detector").model
    half(both_halves(trained("sam3", "sam3_tracker"), detector), args.output / "sam3")
    half(trained("dinov3", "dinov3"), args.output / "dinov3")
    size = sum(path.stat().st_size for path in args.output.rglob("*") if path.is_file())
    print(f"{args.output}: {size / 1e6:.1f} MB")


def half(model: Any, folder: Path) -> None:
    """Write a model as float16."""
    folder.mkdir(parents=True, exist_ok=True)
    starting.save_model(model.to(torch.float16), {"source": starting.SCRATCH}, folder)


def both_halves(tracker: Any, detector: Any) -> Any:
    """One `Sam3VideoModel` of a tracker and of a detector that was trained on its trunk.

    Raises:
        ConfigError: Their trunks differ, so that they cannot share one.
    """
    from transformers import Sam3VideoConfig, Sam3VideoModel

    trunks = (m.vision_encoder.backbone.state_dict() for m in (tracker, detector))
    for (name, one), other in zip(next(trunks).items(), next(trunks).values(), strict=True):
        if not torch.equal(one, other):
            raise ConfigError(
                f"trunks of SAM 3's tracker and detector differ, in {name} first. Train the "
                "detector from this tracker, with its trunk frozen."
            )
    model = Sam3VideoModel(
        Sam3VideoConfig(detector_config=detector.config, tracker_config=tracker.config)
    )
    model.detector_model.load_state_dict(detector.state_dict())
    own = {k: v for k, v in tracker.state_dict().items() if not k.startswith("vision_encoder.")}
    model.tracker_model.load_state_dict(own)
    model.tracker_neck.load_state_dict(tracker.vision_encoder.neck.state_dict())
    return model


if __name__ == "__main__":
    main()
