"""The page: Jinja templates filled with what was gathered. It asks nothing of any network."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from kit.core.scored import SCORE_KEYS
from kit.metrics.failures import CLASSES
from kit.report import charts
from kit.report.content import MAIN, Entry, Outcome, Overview, Player, Sheet
from kit.report.pictures import colour
from kit.report.published import ROWS

HEADS = {
    "J&F_new": Markup("J&amp;Ḟ"),
    "J": Markup("J"),
    "F_new": Markup("Ḟ"),
    "disappear_J&F_new": Markup("J&amp;Ḟ<sub>d</sub>"),
    "reappear_J&F_new": Markup("J&amp;Ḟ<sub>r</sub>"),
    "F": Markup("F"),
    "J&F": Markup("J&amp;F"),
}
PLAIN = {"J&F_new": "J&Ḟ", "J": "J", "F_new": "Ḟ", "disappear_J&F_new": "J&Ḟ_d",
         "reappear_J&F_new": "J&Ḟ_r", "F": "F", "J&F": "J&F"}  # fmt: skip
MEANINGS = {
    "J&F_new": "mean of J and Ḟ: the number of the leaderboard",
    "J": "region similarity",
    "F_new": "boundary accuracy, tolerance follows the object's size",
    "disappear_J&F_new": "J&Ḟ while the object is out of sight",
    "reappear_J&F_new": "J&Ḟ after it has come back",
    "F": "boundary accuracy, fixed tolerance",
    "J&F": "mean of J and F, as on older benchmarks",
}
Frames = Mapping[str, bytes]  # JPEG by frame name


@dataclass(frozen=True)
class Block:
    """Data that the page's script reads: of an object, or the frames of a video."""

    kind: str
    key: str
    json: Markup


def render(
    overview: Overview,
    players: Iterable[tuple[Player, Frames]],
    sheets: Iterable[Sheet],
) -> Iterator[str]:
    """The page in pieces, so that the pictures of one object are held at a time.

    Args:
        overview: Everything without pictures.
        players: One for each of `overview.shown`, with frames that no player before it had.
        sheets: Anchor sheets of the same objects.
    """
    text = {name: _template_file(f"page.{name}") for name in ("css", "js")}
    last = overview.recipes[-1].name
    yield from (
        _environment()
        .get_template("page.html")
        .generate(
            o=overview,
            policy=_policy(text["css"], text["js"]),
            css=Markup(text["css"]),
            script=Markup(text["js"]),
            sections=_sections(overview),
            columns=SCORE_KEYS,
            heads=HEADS,
            plain=PLAIN,
            meanings=MEANINGS,
            best=lambda key, value: _is_best(overview, key, value),
            published=ROWS,
            played={entry.key for entry in overview.shown},
            left_out=_left_out(overview),
            facts=lambda entry: _facts(entry, last),
            classes=CLASSES,
            marks=charts.MARKS,
            decisions=_decisions(overview),
            presence=_presence(overview),
            sheets=sheets,
            blocks=_blocks(players),
            **_charts(overview),
        )
    )


def _charts(overview: Overview) -> dict[str, Any]:
    if not overview.totals:
        return {}
    return {
        "gains": charts.gains(overview),
        "points": charts.points(overview),
        "class_counts": charts.class_counts(overview),
        "bins": charts.bins(overview),
        "elapsed": charts.elapsed(overview),
    }


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("kit.report")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def _template_file(name: str) -> str:
    return (resources.files("kit.report") / "templates" / name).read_text("utf-8")


def _policy(css: str, script: str) -> str:
    """Nothing from outside, and of the page itself only this style and this script."""
    style, code = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, script)
    )
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src 'sha256-{style}'; script-src 'sha256-{code}'"
    )


def _sections(overview: Overview) -> list[tuple[str, str]]:
    found = [("results", "Results"), ("player", "Player"), ("objects", "All objects")]
    found += [("failures", "Where it fails")] if overview.totals else []
    found += [("anchors", "Anchors")]
    found += [("evidence", "Against the truth")] if overview.audits else []
    return [*found, ("presence", "Absence and overlaps")]


