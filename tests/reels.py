"""Footage for training tests."""

import itertools
from collections.abc import Iterator

import numpy as np

from kit.training.clips import Footage


class Reel:
    """A source that gives the same footage again and again, in turn."""

    def __init__(self, *footage: Footage) -> None:
        self._next: Iterator[Footage] = itertools.cycle(footage)

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> Footage:
        return next(self._next)


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]
