"""Whether a JPEG is all there. Decoders fill up what is missing, without a word.

Source of the markers: ITU-T T.81, annex B. Knows nothing of pixels.
"""

import re

_NEXT = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in code: no stuffed byte, restart, or filler
_HOLE = bytes(128)  # that many zero bytes are 1,024 bits: more than any block of a picture takes
EOI, SOS, DHT = 0xD9, 0xDA, 0xC4
_PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers that no length follows


def flaw(data: bytes) -> str | None:
    """What is missing from a JPEG, None if nothing is seen to be.

    Seen are files that end before their end marker, such as copies whose rest is zeros, and zeros
    in the middle of the code, unless they are what a plain area is coded as. Zeros amid the code
    of a progressive file are not seen.
    """
    at, progressive = 2, False
    firsts: dict[int, int] = {}  # per Huffman table (class and number): what all zeros stand for
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != EOI:
        marker = data[at + 1]
        if marker in _ALONE or marker == 0xFF:
            at += 1 if marker == 0xFF else 2
            continue
        size = int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : at + 2 + size]
        at += 2 + size
        progressive = progressive or marker in _PROGRESSIVE
        if marker == DHT:
            firsts |= _firsts(body)
        elif marker == SOS:
            found = _NEXT.search(data, at)
            end = found.start() if found else len(data)
            hole = data.find(_HOLE, at, end)
            if found and hole >= 0 and not progressive and not _plain(body, firsts):
                return f"nothing but zeros where there should be code, from byte {hole}"
            at = end
    if data[at : at + 2] == b"\xff\xd9":
        return None
    return f"no end marker; the last byte that is not zero is number {len(data.rstrip(bytes(1)))}"


def _firsts(tables: bytes) -> dict[int, int]:
    """The symbol of the shortest code, which is all zeros, of each table in a DHT segment."""
    found, at = {}, 0
    while at + 17 < len(tables):
        found[tables[at]] = tables[at + 17]
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def _plain(scan: bytes, firsts: dict[int, int]) -> bool:
    """Whether zeros say "as before, no details" for all components of a scan: a plain area."""
    used = scan[2 : 2 + 2 * scan[0] : 2] if scan else b""
    tables = [number for both in used for number in (both >> 4, 0x10 | both & 15)]
    return all(firsts.get(table) == 0 for table in tables)
