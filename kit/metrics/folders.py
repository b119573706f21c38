"""One view of a directory and of a ZIP archive, read without extracting it.

A listing is sorted, and errors are those that the file system would raise.
"""

import os
import stat
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from kit.core.clutter import is_clutter
from kit.core.errors import SubmissionError

Location = str | os.PathLike[str]
MAX_ENTRIES = 5_000_000
MAX_ENTRY_BYTES = 64 << 20  # an 8K mask without any compression takes half of it


class Folder(Protocol):
    """Read-only tree of files; paths are relative, with `/`, and `""` is the root."""

    def names(self, path: str = "") -> list[str]:
        """Sorted names in a folder."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""

    def read(self, path: str) -> bytes:
        """Content of a file."""


class Directory:
    """A folder on disk."""

    def __init__(self, root: Location) -> None:
        self.root = str(root)

    def names(self, path: str = "") -> list[str]:
        """Sorted names in a folder; OSError where it is none."""
        return sorted(os.listdir(f"{self.root}/{path}"))  # noqa: PTH208 - names, not paths

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return Path(self.root, path).exists()

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return Path(self.root, path).is_dir()

    def read(self, path: str) -> bytes:
        """Content of a file; OSError where there is none, SubmissionError for pipes and devices."""
        name = f"{self.root}/{path}"
        with open(name, "rb", buffering=0, opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SubmissionError(
                    f"{name}: no file but a pipe or a device, which is not read. "
                    "Remove it, and put the file there."
                )
            return file.read()


def _at_once(name: str, flags: int) -> int:
    """Open a pipe without waiting for somebody who writes into it."""
    return os.open(name, flags | os.O_NONBLOCK)


class Archive:
    """A ZIP archive, as it would look when unpacked.

    Raises:
        SubmissionError: no ZIP, or an entry that is unsafe or cannot be unpacked as it stands.
    """

    def __init__(self, path: Location) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise SubmissionError(f"{path}: not a readable ZIP archive ({error}).") from error
        entries = self._zip.infolist()
        if len(entries) > MAX_ENTRIES:
            raise SubmissionError(
                f"{path}: {len(entries)} entries, at most {MAX_ENTRIES} are read."
            )
        self._files: dict[str, zipfile.ZipInfo] = {}
        self._folders: dict[str, set[str]] = {"": set()}
        for entry in entries:
            self._add(entry, path)

    def _add(self, entry: zipfile.ZipInfo, path: Location) -> None:
        defect = _defect(entry)
        name = entry.filename.rstrip("/")
        if not defect and (name in self._files or (name in self._folders and not entry.is_dir())):
            defect = "is there twice"
        if not defect and any(parent in self._files for parent in _parents(name)):
            defect = "lies in a file"
        if defect:
            raise SubmissionError(f"{path}: entry {entry.filename!r} {defect}.")
        if entry.is_dir():
            self._folders.setdefault(name, set())
        else:
            self._files[name] = entry
        for parent in _parents(name):
            self._folders.setdefault(parent, set()).add(name[len(parent) :].lstrip("/"))
            name = parent

    def names(self, path: str = "") -> list[str]:
        """Sorted names in a folder; OSError where it is none."""
        if path in self._files:
            raise NotADirectoryError(20, "Not a directory", path)
        if path not in self._folders:
            raise FileNotFoundError(2, "No such file or directory", path)
        return sorted(self._folders[path])

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return path in self._files or path in self._folders

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return path in self._folders

    def read(self, path: str) -> bytes:
        """Content of a file; OSError where there is none, SubmissionError where it is damaged."""
        if path in self._folders:
            raise IsADirectoryError(21, "Is a directory", path)
        if path not in self._files:
            raise FileNotFoundError(2, "No such file or directory", path)
        try:
            return self._zip.read(self._files[path])
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise SubmissionError(
                f"{self._zip.filename}: cannot unpack {path} ({error})."
            ) from error


def _parents(name: str) -> list[str]:
    """Folders that hold an entry, the innermost first and the root ("") last."""
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(len(parts) - 1, -1, -1)]


def _defect(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry must not be unpacked, None if it may."""
    parts = entry.filename.rstrip("/").split("/")
    if entry.flag_bits & 1:
        return "is encrypted"
    if "" in parts or "." in parts or ".." in parts or "\\" in entry.filename or ":" in parts[0]:
        return "leads out of the archive or is no plain relative path"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "is a symbolic link"
    if entry.file_size > MAX_ENTRY_BYTES:
        return f"declares {entry.file_size} bytes, at most {MAX_ENTRY_BYTES} are read"
    return None


class Within:
    """A folder inside another one, as a root of its own."""

    def __init__(self, parent: Folder, path: str) -> None:
        self._parent, self.path = parent, path

    def _inner(self, path: str) -> str:
        return f"{self.path}/{path}" if path else self.path

    def names(self, path: str = "") -> list[str]:
        """Sorted names in a folder."""
        return self._parent.names(self._inner(path))

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return self._parent.exists(self._inner(path))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._parent.is_folder(self._inner(path))

    def read(self, path: str) -> bytes:
        """Content of a file."""
        return self._parent.read(self._inner(path))


class Truth:
    """A folder of ground truth with some of its videos, and without what systems leave there."""

    def __init__(self, parent: Folder, videos: Collection[str]) -> None:
        self._parent, self._videos = parent, frozenset(videos)

    def names(self, path: str = "") -> list[str]:
        """Sorted names in a folder."""
        found = (name for name in self._parent.names(path) if not is_clutter(name))
        return [name for name in found if path or name in self._videos]

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return self._parent.exists(path)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._parent.is_folder(path)

    def read(self, path: str) -> bytes:
        """Content of a file."""
        return self._parent.read(path)


def open_folder(path: Location) -> Folder:
    """A directory as it is, anything else as a ZIP archive.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        SubmissionError: a file that is no safe ZIP archive.
    """
    return Archive(path) if Path(path).is_file() else Directory(path)
