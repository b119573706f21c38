"""Whether the weights of a run can be had: asked once, before its first job.

Every job would find out by itself, after the hub was asked five times over. Of a local checkpoint
the names of its tensors are read and not its numbers; what only the loading can show, such as one
weight that is missing, is told there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kit.core import files
from kit.core.errors import KitError, WeightsError
from kit.runtime import layouts

TINY = "tiny"  # as a source: the embedded family
SECONDS = 10  # for the hub to answer
ADVICE = (
    "Public SAM 3 and DINOv3 weights are gated: ask for access on the model's page, then run `hf "
    "auth login`; or download the folder by any means and give its path as `source` under `models`."
)
TRAINED = "model.json"  # in the folder of a model that the kit has trained
_FILE = "config.json"  # which every model on the hub has

# Rules that load models, and what these wait for: more of them may come once anchors are chosen.
RULES = {
    "finetune", "frames", "candidates", "union", "features", "manifest", "anchors", "masks",
    "verify", "rivals",
}  # fmt: skip


def check(models: Iterable[Mapping[str, Any]]) -> None:
    """Refuse weights that cannot be had.

    Args:
        models: Blocks with `source`, perhaps with `revision`, and with the `kind` that is wanted
            (see `layouts.TITLES`) where that is known.

    Raises:
        WeightsError: All of them, each with the reason.
    """
    asked = {(m["source"], m.get("revision"), m.get("kind", "")) for m in models}
    found = [(s, why) for s, *more in sorted(asked, key=str) if (why := _lack(s, *more))]
    if found:
        told = "\n".join(dict.fromkeys(f"{source}: {why}." for source, why in found))
        raise WeightsError(f"weights cannot be had, so nothing is run.\n{told}\n{ADVICE}")


def looks_local(source: str) -> bool:
    """Whether a source is a path and no id of the hub, `owner/name`."""
    return source.startswith(("/", ".", "~")) or source.count("/") != 1


def _lack(source: str, revision: str | None, kind: str) -> str:
    """Why a checkpoint cannot be had; empty if nothing speaks against it."""
    path = Path(source).expanduser()
    if source == TINY:
        return ""
    if path.exists():
        return _unreadable(path) or _strange(path, kind)
    if looks_local(source):
        return "no such folder or file"
    return "" if _is_cached(source, revision) else _refused(source, revision)


def _unreadable(path: Path) -> str:
    """Why what lies at a path cannot be read; empty if it can."""
    try:
        if path.is_file():
            path.open("rb").close()
        elif path.is_dir() and not any(path.iterdir()):
            return "an empty folder"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return ""


def _strange(path: Path, kind: str) -> str:
    """Why a local checkpoint is not of a kind; empty if it may be, or if no kind is told."""
    if kind not in layouts.TITLES or (path / TRAINED).is_file():
        return ""
    try:
        file = layouts.only_file(path) if kind == "sam2" else layouts.file_of(path)
        if file is None:
            layouts.check_type(path, files.read_json(path / "config.json"), kind)
        else:
            layouts.check(file, layouts.names_in(file), kind)
    except KitError as error:
        return str(error).removeprefix(f"{path}: ").rstrip(".")
    return ""


def _is_cached(source: str, revision: str | None) -> bool:
    """Whether an earlier run has downloaded it: then no network is needed."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"models--{source.replace('/', '--')}"
    return any((folder / "snapshots").glob("*/*")) and (
        revision is None
        or (folder / "refs" / revision).is_file()
        or (folder / "snapshots" / revision).is_dir()
    )


def _refused(source: str, revision: str | None) -> str:
    """What the hub says to a request for one small file; empty if it would give it."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    if constants.HF_HUB_OFFLINE:
        return "not in the cache, and HF_HUB_OFFLINE forbids to ask the hub"
    url = hf_hub_url(source, _FILE, revision=revision)
    try:
        get_hf_file_metadata(url, timeout=SECONDS)  # without its retries
    except EntryNotFoundError:
        return ""
    except Exception as error:  # what the network raises depends on the version of the library
        said = next(iter(str(error).strip().splitlines()), "")
        return f"the hub does not give it ({type(error).__name__}: {said[:200].rstrip('.')})"
    return ""
