"""Models by kind and source: a hub id with its revision, a local path, or the `tiny` preset.

The one place that loads weights. Weights stay float32; on CUDA the stages run them under bfloat16
autocast, which is what the public SAM 3 code does (pure bfloat16 also rounds the position codes).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kit.core.checks import document
from kit.core.errors import DataError, WeightsError
from kit.core.files import canonical_json
from kit.runtime import layouts, pretrained, reachable, renaming, tiny
from kit.runtime.memory import Recent
from kit.runtime.reachable import ADVICE

Settings = Mapping[str, Any]
Kind = str | Callable[[Settings], Any]  # a name, or what loads models of a kind that has none
RECENT = Recent()  # models of this process

# A model that the kit has trained: a folder with its weights and, written last, what it is.
MODEL, MODEL_SCHEMA, WEIGHTS = reachable.TRAINED, "model/1", "model.safetensors"
TINY = reachable.TINY  # also an architecture: that of the family's SAM 2


Tokens = tuple[torch.Tensor, torch.Tensor]  # int64[1, 32] ids, and 1 where there is one
VISUAL = "visual"  # what SAM 3 is told where a box says what to look for
_LONGEST = 32  # tokens, begin and end included


@dataclass(frozen=True)
class Detector:
    """SAM 3's detector and its tokenizer.

    Attributes:
        model: transformers `Sam3Model`, eval mode.
        tokenize: A phrase as the ids that the model knows, begin and end included.
        device: Where the model is.
    """

    model: Any
    tokenize: Callable[[str], Sequence[int]]
    device: str = "cpu"

    def words(self, phrase: str) -> Tokens:
        """A phrase as the text encoder takes it.

        Raises:
            DataError: It is too long.
        """
        ids = list(self.tokenize(phrase))
        if len(ids) > _LONGEST:
            raise DataError(
                f"concept {phrase!r}: {len(ids)} tokens, SAM 3 reads at most {_LONGEST}. "
                "Use a short noun phrase, such as `red umbrella`."
            )
        padded = torch.zeros(2, 1, _LONGEST, dtype=torch.int64, device=self.device)
        padded[0, 0, : len(ids)] = torch.tensor(ids)
        padded[1, 0, : len(ids)] = 1
        return padded[0], padded[1]


def load(kind: Kind, settings: Settings, device: str) -> Any:
    """A model in eval mode on a device, loaded unless this process still has it.

    Args:
        kind: "sam3_detector", "sam3" (tracker), "sam2" (tracker) or "dinov3"; or a function that
            makes another one of the settings.
        settings: A `models` preset: `source`, and `revision` or `config` where they apply.
        device: "cpu" or "cuda".

    Returns:
        `Detector` for "sam3_detector", else the torch module.

    Raises:
        WeightsError: The weights cannot be had, or are laid out for something else.
    """
    source = settings["source"]
    if source == TINY and isinstance(kind, str):
        settings = {**settings, "source": str(tiny.WEIGHTS / tiny.FOLDERS[kind])}
    elif source.startswith("~"):
        settings = {**settings, "source": str(Path(source).expanduser())}
    key = (kind, canonical_json(settings), device, _stamp(Path(settings["source"])))
    return RECENT.get(key, lambda: _load(kind, settings, device), device)


def _load(kind: Kind, settings: Settings, device: str) -> Any:
    with torch.random.fork_rng(devices=[]):  # SAM's position code is a buffer drawn at random, and
        torch.manual_seed(tiny.SEED)  # without weights to replace it every process had another one
        loaded = (_LOADERS[kind] if isinstance(kind, str) else kind)(settings)
        _check_finite(loaded[0] if isinstance(loaded, tuple) else loaded, settings["source"])
        return _placed(loaded, device)


def _check_finite(model: torch.nn.Module, source: str) -> None:
    """Refuse NaN and infinity: the detector would find nothing, and say so without a word."""
    for name, value in model.state_dict().items():
        # A sum is one quick pass; where it is not finite it may be for its size alone.
        if value.is_floating_point() and not value.sum().isfinite():
            wrong = int((~value.isfinite()).sum())
            if wrong:
                raise WeightsError(
                    f"{source}: {wrong} of {value.numel()} numbers in `{name}` are NaN or "
                    "infinite. Did its training diverge, or is the copy damaged? Take an earlier "
                    "checkpoint."
                )


def precision(device: str) -> Any:
    """Context in which models run: bfloat16 autocast on CUDA, float32 elsewhere."""
    return torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext()


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What a local checkpoint looks like from outside; another one there is another model."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.is_file() else []
    stats = ((str(file), file.stat()) for file in files)
    return tuple((name, found.st_size, found.st_mtime_ns) for name, found in stats)


def _placed(model: Any, device: str) -> Any:
    if isinstance(model, tuple):
        module, tokenize = model
        return Detector(module.to(device).eval(), tokenize, device)
    return model.to(device).eval()


def _sam3_detector(settings: Settings) -> tuple[Any, Callable[[str], Sequence[int]]]:
    from transformers import Sam3Model

    model = pretrained.model(Sam3Model, "sam3_detector", settings)
    name = tokenizer_of(settings)
    if name == TINY:
        return model, tiny.tokenize
    return model, pretrained.tokenizer({**settings, "source": name})


def tokenizer_of(settings: Settings) -> str:
    """Where the tokenizer of a detector is: a source like that of a preset, or "tiny".

    A detector that the kit has trained tells; of others it lies beside the weights.
    """
    source = str(settings["source"])
    told = Path(source) / MODEL
    return _told(told, "tokenizer") if told.is_file() else source


def _sam3_tracker(settings: Settings) -> Any:
    from transformers import Sam3TrackerVideoModel

    return pretrained.model(Sam3TrackerVideoModel, "sam3", settings)


def _dinov3(settings: Settings) -> Any:
    from transformers import DINOv3ViTModel

    return pretrained.model(DINOv3ViTModel, "dinov3", settings)


def _sam2(settings: Settings) -> Any:
    """A checkpoint of SAM 2 in any layout, or one that the kit has trained.

    The former are a yaml of the sam2 package by name and a file; the kit's are a folder.
    """
    config = sam2_architecture(settings)
    file = _sam2_file(settings)
    weights = layouts.tensors_in(file)  # first: a wrong path should fail at once
    layout = layouts.check(file, weights, "sam2")
    model = tiny.new("sam2") if config == TINY else untrained_sam2(config)
    if layout.name != "sam2":
        weights = renaming.sam2_from_transformers(weights, model.state_dict())
    _fill(model, weights, settings["source"])
    return model


def sam2_architecture(settings: Settings) -> str:
    """What a SAM 2 preset is built as: a yaml of the sam2 package, or "tiny".

    Raises:
        WeightsError: The preset does not tell.
    """
    from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

    source = settings["source"]
    if source == TINY:
        return TINY
    if (config := settings.get("config")) is not None:
        return str(config)
    if source in HF_MODEL_ID_TO_FILENAMES:
        return str(HF_MODEL_ID_TO_FILENAMES[source][0])
    if (Path(source) / MODEL).is_file():
        return _told(Path(source) / MODEL, "architecture")
    if not Path(source).exists():
        raise WeightsError(f"{source}: no such folder or file. {ADVICE}")
    raise WeightsError(
        f"{source}: a local SAM 2 checkpoint needs `config` beside `source`, for example "
        "configs/sam2.1/sam2.1_hiera_l.yaml."
    )


def _sam2_file(settings: Settings) -> Path:
    """The weights of a SAM 2 preset, fetched if need be."""
    from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

    source, revision = settings["source"], settings.get("revision")
    if source in HF_MODEL_ID_TO_FILENAMES:
        from huggingface_hub import hf_hub_download

        name = HF_MODEL_ID_TO_FILENAMES[source][1]
        found = pretrained.fetched(
            settings, lambda source, **_: hf_hub_download(source, name, revision=revision)
        )
        return Path(found)
    path = Path(source)
    if not path.exists():
        raise WeightsError(f"{path}: no such checkpoint file. {ADVICE}")
    if (path / MODEL).is_file():
        return path / WEIGHTS
    return layouts.only_file(path)


def untrained_sam2(config: str) -> Any:
    """A `SAM2VideoPredictor` of one of the sam2 package's own configurations.

    Raises:
        WeightsError: There is no such configuration.
    """
    import sam2
    from sam2.build_sam import build_sam2_video_predictor

    folder = Path(sam2.__file__).parent
    found = (file for era in ("sam2", "sam2.1") for file in folder.glob(f"configs/{era}/*.yaml"))
    own = sorted(str(file.relative_to(folder)) for file in found)
    if config not in own:  # what a yaml names is imported and called: no other one is read
        raise WeightsError(
            f"{config}: no configuration of the sam2 package. `config` of a preset, or the "
            f"`architecture` in a folder's {MODEL}, is one of {', '.join(own)}."
        )
    return build_sam2_video_predictor(config, device="cpu", apply_postprocessing=False)


def _told(path: Path, key: str) -> str:
    """A text that the kit has written of a model that it has trained."""
    with document(path, "description of a trained model", MODEL_SCHEMA, ADVICE.strip()) as body:
        return body[key].text()


def _fill(model: torch.nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise WeightsError(
            f"{source}: the weights do not fit the configuration. Is `config` that of this "
            f"checkpoint (tiny, small, base+, large; 2.0 or 2.1)? {str(error)[:500]}"
        ) from None


_LOADERS: dict[str, Callable[[Settings], Any]] = {
    "sam3_detector": _sam3_detector,
    "sam3": _sam3_tracker,
    "sam2": _sam2,
    "dinov3": _dinov3,
}
