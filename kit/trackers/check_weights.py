"""Say whether a checkpoint file has every key and shape that is expected.

Before a night is spent on it: names, shapes and values are compared with those of the model that
the kit would build. Nothing in the file is run, nothing is written.
"""

import argparse
from pathlib import Path

KINDS = ("sam31",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("kind", choices=KINDS, help="the model that the file is meant for")
    parser.add_argument("path", type=Path, help="the checkpoint, .pt or .safetensors")


def run(args: argparse.Namespace) -> int:
    """Print what was found; 0 if the file can be used, else 2."""
    import torch
    from transformers import Sam3Model

    from kit.runtime import pretrained
    from kit.trackers.multiplex import checkpoint, sizes

    found = checkpoint.read(args.path)
    judged = checkpoint.judge(found)
    broken = [name for name, v in found.tensors.items() if not bool(torch.isfinite(v).all())]
    scale = "public sizes" if found.sizes == sizes.PUBLIC else "sizes that the file tells"
    print(f"{args.path}: {len(found.tensors)} tensors, {scale}")
    tracker, detector = not judged.problems, []
    if has_detector := any(name.startswith("detector.transformer.") for name in found.tensors):
        detector = pretrained.lacking(Sam3Model, "sam3_detector", args.path)
    for kind, listed in (
        ("missing", judged.missing),
        ("of another shape", judged.reshaped),
        ("unknown to this tracker", judged.unknown),
        ("with NaN or infinite values", broken),
        ("missing or of another shape for the detector", detector),
    ):
        print(f"{kind}: {len(listed) or 'none'}")
        for name in listed:
            print(f"  {name}")
    print(f"not read by the tracker: {judged.others}")
    tracker = tracker and not broken
    print(f"the tracker {'can' if tracker else 'cannot'} use it")
    if has_detector:
        print(f"the detector {'cannot' if detector or broken else 'can'} use it")
    else:
        print("there is no detector in it")
    return 0 if tracker and not detector else 2
