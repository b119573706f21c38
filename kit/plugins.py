"""Methods found by their file name: `kit/<family>/<method>.py`.

Nothing here imports a method until it is asked for, and versions are read from the source text, so
that the workflow can plan without importing torch.
"""

import ast
import dataclasses
import difflib
import importlib
import types
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from kit.core import weights
from kit.core.errors import ConfigError

FAMILIES = ("detectors", "embedders", "selectors", "trackers", "propagators")
LOADED = ("model", "decoder", "tracker")  # what presets name that has weights
VERSIONED = (*FAMILIES, "stages", "data", "metrics")  # packages whose modules carry a `VERSION`
_HERE = Path(__file__).parent


def names(family: str) -> list[str]:
    """Methods of a family: its modules that carry a `VERSION`."""
    files = sorted((_HERE / family).glob("[a-z]*.py"))
    return [file.stem for file in files if _version_of(file) is not None]


def version(family: str, method: str) -> int:
    """`VERSION` of a method, read without importing it."""
    _check(family, method)
    number = _version_of(_HERE / family / f"{method}.py")
    assert number is not None  # _check has found the method
    return number


def identity(family: str, block: Mapping[str, Any], content: bool = True) -> str:
    """What results depend on beside the settings: versions of the methods, content of the weights.

    Args:
        family: Of the block.
        block: A preset with its model or tracker resolved.
        content: Whether the weights count; False where they are an input like other files.
    """
    words = []
    if "method" in block:  # an emission has none: its stage is the only method
        words.append(f"{block['method']}={version(family, block['method'])}")
    for key in ("model", "decoder"):
        if content and key in block and (digest := weights.identity(block[key]["source"])):
            words.append(f"weights={digest}")
    if "tracker" in block:
        words.append(identity("trackers", block["tracker"], content))
    return " ".join(words)


def offers(family: str, method: str, name: str) -> bool:
    """Whether a method's module defines a function or constant; read without importing it."""
    _check(family, method)
    return any(name in _defined(node) for node in _parsed(_HERE / family / f"{method}.py").body)


def load(family: str, method: str) -> types.ModuleType:
    """Import a method.

    Raises:
        ConfigError: There is no such method; the message lists those there are.
    """
    _check(family, method)
    return importlib.import_module(f"kit.{family}.{method}")


def configured(family: str, settings: Mapping[str, Any]) -> tuple[types.ModuleType, Any]:
    """Import the method that `settings` names and build its `Config` from the other keys.

    `model`, `decoder` and `tracker` are not the method's own settings: the stage loads them.
    """
    module = load(family, str(settings.get("method")))
    own = {k: v for k, v in settings.items() if k not in ("method", *LOADED)}
    return module, parse(module.Config, own, f"{family}.{settings['method']}")


def parse(config: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """Build a frozen config dataclass, strictly.

    Raises:
        ConfigError: An unknown key (the nearest known one is suggested) or a value of another type.
    """
    hints = get_type_hints(config)
    known = [field.name for field in dataclasses.fields(config)]
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key `{key}`.{suggestion(key, known)}")
        if not _fits(value, hints[key]):
            wanted = getattr(hints[key], "__name__", str(hints[key]))
            raise ConfigError(f"{where}.{key}: expected {wanted}, got {value!r}.")
    built = {k: _built(v, hints[k], f"{where}.{k}") for k, v in values.items()}
    return config(**built)


def _built(value: Any, hint: Any, where: str) -> Any:
    """A value as the dataclass wants it: tuples for lists, and dataclasses within it."""
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, where)  # type: ignore[arg-type]
    return tuple(value) if isinstance(value, list) else value


def suggestion(key: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known key, and all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(key, known, n=1)
    guess = f" Did you mean `{near[0]}`?" if near else ""
    return f"{guess} Known: {', '.join(known) or 'none'}."


def _check(family: str, method: str) -> None:
    if family not in VERSIONED:
        raise ConfigError(f"no family `{family}`.{suggestion(family, VERSIONED)}")
    if method not in names(family):
        raise ConfigError(f"{family}: no method `{method}`.{suggestion(method, names(family))}")


def _version_of(file: Path) -> int | None:
    for node in _parsed(file).body:
        if isinstance(node, ast.Assign) and "VERSION" in _defined(node):
            return int(ast.literal_eval(node.value))
    return None


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def _defined(node: ast.stmt) -> list[str]:
    """Names that a statement of a module defines."""
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets]
    return [node.name] if isinstance(node, ast.FunctionDef) else []


def _fits(value: object, hint: Any) -> bool:
    """Whether a YAML value may stand for an annotated field; an int may stand for a float."""
    if dataclasses.is_dataclass(hint):
        return isinstance(value, Mapping)
    if get_origin(hint) is types.UnionType:
        return any(_fits(value, choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return isinstance(value, (list, tuple)) and all(_fits(v, item) for v in value)
    if get_origin(hint) is Mapping:  # of text to text
        return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())
    if get_origin(hint) is not None:  # Literal
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
