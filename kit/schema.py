"""What a configuration may say, as a JSON schema.

`config/schema.yaml` holds all of it, so that editors can use it. What is a method's own in there is
made from its source text (`declared`) by `python -m kit schema --write config/schema.yaml`; the
parts of methods that installed packages bring are made when a configuration names them.
"""

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from kit import declared, methods, plugins
from kit.core import documents, shipped
from kit.core.errors import ConfigError
from kit.core.files import replacing
from kit.core.limits import Above, Positive, Range, Schema, object_schema

MARK = "  # --- what follows is made by: python -m kit schema --write config/schema.yaml ---\n"
# Families of presets with one method, which no preset names.
SINGLE = {"emissions": "kit.labelling.emission", "fallbacks": "kit.labelling.fallback"}
Settings = dict[str, tuple[Any, bool]]  # see `limits.settings_of`
# Other blocks: what they are called in `$defs`, and the module of their dataclass.
BLOCKS = {
    "drawing": "kit.data.scenes",
    "collage": "kit.data.collage",
    "augment": "kit.training.augment",
    "optimiser": "kit.training.optimiser",
    "training_run": "kit.training.loop",
}
PHASES = ("tracker", "detector", "embedder")  # objectives of a training
_PHASE: Settings = {
    "steps": (Positive, False),
    "epochs": (Annotated[float, Above(0)], False),
    "batch": (Positive, False),
}
_SPLIT: Settings = {
    "videos": (Annotated[int, Range(1, 999)], False),
    "split": (Literal["demo", "validation", "test"], False),
    "frames": (Annotated[int, Range(3, 999)], False),  # of a video on which something is to happen
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--write", type=Path, help="file whose part on methods is to be made again")


def run(args: argparse.Namespace) -> None:
    """Print the schema with all that is installed, or write the part of it that is made."""
    if args.write is None:
        everything = {f: {n: {"method": n} for n in plugins.installed(f)} for f in plugins.FAMILIES}
        print(yaml.safe_dump(schema_for(everything), sort_keys=False), end="")
        return
    by_hand, mark, _ = args.write.read_text().partition(MARK)
    if not mark:
        raise ConfigError(f"{args.write}: lacks the line after which methods stand:\n{MARK}")
    with replacing(args.write) as file:
        file.write((by_hand + MARK + made()).encode())


def schema_for(values: object) -> Schema:
    """The schema for a configuration, with the branches of all methods that it names.

    Args:
        values: Of the configuration; as yet unchecked.
    """
    schema: Schema = dict(_shipped())
    if not isinstance(values, Mapping):
        return schema
    for family in plugins.FAMILIES:
        named = {m for m in _methods(values.get(family)) if not plugins.is_ours(family, m)}
        foreign = sorted(named & plugins.installed(family).keys()) if named else []
        if foreign:
            block = schema["$defs"][family[:-1]]
            branches = [*block["allOf"], *(branch(family, name) for name in foreign)]
            known = schema["$defs"] | {family[:-1]: block | {"allOf": branches}}
            schema = schema | {"$defs": known}
    return schema


def made() -> str:
    """The part of the file that is made, as YAML within `$defs`."""
    blocks: Schema = {family[:-1]: _family(family) for family in plugins.FAMILIES}
    for family, module in SINGLE.items():
        blocks[family[:-1]] = _block(declared.settings(module), methods.NEEDS[family], ())
    blocks |= {name: object_schema(declared.settings(module)) for name, module in BLOCKS.items()}
    blocks["drawn_split"] = object_schema(declared.settings(BLOCKS["drawing"]) | _SPLIT)
    for objective in PHASES:
        own = declared.settings(f"kit.training.{objective}")
        blocks[f"{objective}_phase"] = object_schema(_PHASE | own)
    text: str = yaml.dump(blocks, Dumper=_Plain, sort_keys=False, default_flow_style=None, width=98)
    return "".join(f"  {line}\n" for line in text.splitlines())


def branch(family: str, method: str) -> Schema:
    """What a preset of a method may say."""
    module = plugins.module_of(family, method)
    takes: tuple[str, ...] = declared.constant(module, "TAKES", ())
    several = bool(declared.constant(module, "MERGES", False))
    block = _block(declared.settings(module), plugins.needs(family, method), takes, several)
    block["properties"] = {"method": {"type": "string"}} | block["properties"]
    return {"if": {"properties": {"method": {"const": method}}}, "then": block}


def _family(family: str) -> Schema:
    return {
        "type": "object",
        "required": ["method"],
        "properties": {"method": {"type": "string"}},
        "allOf": [branch(family, method) for method in plugins.names(family)],
    }


def _block(
    settings: Mapping[str, tuple[Any, bool]],
    needs: tuple[str, ...],
    takes: tuple[str, ...],
    several: bool = False,
) -> Schema:
    """Settings of a method's own, and the presets that it names beside them."""
    schema = object_schema(settings, by_hand=False)
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
    named: Schema = {key: {"type": "string"} for key in (*needs, *takes)}
    if several and "of" in named:
        named["of"] = names
    schema["properties"] = named | schema["properties"]
    if required := [*needs, *schema.pop("required", [])]:
        schema = {"type": schema["type"], "required": required} | schema
    return schema


def _methods(presets: object) -> set[str]:
    """Methods that the presets of a family name."""
    blocks = presets.values() if isinstance(presets, Mapping) else ()
    return {str(block["method"]) for block in blocks if isinstance(block, Mapping) and
            "method" in block}  # fmt: skip


@cache
def _shipped() -> Schema:
    schema: Schema = documents.read(shipped.SCHEMA)
    return schema


class _Plain(yaml.SafeDumper):
    """Writes everything out where it stands."""

    def ignore_aliases(self, data: object) -> bool:
        """Never name a part to repeat it."""
        return True
