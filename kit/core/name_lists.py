"""Lists of names, of videos or of categories, as text files of people bring them."""

import codecs
from collections.abc import Iterable
from pathlib import Path

from kit.core.errors import DataError

_MAX_BYTES = 16 << 20
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",  # what PowerShell's > writes
    codecs.BOM_UTF16_BE: "utf-16",
}


def read_list(path: Path, or_none: bool = False) -> list[str]:
    """Names from a text file, a name a line, in their order and each once.

    Blanks around a name, empty lines, folders before it and slashes behind it (`ls -d PATH/*/`),
    and byte order marks of UTF-8 and UTF-16 are no part of a name; blanks inside it are.

    Args:
        path: The file.
        or_none: Whether a list without a name is one too.

    Raises:
        DataError: The file cannot be read as text, or holds no name.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path}: {path.stat().st_size} bytes, too many for a list of names.")
        text = _decoded(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; it is to hold names, one a line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read names ({error}). Save it as UTF-8 text.") from None
    found = unique(text.splitlines())
    if not found and not or_none:
        raise DataError(f"{path}: holds no name. List the videos, one a line; null means all.")
    return found


def _decoded(data: bytes) -> str:
    encoding = next((e for mark, e in _MARKS.items() if data.startswith(mark)), "utf-8")
    return data.decode(encoding)


def unique(names: Iterable[str]) -> list[str]:
    """Names without what surrounds them, each once, in order; empty ones are left out."""
    bare = (name.strip().rstrip("/").rpartition("/")[2] for name in names)
    return list(dict.fromkeys(filter(None, bare)))
