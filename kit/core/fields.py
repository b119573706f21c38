"""Values of JSON that anybody may have edited, each read as the type that is expected of it.

>>> body = Field({"frames": ["00000"], "height": "480"})
>>> body["frames"].texts()
['00000']
>>> print(body["height"].damaged("an integer from 1 on"))
`height`: expected an integer from 1 on, found "480"
"""

import json
from collections.abc import Callable
from math import inf, isfinite
from typing import Any, TypeVar

from kit.core.errors import ArtifactError
from kit.core.masks import runs_of

Result = TypeVar("Result")
_LARGEST = 2**53  # integers beyond it are no longer exact in JSON


class Damaged(Exception):
    """Something else stands in a file than should; `kit.core.checks` adds which file and the cure.

    Its own class, so that a defect of the kit inside a reader is never taken for a damaged file.
    """


class Field:
    """A value and the way to it from the top of its document.

    `field[key]` never fails: what is not there is told by the reader that expects it.
    """

    __slots__ = ("_key", "_parent", "value")

    def __init__(
        self, value: Any, parent: "Field | None" = None, key: str | int | None = None
    ) -> None:
        self.value, self._parent, self._key = value, parent, key

    def __getitem__(self, key: str | int) -> "Field":
        """What stands under a key of an object, or at a place of a list."""
        held: Any = _NOTHING
        if isinstance(key, str):
            if isinstance(self.value, dict):
                held = self.value.get(key, _NOTHING)
        elif isinstance(self.value, list) and key < len(self.value):
            held = self.value[key]
        return Field(held, self, key)

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and key in self.value

    def text(self) -> str:
        """A text.

        Raises:
            Damaged: It is something else; so do all readers below.
        """
        if not isinstance(self.value, str):
            raise self.damaged("a text")
        return self.value

    def integer(self, least: int = 0, most: int = _LARGEST) -> int:
        """An integer of a range, both ends included."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.damaged(_range("an integer", least, most))
        if not least <= self.value <= most:
            raise self.damaged(_range("an integer", least, most))
        return self.value

    def number(self, least: float = -inf, most: float = inf) -> float:
        """A finite number of a range; JSON as Python reads it may hold NaN and infinities."""
        value = self.value
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise self.damaged(_range("a number", least, most))
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise self.damaged(_range("a number", least, most))
        if not isfinite(value) or not least <= value <= most:
            raise self.damaged(_range("a number", least, most))
        return float(value)

    def share(self) -> float:
        """A number from 0 to 1."""
        return self.number(0, 1)

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.damaged("true or false")
        return self.value

    def rle(self, shape: tuple[int, int]) -> str:
        """COCO run lengths of a mask of (height, width)."""
        text = self.text()
        try:
            runs_of(text, *shape)
        except ArtifactError as error:
            raise Damaged(f"`{self.where}`: {error}") from None
        return text

    def or_null(self, read: "Callable[[Field], Result]") -> Result | None:
        """None where null stands; else what a reader says, such as `Field.share`."""
        return None if self.value is None else read(self)

    def items(self) -> "list[Field]":
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.damaged("a list")
        return [Field(value, self, place) for place, value in enumerate(self.value)]

    def texts(self) -> list[str]:
        """A list of texts."""
        return [item.text() for item in self.items()]

    def shares(self) -> list[float]:
        """A list of numbers from 0 to 1."""
        return [item.share() for item in self.items()]

    def entries(self) -> "dict[str, Field]":
        """The values of an object by key."""
        if not isinstance(self.value, dict):
            raise self.damaged("an object")
        return {key: Field(value, self, key) for key, value in self.value.items()}

    def by_id(self) -> "dict[int, Field]":
        """The values of an object whose keys are ids of objects, ascending."""
        entries = self.entries()
        if not all(_is_id(key) for key in entries):
            raise self.damaged("ids of objects as keys")
        return {int(key): entries[key] for key in sorted(entries, key=int)}

    def only(self, found: object, expected: object) -> None:
        """Refuse another value than the only right one."""
        if found != expected:
            raise Damaged(f"`{self.where}`: expected {_told(expected)}, found {_told(found)}")

    def replaced(self, value: Any) -> "Field":
        """Another value at the same place."""
        return Field(value, self._parent, self._key)

    def damaged(self, expected: str) -> Damaged:
        """What to raise where something else stands than is expected."""
        found = "nothing" if self.value is _NOTHING else _told(self.value)
        return Damaged(f"`{self.where}`: expected {expected}, found {found}")

    @property
    def where(self) -> str:
        """The way from the top: `objects[2].id`."""
        if self._parent is None:
            return ""
        above = self._parent.where
        if isinstance(self._key, int):
            return f"{above}[{self._key}]"
        return f"{above}.{self._key}" if above else str(self._key)


_NOTHING: Any = object()


def _range(what: str, least: float, most: float) -> str:
    """Say "a number from 0 to 1"; an end that is no limit is left out."""
    if least == -inf:
        return what if most == inf else f"{what} up to {most:g}"
    if most in (inf, _LARGEST):
        return f"{what} from {least:g} on"
    return f"{what} from {least:g} to {most:g}"


def _is_id(key: str) -> bool:
    return len(key) <= 9 and key.isascii() and key.isdecimal() and key == str(int(key))


def _told(value: object) -> str:
    """A value in a message, shortened."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        text = str(type(value).__name__)
    return text if len(text) <= 60 else f"{text[:57]}..."
