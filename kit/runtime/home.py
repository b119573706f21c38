"""A home that cannot be written, as in a container run as another user: a cache elsewhere.

Snakemake makes a folder there before it reads a line of any workflow, and ends in a traceback.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from kit.runtime import devices


def lent_cache(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that give a process a cache it may write; none if it has one.

    What lies in the home's cache already can still be read: downloaded weights stay where they are.

    Args:
        environment: Of the process.

    Raises:
        DeviceError: There is no private folder to lend either.
    """
    own = _cache(environment)
    if own is not None and _is_writable(own):
        return {}
    lent = devices.folder() / "cache"
    print(f"{own or 'the home'} cannot be written: caches go to {lent}", file=sys.stderr)
    weights = own / "huggingface" if own else None
    stays = weights is not None and weights.is_dir() and "HF_HOME" not in environment
    return {"XDG_CACHE_HOME": str(lent)} | ({"HF_HOME": str(weights)} if stays else {})


def _cache(environment: Mapping[str, str]) -> Path | None:
    told = environment.get("XDG_CACHE_HOME")
    home = environment.get("HOME")
    return Path(told) if told else Path(home) / ".cache" if home else None


def _is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself."""
    there = next((p for p in (folder, *folder.parents) if p.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)
