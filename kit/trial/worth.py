"""What a result is worth: measured numbers of the embedded family, and where better weights are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.core import files, weights

NUMBERS = Path(__file__).with_name("real.json")  # benchmarks/real.py --output
WAYS = {
    "sam2": "SAM 2.1", "sam3": "SAM 3", "hold": "the first mask held still",
    "flow": "the first mask carried on by optical flow", "colours": "a colour histogram",
}  # fmt: skip


def words(chosen: Mapping[str, Any]) -> str:
    """A paragraph for people who look at a result.

    Args:
        chosen: Settings of the propagator, with tracker and model resolved.
    """
    model = chosen.get("tracker", {}).get("model", {})
    if not model:
        return f"Made by `{chosen['method']}`, which uses no model: what a tracker has to beat."
    if model["source"] != "tiny" and not Path(model["source"]).is_relative_to(weights.TINY):
        return f"Made with the weights {model['source']}."
    found = files.read_json(NUMBERS)
    means = ", ".join(f"{WAYS[way]} {mean:.2f}" for way, (mean, _) in found["mean"].items())
    return (
        "Made by the embedded tiny family, a few megabytes for trying things out. On "
        f"{len(found['clips'])} real clips that it was not trained on it reaches this J&F (DAVIS, "
        f"first mask given): {means}. From boxes and points it draws poorly: give it a mask. The "
        "published weights are far better. SAM 2.1 needs no account: in a config, models: "
        "{ sam2: { source: facebook/sam2.1-hiera-large, revision: main } }. facebook/sam3 is "
        "gated: ask for access on its page, then `hf auth login`. Then: "
        "kit try ... --models config/mosev2.yaml"
    )
