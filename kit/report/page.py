"""The page, piece by piece: what a reader wants first comes first. Asks nothing of any network."""

from collections.abc import Iterable, Iterator

from kit.report import curves, tables
from kit.report.cards import card
from kit.report.content import Card, Overview
from kit.report.markup import Html, element, join, void
from kit.report.style import CSS, SCRIPT

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
OPEN_ROWS = 60  # longer tables start folded


def render(overview: Overview, cards: Iterable[Card]) -> Iterator[str]:
    """The page in pieces, so that the pictures of one object are held at a time.

    Args:
        overview: Everything without pictures.
        cards: One for each of `overview.shown`, in that order.
    """
    yield f'<!DOCTYPE html>\n<html lang="en">{_head(overview)}<body>'
    yield join(_title(overview), "\n", _results(overview), "\n", _strips(overview))
    for place, content in enumerate(cards):
        yield "\n" + card(content, place)
    yield "\n" + join(_tables(overview), _foot()) + f"<script>{SCRIPT}</script></body></html>\n"


def _head(overview: Overview) -> Html:
    return element(
        "head",
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width,initial-scale=1"),
        void("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{overview.split}: segmentation report"),
        element("style", Html(CSS)),
    )


def _title(overview: Overview) -> Html:
    facts = [
        ("videos", overview.videos),
        ("objects", len(overview.entries)),
        ("frames", overview.frames),
        ("recipes", len(overview.recipes)),
    ]
    links = [
        ("#results", "Results"),
        ("#strips", "Objects in pictures"),
        ("#objects", "All objects"),
        ("#audit", "Anchors"),
        *([("#evidence", "Against the truth")] if overview.audits else []),
        ("#presence", "Absence and overlaps"),
    ]
    return element(
        "header",
        element("h1", overview.split),
        element("p", "Video object segmentation: what every recipe did, in numbers and pictures."),
        element("p", overview.note, class_="note", role="note") if overview.note else None,
        element(
            "dl",
            [element("div", element("dt", k), element("dd", f"{n:,}")) for k, n in facts],
            class_="facts-row",
        ),
        element("nav", [element("a", text, href=to) for to, text in links], aria_label="Sections"),
    )


# --- results --------------------------------------------------------------------------------------


def _results(overview: Overview) -> Html:
    body = _scored(overview) if overview.totals else _unscored(overview)
    return element("section", element("h2", "Results"), body, id="results")


def _scored(overview: Overview) -> list[Html | None]:
    first = overview.recipes[0].name
    text = (
        "Official MOSEv2 measures in percent, means over all objects. The best of a column is "
        "marked; n/a: no object of the split defines it."
    )
    if len(overview.recipes) > 1:
        text += f" Small figures are differences to {first}."
    return [
        element("p", text),
        tables.results(overview),
        _key_of_measures(),
        *[_gains(overview, recipe.name) for recipe in overview.recipes[1:]],
    ]


def _key_of_measures() -> Html:
    items = [
        element("div", element("dt", tables.HEADS[key]), element("dd", meaning))
        for key, meaning in tables.MEANINGS.items()
    ]
    return element("dl", items, class_="meanings quiet")


def _gains(overview: Overview, recipe: str) -> Html | None:
    """How the objects fare with a recipe, compared with the first one."""
    gains = [entry.gains for entry in overview.entries]
    values = [own[recipe] for own in gains if recipe in own]
    if not values:
        return None
    up, down = sum(v > 1 for v in values), sum(v < -1 for v in values)
    text = (
        f"{recipe}: {up} of {len(values)} objects gain more than one point of J&Ḟ, "
        f"{down} lose more than one"
    )
    ends = f"from {min(values):+.2f} to {max(values):+.2f}".replace("-", "\N{MINUS SIGN}")
    return element(
        "figure",
        curves.gains(values, f"{text}; {ends}"),
        element("figcaption", element("span", text), element("span", ends)),
        class_="wide",
    )


def _unscored(overview: Overview) -> list[Html]:
    recipes = [
        element("li", element("b", recipe.name), " ", element("small", recipe.path))
        for recipe in overview.recipes
    ]
    note = element(
        "p",
        element("b", "No ground truth, hence no scores."),
        " Only first masks are known of this split, so its masks can be looked at but not measured "
        "here. For numbers, upload the archive of a recipe from the submission folder, or run on a "
        "split with a label map for every frame and data.ground_truth set to true.",
        class_="note",
    )
    return [note, element("ul", recipes)]


