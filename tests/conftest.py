"""Shared by all tests: where reference data lies, and a small drawn video."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference outputs of the public libraries; not part of the project."""
    folder = SHARED / "golden"
    if not folder.is_dir():
        pytest.skip(f"no reference data beside the project ({folder.name}/ of shared/)")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Seven real clips with dense masks; not part of the project."""
    folder = SHARED / "data" / "real"
    if not folder.is_dir():
        pytest.skip("no real clips beside the project (shared/data/real)")
    return folder


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules in which packages can be installed; see `outsiders`."""
    from kit import declared, plugins

    folder, remembered = (
        tmp_path / "site",
        (plugins.installed, declared.source_file, declared.settings),
    )
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    for function in remembered:
        function.cache_clear()
    yield folder
    for function in remembered:
        function.cache_clear()
    for name in [m for m in sys.modules if m.partition(".")[0] in ("their_team", "rivals")]:
        del sys.modules[name]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order: several threads round otherwise, in the last bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def by_hand() -> Iterator[None]:
    """A workflow that a test plans in this process makes no later test a job of it."""
    names = ("MOSE_KIT_WORK", "MOSE_KIT_RUN")
    before = {name: os.environ.get(name) for name in names}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
