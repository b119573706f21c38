"""Paths of a configuration as people write them: `~`, `$SCRATCH`, a slash at the end.

A path that is not what it says makes a folder named `~` where nobody looks for results.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kit.core.errors import ConfigError

KEYS = {"work", "root", "images", "annotations", "meta", "videos", "team", "concepts"}
BLOCKS = ("data", "submission", "detectors", "trainings")  # and those below them
# Snakemake fills in <word> and {word}, wherever they stand in a path of its own.
_FILLED = re.compile(r"<[a-z][a-z0-9_]*>|[{}]")


def expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration whose paths are those that are meant.

    Raises:
        ConfigError: A home folder or a variable that is not known, or a `work` that no file of a
            run can lie in; the key is named.
    """
    found = dict(values)
    for block in BLOCKS:
        if block in values:
            found[block] = _below(values[block], block)
    if "work" in values:
        found["work"] = _plain(place(values["work"], "work"))
    return found


def place(text: str, where: str) -> str:
    """One path, with `~` and `$NAME` filled in; a folder whose name holds a $ is that folder.

    Raises:
        ConfigError: There is no such home folder or variable.
    """
    if text.startswith("~"):
        text = _at_home(text, where)
    if "$" not in text or Path(text).exists():
        return text
    found = os.path.expandvars(text)
    if unknown := re.search(r"\$(\w+|\{\w*\})", found):
        raise ConfigError(
            f"{where}: {text}: there is no variable {unknown[0]}. Set it, or write the path out."
        )
    return found


def _at_home(text: str, where: str) -> str:
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        raise ConfigError(
            f"{where}: {text}: no home folder of that name is known. Write the path out."
        ) from None


def _plain(work: str) -> str:
    """Where results go, spelt as Snakemake spells paths."""
    if bad := _FILLED.search(work):
        raise ConfigError(
            f"work: {work}: Snakemake would take {bad[0]!r} for a name to fill in. Write a path "
            "without it."
        )
    plain = re.sub(r"/{2,}", "/", work)
    return plain.removeprefix("./").rstrip("/") or plain


def _below(value: Any, where: str) -> Any:
    """A block in which every path is filled in."""
    if isinstance(value, list):
        return [_below(one, where) for one in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: place(one, f"{where}.{key}")
        if key in KEYS and isinstance(one, str) and one
        else _below(one, f"{where}.{key}")
        for key, one in value.items()
    }
