"""Shared by all tests: where reference data lies, and a small drawn video."""

import os
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
