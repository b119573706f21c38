"""What a checkpoint is: its layout, told by the names of its tensors; and its tensors, read safely.

People have weights as their makers publish them, as transformers has them, bare or under a key,
with prefixes of distributed training, or beside an optimiser. The model that reads them is another
module's business (`models`), and so is the renaming (`renaming`). No pickle is run: torch's loader
is told to take tensors and plain values alone.
"""

import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kit.core.errors import WeightsError

SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")
_WRAPPERS = ("model", "state_dict", "model_state_dict", "teacher", "ema", "params")
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
_MOST_ENTRIES = 100_000  # of an archive; one a tensor
_HEADER_BYTES = 100_000_000  # what safetensors itself allows


class Layout(NamedTuple):
    """A way of naming the tensors of a model.

    Attributes:
        name: Of one of `LAYOUTS`.
        title: In words, for messages.
        needs: Patterns; a name that matches exists for each of them.
        kinds: Of models that it can be loaded as; see `models.load`.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    kinds: tuple[str, ...] = ()


LAYOUTS = (  # the first that fits
    Layout("sam3.1", "SAM 3.1 as Meta publishes it",
           (r"^(tracker|sam2_predictor)\.model\.", r"interactive_convs\."),
           ("sam31", "sam3_detector")),
    Layout("sam3", "SAM 3 as Meta publishes it", (r"^detector\.backbone\.", r"^tracker\.maskmem_"),
           ("sam3", "sam3_detector")),
    Layout("sam3 detector", "the detector of SAM 3 as Meta publishes it",
           (r"^detector\.backbone\.", r"^detector\.transformer\."), ("sam3_detector",)),
    Layout("sam3 of transformers", "SAM 3 of transformers",
           (r"^detector_model\.", r"^tracker_model\."), ("sam3", "sam3_detector")),
    Layout("sam3 detector of transformers", "the detector of SAM 3, of transformers",
           (r"^vision_encoder\.backbone\.layers\.", r"^detr_decoder\."), ("sam3_detector",)),
    Layout("sam3 tracker of transformers", "the tracker of SAM 3, of transformers",
           (r"^vision_encoder\.backbone\.layers\.", r"^memory_encoder\."), ("sam3",)),
    Layout("sam2", "SAM 2 of the sam2 package",
           (r"^image_encoder\.trunk\.", r"^memory_encoder\.", r"^sam_mask_decoder\."), ("sam2",)),
    Layout("sam2 of transformers", "SAM 2 of transformers",
           (r"^vision_encoder\.backbone\.blocks\.", r"^memory_encoder\.", r"^mask_decoder\."),
           ("sam2",)),
    Layout("sam2 images", "SAM 2 for images, without memory",
           (r"^(image_encoder\.trunk|vision_encoder\.backbone)\.", r"mask_decoder\.")),
    Layout("dinov3", "a DINOv3 ViT as Meta publishes it",
           (r"^storage_tokens$", r"^blocks\.\d+\.attn\.qkv\."), ("dinov3",)),
    Layout("dinov3 of transformers", "a DINOv3 ViT of transformers",
           (r"^embeddings\.register_tokens$", r"layer\.\d+\.attention\."), ("dinov3",)),
    Layout("dinov3 convnext", "a DINOv3 ConvNeXt, which is no ViT",
           (r"^downsample_layers\.", r"^stages\.")),
    Layout("sam", "the first SAM", (r"^image_encoder\.blocks\.", r"^mask_decoder\.")),
)  # fmt: skip


def layout_of(names: Iterable[str]) -> Layout | None:
    """The layout of tensors of these names; None: none that is known."""
    text = "\n".join(names)
    for layout in LAYOUTS:
        if all(re.search(pattern, text, re.MULTILINE) for pattern in layout.needs):
            return layout
    return None


TITLES = {
    "sam2": "SAM 2",
    "sam3": "SAM 3's tracker",
    "sam3_detector": "SAM 3's detector",
    "sam31": "SAM 3.1's tracker",
    "dinov3": "a DINOv3 ViT",
}  # of the kinds of `models.load`
_TYPES = {"sam3": "sam3", "sam3_detector": "sam3", "dinov3": "dinov3_vit"}  # `model_type` begins so


def check(where: Path, names: Iterable[str], kind: str) -> Layout:
    """The layout of tensors of these names, which must be one that a kind is loaded from.

    Raises:
        WeightsError: It is another model's, which the message names.
    """
    names = list(names)
    layout = layout_of(names)
    if layout is None or kind not in layout.kinds:
        raise _refusal(where, told(names), kind)
    return layout


def check_type(where: object, config: object, kind: str) -> None:
    """See whether a config.json is of a kind.

    Raises:
        WeightsError: It is another model's, which the message names.
    """
    told = config.get("model_type") if isinstance(config, dict) else None
    if not str(told).startswith(_TYPES[kind]):
        what = f"a checkpoint of `{told}`" if told else "no config.json that tells its `model_type`"
        raise _refusal(where, what, kind)


def _refusal(where: object, what: str, kind: str) -> WeightsError:
    return WeightsError(
        f"{where}: {what}, where {TITLES[kind]} is needed. Is `source` that of another model, or "
        "is the download incomplete?"
    )


def told(names: Iterable[str]) -> str:
    """A layout in words, or the first names of one that is not known."""
    names = sorted(names)
    layout = layout_of(names)
    if layout is not None:
        return layout.title
    shown = ", ".join(names[:3]) or "none at all"
    return f"weights of a layout that the kit does not know ({len(names)} tensors: {shown})"


def names_in(path: Path) -> list[str]:
    """Names of the tensors in a checkpoint file, unwrapped; of a safetensors file the head alone.

    Raises:
        WeightsError: It cannot be read.
    """
    if path.suffix == ".safetensors":
        return list(_stripped(dict.fromkeys(_header(path))))
    return list(tensors_in(path))


def tensors_in(path: Path) -> dict[str, Any]:
    """Tensors of a checkpoint file by name, on the CPU, out of their wrappers and without prefixes.

    Raises:
        WeightsError: It cannot be read, or holds no tensors.
    """
    return tensors_of(loaded(path), path)


def loaded(path: Path) -> Any:
    """What a checkpoint file holds, on the CPU: tensors and plain values, however wrapped.

    Raises:
        WeightsError: It cannot be read.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        is_zip = _zipped(path)
        if is_zip:
            _check_archive(path)
        with torch.serialization.safe_globals(_plain()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except WeightsError:
        raise
    except Exception as error:  # torch, pickle and safetensors raise a dozen unrelated classes
        raise WeightsError(
            f"{path}: not a readable checkpoint ({type(error).__name__}). Is the download "
            "complete? A pickle that holds code is never run: of a training, save the "
            "state_dict of the model alone."
        ) from None


def tensors_of(loaded: object, path: Path) -> dict[str, Any]:
    """The tensors in what a file holds; see `tensors_in`."""
    import torch

    found = _unwrapped(loaded, torch.Tensor)
    if not found:
        raise WeightsError(
            f"{path}: no tensors in it, neither bare nor under "
            f"{', '.join(f'`{key}`' for key in _WRAPPERS)}. Is it a checkpoint of a model?"
        )
    return dict(_stripped(found))


def file_of(path: Path) -> Path | None:
    """The one checkpoint file that a path means; None: a folder as transformers writes it.

    Raises:
        WeightsError: A folder with neither.
    """
    if path.is_dir() and (path / "config.json").is_file():
        shared = [file for file in path.iterdir() if file.suffix == ".safetensors"]
        return None if shared else only_file(path)
    return only_file(path)


def only_file(path: Path) -> Path:
    """The one checkpoint file that a path means.

    Raises:
        WeightsError: A folder with none, or with several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    raise WeightsError(
        f"{path}: {len(found)} checkpoint files in this folder, where one ({', '.join(SUFFIXES)}) "
        "is needed, or the folder as transformers writes it: a config.json that tells its "
        "`model_type`, and safetensors. Is the download incomplete?"
    )


def _plain() -> list[Any]:
    """What checkpoints of trainings hold beside tensors, all of it values and no code."""
    import numpy as np

    kinds = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")}
    makers = [value.__reduce__()[0] for value in (np.float64(0), np.zeros(1))]
    return [np.dtype, np.ndarray, *makers, *kinds]


def _zipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"  # older ones cannot be mapped


def _check_archive(path: Path) -> None:
    """See that torch will read no more than the file holds: its own archives are not compressed.

    Raises:
        WeightsError: An archive that swells.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    if len(entries) > _MOST_ENTRIES or total > path.stat().st_size:
        raise WeightsError(
            f"{path}: {len(entries)} entries of {total} bytes in {path.stat().st_size}, which no "
            "checkpoint has. It is not opened."
        )


def _header(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= _HEADER_BYTES:
                raise ValueError(f"a head of {length} bytes")
            names = json.loads(file.read(length))
        return [name for name in names if name != "__metadata__"]
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{path}: no safetensors file ({error}). Is the download complete?"
        ) from None


def _unwrapped(loaded: object, tensor: type[Any]) -> Mapping[str, Any]:
    """The tensors of a mapping, or of the first of its wrappers that has some."""
    if not isinstance(loaded, Mapping):
        return {}
    inner = [loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)]
    for place in inner:
        if found := _unwrapped(place, tensor):
            return found
    return {str(k): v for k, v in loaded.items() if isinstance(v, tensor)}


def _stripped(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without prefixes that all names have in common and that belong to no layout."""
    while found:
        common = [p for p in _PREFIXES if all(name.startswith(p) for name in found)]
        if not common:
            break
        found = {name.removeprefix(common[0]): value for name, value in found.items()}
    return found
