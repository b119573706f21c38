"""A directory or a ZIP archive as a list of entries that can be read one by one.

Nothing is extracted; what an entry claims about itself is bounded before it is believed. Links on
disk lead to what they mean, as a program that zips them takes them; in an archive they are text.
Knows nothing of videos.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kit.core.errors import SubmissionError
from kit.submission import rules

# Everything that zipfile is known to raise on damaged or hostile archives.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
)
_EXTRA = 64  # bytes of extra fields to expect in a local header
_END, _END64 = b"PK\x05\x06", b"PK\x06\x06"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder; `flaw` is a code of the rules, empty for an ordinary entry."""

    name: str  # with /, without a trailing one
    size: int  # bytes, unpacked, as declared
    is_dir: bool = False
    flaw: str = ""
    index: int = -1  # position in the archive's table: names may repeat


class Broken(Exception):
    """An archive or entry that cannot be read; `code` is the rule it breaks."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Source(Protocol):
    """Entries in the order found, read one at a time."""

    entries: list[Entry]

    def read(self, entry: Entry) -> bytes:
        """Bytes of one entry, at most `rules.MAX_ENTRY_BYTES`; raises Broken."""


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a directory or a ZIP archive for reading.

    Raises:
        SubmissionError: if there is nothing at `path`.
        Broken: if the archive's table cannot be read or claims more than the limits.
    """
    if path.is_dir():
        yield Directory(path)
        return
    if not path.is_file():
        raise SubmissionError(f"{path}: no such file or folder. Give the archive or mask folder.")
    _refuse_bombs(path)
    try:
        archive = zipfile.ZipFile(path)
    except (*_BROKEN, NotImplementedError) as error:
        raise Broken("not-an-archive", f"{type(error).__name__}: {error}") from error
    with archive:
        yield Archive(archive)


class Directory:
    """A folder on disk; links that lead nowhere or in a circle, and special files, stay shut."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: list[Entry] = []
        self._list("", ())

    def _list(self, prefix: str, above: tuple[tuple[int, int], ...]) -> None:
        """Append what lies in a folder: its folders first, each list in order of names."""
        inside = []
        for name in sorted(os.listdir(self.root / prefix)):  # noqa: PTH208 - names, not paths
            entry, place = self._entry(prefix + name, above)
            self.entries.append(entry)
            if len(self.entries) > rules.MAX_ENTRIES:
                raise Broken("too-many-entries", f"more than {rules.MAX_ENTRIES:,} files")
            if entry.is_dir:
                inside.append((f"{prefix}{name}/", place))
        for folder, place in inside:
            self._list(folder, (*above, place))

    def _entry(
        self, name: str, above: tuple[tuple[int, int], ...]
    ) -> tuple[Entry, tuple[int, int]]:
        """An entry and which file on disk it is; `above` are the folders it lies in."""
        try:
            status = (self.root / name).stat()
        except OSError:
            status = (self.root / name).lstat()
        place, is_dir = (status.st_dev, status.st_ino), stat.S_ISDIR(status.st_mode)
        is_whole = stat.S_ISREG(status.st_mode) or (is_dir and place not in above)
        flaw = "" if is_whole else "not-a-file"
        return Entry(name, status.st_size, is_dir and is_whole, flaw), place

    def read(self, entry: Entry) -> bytes:
        """Bytes of one file."""
        _admit(entry)
        try:
            with (self.root / entry.name).open("rb") as file:
                return file.read(rules.MAX_ENTRY_BYTES)
        except OSError as error:
            raise Broken("unreadable-entry", str(error)) from error


class Archive:
    """An open ZIP archive."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.table = archive.infolist()
        self.entries = [_zip_entry(index, info) for index, info in enumerate(self.table)]

    def read(self, entry: Entry) -> bytes:
        """Bytes of one member, its checksum verified."""
        _admit(entry)
        info = self.table[entry.index]
        try:
            data = self._stored(info)
            return self.archive.read(info) if data is None else data
        except (*_BROKEN, NotImplementedError) as error:
            raise Broken("unreadable-entry", f"{type(error).__name__}: {error}") from error

    def _stored(self, info: zipfile.ZipInfo) -> bytes | None:
        """A stored member in one read, ten times faster than zipfile; None to leave it to that."""
        name = info.orig_filename.encode()
        if info.compress_type != zipfile.ZIP_STORED or self.archive.fp is None:
            return None
        start = 30 + len(name) + _EXTRA
        block = os.pread(self.archive.fp.fileno(), start + info.file_size, info.header_offset)
        if block[:4] != b"PK\x03\x04" or block[30 : 30 + len(name)] != name:
            return None
        lengths = struct.unpack("<HH", block[26:30])
        start = 30 + sum(lengths)
        data = block[start : start + info.file_size]
        whole = lengths[0] == len(name) and len(data) == info.file_size == info.compress_size
        return data if whole and zlib.crc32(data) == info.CRC else None


def _admit(entry: Entry) -> None:
    """Refuse what must not be read: links, encrypted members, sizes no mask has."""
    if entry.flaw:
        raise Broken(entry.flaw, rules.RULES[entry.flaw].fix)
    if entry.size > rules.MAX_ENTRY_BYTES:
        raise Broken("too-large", f"{entry.size:,} bytes, limit {rules.MAX_ENTRY_BYTES:,}")


def _zip_entry(index: int, info: zipfile.ZipInfo) -> Entry:
    flaw = _zip_flaw(info)
    plain = "/".join(part for part in info.filename.split("/") if part not in {"", "."})
    return Entry(info.filename if flaw else plain, info.file_size, info.is_dir(), flaw, index)


def _zip_flaw(info: zipfile.ZipInfo) -> str:
    """Code of what makes a member unfit to unpack, whatever it holds."""
    name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or name[1:2] == ":" or not name:
        return "unsafe-name"
    if "\\" in name:
        return "backslash"
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "not-a-file"
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "compression"
    return ""


def _refuse_bombs(path: Path) -> None:
    """Look at the declared length of the table before zipfile reads all of it into memory."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 65_557 - 76))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise Broken("not-an-archive", "no table of contents at the end: not a ZIP, or cut short")
    count, size = struct.unpack("<HL", tail[at + 10 : at + 16])
    at64 = tail.rfind(_END64, 0, at)
    if at64 >= 0 and len(tail) >= at64 + 48:
        count, size = struct.unpack("<QQ", tail[at64 + 32 : at64 + 48])
    if count > rules.MAX_ENTRIES or size > rules.MAX_DIRECTORY_BYTES:
        raise Broken("too-many-entries", f"{count:,} entries declared, table of {size:,} bytes")