def _is_best(overview: Overview, key: str, value: float | None) -> bool:
    values = {v for scores in overview.totals.values() if (v := scores[key]) is not None}
    return len(values) > 1 and value == max(values)


def _left_out(overview: Overview) -> str:
    shown, everything = len(overview.shown), len(overview.entries)
    if shown == everything:
        return f"All {everything} objects can be played."
    return (
        f"{shown} of {everything} objects can be played here, those that tell most. For the others "
        f"run the report stage with --players {everything}, or name their videos with --videos."
    )


def _facts(entry: Entry, last: str) -> str:
    """What the filters of the page ask of an object."""
    outcome = entry.outcomes[last]
    return json.dumps(
        {
            "video": entry.video,
            "gain": entry.gain,
            "classes": sorted({o.failure for o in entry.outcomes.values() if o.failure}),
            "measures": dict(outcome.scores) if outcome.scores else {MAIN: outcome.confidence},
        }
    )


@dataclass(frozen=True)
class _Decision:
    entry: Entry
    recipes: str
    outcome: Outcome
    rejected: list[tuple[str, int]]


def _decisions(overview: Overview) -> list[_Decision]:
    """Recipes that mine alike share a decision; those that mine nothing have none."""
    found = []
    for entry in overview.entries:
        shared: dict[str, list[str]] = {}
        for recipe in overview.recipes:
            shared.setdefault(recipe.mining, []).append(recipe.name)
        for names in shared.values():
            outcome = entry.outcomes[names[0]]
            if outcome.anchors or outcome.rejected:
                counted = sorted(outcome.rejected.items(), key=lambda pair: (-pair[1], pair[0]))
                found.append(_Decision(entry, ", ".join(names), outcome, counted))
    return found


def _presence(overview: Overview) -> list[dict[str, str]]:
    rows = []
    total = sum(entry.frames for entry in overview.entries)
    for recipe in overview.recipes:
        absent = [entry.outcomes[recipe.name].absent for entry in overview.entries]
        contested = overview.contested[recipe.name]
        worst = max(sorted(contested), key=lambda name: contested[name], default=None)
        most = f"{worst} ({contested[worst]:,})" if worst and contested[worst] else "nowhere"
        share = f" ({100 * sum(absent) / total:.1f} %)" if total else ""
        rows.append(
            {
                "recipe": recipe.name,
                "absent": f"{sum(absent):,}{share}",
                "ever": f"{sum(map(bool, absent))} of {len(absent)}",
                "contested": f"{sum(contested.values()):,}",
                "most": most,
            }
        )
    return rows


def _blocks(players: Iterable[tuple[Player, Frames]]) -> Iterator[Block]:
    """Objects and the frames of their videos; frames of a video stand once, behind its objects."""
    held: dict[str, dict[str, str]] = {}
    for player, frames in players:
        yield Block("data-object", player.entry.key, _json(_object(player)))
        packed = held.setdefault(player.entry.video, {})
        packed |= {name: base64.b64encode(data).decode() for name, data in frames.items()}
    for video, packed in held.items():
        yield Block("data-video", video, _json(packed))


def _object(player: Player) -> dict[str, Any]:
    entry = player.entry
    failures = [f"{n}: {o.failure}" for n, o in entry.outcomes.items() if o.failure]
    return {
        "video": entry.video,
        "id": entry.object_id,
        "hue": colour(entry.object_id),
        "told": "; ".join(failures),
        "measure": "predicted IoU" if player.truth is None else "J",
        "size": player.size,
        "frames": player.frames,
        "given": player.given,
        "outline": player.outline,
        "truth": player.truth,
        "events": player.events,
        "recipes": [
            {
                "name": line.recipe,
                "masks": line.masks,
                "curve": [None if v is None else round(v, 3) for v in line.curve],
                "anchors": line.anchors,
            }
            for line in player.lines
        ],
    }


def _json(content: object) -> Markup:
    """JSON that cannot end its script element, whatever a name in it says."""
    text = json.dumps(content, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
