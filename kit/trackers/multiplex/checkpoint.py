"""Checkpoint files of SAM 3.1: read without running what a pickle says, split once, judged by name.

The public file is one pickle of 3.3 GB with the detector in it. What is read of it is kept as
safetensors in the user's cache, in a folder named by the file's content: the trunk, which detector
and tracker share, apart from the tracker's own weights.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from kit.core import weights
from kit.core.errors import WeightsError
from kit.runtime import layouts
from kit.trackers.multiplex import names
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.sizes import PUBLIC, Sizes, from_mapping

_PARTS = ("trunk.safetensors", "tracker.safetensors")  # the last one is written last


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds, in the names of the public checkpoint.

    Attributes:
        path: The file.
        tensors: By name, as they are in the file.
        sizes: Those that the file tells, or the public ones.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    sizes: Sizes


@dataclass(frozen=True)
class Judgement:
    """How a checkpoint differs from what the tracker needs; all empty where it fits.

    Attributes:
        missing: Names that are not there.
        reshaped: Those of another shape, with both.
        unknown: Names among the tracker's that this tracker does not know.
        others: How many tensors there are that the tracker does not read.
    """

    missing: list[str]
    reshaped: list[str]
    unknown: list[str]
    others: int

    @property
    def problems(self) -> list[str]:
        """A line for each kind of difference, with the first names."""
        kinds = {
            "missing": self.missing,
            "of another shape": self.reshaped,
            "unknown to this tracker": self.unknown,
        }
        return [
            f"{len(found)} {kind}: {', '.join(found[:3])}{', ...' if len(found) > 3 else ''}"
            for kind, found in kinds.items()
            if found
        ]


def judge(checkpoint: Checkpoint) -> Judgement:
    """Compare names and shapes with those that the tracker needs."""
    wanted = names.expected(checkpoint.sizes)
    own = {name: value for name, value in checkpoint.tensors.items() if names.of_tracker(name)}
    return Judgement(
        [name for name in wanted if name not in own],
        [
            f"{name} {list(own[name].shape)} for {list(shape)}"
            for name, shape in wanted.items()
            if name in own and tuple(own[name].shape) != shape
        ],
        sorted(own.keys() - wanted.keys()),
        len(checkpoint.tensors) - len(own),
    )


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """The same, if the tracker can use it.

    Raises:
        WeightsError: It cannot; says in what they differ.
    """
    if problems := judge(checkpoint).problems:
        raise WeightsError(
            f"{checkpoint.path}: not the weights of SAM 3.1's tracker; of {len(checkpoint.tensors)}"
            f" tensors {'; '.join(problems)}. Is this sam3.1_multiplex.pt, downloaded whole? "
            "`python -m kit check-weights sam31 FILE` lists all of it."
        )
    return checkpoint


def network(source: Path) -> Network:
    """The model of a checkpoint file, split and kept on the first call.

    Raises:
        WeightsError: No checkpoint of this model.
    """
    if source.suffix != ".pt":
        return _built(checked(read(source)))
    folder = weights.cache() / "sam31" / weights.identity(str(source))
    if not (folder / _PARTS[-1]).is_file():
        found = checked(read(source))
        try:
            _split(found, folder)
        except OSError:  # no cache: the file is read each time
            return _built(found)
    parts = [read(folder / part) for part in _PARTS]
    tensors = {name: value for part in parts for name, value in part.tensors.items()}
    return _built(checked(Checkpoint(source, tensors, parts[-1].sizes)))


def read(path: Path) -> Checkpoint:
    """The tensors of a file, `.pt` or `.safetensors`; nothing in it is run.

    Raises:
        WeightsError: It cannot be read as what it is called.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such checkpoint file.")
    loaded = layouts.loaded(path)
    found = layouts.tensors_of(loaded, path)
    told = _header(path) if path.suffix == ".safetensors" else loaded.get("sizes")
    tensors = {names.published(name): value.detach() for name, value in found.items()}
    return Checkpoint(path, tensors, _sizes(told, path))


def write(path: Path, tensors: Mapping[str, Tensor], sizes: Sizes) -> None:
    """Put tensors into a `.safetensors` file that tells its sizes; all or nothing.

    Under a name of its own first: the workers of all devices may split a checkpoint at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        save_file(
            {key: value.contiguous() for key, value in tensors.items()},
            name,
            metadata={"sizes": sizes.as_text()},
        )
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _built(checkpoint: Checkpoint) -> Network:
    model = Network(checkpoint.sizes)
    model.load_state_dict(names.imported(checkpoint.tensors))
    return model


def _split(found: Checkpoint, folder: Path) -> None:
    trunk, own = _PARTS
    stem = f"{names.VISION}trunk."
    mine = {name: value for name, value in found.tensors.items() if names.of_tracker(name)}
    for part, is_trunk in ((trunk, True), (own, False)):
        some = {name: v for name, v in mine.items() if name.startswith(stem) == is_trunk}
        write(folder / part, some, found.sizes)


def _header(path: Path) -> str | None:
    """What a safetensors file says of its sizes."""
    with safe_open(path, "pt") as file:
        told: str | None = (file.metadata() or {}).get("sizes")
    return told


def _sizes(told: object, path: Path) -> Sizes:
    """The public sizes, unless the file tells others."""
    if told is None:
        return PUBLIC
    try:
        values = json.loads(told) if isinstance(told, str) else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: what it tells of its sizes is no JSON object.")
    return from_mapping(values, str(path))
