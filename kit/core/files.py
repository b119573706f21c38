"""Files as wholes: written completely or not at all, known by their digest.

Knows nothing of what is inside; formats live in `kit.core.artifacts`.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from kit.core.errors import ArtifactError

MAX_JSON_BYTES = 256 * 2**20  # a hostile or mistaken file must not fill the memory
MAX_JSON_DEPTH = 32  # ours nest five deep


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary neighbour for writing; reveal it as `path` only when it is complete.

    The neighbour is synced to disk before it is renamed, so that neither a kill nor a power cut
    leaves half a file under the final name. What an earlier kill left behind is overwritten.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException as error:
        with suppress(OSError):  # on a read-only disk this fails too; the first reason counts
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            error.filename = str(path)  # a full disk does not say which file it was about
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, completely or not at all."""
    with replacing(path) as stream:
        stream.write(text.encode())


def canonical_json(value: object, indent: int | None = None) -> str:
    """JSON whose bytes depend on the value alone: sorted keys, no spaces unless indented."""
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(value, sort_keys=True, indent=indent, separators=separators, allow_nan=False)


def write_json(path: Path, value: object) -> None:
    """Write indented canonical JSON, completely or not at all."""
    write_text(path, canonical_json(value, indent=1) + "\n")


def read_json(path: Path, cure: str = "") -> Any:
    """Read one of our JSON files.

    Args:
        path: The file.
        cure: How to have it made again, if not by the workflow.

    Raises:
        ArtifactError: The file is missing, unreasonably large, or no JSON.
    """
    cure = cure or rebuild_hint(path)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ArtifactError(f"{path}: {path.stat().st_size} bytes, at most {MAX_JSON_BYTES}.")
        return parse_json(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file. {cure}") from None
    except ValueError as error:
        raise ArtifactError(f"{path}: not valid JSON ({error}). {cure}") from None


def parse_json(data: bytes | str) -> Any:
    """A JSON document that nests no deeper than any of ours.

    Raises:
        ValueError: It is no JSON, or nests more than `MAX_JSON_DEPTH` deep.
    """
    too_deep = f"nested more than {MAX_JSON_DEPTH} deep"
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError(too_deep) from None
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        inner = (held.values() if isinstance(held, dict) else held for held in level
                 if isinstance(held, (dict, list)))  # fmt: skip
        level = [held for some in inner for held in some if isinstance(held, (dict, list))]
        if not level:
            return value
    raise ValueError(too_deep)


def unlike_a_file(path: Path) -> str | None:
    """What stands at a path where a file is meant, None for a regular file or a link to one.

    Reading a pipe or a device would wait for ever.

    Raises:
        OSError: There is nothing, or nothing that may be looked at.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "a link that leads back to itself"
        raise
    if stat.S_ISREG(mode):
        return None
    kinds = {
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a folder",
    }
    return kinds.get(stat.S_IFMT(mode), "no file")


def sha256(data: bytes | Path) -> str:
    """SHA-256 of bytes, or of a file's content, as 64 hex digits.

    Raises:
        ArtifactError: There is no such file, or something that is none.
    """
    if not isinstance(data, Path):
        return hashlib.sha256(data).hexdigest()
    try:
        if what := unlike_a_file(data):
            raise ArtifactError(f"{data}: {what}, where a file is meant to be. Remove it.")
        with data.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise ArtifactError(f"{data}: no such file. {rebuild_hint(data)}") from None


def rebuild_hint(path: Path) -> str:
    """How to have a file of the workflow made again."""
    return f"To rebuild it: rm -f '{path}' and run the same snakemake command again."
