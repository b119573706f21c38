"""Models of transformers: from the hub, a folder as it writes them, or a file as Meta publishes it.

Strict: every weight of the model must be in the checkpoint, and another model's is named as such.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from kit.core import files
from kit.core.errors import WeightsError
from kit.runtime import layouts, renaming
from kit.runtime.layouts import Layout
from kit.runtime.reachable import ADVICE, looks_local

Settings = Mapping[str, Any]

BARE = {"facebook/sam3.1": "sam3.1_multiplex.pt"}  # repositories that hold no more than a file
VISUAL_IDS = {"visual": (49406, 7195, 49407)}  # by CLIP's vocabulary, begin and end included


def model(cls: Any, kind: str, settings: Settings) -> Any:
    """A model in float32.

    Args:
        cls: Class of the model.
        kind: Of the model, "sam3", "sam3_detector" or "dinov3".
        settings: A preset with `source`, perhaps with `revision`.

    Raises:
        WeightsError: The weights cannot be had, or are another model's.
    """
    file = bare_file(settings)
    if file is not None:
        return _of_file(cls, kind, file)
    _check_type(kind, settings)
    found, info = fetched(
        settings,
        lambda source, **kw: cls.from_pretrained(
            source, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **kw
        ),
    )
    return _complete(found, info, settings["source"])


def bare_file(settings: Settings) -> Path | None:
    """The one checkpoint file that a source means, downloaded if need be.

    None: a folder as transformers writes it, or a repository of the hub with such a one.

    Raises:
        WeightsError: It cannot be had.
    """
    source, revision = str(settings["source"]), settings.get("revision")
    path = Path(source).expanduser()
    if path.exists():
        return layouts.file_of(path)
    if source not in BARE:
        return None
    from huggingface_hub import hf_hub_download

    file = BARE[source]
    return Path(fetched(settings, lambda _, **__: hf_hub_download(source, file, revision=revision)))


def lacking(cls: Any, kind: str, file: Path) -> list[str]:
    """What a checkpoint file lacks of a model: names, as the model has them, and other shapes.

    Raises:
        WeightsError: It cannot be read, or is another model's.
    """
    weights = layouts.tensors_in(file)
    layout = layouts.check(file, weights, kind)
    with torch.device("meta"):
        wanted = cls(_config(kind, layout, weights, file)).state_dict()
    state = _renamed(layout, weights)
    found = {key.removeprefix("detector_model."): value.shape for key, value in state.items()}
    return [
        name if name not in found else f"{name} {list(found[name])} for {list(value.shape)}"
        for name, value in wanted.items()
        if found.get(name) != value.shape
    ]


def fetched(settings: Settings, get: Callable[..., Any]) -> Any:
    """What a library loads from a source, or why it cannot be had.

    Raises:
        WeightsError: For whatever the library raises: at an odd `config.json` alone that is a dozen
            unrelated classes.
    """
    source, revision = settings["source"], settings.get("revision")
    if looks_local(source) and not Path(source).exists():
        raise WeightsError(f"{source}: no such folder or file. {ADVICE}")
    try:
        return get(source, revision=revision) if revision else get(source)
    except Exception as error:
        local = Path(source).exists()
        hint = (
            " Is the download complete? Is its config.json as it came?" if local else f" {ADVICE}"
        )
        raise WeightsError(f"{source}: cannot be loaded ({first_line(error)}).{hint}") from None


def tokenizer(settings: Settings) -> Callable[[str], Any]:
    """Phrases as ids, by the tokenizer that lies with the weights.

    Beside a bare checkpoint file there may be none: then the one word is known that boxes need.

    Raises:
        WeightsError: It cannot be had.
    """
    from transformers import AutoTokenizer

    path, file = Path(settings["source"]), bare_file(settings)
    if file is not None:
        path = path if path.is_dir() else file.parent
        if not any((path / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            return lambda phrase: _visual(phrase, path)
        settings = {"source": str(path)}
    words = fetched(settings, lambda source, **kw: AutoTokenizer.from_pretrained(source, **kw))
    return lambda phrase: words(phrase)["input_ids"]


def first_line(error: Exception) -> str:
    """What an error says, in short."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:500]


