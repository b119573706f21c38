"""Which layout a folder looks like, told by its files' names: for messages, and for readers.

A reader of one layout that is given another says which one it looks like. Opens no picture.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from kit.core.clutter import is_clutter
from kit.data import names

_MANY = 50  # entries of a folder looked at: enough to know one by


@dataclass(frozen=True)
class Likeness:
    """A layout that a folder looks like.

    Attributes:
        layout: Its name, as in `data.layout`; empty: none, but a folder of one lies near.
        what: The layout and the signs of it, to stand behind "looks like".
        advice: What would have it read as a MOSE layout.
    """

    layout: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"It looks like {self.what}. {self.advice}"


@dataclass(frozen=True)
class _Row:
    layout: str
    title: str
    signs: tuple[str, ...]  # patterns below the root, each of which must be met
    advice: str


JOIN = "Its masks must be joined into one label map a frame: PNG whose pixels are object ids."
# In this order: a row's signs may be met by data sets further down too.
_ROWS = (
    _Row("sa-v", "SA-V, with a folder of masks per object at a quarter of the frames",
         ("JPEGImages_24fps", "Annotations_6fps"), JOIN),
    _Row("sa-v", "SA-V train, with masks as run lengths in JSON", ("*/*_manual.json",), JOIN),
    _Row("vipseg", "VIPSeg, with panoptic masks", ("imgs", "panomasks*"), JOIN),
    _Row("vipseg", "VIPSeg, with panoptic masks", ("images", "panomasks*"), JOIN),
    _Row("ovis", "OVIS or YouTube-VIS, with masks as run lengths in JSON",
         ("annotations*.json",), JOIN),
    _Row("burst", "BURST, with masks as run lengths in JSON", ("frames", "annotations"), JOIN),
    _Row("visor", "VISOR, in DAVIS folders",
         ("ImageSets/2022", "JPEGImages/480p", "Annotations/480p"),
         "Set `data.images: JPEGImages/480p` and `data.annotations: Annotations/480p`."),
    _Row("davis2017", "DAVIS", ("JPEGImages/480p", "Annotations/480p"),
         "Set `data.images: JPEGImages/480p` and `data.annotations: Annotations/480p`."),
    _Row("davis2017", "DAVIS at full resolution", ("JPEGImages/Full-Resolution",),
         "Set `data.images: JPEGImages/Full-Resolution`, and `data.annotations` likewise."),
    _Row("vost", "VOST", ("JPEGImages/*/frame[0-9]*", "ImageSets", "Annotations"),
         "It can be read as it is, with `submission: false`."),
    _Row("lvos", "LVOS", ("JPEGImages", "Annotations", "*_meta.json"), "It can be read as it is."),
    _Row("youtube-vos", "YouTube-VOS, every fifth frame",
         ("JPEGImages/*/00005.jpg", "Annotations", "meta.json"), "It can be read as it is."),
    _Row("mose", "MOSE", ("JPEGImages", "Annotations"), "It can be read as it is."),
)  # fmt: skip


def of_root(root: Path) -> Likeness | None:
    """The layout of a data set's folder, or of one just below or above it; None: of none known."""
    if not root.is_dir():
        return None
    return _row_of(root) or _near(root)


def _row_of(root: Path) -> Likeness | None:
    for row in _ROWS:
        found = [next(filter(_is_sign, root.glob(sign)), None) for sign in row.signs]
        if any(path is None for path in found) or _is_every_fifth_denied(row, root):
            continue
        told = ", ".join(str(path.relative_to(root)) for path in found if path)
        return Likeness(row.layout, f"{row.title} ({told})", row.advice)
    return None


def _is_sign(path: Path) -> bool:
    """Whether what has a sign's name is of its kind: what has no suffix is a folder."""
    return path.is_dir() or bool(path.suffix)


def _is_every_fifth_denied(row: _Row, root: Path) -> bool:
    """MOSE has every frame, where YouTube-VOS has one in five; both have frame 5."""
    return row.layout == "youtube-vos" and any(root.glob("JPEGImages/*/00001.jpg"))


def _near(root: Path) -> Likeness | None:
    """A root that lies one folder too high or too low."""
    inside = sorted(p for p in root.iterdir() if not is_clutter(p.name))[:_MANY]
    for child in inside:
        if child.is_dir() and (found := _row_of(child)):
            return Likeness("", f"a folder around {found.what}", f"Set `data.root` to {child}.")
    if any(is_picture(p) for p in inside):
        advice = f"Put it at ROOT/JPEGImages/{root.name} and set `data.root` to ROOT."
        return Likeness("", "the frames of one video", advice)
    films = [p for p in inside if p.suffix.lower() in names.VIDEOS]
    folders = [p for p in inside if p.is_dir() and any(map(is_picture, p.iterdir()))]
    if films or folders:
        example = (films or folders)[0].name
        advice = f"Set `data.root` to {root.parent} and `data.images` to {root.name}."
        return Likeness("", f"a folder of videos itself ({example})", advice)
    return None


def is_picture(path: Path) -> bool:
    """Whether a file is named as a frame is."""
    return path.suffix.lower() in names.IMAGES and path.is_file()


def is_object_folder(name: str) -> bool:
    """Whether a folder inside a video's masks is named as that of one object: by its number."""
    return re.fullmatch(r"(obj(ect)?[_-]?)?\d{1,5}", name) is not None
