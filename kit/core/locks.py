"""Locks that the kernel drops when the process that holds them ends, however that is.

Not every file system has them: Lustre mounted without `flock`, some FUSE and NFS mounts.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import IO

_UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}


class Unsupported(OSError):
    """The file system has no locks."""


def locked(path: Path, mode: int = 0o600) -> int | None:
    """A file locked for this process, made if need be; None where another one holds it.

    Args:
        path: The file.
        mode: Its permissions if it is made, less the umask.

    Raises:
        Unsupported: There are no locks where it lies.
    """
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError as error:
        os.close(lock)
        raise _understood(error) from None
    return lock


def wait_for(file: IO[bytes]) -> None:
    """Hold an open file exclusively until it is closed.

    Raises:
        Unsupported: There are no locks where it lies.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise _understood(error) from None


def _understood(error: OSError) -> OSError:
    known = error.errno in _UNSUPPORTED
    return Unsupported(error.errno, error.strerror) if known else error
