"""What a module says of itself, read from its source text: nothing of it is run.

The workflow plans with this. To import a method would import torch, and take seconds.
"""

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

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
