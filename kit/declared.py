"""What a module says of itself, read from its source text: nothing of it is run.

The workflow plans with this. To import a method would import torch, and take seconds.
"""

import ast
import builtins
import collections.abc
import importlib.util
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, get_origin

from kit.core import limits
from kit.core.errors import ConfigError


def constant(module: str, name: str, default: Any = None) -> Any:
    """The value of a constant that a module defines, a literal.

    Args:
        module: Its dotted name.
        name: Of the constant.
        default: The answer where there is none of that name.

    Raises:
        ConfigError: There is no such module, or its value is no literal.
    """
    node = _constants(source_file(module)).get(name)
    if node is None:
        return default
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ConfigError(
            f"{source_file(module)}: `{name}` must be a literal, as it is read without running "
            f"the file; found `{ast.unparse(node)}`."
        ) from None


@cache
def settings(module: str, name: str = "Config") -> dict[str, tuple[Any, bool]]:
    """The settings of a dataclass that a module defines, as `limits.settings_of` has them.

    Its types are read without importing the module, so they are made of what `limits` and typing
    offer and of constants of the module.

    Raises:
        ConfigError: There is no such class, or a type is made of something else.
    """
    node = _classes(source_file(module)).get(name)
    if node is None:
        raise ConfigError(f"{source_file(module)}: lacks a dataclass `{name}`; see kit/methods.py.")
    found: dict[str, tuple[Any, bool]] = {}
    for base in node.bases:
        home, _, known_as = _origin(module, ast.unparse(base)).rpartition(".")
        found |= settings(home, known_as)
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            hint = _type(module, field.annotation)
            if get_origin(hint) is not ClassVar:
                found[field.target.id] = hint, not _has_default(field.value)
    return found


def _has_default(value: ast.expr | None) -> bool:
    """Whether the right-hand side of a dataclass's field says what it is if it is not given."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        return any(k.arg in ("default", "default_factory") for k in value.keywords)
    return value is not None


def _type(module: str, node: ast.expr) -> Any:
    try:
        return eval(ast.unparse(node), {"__builtins__": {}}, _Names(module))
    except (NameError, TypeError, AttributeError, SyntaxError, KeyError) as error:
        raise ConfigError(
            f"{source_file(module)}: the type `{ast.unparse(node)}` of a setting cannot be read "
            f"without running the file ({error}); see kit/core/limits.py for what it can be."
        ) from None


class _Names(Mapping[str, Any]):
    """What names in the type of a setting mean."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getitem__(self, name: str) -> Any:
        home, _, own = _origin(self._module, name).rpartition(".")
        if home in _TYPES:
            return vars(_TYPES[home])[own]
        if not home:
            raise KeyError(name)
        if _is_module(f"{home}.{own}"):
            return _Module(f"{home}.{own}")
        if own in _classes(source_file(home)):
            return limits.Block(settings(home, own))
        if own not in _constants(source_file(home)):
            raise KeyError(name)
        return _type(home, _constants(source_file(home))[own])

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class _Module:
    """A module that a type speaks of: `clips.Config`."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _Names(self._module)[name]


_TYPES = {m.__name__: m for m in (builtins, typing, collections.abc, limits)}


def _is_module(name: str) -> bool:
    try:
        return source_file(name).is_file()
    except ConfigError:
        return False


def _origin(module: str, name: str) -> str:
    """Dotted name under which something that a module calls by name was defined."""
    file = source_file(module)
    if name in _constants(file) or name in _classes(file):
        return f"{module}.{name}"
    for node in parsed(file).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if name in (alias.asname, alias.name):
                    return f"{node.module}.{alias.name}"
    return f"builtins.{name}" if hasattr(builtins, name) else ""


@cache
def source_file(module: str) -> Path:
    """Where the source of a module lies, found without importing it or the packages around it.

    Raises:
        ConfigError: There is none.
    """
    first, *parts = module.split(".")
    try:
        found = importlib.util.find_spec(first)  # imports nothing, as the name has no dots
    except ValueError:  # `__main__`, or a stand-in that a test has put in place of a module
        found = None
    folders = (found and found.submodule_search_locations) or []
    files = [Path(folder, *parts) for folder in folders]
    if found is not None and found.origin and not parts:
        files.append(Path(found.origin))
    for file in files:
        for source in (file, file.with_suffix(".py"), file / "__init__.py"):
            if source.is_file():
                return source
    raise ConfigError(f"no module `{module}` is installed.")


@cache
def _constants(file: Path) -> Mapping[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for node in parsed(file).body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node.value for target in node.targets if _is_name(target)}  # type: ignore[attr-defined]
        elif isinstance(node, ast.AnnAssign) and node.value and _is_name(node.target):
            found[node.target.id] = node.value  # type: ignore[union-attr]
    return found


@cache
def _classes(file: Path) -> Mapping[str, ast.ClassDef]:
    return {node.name: node for node in parsed(file).body if isinstance(node, ast.ClassDef)}


@cache
def parsed(file: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        ConfigError: It is no Python.
    """
    try:
        return ast.parse(file.read_text())
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{file}: not readable as Python: {error}") from None


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name)
