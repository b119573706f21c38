"""A simulated machine for tests and benchmarks: on PYTHONPATH, every Python process reads this.

SIMULATED_GPUS=N     Snakemake finds N GPUs, and takes any weights for good ones, unless
                     SIMULATED_WEIGHTS=checked.
SIMULATED_FOLDER=F   Workers run stand-ins for torch and for the methods; what they are to do wrong
                     stands in F/faults.json, read anew at every frame: {VIDEO: {"frame": 2,
                     "do": "kill", "device": "0", "times": 1}}. F/seconds, if there, is how long a
                     model takes for a video.
SIMULATED_MOMENT     When whom to signal; see `moments`.
"""

import os
import sys

if "SIMULATED_MOMENT" in os.environ:
    import moments

    os.environ.setdefault("SIMULATED_SNAKEMAKE", str(os.getpid()))
    moments.install()

if "SIMULATED_GPUS" in os.environ and "snakemake" in sys.orig_argv:
    from kit.runtime import devices, reachable

    devices._gpus = lambda: int(os.environ["SIMULATED_GPUS"])
    if os.environ.get("SIMULATED_WEIGHTS") != "checked":
        reachable.check = lambda models: None
if "SIMULATED_FOLDER" in os.environ and "serve" in sys.orig_argv:
    from simulated_methods import install

    install()
