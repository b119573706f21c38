"""What a checkpoint is, by its content: other weights under the same path are another model.

Gigabytes are read once: digests are remembered, with what the file system says of the file, in the
user's cache folder. Where that cannot be written they are read each time.
"""

import os
from contextlib import suppress
from pathlib import Path

from kit.core import files
from kit.core.errors import ArtifactError

TINY = Path(__file__).parents[1] / "weights"  # of the `tiny` family, beside the code
FAMILY = ("dinov3", "sam2", "sam3")  # its folders there; what lies beside them is no part of it


def identity(source: str) -> str:
    """16 hex digits of the content of a local checkpoint, file or folder.

    Empty for an id of the hub, which its revision makes known, and for what is not there.
    """
    path = TINY if source == "tiny" else Path(source).expanduser()
    parts = [path / name for name in FAMILY] if source == "tiny" else [path]
    found = sorted(file for part in parts for file in _files(part))
    if not found:
        return ""
    known = _remembered()
    digests = [(str(file.relative_to(path)), _digest(file, known)) for file in found]
    return files.sha256(files.canonical_json(digests).encode())[:16]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path] if path.is_file() else []
    return [file for file in path.rglob("*") if file.is_file() and not _hidden(file, path)]


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _digest(file: Path, known: dict[str, object]) -> str:
    seen = file.stat()
    stamp = [seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino]
    noted = known.get(str(file.absolute()))
    if isinstance(noted, list) and noted[:-1] == stamp and isinstance(noted[-1], str):
        return noted[-1]
    digest = files.sha256(file)
    known[str(file.absolute())] = [*stamp, digest]
    with suppress(OSError):
        files.write_json(_page(), known)
    return digest


def _remembered() -> dict[str, object]:
    """What was noted of files; anybody may have edited it."""
    with suppress(OSError, ArtifactError):
        known = files.read_json(_page())
        return known if isinstance(known, dict) else {}
    return {}


def cache() -> Path:
    """The kit's folder in the user's cache; it may not be there yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mose-kit"


def _page() -> Path:
    return cache() / "digests.json"
