"""What a setting may be, said once: beside its type, on the dataclass that holds it.

```python
top_k: Annotated[int, Range(0, 100)] = 3
min_cycle: Share = 0.5
direction: Literal["forward", "backward"] = "forward"
```

A JSON schema follows from that (`schema_of`), by which configurations are checked and settings by
hand alike.
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

Schema = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Range:
    """A number from `least` to `most`, both included; None: without end."""

    least: float | None = None
    most: float | None = None

    @property
    def schema(self) -> Schema:
        """As JSON schema says it."""
        ends = {"minimum": self.least, "maximum": self.most}
        return {key: end for key, end in ends.items() if end is not None}


@dataclasses.dataclass(frozen=True)
class Above:
    """A number greater than `least`."""

    least: float

    @property
    def schema(self) -> Schema:
        """As JSON schema says it."""
        return {"exclusiveMinimum": self.least}


@dataclasses.dataclass(frozen=True)
class MultipleOf:
    """A whole number that `of` divides."""

    of: int

    @property
    def schema(self) -> Schema:
        """As JSON schema says it."""
        return {"multipleOf": self.of}


@dataclasses.dataclass(frozen=True)
class PerVideo:
    """Of one video; a configuration says it by video, or names a JSON file that does."""

    @property
    def schema(self) -> Schema:
        """What a configuration may say."""
        return {"type": ["object", "string"], "minLength": 1}


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A dataclass within another one, of which only the settings are known; see `settings_of`."""

    settings: Mapping[str, tuple[Any, bool]]


Share = Annotated[float, Range(0, 1)]
Cosine = Annotated[float, Range(-1, 1)]
Count = Annotated[int, Range(0)]
Positive = Annotated[int, Range(1)]

_PLAIN = {
    bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null",
}  # fmt: skip


def settings_of(config: type[Any]) -> dict[str, tuple[Any, bool]]:
    """The type of every setting of a dataclass, and whether it must be given."""
    hints = get_type_hints(config, include_extras=True)
    return {f.name: (hints[f.name], _is_required(f)) for f in dataclasses.fields(config)}


def object_schema(settings: Mapping[str, tuple[Any, bool]], by_hand: bool = True) -> Schema:
    """The JSON schema of a block of settings: these keys and no others.

    Args:
        settings: By name, the type and whether it must be given.
        by_hand: As a stage reads it; else as a configuration says it (`PerVideo`).
    """
    schema: Schema = {"type": "object", "additionalProperties": False}
    if required := [name for name, (_, needed) in settings.items() if needed]:
        schema["required"] = required
    properties = {name: schema_of(hint, by_hand) for name, (hint, _) in settings.items()}
    return schema | {"properties": properties}


def schema_of(hint: Any, by_hand: bool = True) -> Schema:
    """The JSON schema of an annotated type.

    Raises:
        TypeError: A type that no setting can have.
    """
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if isinstance(hint, Block):
        return object_schema(hint.settings, by_hand)
    if dataclasses.is_dataclass(hint):
        return object_schema(settings_of(hint), by_hand)  # type: ignore[arg-type]
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, *marks = parts
        if not by_hand and any(isinstance(mark, PerVideo) for mark in marks):
            return PerVideo().schema
        limits = [mark.schema for mark in marks if not isinstance(mark, PerVideo)]
        return {k: v for part in (schema_of(inner, by_hand), *limits) for k, v in part.items()}
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        return _either([schema_of(part, by_hand) for part in parts])
    if origin is tuple and parts[1:] == (...,):
        return {"type": "array", "items": schema_of(parts[0], by_hand)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": schema_of(parts[1], by_hand)}
    raise TypeError(f"{hint}: no type of a setting")


def _either(choices: Sequence[Schema]) -> Schema:
    """One of several; a type or null as one word."""
    null = {"type": "null"}
    others = [choice for choice in choices if choice != null]
    if len(others) == 1 and len(choices) == 2 and isinstance(others[0].get("type"), str):
        return others[0] | {"type": [others[0]["type"], "null"]}
    return {"anyOf": list(choices)}


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is field.default_factory is dataclasses.MISSING
