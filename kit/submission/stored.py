"""A ZIP of stored members whose bytes depend on names and data alone.

`zipfile` would do, at ten times the cost per member and with headers that change with the version
of Python. A submission has 67,000 members, more than a plain ZIP can count: then, and only then,
the table gets its ZIP64 record (APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.3.16).
"""

import struct
import zlib
from typing import IO

from kit.core.errors import SubmissionError

_NEEDED = 10  # version needed to unpack a stored member
_MADE_BY = 3 << 8 | 20  # Unix, wherever we run
_DATE = 1 << 5 | 1  # 1980-01-01, the earliest day a ZIP can hold
_MODE = 0o100644 << 16  # a regular file, rw-r--r--
_UTF8 = 0x800
_MOST = 0xFFFF_FFFF  # bytes that a plain ZIP can address


class StoredZip:
    """Members in the order added; nothing is kept but the table."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._table: list[bytes] = []
        self._offset = 0

    def add(self, name: str, data: bytes) -> None:
        """Append a member.

        Raises:
            SubmissionError: if the archive would pass 4 GB, which no server accepts.
        """
        encoded = name.encode()
        flags = 0 if name.isascii() else _UTF8
        if self._offset + len(data) > _MOST - (1 << 20):
            raise SubmissionError(
                f"{name}: the archive passes 4 GB; servers hang at 1 GB. Were the masks written as"
                " compressed palette PNGs?"
            )
        size, checksum = len(data), zlib.crc32(data)
        common = struct.pack(
            "<5H3L2H", _NEEDED, flags, 0, 0, _DATE, checksum, size, size, len(encoded), 0
        )
        self._stream.write(b"".join((b"PK\x03\x04", common, encoded, data)))
        made_by, where = (
            struct.pack("<H", _MADE_BY),
            struct.pack("<3H2L", 0, 0, 0, _MODE, self._offset),
        )
        self._table.append(b"".join((b"PK\x01\x02", made_by, common, where, encoded)))
        self._offset += 30 + len(encoded) + size

    def finish(self) -> None:
        """Write the table of contents."""
        count, table = len(self._table), b"".join(self._table)
        self._stream.write(table)
        if count >= 0xFFFF:
            sizes = (count, count, len(table), self._offset)
            self._stream.write(
                struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, _MADE_BY, 45, 0, 0, *sizes)
            )
            end = self._offset + len(table)
            self._stream.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1))
            count = 0xFFFF
        ending = struct.pack(
            "<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(table), self._offset, 0
        )
        self._stream.write(ending)