# --- pictures -------------------------------------------------------------------------------------


def _strips(overview: Overview) -> Html:
    return join(
        element("h2", "Objects in pictures", id="strips"),
        element(
            "p",
            f"{_order(overview)} {_left_out(overview)} A strip shows the given frame, the most "
            "similar anchors, the frame that went worst, and others evenly spread.",
        ),
        _key(bool(overview.totals)),
    )


def _order(overview: Overview) -> str:
    if not overview.totals:
        return "The objects of which the trackers were least sure come first."
    if len(overview.recipes) == 1:
        return "The objects with the lowest scores come first."
    return (
        f"Ordered by the difference to {overview.recipes[0].name}, of several recipes that of the "
        "one that differs most: the greatest loss comes first, the greatest gain last."
    )


def _left_out(overview: Overview) -> str:
    shown, everything = len(overview.shown), len(overview.entries)
    if shown == everything:
        return f"All {everything} objects are shown."
    return (
        f"{shown} of {everything} objects are shown, those that tell most; {everything - shown} "
        f"are left out. To see all, run the report stage with --strips {everything}; to see some, "
        "name their videos with --videos."
    )


def _key(scored: bool) -> Html:
    """What the lines mean, drawn with the lines themselves."""
    blob = "M6,12C6,4 16,3 20,6S30,8 27,14S8,18 6,12Z"
    lines = [
        ("mask", "predicted mask, in the object's colour", ""),
        ("truth", "true mask", "") if scored else None,
        ("mined", "mask of an anchor", ""),
        ("tick given", "given frame", "plain"),
        ("tick anchor", "anchor", "plain"),
    ]
    items = [
        element(
            "li",
            element(
                "svg",
                element("path", class_=line[0], d="M17,2V18" if line[2] else blob),
                viewBox="0 0 34 20",
                class_=line[2] or None,
                aria_hidden="true",
            ),
            line[1],
        )
        for line in lines
        if line
    ]
    course = "J over time" if scored else "predicted IoU over time"
    lanes = ", the true one below" if scored else ""
    items.append(element("li", f"Bars: {course}; predicted presence{lanes}"))
    return element("ul", items, class_="key")


# --- the rest -------------------------------------------------------------------------------------


def _tables(overview: Overview) -> Html:
    measure = "J&Ḟ" if overview.totals else "Mean predicted IoU"
    mined = any(o.anchors or o.rejected for e in overview.entries for o in e.outcomes.values())
    audit = [
        element("p", "Every chosen anchor with the reason for it, and the candidates turned down."),
        _folded(tables.audit(overview), len(overview.entries), "anchors"),
    ]
    return join(
        element("h2", "All objects", id="objects"),
        element("p", f"{measure} of each object in percent."),
        _folded(tables.every_object(overview), len(overview.entries), "objects"),
        element("h2", "Anchors", id="audit"),
        audit if mined else element("p", "No recipe of this page mines anchors."),
        _evidence(overview) if overview.audits else None,
        element("h2", "Absence and overlaps", id="presence"),
        element(
            "p",
            "A frame is held absent when the tracker's presence score is not above zero. Contested "
            "are pixels that more than one object claimed; the surer one got them.",
        ),
        tables.presence(overview),
    )


def _evidence(overview: Overview) -> Html:
    return join(
        element("h2", "Candidates and anchors against the truth", id="evidence"),
        element(
            "p",
            "Recall says how much could be chosen at most; by source, where several were merged. "
            "A gap is where a first pass has lost a visible object; without a first pass, every "
            "frame from the object's first return on.",
        ),
        tables.recall(overview),
        tables.precision(overview),
    )


def _folded(table: Html, rows: int, what: str) -> Html:
    if rows <= OPEN_ROWS:
        return table
    return element("details", element("summary", f"Show all {what}"), table)


def _foot() -> Html:
    return element(
        "footer",
        "Every number and mask on this page was read from files whose inputs were checked against "
        "those that lie beside them. Pictures are reduced; outlines follow the masks at full size.",
    )
