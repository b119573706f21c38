"""Train or fine-tune a model: tracker, detector or embedder.

Goes on from the checkpoint in the output folder if there is one. With several processes each has a
GPU of its own and they share every batch.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from kit.stages import _settings

VERSION = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument(
        "--settings", type=_settings.parsed, required=True, help="a block of `trainings`, JSON"
    )
    parser.add_argument("--processes", type=int, default=1, help="one per GPU (%(default)s)")
    parser.add_argument("--stop-after", type=int, help="end after so many steps; to try things out")
    parser.add_argument("--output", type=Path, required=True, help="folder of the trained model")


def run(args: argparse.Namespace) -> int:
    """Train here, or start the processes that do."""
    args.output.mkdir(parents=True, exist_ok=True)
    if args.processes > 1 and "RANK" not in os.environ:
        launch = ["torch.distributed.run", "--standalone", f"--nproc-per-node={args.processes}"]
        command = [sys.executable, "-m", *launch, "-m", "kit", *sys.argv[1:]]
        return subprocess.run(command, check=False).returncode
    _train(args)
    return 0


def _train(args: argparse.Namespace) -> None:
    from kit.runtime.lease import lease
    from kit.training import loop, ranks, recipe

    with lease() as device:
        ranks.start(device)
        plan = recipe.plan(args.settings, device)
        loop.train(
            plan.objective,
            plan.phases,
            plan.rates,
            plan.config,
            args.output,
            plan.digest,
            args.stop_after,
        )
        ranks.stop()  # after an error torchrun ends the others
