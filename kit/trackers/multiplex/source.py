"""Where a checkpoint is: a local file or folder, or the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.core.errors import WeightsError
from kit.trackers.multiplex import checkpoint
from kit.trackers.multiplex.network import Network


def load(settings: Mapping[str, Any]) -> Network:
    """The model of a `models` preset: a local file, a folder that has it, or an id of the hub.

    Raises:
        WeightsError: The weights cannot be had, or are those of something else.
    """
    source, revision = str(settings["source"]), settings.get("revision")
    path = Path(source).expanduser()
    if path.is_file():
        return checkpoint.network(path)
    if path.is_dir():
        return checkpoint.network(path / checkpoint.PUBLIC_FILE)
    if source == "tiny":
        raise WeightsError(
            "models: there is no `tiny` SAM 3.1, as nobody has trained one. Give the path of "
            f"{checkpoint.PUBLIC_FILE}, or use `sam3` or `sam2`, of which there are."
        )
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise WeightsError(f"{source}: no such folder or file.{_ADVICE}")
    from huggingface_hub import hf_hub_download

    try:
        found = hf_hub_download(source, checkpoint.PUBLIC_FILE, revision=revision)
    except (OSError, ValueError, RuntimeError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise WeightsError(f"{source}: cannot be loaded ({first}).{_ADVICE}") from None
    return checkpoint.network(Path(found))


_ADVICE = (
    " SAM 3.1's weights are gated: ask for access on the model's page, then run `hf auth login`; "
    f"or download {checkpoint.PUBLIC_FILE} by any means and give its path as `source` under "
    "`models`."
)
