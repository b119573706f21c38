"""An object's card: a strip of frames per recipe, each above the object's course over time."""

import base64

from kit.core.types import Anchor
from kit.report import curves, tables
from kit.report.content import MAIN, Card, Row, Shot
from kit.report.markup import Html, element
from kit.report.pictures import colour

MISSED, FALSE_ALARM = "missed", "false alarm"


def card(content: Card, place: int) -> Html:
    """One object.

    Args:
        content: What is shown.
        place: On the page; makes ids unique without a word from outside.
    """
    entry = content.entry
    hue = colour(entry.object_id)
    swatch = element("span", class_="swatch", aria_hidden="true")
    return element(
        "article",
        element(
            "h3",
            swatch,
            entry.video,
            element("span", f"object {entry.object_id}", class_="quiet"),
            tables.change(entry.gain),
        ),
        _store(content, place),
        element("div", [_row(content, row, place) for row in content.rows], class_="scroll"),
        id=f"object-{place}",
        style=f"--hue:{hue};--shots:{len(content.shots)}",
    )


def _store(content: Card, place: int) -> Html:
    """The frames, once; the rows refer to them."""
    height, width = content.size
    images = [
        element(
            "image",
            id=_key(place, shot),
            width=width,
            height=height,
            href="data:image/jpeg;base64," + base64.b64encode(shot.jpeg).decode(),
        )
        for shot in content.shots
    ]
    return element("svg", element("defs", images), class_="store", aria_hidden="true")


def _key(place: int, shot: Shot) -> str:
    return f"f{place}-{shot.index}"


def _row(content: Card, row: Row, place: int) -> Html:
    """Facts and pictures of one recipe, and the line below them."""
    shots = [_shot(content, row, number, place) for number in range(len(content.shots))]
    parts = _facts(content, row), shots, _line(content, row), _reasons(content, row)
    return element("div", parts, class_="strip")


def _reasons(content: Card, row: Row) -> Html | None:
    """Why the anchors of the strip were chosen; the table further down has all of them."""
    chosen = [a for a in content.entry.outcomes[row.recipe].anchors if a.frame in row.anchors]
    if not chosen:
        return None
    items = [
        element("li", element("b", a.frame), f" {a.score:.3f}, ", a.reason, class_="reason")
        for a in chosen
    ]
    return element("ul", items, class_="reasons", aria_label="Anchors")


def _facts(content: Card, row: Row) -> Html:
    """The numbers of one recipe, beside its pictures."""
    outcome, seen = content.entry.outcomes[row.recipe], row.timeline.predicted
    if outcome.scores is None:
        main, name, details = outcome.confidence, "predicted IoU", []
    else:
        main, name = outcome.scores[MAIN], "J&Ḟ"
        details = [
            element("span", tables.HEADS[key], " ", tables.number(outcome.scores[key]))
            for key in ("J", "F_new", "disappear_J&F_new", "reappear_J&F_new")
        ]
    return element(
        "div",
        element("h4", row.recipe),
        element("p", element("b", tables.number(main)), f" {name}"),
        element("p", details, class_="details") if details else None,
        element("p", f"mask on {sum(seen)}/{len(seen)} frames"),
        class_="facts",
    )


def _shot(content: Card, row: Row, number: int, place: int) -> Html:
    """One frame with everything that is known about the object on it."""
    shot = content.shots[number]
    height, width = content.size
    anchor, mask = row.anchors.get(shot.frame), row.outlines[number]
    given = shot.index == content.given
    paths = [
        [element("path", class_=kind, d=mask) for kind in ("halo", "mask")] if mask else None,
        element("path", class_="truth", d=shot.truth) if shot.truth and not given else None,
        element("path", class_="mined", d=anchor) if anchor else None,
    ]
    title = element("title", _words(content, row, number))
    picture = element(
        "svg",
        title,
        element("use", href=f"#{_key(place, shot)}"),
        paths,
        role="img",
        viewBox=f"0 0 {width} {height}",
    )
    kind = "shot given" if given else "shot anchor" if anchor is not None else "shot"
    return element(
        "figure", picture, element("figcaption", _caption(content, row, number)), class_=kind
    )


def _caption(content: Card, row: Row, number: int) -> list[Html]:
    shot = content.shots[number]
    found = _anchor(content, row, shot)
    notes = [element("span", shot.frame, class_="name")]
    if shot.index == content.given:
        notes.append(element("span", "given", class_="tag given"))
    elif found is not None:
        notes.append(element("span", f"anchor {found.score:.2f}", class_="tag anchor"))
    state = _state(content, row, number)
    wrong = state in (MISSED, FALSE_ALARM)
    notes.append(element("span", state, class_="state wrong" if wrong else "state"))
    return notes


def _anchor(content: Card, row: Row, shot: Shot) -> Anchor | None:
    """The anchor on this frame."""
    chosen = content.entry.outcomes[row.recipe].anchors
    return next((anchor for anchor in chosen if anchor.frame == shot.frame), None)


def _state(content: Card, row: Row, number: int) -> str:
    """J on the frame, or what is the matter when a number would not say it."""
    shot, value = content.shots[number], row.values[number]
    if shot.index == content.given:
        return ""
    if shot.truth == "":
        return FALSE_ALARM if row.outlines[number] else "rightly absent"
    if not row.outlines[number]:
        return MISSED if shot.truth else "absent"
    return "" if value is None else f"J {value:.1f}"


def _words(content: Card, row: Row, number: int) -> str:
    """The picture in words."""
    shot, found = content.shots[number], _anchor(content, row, content.shots[number])
    parts = [f"{content.entry.video}, object {content.entry.object_id}, frame {shot.frame}"]
    parts.append(row.recipe)
    if shot.index == content.given:
        parts.append("the given mask")
    else:
        parts.append("mask predicted" if row.outlines[number] else "no mask predicted")
    if found is not None:
        parts.append(f"anchor of similarity {found.score:.3f} ({found.reason})")
    state = _state(content, row, number)
    return "; ".join([*parts, state] if state else parts)


def _line(content: Card, row: Row) -> Html:
    frames = {shot.frame: shot.index for shot in content.shots}
    length, scored = content.entry.frames, row.timeline.truth is not None
    there = sum(row.timeline.predicted)
    alt = (
        f"{row.recipe}: object predicted on {there} of {len(row.timeline.indices)} frames looked at"
    )
    if row.timeline.truth is not None:
        alt += f", in truth there on {sum(row.timeline.truth)}"
    line = curves.time_line(row.timeline, length, content.given, row.ticks, frames.values(), alt)
    names = ["J" if scored else "pred. IoU", "predicted", "truth" if scored else None]
    labels = element("div", [element("span", n) for n in names if n], class_="lanes")
    return element("div", labels, line, class_="course")
