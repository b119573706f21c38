"""The anchor sheet of an object: the target, its anchors, and what was refused just below them."""

import base64
from pathlib import Path

from kit.core import artifacts, images
from kit.core.files import sha256
from kit.core.masks import Mask, box_of, decode_rle
from kit.core.types import Candidate, Selection, Video
from kit.report import pictures
from kit.report.content import Crop, Entry, Recipe, Sheet
from kit.report.gather import Work

REFUSED = 4  # of a sheet: those most similar to the target
MARGIN = 0.3  # of the region's size, added on every side


def sheets(work: Work, entry: Entry) -> list[Sheet]:
    """A sheet per decision; recipes that mine alike share it, those that mine nothing have none."""
    shared: dict[str, list[Recipe]] = {}
    for recipe in work.recipes:
        outcome = entry.outcomes[recipe.name]
        if outcome.anchors or outcome.rejected:
            shared.setdefault(recipe.mining, []).append(recipe)
    return [_sheet(work, entry, recipes) for recipes in shared.values()]


def _sheet(work: Work, entry: Entry, recipes: list[Recipe]) -> Sheet:
    video = work.video(entry.video)
    target = next(o for o in video.objects if o.id == entry.object_id)
    selection = work.found(recipes[0], video).selection
    crops = [_crop(video, "target", target.first_frame, images.first_mask(video, target), "given")]
    for anchor in (a for a in selection.anchors if a.object_id == target.id):
        lead = "no rival" if anchor.margin is None else f"lead {anchor.margin:.3f}"
        text = f"cosine {anchor.score:.3f}, {lead}: {anchor.reason}"
        mask = decode_rle(anchor.rle, *video.shape)
        crops.append(_crop(video, "anchor", anchor.frame, mask, text))
    crops += refused(work, recipes[0], video, target.id, selection)
    names = ", ".join(recipe.name for recipe in recipes)
    return Sheet(entry.video, entry.object_id, names, crops)


def refused(
    work: Work, recipe: Recipe, video: Video, object_id: int, selection: Selection
) -> list[Crop]:
    """The refused ones most similar to the target, as far as their regions are still at hand."""
    best = _best(work, recipe, video, object_id)
    mine = [r for r in selection.rejected if r.object_id == object_id and r.frame in best]
    mine.sort(key=lambda r: (-r.score, r.frame))
    return [
        _crop(
            video, "refused", one.frame, best[one.frame].mask,
            f"cosine {one.score:.3f}, detector {best[one.frame].score:.2f}: {one.reason}",
        )
        for one in mine[:REFUSED]
    ]  # fmt: skip


def _best(work: Work, recipe: Recipe, video: Video, object_id: int) -> dict[str, Candidate]:
    """The candidate of each frame that the detector was surest of."""
    path = _chosen_from(work, recipe, video)
    found: dict[str, Candidate] = {}
    for one in () if path is None else artifacts.read_candidates(path, video):
        rival = found.get(one.frame)
        if one.object_id == object_id and (rival is None or one.score > rival.score):
            found[one.frame] = one
    return found


def _chosen_from(work: Work, recipe: Recipe, video: Video) -> Path | None:
    """The candidates that a decision was made of: those after a first pass, or shared by all.

    None if they are gone, or others by now.
    """
    chain, at, first = recipe.mining.partition("@")
    detector = chain.split(".")[0]
    made_of = artifacts.anchors_inputs(work.path("anchors", recipe.mining, video.name))
    for key in (f"{detector}{at}{first}", detector):
        path = work.path("candidates", key, video.name)
        if path.is_file() and sha256(path) == made_of.get("candidates"):
            return path
    return None


def _crop(video: Video, kind: str, frame: str, mask: Mask, text: str) -> Crop:
    """A region with its outline and some of its surroundings."""
    image = images.Frames(video)[video.index(frame)]
    height, width = mask.shape
    left, top, right, bottom = box_of(mask) if mask.any() else (0, 0, width, height)
    more_x, more_y = MARGIN * (right - left), MARGIN * (bottom - top)
    rows = slice(max(0, int(top - more_y)), int(bottom + more_y) + 1)
    columns = slice(max(0, int(left - more_x)), int(right + more_x) + 1)
    picture = pictures.outlined(image[rows, columns], mask[rows, columns])
    jpeg = base64.b64encode(pictures.jpeg(picture, pictures.CROP_SIDE)).decode()
    return Crop(kind, frame, jpeg, text, f"{kind} on frame {frame}")
