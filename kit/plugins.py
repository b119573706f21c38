"""Methods found by name: a file in the folder of their family, or in a package of somebody else.

Ours lie in `kit/<family>/<method>.py`. Others are announced by an installed package, as an entry
point of the group `mose_kit.<family>`, whose value is the method's module:

    [project.entry-points."mose_kit.selectors"]
    coverage = "our_package.coverage"

No method is imported until it is configured. What the workflow plans with is read from source text
(`declared`), and installed packages are searched only for a name that is none of ours.
"""

import importlib
import inspect
import types
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from kit import declared, methods
from kit.core import validation, weights
from kit.core.errors import ConfigError

Settings = Mapping[str, Any]  # of a preset, as JSON or YAML has them
FAMILIES = ("detectors", "embedders", "selectors", "trackers", "propagators")
VERSIONED = (*FAMILIES, "stages", "data", "metrics")  # packages whose modules carry a `VERSION`
LOADED = ("model", "decoder", "tracker")  # what presets name that has weights
_HERE = Path(__file__).parent


def selector(settings: Settings) -> methods.Selector:
    """The selector that settings name, bound to them.

    Raises:
        ConfigError: There is none of that name, a key or a value is wrong, or one is missing.
    """
    return cast(methods.Selector, _bound("selectors", settings, methods.Selector))


def propagator(settings: Settings) -> methods.Propagator:
    """The propagator; see `selector`."""
    return cast(methods.Propagator, _bound("propagators", settings, methods.Propagator))


def tracker(settings: Settings) -> methods.TrackerLibrary:
    """What makes the tracker; see `selector`."""
    return cast(methods.TrackerLibrary, _bound("trackers", settings, methods.TrackerLibrary))


def embedder(settings: Settings) -> methods.Embedder:
    """The embedder; see `selector`."""
    return cast(methods.Embedder, _bound("embedders", settings, methods.Embedder))


def detector(settings: Settings) -> methods.Detector:
    """The detector, if it searches frames; see `selector`."""
    if flag("detectors", settings, "MERGES"):
        raise ConfigError(
            f"--settings: `{settings['method']}` searches nothing; `kit union` merges by it what "
            "others have found."
        )
    return cast(methods.Detector, _bound("detectors", settings, methods.Detector))


def merger(settings: Settings) -> methods.Merger:
    """The detector, if it merges what others found; see `selector`."""
    if not flag("detectors", settings, "MERGES"):
        raise ConfigError(
            f"--settings: `{settings['method']}` merges nothing; its method is `union`."
        )
    return cast(methods.Merger, _bound("detectors", settings, methods.Merger))


def names(family: str) -> list[str]:
    """Our methods of a family: its modules that carry a `VERSION`."""
    files = sorted((_HERE / family).glob("[a-z]*.py"))
    return [f.stem for f in files if declared.constant(f"kit.{family}.{f.stem}", "VERSION")]


def is_ours(family: str, method: str) -> bool:
    """Whether a method is one of `names`."""
    if not method.isidentifier() or not (_HERE / family / f"{method}.py").is_file():
        return False
    return declared.constant(f"kit.{family}.{method}", "VERSION") is not None


def version(family: str, method: str) -> int:
    """`VERSION` of a method, read without importing it."""
    module = module_of(family, method)
    found = declared.constant(module, "VERSION")
    if not isinstance(found, int):
        raise ConfigError(
            f"{family}.{method}: `{module}` lacks a line such as `VERSION = 1`, a whole number to "
            "be raised when the same inputs give other outputs."
        )
    return found


def identity(family: str, block: Settings, content: bool = True) -> str:
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


def flag(family: str, block: Settings, name: str) -> bool:
    """A flag of the method that a preset names, set as it is; the method is not imported.

    Args:
        family: Of the block.
        block: The preset; a setting that it leaves out is taken for off.
        name: One of `methods.FLAGS`.
    """
    module = module_of(family, str(block.get("method")))
    said = declared.constant(module, name, methods.FLAGS[name])
    return bool(block.get(said, False)) if isinstance(said, str) else bool(said)


