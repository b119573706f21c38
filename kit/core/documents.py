"""YAML and JSON that people write: read strictly, and within bounds.

A key that stands twice is refused, for the last one would win without a word. Depth and size are
bounded before anything is built: a few lines of aliases can stand for billions of values.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode

from kit.core.errors import ConfigError

DEPTH = 50  # mappings and lists within one another
VALUES = 200_000  # in all, aliases written out
BYTES = 2**24
MERGE = "tag:yaml.org,2002:merge"
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast


def read(path: Path) -> Any:
    """The value that a file holds; None if it is empty.

    Raises:
        ConfigError: There is no such file, it is too large, or see `parse`.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file.")
    if path.stat().st_size > BYTES:
        raise ConfigError(f"{path}: more than {BYTES} bytes, which is no configuration.")
    try:
        return parse(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}.") from None


def parse(text: str, where: str) -> Any:
    """The value that a YAML text stands for.

    Args:
        text: The document.
        where: Its name, for messages.

    Raises:
        ConfigError: It is no YAML, a key stands twice, or it is nested or grows beyond bounds.
    """
    try:
        bounds = _Bounds()
        for event in yaml.parse(text, Loader=_Loader):
            bounds.take(event)
        return yaml.load(text, Loader=_Strict)
    except _Refused as error:
        raise ConfigError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError) as error:  # of a date or number that cannot be
        raise ConfigError(f"{where}: not valid YAML: {error}") from None


class _Refused(Exception):
    """YAML that we do not take."""


class _Bounds:
    """Counts what a document stands for, without building it."""

    def __init__(self) -> None:
        self._count = 0
        self._sizes: dict[str, int] = {}  # values that an anchor stands for, once it is complete
        self._open: list[tuple[str | None, int]] = []  # anchor of a collection, values before it

    def take(self, event: Any) -> None:
        """The next event of the parser.

        Raises:
            _Refused: It goes beyond the bounds.
        """
        match event:
            case yaml.AliasEvent():
                if event.anchor not in self._sizes:
                    raise _Refused(f"`*{event.anchor}` is within itself, or stands for nothing.")
                self._count += self._sizes[event.anchor]
            case yaml.CollectionStartEvent():
                self._open.append((event.anchor, self._count))
                self._count += 1
            case yaml.CollectionEndEvent():
                anchor, before = self._open.pop()
                self._sizes[anchor or ""] = self._count - before
            case yaml.ScalarEvent():
                self._sizes[event.anchor or ""] = 1
                self._count += 1
        if len(self._open) > DEPTH:
            line = event.start_mark.line + 1
            raise _Refused(f"line {line}: nested more than {DEPTH} levels deep.")
        if self._count > VALUES:
            raise _Refused(f"it stands for more than {VALUES} values.")


class _Strict(_Loader):  # type: ignore[misc, valid-type]
    """Safe, and refuses what YAML itself forbids: one key twice in a mapping."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping; what it merges (`<<`) may stand in it again."""
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                continue  # which YAML allows, and the next line refuses
            if key in lines:
                raise _Refused(f"the key `{key}` is there twice, lines {lines[key]} and {line}.")
            lines[key] = line
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found