def _check_type(kind: str, settings: Settings) -> None:
    """Ask for the type first: to build SAM 3 around a stranger's weights takes half a minute."""
    from transformers import PreTrainedConfig

    found = fetched(settings, lambda source, **kw: PreTrainedConfig.get_config_dict(source, **kw))
    layouts.check_type(settings["source"], found[0], kind)


def _of_file(cls: Any, kind: str, file: Path) -> Any:
    weights = layouts.tensors_in(file)
    layout = layouts.check(file, weights, kind)
    settings = {"source": str(file)}
    config = fetched(settings, lambda _: _config(kind, layout, weights, file))
    state = _renamed(layout, weights)
    found, info = fetched(
        settings,
        lambda _: cls.from_pretrained(
            None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True
        ),
    )
    return _complete(found, info, str(file))


def _renamed(layout: Layout, weights: renaming.Weights) -> renaming.Weights:
    if layout.name in ("sam3", "sam3 detector"):
        return renaming.sam3_from_meta(weights)
    if layout.name == "sam3.1":
        return renaming.sam31_from_meta(weights)
    if layout.name == "dinov3":
        return renaming.dinov3_from_meta(weights)
    return weights


def _config(kind: str, layout: Layout, weights: renaming.Weights, file: Path) -> Any:
    """What transformers builds: by the config.json beside a file, else as published."""
    import transformers

    beside = file.parent / "config.json"
    told = files.read_json(beside) if beside.is_file() else {}
    if kind == "dinov3":
        if told:
            return transformers.DINOv3ViTConfig.from_dict(told)
        return transformers.DINOv3ViTConfig(**_dinov3_sizes(layout, weights, file))
    whole = transformers.Sam3VideoConfig.from_dict(told)
    if layout.name == "sam3.1":  # its trunk's norms differ from those of SAM 3 in transformers
        whole.detector_config.vision_config.backbone_config.layer_norm_eps = 1e-5
    return whole.tracker_config if kind == "sam3" else whole.detector_config


def _dinov3_sizes(layout: Layout, weights: renaming.Weights, file: Path) -> dict[str, Any]:
    """The sizes of a published ViT, which no config comes with (dinov3/hub/backbones.py).

    Each head has four rotary coordinates for every period.
    """
    if layout.name != "dinov3" or "rope_embed.periods" not in weights:
        raise WeightsError(
            f"{file}: weights of {layout.title} without their sizes. Put the config.json of that "
            "model beside the file."
        )
    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    gated = "blocks.0.mlp.w1.weight" in weights
    hidden = weights[f"blocks.0.mlp.{'w1' if gated else 'fc1'}.weight"].shape[0]
    return {
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": 1 + max(_block(name) for name in weights),
        "num_attention_heads": width // (4 * len(weights["rope_embed.periods"])),
        "num_register_tokens": weights["storage_tokens"].shape[1],
        "patch_size": patch,
        "use_gated_mlp": gated,
        "hidden_act": "silu" if gated else "gelu",
        "query_bias": "blocks.0.attn.qkv.bias" in weights,
        "value_bias": "blocks.0.attn.qkv.bias" in weights,
        "key_bias": False,  # masked to zero
    }


def _block(name: str) -> int:
    first, _, rest = name.partition(".")
    return int(rest.partition(".")[0]) if first == "blocks" else -1


def _complete(found: Any, info: Mapping[str, Any], source: str) -> Any:
    absent = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if absent:
        raise WeightsError(
            f"{source}: {len(absent)} weights of {type(found).__name__} are missing or "
            f"of another shape, {absent[0]} first. Is this the checkpoint of another model?"
        )
    return found


def _visual(phrase: str, folder: Path) -> list[int]:
    if phrase not in VISUAL_IDS:
        raise WeightsError(
            f"{folder}: no tokenizer lies beside the checkpoint, and {phrase!r} must be put into "
            "tokens. Put tokenizer.json of facebook/sam3 there; without it boxes alone can ask."
        )
    return list(VISUAL_IDS[phrase])
