"""Tables of the page: results, all objects, anchors with their reasons, absence and overlaps."""

from collections.abc import Mapping, Sequence

from kit.core.types import Anchor
from kit.report.content import COLUMNS, MAIN, Entry, Outcome, Overview
from kit.report.markup import Html, element

HEADS = {
    "J&F_new": Html("J&amp;Ḟ"),
    "J": Html("J"),
    "F_new": Html("Ḟ"),
    "disappear_J&F_new": Html("J&amp;Ḟ<sub>d</sub>"),
    "reappear_J&F_new": Html("J&amp;Ḟ<sub>r</sub>"),
    "F": Html("F"),
    "J&F": Html("J&amp;F"),
}
MEANINGS = {
    "J&F_new": "mean of J and Ḟ: the number of the leaderboard",
    "J": "region similarity",
    "F_new": "boundary accuracy, tolerance follows the object's size",
    "disappear_J&F_new": "J&Ḟ while the object is out of sight",
    "reappear_J&F_new": "J&Ḟ after it has come back",
    "F": "boundary accuracy, fixed tolerance",
    "J&F": "mean of J and F, as on older benchmarks",
}


def number(value: float | None) -> str:
    """A percentage as the official scorer prints it."""
    return "n/a" if value is None else f"{value:.2f}"


def change(value: float | None) -> Html | None:
    """A signed difference; its sign carries the meaning, the colour only repeats it."""
    if value is None:
        return None
    text = f"{value:+.2f}".replace("-", "\N{MINUS SIGN}") if round(value, 2) else "±0.00"
    kind = "up" if round(value, 2) > 0 else "down" if round(value, 2) < 0 else "same"
    return element("span", text, class_=f"change {kind}")


def results(overview: Overview) -> Html:
    """Recipes as rows, the official numbers as columns, the best of each marked."""
    head = [element("th", HEADS[k], scope="col", title=MEANINGS[k], class_="n") for k in COLUMNS]
    first = overview.recipes[0].name
    rows = [
        element(
            "tr",
            element("th", recipe.name, element("small", recipe.path), scope="row"),
            [_cell(overview, recipe.name, first, key) for key in COLUMNS],
        )
        for recipe in overview.recipes
    ]
    return _table("results", ["recipe"], head, [element("tbody", rows)])


def _cell(overview: Overview, recipe: str, first: str, key: str) -> Html:
    value, base = overview.totals[recipe][key], overview.totals[first][key]
    all_values = [v for scores in overview.totals.values() if (v := scores[key]) is not None]
    best = len(set(all_values)) > 1 and value == max(all_values)
    difference = value - base if value is not None and base is not None else None
    return element(
        "td",
        element("b", number(value), element("span", " (best)", class_="unseen")) if best
        else number(value),
        change(difference) if recipe != first else None,
        class_="n best" if best else "n",
    )  # fmt: skip


def every_object(overview: Overview) -> Html:
    """A line per object, with a link to its strip where there is one."""
    links = {id(entry): f"#object-{place}" for place, entry in enumerate(overview.shown)}
    head = ["video", "object", "frames", *(f"{r.name}" for r in overview.recipes)]
    scored, compared = bool(overview.totals), len(overview.recipes) > 1
    columns = [element("th", text, scope="col", class_="n") for text in head[2:]]
    if scored and compared:
        columns.append(element("th", "difference", scope="col", class_="n"))
    rows = [_object(entry, links.get(id(entry)), scored and compared) for entry in overview.entries]
    return _table("objects sortable", head[:2], columns, [element("tbody", rows)])


def _object(entry: Entry, link: str | None, compared: bool) -> Html:
    name = element("a", entry.video, href=link) if link else entry.video
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", entry.object_id),
        element("td", entry.frames, class_="n"),
        [
            element("td", number(o.scores[MAIN] if o.scores else o.confidence), class_="n")
            for o in entry.outcomes.values()
        ],
        element("td", change(entry.gain) or "n/a", class_="n") if compared else None,
    )


def audit(overview: Overview) -> Html:
    """Every anchor with its reason, and how many candidates were turned down for which."""
    groups = [
        element("tbody", _decision(entry, recipes, outcome))
        for entry in overview.entries
        for recipes, outcome in _decisions(overview, entry)
    ]
    columns = [
        element("th", text, scope="col", class_=kind)
        for text, kind in (
            ("frame", None),
            ("similarity", "n"),
            ("margin", "n"),
            ("why it was chosen", None),
            ("turned down", None),
        )
    ]
    return _table("audit", ["object", "recipes"], columns, groups)


def _decisions(overview: Overview, entry: Entry) -> list[tuple[list[str], Outcome]]:
    """Recipes that mine alike share a decision; those that mine nothing have none."""
    shared: dict[str, list[str]] = {}
    for recipe in overview.recipes:
        shared.setdefault(recipe.mining, []).append(recipe.name)
    decided = [(names, entry.outcomes[names[0]]) for names in shared.values()]
    return [(names, o) for names, o in decided if o.anchors or o.rejected]


