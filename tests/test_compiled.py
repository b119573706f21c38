"""Compiled kernels are kept by what their sources say, and do without a place to be kept."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kit.core import compiled

ROOT = Path(__file__).parents[1]
# A kernel and, in a file of its own, what is inlined into it: as `counts` and `words` are.
INNER = "from kit.core.compiled import jit\n\n@jit\ndef weight(x):\n    return x * {factor}\n"
CONSTANT = "FACTOR = {factor}\n"
OUTER = """
from kit.core.compiled import jit
from kit.metrics.inner import weight
from kit.metrics import constant

FACTOR = constant.FACTOR

@jit
def total(n):
    sum_ = 0
    for i in range(n):
        sum_ += weight(i) + FACTOR
    return sum_
"""
CALL = "from kit.metrics.outer import total; print(total(5), sum(total.stats.cache_hits.values()))"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A kit that holds little more than the compiler."""
    for name in ("kit", "kit/core", "kit/metrics"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    source = (ROOT / "kit/core/compiled.py").read_text()
    (tmp_path / "kit/core/compiled.py").write_text(source)
    (tmp_path / "kit/metrics/outer.py").write_text(OUTER)
    write(tmp_path, "inner", INNER, 2)
    write(tmp_path, "constant", CONSTANT, 0)
    return tmp_path


def write(copy: Path, name: str, text: str, factor: int) -> None:
    (copy / f"kit/metrics/{name}.py").write_text(text.format(factor=factor))


def called(copy: Path, **environment: str) -> tuple[str, str]:
    """What a fresh process prints, and says on its error stream."""
    done = subprocess.run(
        [sys.executable, "-c", CALL], capture_output=True, text=True, cwd=copy, check=True,
        env={**os.environ, "PYTHONPATH": str(copy), **environment},
    )  # fmt: skip
    return done.stdout.strip(), done.stderr


def test_kernels_follow_what_is_inlined_into_them(copy: Path) -> None:
    """The answer is that of the sources at hand, though the kernel's own file stays the same."""
    assert called(copy)[0] == "20 0"
    assert called(copy)[0] == "20 1"  # kept
    write(copy, "inner", INNER, 3)
    assert called(copy)[0] == "30 0"
    write(copy, "constant", CONSTANT, 1)
    assert called(copy)[0] == "35 0"
    write(copy, "inner", INNER, 2)
    write(copy, "constant", CONSTANT, 0)
    assert called(copy)[0] == "20 1"  # the first one is still there


def test_the_key_of_the_evaluator_holds_its_words() -> None:
    assert "kit.metrics.words" in set(
        compiled._imported((ROOT / "kit/metrics/counts.py").read_text())
    )
    assert compiled.sources_digest("kit.metrics.counts") != compiled.sources_digest("kit.core.png")


def test_nowhere_to_keep_them(copy: Path) -> None:
    """A folder and a home that cannot be written (a read-only container): one line, same answer."""
    (copy / "kit/metrics/__pycache__").write_text("a file where the folder would be")
    (copy / "home").write_text("and no home")
    answer, told = called(copy, HOME=str(copy / "home"), XDG_CACHE_HOME=str(copy / "home"))
    assert answer == "20 0"
    assert told.count("NUMBA_CACHE_DIR") == 1
    assert len(told.splitlines()) == 1


def test_a_folder_that_fills_up_costs_no_answer(copy: Path) -> None:
    program = textwrap.dedent(
        """
        import numba.core.caching as c
        def full(*a):
            raise OSError(28, "No space left on device")
        c.IndexDataCacheFile.save = full
        """
    )
    (copy / "sitecustomize.py").write_text(program)
    assert called(copy)[0] == "20 0"
