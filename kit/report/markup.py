"""Markup that cannot be broken from outside: whatever is not markup already is escaped."""

import html
from collections.abc import Iterable


class Html(str):
    """Text that is markup already and is written as it stands."""

    __slots__ = ()


def element(name: str, /, *children: object, **attributes: object) -> Html:
    """One element.

    Args:
        name: Of the tag.
        *children: Markup, text or numbers (both escaped), or iterables of them; None is nothing.
        **attributes: `class_` is class, an inner underscore a hyphen. None and False leave the
            attribute out, True writes it without a value.
    """
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{head}>{join(*children)}</{name}>")


def void(name: str, /, **attributes: object) -> Html:
    """An element that has no content by definition, such as `meta`."""
    head = "".join(_attribute(key, value) for key, value in attributes.items())
    return Html(f"<{name}{head}>")


def join(*children: object) -> Html:
    """Children one after the other, escaped where needed."""
    return Html("".join(_text(child) for child in children))


def _text(child: object) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, Iterable) and not isinstance(child, str):
        return join(*child)
    return html.escape(str(child))


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
