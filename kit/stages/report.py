"""Show what the recipes did: one page with results, a player per object, and reasons.

Reads indices, anchors, masks and, where there is ground truth, scores of all videos; checks that
each was made from the ones that lie there now, so that the page never shows a stale picture.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kit.core import files, images
from kit.report import page, pictures
from kit.report.content import Overview, Player, Recipe
from kit.report.gather import Work
from kit.report.playing import player
from kit.report.sheet import sheets
from kit.stages import _settings

VERSION = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--work", type=Path, required=True, help="folder of the split's artifacts")
    parser.add_argument("--split", required=True, help="name of the split, for the title")
    parser.add_argument(
        "--recipes", type=_recipes, required=True, help='JSON, {"name": ["path", "mining"], ...}'
    )
    parser.add_argument(
        "--videos", nargs="+", action="extend", required=True, help="names of the videos"
    )
    parser.add_argument(
        "--players", type=int, default=30, help="objects that can be played (%(default)s)"
    )
    parser.add_argument("--note", default="", help="what readers must know first")
    parser.add_argument("--output", type=Path, required=True, help="page to write (.html)")


def _recipes(text: str) -> list[Recipe]:
    """Read `--recipes`; argparse prints what is wrong with it."""
    named = _settings.parsed(text)
    for name, parts in named.items():
        if not isinstance(parts, list) or [type(part) for part in parts] != [str, str]:
            raise argparse.ArgumentTypeError(f"{name}: expected [path, mining], got {parts!r:.60}")
    return [Recipe(name, path, mining) for name, (path, mining) in named.items()]


def run(args: argparse.Namespace) -> None:
    """Write the page, the pictures of one object after the other."""
    recipes: list[Recipe] = args.recipes
    # What mines least is what the others are compared with, in whichever order JSON brought them.
    recipes.sort(key=lambda recipe: recipe.path.count("."))
    work = Work(args.work, recipes, sorted(args.videos))
    overview = replace(work.overview(args.split, args.players), note=args.note)
    drawn = (sheet for entry in overview.shown for sheet in sheets(work, entry))
    with files.replacing(args.output) as stream:
        for part in page.render(overview, _players(work, overview), drawn):
            stream.write(part.encode("utf-8", "replace"))
        size = stream.tell()
    print(f"{args.output}: {len(overview.shown)} of {len(overview.entries)} objects, "
          f"{size / 1e6:.1f} MB")  # fmt: skip


def _players(work: Work, overview: Overview) -> Iterator[tuple[Player, dict[str, bytes]]]:
    """Players with the frames that no earlier player of the same video had."""
    drawn: dict[str, set[str]] = {}
    for entry in overview.shown:
        made = player(work, entry)
        known = drawn.setdefault(entry.video, set())
        video = work.video(entry.video)
        frames = images.Frames(video)
        wanted = [name for name in made.frames if name not in known]
        known.update(wanted)
        yield made, {name: pictures.jpeg(frames[video.index(name)]) for name in wanted}
