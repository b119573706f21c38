"""Settings on a stage's command line: a JSON object, as the workflow cuts it out of the config."""

import argparse
from collections.abc import Mapping
from typing import Any

from kit.core.errors import ConfigError
from kit.core.files import parse_json

SMALLER = "Use a device with more memory, a smaller model, or a method that looks at less at once."


def parsed(text: str) -> dict[str, Any]:
    """Read `--settings`; argparse prints what is wrong with it."""
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(
            f'expected a JSON object such as {{"method": ...}}: {text}'
        )
    return value


def several(text: str) -> list[dict[str, Any]]:
    """Read `--settings` that may be one preset or a list of them."""
    value = _json(text)
    presets = value if isinstance(value, list) else [value]
    if not presets or not all(isinstance(preset, dict) for preset in presets):
        raise argparse.ArgumentTypeError(
            f'expected a JSON object such as {{"method": ...}}, or a list of such: {text}'
        )
    return presets


def _json(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not valid JSON ({error}): {text[:60]!r}") from None


def block(settings: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
    """A block inside the settings, such as the `model` of a detector.

    Args:
        settings: What `parsed` read.
        name: Of the block.
        key: That the block must hold.

    Raises:
        ConfigError: The block is missing or no object, or lacks the key.
    """
    found = settings.get(name)
    if not isinstance(found, dict) or not isinstance(found.get(key), str):
        raise ConfigError(
            f'--settings: `{name}` must be an object such as {{"{key}": "..."}}, got {found!r}. '
            "By hand, names of presets are not looked up: write out what the config says of it."
        )
    return found