def needs(family: str, method: str) -> tuple[str, ...]:
    """Presets that a method's block must name, such as its `model`; the method is not imported."""
    named: tuple[str, ...] = declared.constant(
        module_of(family, method), "NEEDS", methods.NEEDS[family]
    )
    return named


def module_of(family: str, method: str) -> str:
    """Dotted name of a method's module, ours or an installed one.

    Raises:
        ConfigError: There is no such family or method; the message lists those there are.
    """
    if family not in VERSIONED:
        raise ConfigError(f"no family `{family}`.{validation.suggestion(family, VERSIONED)}")
    if is_ours(family, method):
        return f"kit.{family}.{method}"
    outside = installed(family)
    if method not in outside:
        known = validation.suggestion(method, [*names(family), *outside])
        raise ConfigError(f"{family}: no method `{method}`.{known}")
    return outside[method]


@cache
def installed(family: str) -> Mapping[str, str]:
    """Modules of the methods that installed packages announce for a family, by name.

    Raises:
        ConfigError: Two packages announce different ones under one name.
    """
    from importlib.metadata import entry_points  # takes a while, and is seldom needed

    found: dict[str, str] = {}
    for entry in entry_points(group=f"mose_kit.{family}"):
        if found.setdefault(entry.name, entry.module) != entry.module:
            raise ConfigError(
                f"{family}: two installed packages offer a method `{entry.name}`: "
                f"{found[entry.name]} and {entry.module}. Uninstall one, or have it renamed."
            )
    return found


def load(family: str, method: str) -> types.ModuleType:
    """Import a method.

    Raises:
        ConfigError: There is no such method; the message lists those there are.
    """
    return importlib.import_module(module_of(family, method))


def configured(family: str, settings: Settings) -> methods.Method:
    """Any method bound to its settings, of whatever family; see `selector`."""
    kinds: Mapping[str, Callable[[Settings], methods.Method]] = {
        "selectors": selector,
        "propagators": propagator,
        "trackers": tracker,
        "embedders": embedder,
        "detectors": merger if flag(family, settings, "MERGES") else detector,
    }
    return kinds[family](settings)


def _bound(family: str, settings: Settings, kind: type) -> types.SimpleNamespace:
    """A method with `config` filled into each of its functions.

    What else its settings name (`model`, `decoder`, `tracker`) is not its own: stages load that.
    """
    method = str(settings.get("method"))
    module, where = load(family, method), f"{family}.{method}"
    own = {k: v for k, v in settings.items() if k not in ("method", *LOADED)}
    config = validation.parse(module.Config, own, where)
    said = {name: declared.constant(module_of(family, method), name, methods.FLAGS[name])
            for name in methods.FLAGS}  # fmt: skip
    flags = {n: getattr(config, v) if isinstance(v, str) else v for n, v in said.items()}
    functions = list(methods.FUNCTIONS[kind])
    if flags["SHARES_PASS"]:
        functions.append(methods.Detector.asked)
    return types.SimpleNamespace(
        name=method,
        config=config,
        model=getattr(module, "load", getattr(module, "MODEL", method)),
        **{name.lower(): bool(value) for name, value in flags.items()},
        **{f.__name__: partial(_function(module, f, where), config=config) for f in functions},
    )


def _function(module: types.ModuleType, like: Callable[..., Any], where: str) -> Callable[..., Any]:
    """A function of a method's module, which takes what its family's type says, and `config`."""
    wanted = [p for name, p in inspect.signature(like).parameters.items() if name != "self"]
    plain = [p.name for p in wanted if p.kind is not p.KEYWORD_ONLY]
    named = ["config", *(p.name for p in wanted if p.kind is p.KEYWORD_ONLY)]
    function = getattr(module, like.__name__, None)
    try:
        inspect.signature(function).bind(*plain, **dict.fromkeys(named))  # type: ignore[arg-type]
    except TypeError:
        raise ConfigError(
            f"{where}: {module.__name__} needs a function {like.__name__}"
            f"({', '.join([*plain, *named])}); see kit/methods.py."
        ) from None
    return cast(Callable[..., Any], function)
