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
    from kit.trackers.multiplex import checkpoint, sizes

    found = checkpoint.read(args.path)
    judged = checkpoint.judge(found)
    scale = "public sizes" if found.sizes == sizes.PUBLIC else "sizes that the file tells"
    print(f"{args.path}: {len(found.tensors)} tensors, {scale}")
    for kind, listed in (
        ("missing", judged.missing),
        ("of another shape", judged.reshaped),
        ("unknown to this tracker", judged.unknown),
        ("with values that are no numbers", judged.broken),
    ):
        print(f"{kind}: {len(listed) or 'none'}")
        for name in listed:
            print(f"  {name}")
    print(f"not read by the tracker: {judged.others}")
    print("the tracker cannot use it" if judged.problems else "the tracker can use it")
    return 2 if judged.problems else 0
