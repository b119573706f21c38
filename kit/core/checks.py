"""What readers of artifacts check: the schema, the inputs, and that damage is told as damage.

Knows no format.
"""

import errno
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import zstandard

from kit.core import files
from kit.core.errors import ArtifactError

Inputs = Mapping[str, str]


def finite(value: object) -> None:
    """Refuse what is no number: JSON as Python reads it may hold NaN, which loses comparisons.

    Raises:
        ValueError: Anything but an int or a finite float.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise ValueError(f"expected a finite number, found {value!r:.60}")


def check_inputs(path: Path, found: Inputs, wanted: Inputs) -> None:
    """Compare recorded digests with those of the files at hand.

    Raises:
        ArtifactError: The artifact was made from something else.
    """
    for name, digest in wanted.items():
        if found.get(name) != digest:
            was = str(found.get(name, "nothing"))[:12]
            raise ArtifactError(
                f"{path}: made from {name} {was}..., but the {name} at hand is {digest[:12]}... "
                "An earlier run failed half-way, or a file was edited. " + files.rebuild_hint(path)
            )


def tagged(path: Path, body: Any, schema: str) -> Any:
    """The body of an artifact, if it carries the schema that is read here.

    Raises:
        ArtifactError: It is of another kind, or of another version of the kit.
    """
    found = body.get("schema") if isinstance(body, dict) else None
    if found != schema:
        raise ArtifactError(
            f"{path}: expected schema {schema}, found {found}. " + files.rebuild_hint(path)
        )
    return body


class expecting:
    """Turns whatever a damaged file raises into an ArtifactError that names it."""

    DAMAGE = (
        ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, OverflowError,
        RuntimeError, RecursionError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
        zstandard.ZstdError, io.UnsupportedOperation,
    )  # fmt: skip

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise ArtifactError(f"{self.path}: no such file. {files.rebuild_hint(self.path)}")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # bz2 says "Invalid data stream" without a number; a wrong offset is sought and refused
        misled = isinstance(error, OSError) and error.errno in (None, errno.EINVAL)
        if isinstance(error, self.DAMAGE) or misled:
            raise ArtifactError(
                f"{self.path}: damaged {self.what} ({type(error).__name__}: {error}). "
                + files.rebuild_hint(self.path)
            ) from None
