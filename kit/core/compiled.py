"""Numba's compiler as this kit uses it: cached beside the source, and without the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

jit: Callable[[F], F] = numba.njit(cache=True, nogil=True)