def _decision(entry: Entry, recipes: Sequence[str], outcome: Outcome) -> list[Html]:
    span = max(1, len(outcome.anchors))
    title = [entry.video, element("small", f"object {entry.object_id}")]
    before = [
        element("th", title, scope="rowgroup", rowspan=span),
        element("td", ", ".join(recipes), rowspan=span),
    ]
    after = [element("td", _counts(outcome.rejected), rowspan=span, class_="small")]
    if not outcome.anchors:
        nothing = element("td", "no candidate was good enough", colspan=4)
        return [element("tr", before, nothing, after)]
    rows = [_anchor(anchor) for anchor in outcome.anchors]
    return [
        element("tr", before, rows[0], after),
        *(element("tr", row) for row in rows[1:]),
    ]


def _anchor(anchor: Anchor) -> list[Html]:
    margin = "no rival" if anchor.margin is None else f"{anchor.margin:.3f}"
    return [
        element("td", anchor.frame),
        element("td", f"{anchor.score:.3f}", class_="n"),
        element("td", margin, class_="n"),
        element("td", anchor.reason),
    ]


def _counts(rejected: Mapping[str, int]) -> Html | str:
    if not rejected:
        return "none"
    ordered = sorted(rejected.items(), key=lambda pair: (-pair[1], pair[0]))
    return element("ul", [element("li", f"{count} × {reason}") for reason, count in ordered])


def recall(overview: Overview) -> Html:
    """By recipe and source, how many visible object-frames have a candidate that shows them."""
    columns = [
        element("th", text, scope="col", class_="n", title=meaning)
        for text, meaning in (
            ("visible", "object-frames that show the object, after its given one"),
            ("IoU ≥ 0.5", "of them, with a candidate that shows the object"),
            ("IoU ≥ 0.75", "with one that shows it well"),
            ("in gaps", "object-frames where a first pass has lost it, or is expected to"),
            ("IoU ≥ 0.5 there", "of those, with a candidate that shows the object"),
        )
    ]
    bodies = [
        element("tbody", [_recall(name, source, rows) for source, rows in found["recall"].items()])
        for name, found in overview.audits.items()
    ]
    return _table("recall", ["recipe", "source"], columns, bodies)


def _recall(recipe: str, source: str, rows: Mapping[str, Mapping[str, float | None]]) -> Html:
    every, gap = rows["all"], rows["gap"]
    values = [every["frames"], every["right"], every["good"], gap["frames"], gap["right"]]
    return element(
        "tr",
        element("th", recipe if source == "all" else "", scope="row"),
        element("th", source, scope="row"),
        [element("td", _share(value), class_="n") for value in values],
    )


def precision(overview: Overview) -> Html:
    """What the anchors of each recipe show, and how far from the gaps they lie."""
    columns = [
        element("th", text, scope="col", class_="n")
        for text in ("anchors", "show the target", "show another object", "frames to the next gap")
    ]
    rows = []
    for name, found in overview.audits.items():
        told = found["precision"]
        away = told["median_distance"]
        values = [
            _share(told["anchors"]),
            _share(told["right"]),
            _share(told["distractor"]),
            "n/a" if away is None else f"{away:g}",
        ]
        cells = [element("td", value, class_="n") for value in values]
        rows.append(element("tr", element("th", name, scope="row"), cells))
    return _table("precision", ["recipe"], columns, [element("tbody", rows)])


def _share(value: float | None) -> str:
    """A share as a percentage, a count as it is."""
    if isinstance(value, float):
        return f"{100 * value:.1f} %"
    return "n/a" if value is None else f"{value:,}"


def presence(overview: Overview) -> Html:
    """How often each recipe held an object to be absent, and how much was claimed twice."""
    columns = [
        element("th", text, scope="col", class_=kind)
        for text, kind in (
            ("frames held absent", "n"),
            ("objects ever absent", "n"),
            ("contested pixels", "n"),
            ("contested most in", None),
        )
    ]
    rows = [_presence(overview, recipe.name) for recipe in overview.recipes]
    return _table("presence", ["recipe"], columns, [element("tbody", rows)])


def _presence(overview: Overview, recipe: str) -> Html:
    absent = [entry.outcomes[recipe].absent for entry in overview.entries]
    total = sum(entry.frames for entry in overview.entries)
    contested = overview.contested[recipe]
    worst = max(sorted(contested), key=lambda name: contested[name], default=None)
    where = f"{worst} ({contested[worst]:,})" if worst and contested[worst] else "nowhere"
    share = f" ({100 * sum(absent) / total:.1f} %)" if total else ""
    return element(
        "tr",
        element("th", recipe, scope="row"),
        element("td", f"{sum(absent):,}{share}", class_="n"),
        element("td", f"{sum(map(bool, absent))} of {len(absent)}", class_="n"),
        element("td", f"{sum(contested.values()):,}", class_="n"),
        element("td", where),
    )


def _table(
    kind: str, names: Sequence[str], columns: Sequence[Html], bodies: Sequence[Html]
) -> Html:
    """A table that scrolls by itself when the window is narrow."""
    head = element("tr", [element("th", name, scope="col") for name in names], columns)
    table = element("table", element("thead", head), bodies, class_=kind)
    return element("div", table, class_="scroll", tabindex=0)
