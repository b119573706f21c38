"""Where a checkpoint of SAM 3.1 is: a local file or folder, or the hub."""

from collections.abc import Mapping
from typing import Any

from kit.core.errors import WeightsError
from kit.runtime import pretrained
from kit.trackers.multiplex import checkpoint
from kit.trackers.multiplex.network import Network


def load(settings: Mapping[str, Any]) -> Network:
    """The model of a `models` preset: a local file, a folder that has one, or `facebook/sam3.1`.

    Raises:
        WeightsError: The weights cannot be had, or are those of something else.
    """
    source = str(settings["source"])
    if source == "tiny":
        raise WeightsError(
            "models: there is no `tiny` SAM 3.1, as nobody has trained one. Give the path of "
            "sam3.1_multiplex.pt, or use `sam3` or `sam2`, of which there are."
        )
    file = pretrained.fetched(settings, lambda *_, **__: pretrained.bare_file(settings))
    if file is None:
        known = " or ".join(f"`{name}`" for name in pretrained.BARE)
        raise WeightsError(
            f"{source}: no checkpoint file of SAM 3.1. `source` is the path of "
            f"sam3.1_multiplex.pt, or of a folder with that file alone, or {known}."
        )
    return checkpoint.network(file)
