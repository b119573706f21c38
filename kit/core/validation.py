"""Values held against a JSON schema, in words that name key, value and what is allowed."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from kit.core import limits
from kit.core.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

Settings = TypeVar("Settings")
_WORDS = {
    "enum": "choose one of {}",
    "const": "it must be {}",
    "type": "it must be of type {}",
    "minimum": "it must be at least {}",
    "maximum": "it must be at most {}",
    "exclusiveMinimum": "it must be more than {}",
    "multipleOf": "it must be a multiple of {}",
    "minLength": "it needs at least {} characters",
    "maxLength": "it may have at most {} characters",
    "minProperties": "it needs at least {} entry",
    "minItems": "it needs at least {} entry",
    "uniqueItems": "no entry may stand there twice",
    "pattern": "it must match {}",
}


def check(values: object, schema: Mapping[str, Any], where: str = "") -> None:
    """Refuse values that a schema does not allow, all of them at once.

    Args:
        values: As YAML or JSON has them.
        schema: What is allowed, draft 2020-12.
        where: Path of the values, for messages.

    Raises:
        ConfigError: A wrong key or value, named with its path and what is allowed.
    """
    from jsonschema import Draft202012Validator, validators  # loads for a while: not for clients

    kinds = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _whole, "number": _number})
    strict = validators.extend(Draft202012Validator, type_checker=kinds)  # type: ignore[no-untyped-call]
    validator = strict(schema)
    errors = sorted(validator.iter_errors(values), key=lambda e: list(map(str, e.path)))
    if errors:
        raise ConfigError("\n".join(dict.fromkeys(m for e in errors for m in _told(e, where))))


def parse(config: type[Settings], values: Mapping[str, Any], where: str) -> Settings:
    """Build a frozen dataclass of settings, strictly.

    Args:
        config: The dataclass; see `limits` for what its fields say.
        values: By the names of its fields, as JSON or YAML has them.
        where: Path of the values, for messages.

    Raises:
        ConfigError: See `check`.
    """
    check(values, limits.object_schema(limits.settings_of(config)), where)
    return _built(config, values)


def _built(config: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Values as the dataclass wants them: tuples for lists, and dataclasses within it."""
    hints = get_type_hints(config)
    made: dict[str, Any] = {}
    for key, value in values.items():
        inner = dataclasses.is_dataclass(hints[key])
        made[key] = _built(hints[key], value) if inner else value
        made[key] = tuple(value) if isinstance(value, list) else made[key]
    return config(**made)


def suggestion(key: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known key, and all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(key, known, n=1)
    guess = f" Did you mean `{near[0]}`?" if near else ""
    return f"{guess} Known: {', '.join(known) or 'none'}."


def _whole(checker: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(checker: object, value: object) -> bool:
    """NaN and infinity are none: they would pass every range, or lose every comparison."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _told(error: "ValidationError", where: str) -> Iterator[str]:
    """One error of a value, or all that are behind it."""
    path = ".".join([*([where] if where else []), *map(str, error.absolute_path)]) or "config"
    rule: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties" and isinstance(rule, bool):
        known = error.schema["properties"]  # type: ignore[index]
        for key in sorted(set(instance) - set(known), key=str):
            yield f"{path}: unknown key `{key}`.{suggestion(str(key), known)}"
    elif error.validator == "required":
        for key in sorted(set(rule) - set(instance)):
            yield f"{path}: the key `{key}` is missing."
    elif error.validator in ("oneOf", "anyOf"):
        for inner in error.context or ():
            yield from _told(inner, where)
    else:
        if error.validator == "pattern" and isinstance(error.schema, Mapping):
            rule = error.schema.get("description", rule)  # in words, if it has some
        told = _allowed(str(error.validator), rule)
        quoted = error.validator == "type" and rule == "string" and isinstance(instance, int)
        hint = f': write "{instance}" in quotes' if quoted else ""
        yield f"{path}: {instance!r:.200} is not allowed; {told}{hint}."


def _allowed(validator: str, rule: Any) -> str:
    shown = ", ".join(map(str, rule)) if isinstance(rule, list) else rule
    return _WORDS.get(validator, f"{validator}: {{}}").format(shown)
