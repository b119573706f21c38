"""What lies in place of what is looked for, and what would do: sentences for messages.

Opens no picture.
"""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from kit.core.clutter import is_clutter
from kit.data import names
from kit.data.likeness import JOIN, is_object_folder, is_picture, of_root


def of_folder(folder: Path, root: Path) -> str:
    """What there is in place of a folder of a MOSE layout that is missing, in sentences."""
    if folder.exists():
        return "A file stands there instead."
    if same := _same_but_for_case(folder):
        return f"There is {same}: write it with the same capitals."
    found = of_root(root)
    return str(found) if found else "Is `data.root` that of a MOSE layout?"


def _same_but_for_case(path: Path) -> Path | None:
    if not path.parent.is_dir():
        return None
    wanted = path.name.casefold()
    return next((p for p in sorted(path.parent.iterdir()) if p.name.casefold() == wanted), None)


def of_frames(folder: Path) -> str:
    """What lies in a folder without frames, in sentences."""
    here = sorted(p for p in folder.iterdir() if not is_clutter(p.name))
    for inside in (p for p in here if p.is_dir()):
        if any(map(is_picture, inside.iterdir())):
            return f" They seem to lie in {inside}: move them up."
    return f" There are {names.by_suffix(here)}." if here else ""


def of_labels(folder: Path, frames: Sequence[str]) -> str:
    """What lies where a video's label maps are looked for, and what would do, in sentences.

    Args:
        folder: Of its label maps, where that of the first frame is missing.
        frames: Stems of its frames, in order.
    """
    if not folder.is_dir():
        return _beside(folder)
    first = folder / f"{frames[0]}.png"
    if first.is_symlink():
        return (
            f"It is a link to {first.readlink()}, where no file is: is it fetched (git annex, dvc)?"
        )
    if first.is_dir():
        return "A folder of that name stands in its place: remove it."
    here = sorted(p for p in folder.iterdir() if not is_clutter(p.name))
    folders = [p for p in here if p.is_dir() and is_object_folder(p.name)]
    if folders:
        return (
            f"There is a folder per object ({names.listed([p.name for p in folders], 3)}), as in "
            f"SA-V and as sam2 writes with --per_obj_png_file. {JOIN}"
        )
    return _of_files(folder, [p for p in here if p.is_file()], frames)


def _beside(folder: Path) -> str:
    """What lies around a folder of label maps that does not exist."""
    above = folder.parent
    if not above.is_dir():
        return f"There is no folder {above}; is `data.annotations` right?"
    if same := _same_but_for_case(folder):
        return f"There is {same}: write it with the same capitals."
    found = sorted(above.glob(f"*/{glob.escape(folder.name)}"))[:1]
    if found:
        where = found[0].parent
        return f"They seem to lie in {where}: set `data.annotations` to it, relative to the root."
    single = [p for p in above.glob(f"{glob.escape(folder.name)}.*") if p.is_file()]
    if single:
        return f"There is {single[0]} instead: put it into a folder, under the first frame's name."
    return "There is no such folder; is `data.annotations` right?"


def _of_files(folder: Path, files: Sequence[Path], frames: Sequence[str]) -> str:
    stems = {p.stem for p in files if p.suffix == ".png"}
    later = [number for number, frame in enumerate(frames) if frame in stems]
    if later:
        return (
            f"The first one is {frames[later[0]]}.png, {later[0]} frame(s) later. If the objects "
            f"appear only there, an empty label map (all 0) of their size as {frames[0]}.png says "
            "so; if not, is `data.annotations` right?"
        )
    capital = [p for p in files if p.suffix != ".png" and p.suffix.lower() == ".png"]
    if capital:
        return (
            f"There are {len(capital)} files such as {capital[0].name}: label maps end in .png. "
            f"To rename them, in {folder}: "
            f"""for f in *{capital[0].suffix}; do mv "$f" "${{f%.*}}.png"; done"""
        )
    if same := _same_numbers(stems, frames):
        return (
            f"There is {same}.png, which has the number of frame {frames[0]}: masks are named like "
            "their frames. Rename the ones or the others."
        )
    if files:
        return (
            f"There are {names.by_suffix(files)} files, such as {files[0].name}: label maps are "
            f"PNG named like their frames, such as {frames[0]}.png."
        )
    return "The folder is empty; is `data.annotations` right?"


def _same_numbers(stems: Iterable[str], frames: Sequence[str]) -> str:
    """The stem of a mask that has the first frame's number under another name; or none."""
    wanted = names.last_number(frames[0])
    return next((s for s in sorted(stems) if names.last_number(s) == wanted), "")
