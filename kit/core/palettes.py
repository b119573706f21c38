"""Palettes of label maps: whether their indices are still the ids that were meant.

Editors, `quantize` and file optimisers sort palettes by use and drop unused colours. Indices then
change from file to file while the picture looks the same; a reader of indices, the official scorer
included, sees other objects. Knows no files.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import permutations

from kit.core.masks import PALETTE

_DAVIS = {bytes(PALETTE[3 * i : 3 * i + 3]): i for i in range(256)}
# Red and blue are exchanged by those who think in OpenCV's order; indices are ids all the same.
_IN_ORDER = [bytes(PALETTE[3 * i + c] for i in range(256) for c in order)
             for order in permutations(range(3))]  # fmt: skip
_BLACK = bytes(3)


class Unclear(Exception):
    """Nobody can say which ids were meant; the text says why."""


class Misplaced(Unclear):
    """Black is not the first colour: whatever was meant, it was not the indices."""


def davis_id(colour: bytes) -> int | None:
    """The id that a colour (3 bytes: red, green, blue) has in the DAVIS palette, if any."""
    return _DAVIS.get(colour)


def in_order(palette: bytes) -> bool:
    """Whether a palette begins as that of DAVIS, or is all grey: then indices are ids."""
    grey = palette[::3] == palette[1::3] == palette[2::3]
    return grey or any(known.startswith(palette) for known in _IN_ORDER)


@lru_cache(maxsize=64)  # of a set's files nearly all have the same
def beyond_doubt(palette: bytes) -> bool:
    """Whether indices are ids whichever of them a file uses."""
    if in_order(palette):
        return True
    entries = [palette[at : at + 3] for at in range(0, len(palette), 3)]
    own = [(index, _DAVIS.get(entry, index)) for index, entry in enumerate(entries)]
    return all(i == d or entries[i] == _BLACK == entries[0] for i, d in own)


def ids_meant(palette: bytes, used: Collection[int]) -> Mapping[int, int]:
    """Ids by index where they differ from the indices; empty where indices are ids.

    Args:
        palette: Three bytes per entry.
        used: Indices of all pixels.

    Raises:
        Unclear: The order of the colours speaks against indices, and the colours for no ids.
    """
    if in_order(palette):
        return {}
    entries = [palette[at : at + 3] for at in range(0, len(palette), 3)]
    ids = {i: d for i in used if i < len(entries) and (d := _DAVIS.get(entries[i])) is not None}
    if all(ids.get(index) == index for index in used):
        return {}
    black_first = entries[0] == _BLACK
    black = next((i for i in used if i < len(entries) and entries[i] == _BLACK), 0)
    if len(ids) == len(set(ids.values())) == len(used):  # all are colours of DAVIS
        spare = [e for i, e in enumerate(entries) if i not in used and e != _BLACK]
        if spare and black_first:
            raise Unclear(
                "its colours are those of the DAVIS palette in another order, unused ones among "
                f"them: whether entry {max(used)} is object {max(used)} or, by its colour, "
                f"{ids[max(used)]} is not told"
            )
        return ids  # rewritten by a program that keeps what is used and sorts it
    if black and not black_first:
        raise Misplaced(
            f"its palette is in another order than that of ids: black, the background, is entry "
            f"{black}, and entry 0 is {tuple(entries[0])}"
        )
    return {}
