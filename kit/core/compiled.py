"""Numba's compiler as this kit uses it: without the GIL, and cached by what the code says.

Numba knows a cached kernel by the file it stands in. What is inlined from other files could change
under it, so that after an update old code would go on counting; here the sources of all modules
that a kernel's module imports belong to its key. Where no folder can be written, neither beside the
source nor in the user's home, kernels are compiled again at each start.
"""

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F, signature: Any = None) -> F:
    """Compile a function on its first call, or take what an earlier process compiled.

    Args:
        function: In the subset of Python that Numba knows.
        signature: Of Numba; compiled at once, and for nothing else.
    """
    compiled: Any = numba.njit(nogil=True)(function)
    try:
        compiled._cache = _Cache(function)
    except RuntimeError:  # numba found no folder that can be written
        _tell_once()
    if signature is not None:
        compiled.compile(signature)
        compiled.disable_compile()
    return compiled  # type: ignore[no-any-return]


class _Cache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function, whose key also holds the digest of its sources."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return *super()._index_key(sig, codegen), sources_digest(self._py_func.__module__)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):  # a full disk costs the next process a compilation, no more
            super().save_overload(sig, data)


@functools.cache
def sources_digest(module: str) -> str:
    """SHA-256 of the sources of a module and of all modules of the kit that it imports."""
    sources: dict[str, str] = {}
    found = {module}
    while found:
        name = found.pop()
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            sources[name] = Path(spec.origin).read_text(encoding="utf-8")
            found |= set(_imported(sources[name])) - set(sources)
    return hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()


def _imported(source: str) -> Iterator[str]:
    """Modules of the kit that a source names in its imports."""
    package = __name__.split(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            origin = importlib.util.find_spec(str(node.module))
            yield str(node.module)
            if origin and origin.submodule_search_locations:  # a package: modules are in it
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if f"{a.name}.".startswith(f"{package}."))


@functools.cache
def _tell_once() -> None:
    print(
        "kit: neither the kit's folder nor the home can be written, so compiled kernels are not "
        "kept: some seconds more at each start. Set NUMBA_CACHE_DIR to a folder of your own.",
        file=sys.stderr,
    )
