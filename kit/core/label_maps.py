"""Label maps from outside: the ids that the tool which wrote them meant, or a refusal.

Which kinds there are, and how each is read, is the table of `kit.core.kinds`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kit.core import kinds, palettes, pictures
from kit.core.errors import DataError
from kit.core.masks import MAX_ID, VOID, LabelMap
from kit.core.pictures import Picture


@dataclass(frozen=True)
class Meant:
    """What a label map means.

    Attributes:
        labels: `uint8[H, W]`: 0 the background, 1 to 254 ids, 255 void.
        how: In words where ids are not the stored values; empty where they are.
        colours: Of palette files whose indices are ids: each used index with its colour, where no
            other used index has it.
    """

    labels: LabelMap
    how: str = ""
    colours: Mapping[int, bytes] = field(default_factory=dict)


def read_labels(path: Path, size: tuple[int, int] | None = None) -> LabelMap:
    """The labels of `meant`."""
    return meant(path, size).labels


def meant(path: Path, size: tuple[int, int] | None = None) -> Meant:
    """Read a label map.

    Args:
        path: The file, a PNG.
        size: (height, width) of the frames; None takes any.

    Raises:
        DataError: The file is missing or damaged, of another size than the frames, or nobody can
            say which ids its pixels mean.
    """
    with pictures.opened(path) as picture:
        _check_size(picture, size)
        kind = kinds.kind_of(picture.image, picture.data)
        if picture.image.format != "PNG":
            raise picture.refused(
                f"a {picture.image.format}, expected a PNG. Lossy files do not keep object ids, "
                "and renaming is not enough",
                labels=True,
            )
        if isinstance(kind.labels, str):
            raise picture.refused(f"a label map of kind {kind.name}: {kind.labels}", labels=True)
        if (count := kinds.pictures_in(picture.image)) > 1:
            raise picture.refused(f"{count} pictures in one file, where one is meant", labels=True)
        picture.load()
        found = _READERS[kind.labels](picture)
        _check_upright(picture)
        _check_hidden(picture, found.labels)
        return found


def _by_value(picture: Picture) -> Meant:
    image, bits = picture.image, kinds.depth(picture.image, picture.data)
    values = np.asarray(image.getchannel(0) if image.mode == "LA" else image)
    if bits in (2, 4):  # Pillow stretches them to 0..255
        values = values // (255 // (2**bits - 1))
    if values.max() > VOID:
        raise picture.refused(
            f"object id {values.max()}; ids go from 1 to {MAX_ID}, {VOID} is void", labels=True
        )
    return Meant(values.astype(np.uint8))


def _by_index(picture: Picture) -> Meant:
    labels: LabelMap = np.asarray(picture.image, dtype=np.uint8)
    palette = bytes(picture.image.getpalette("RGB") or ())
    if palettes.in_order(palette):
        return Meant(labels)
    used = [int(i) for i in np.flatnonzero(np.bincount(labels.ravel()))]
    try:
        ids = palettes.ids_meant(palette, used)
    except palettes.Unclear as why:
        raise picture.refused(f"{why}", labels=True) from None
    if not ids:
        return Meant(labels, colours=_alone({i: palette[3 * i : 3 * i + 3] for i in used}))
    table = np.zeros(256, np.uint8)
    table[list(ids)] = list(ids.values())
    return Meant(table[labels], "the DAVIS colours in another order: ids are read by colour")


def _by_colour(picture: Picture) -> Meant:
    rgb = np.asarray(picture.image.convert("RGB"))
    codes = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    present = np.unique(codes)
    colours = [int(code).to_bytes(3) for code in present]
    ids = [palettes.davis_id(colour) for colour in colours]
    grey = all(c[0] == c[1] == c[2] for c in colours)
    strange = next((c for c, i in zip(colours, ids, strict=True) if i is None), None)
    if strange is None and not (grey and len(colours) > 1):
        table, how = ids, "colours, which are those of the DAVIS palette: ids are read by colour"
    elif grey and all(i in (0, None) for i in ids):
        table, how = [c[0] for c in colours], "grey in three equal channels: ids are the values"
    else:
        what = "greys, which may be ids or colours" if strange is None else f"{tuple(strange)}"
        raise picture.refused(
            f"a colour picture (mode {picture.image.mode}), where ids are meant, in colours that "
            f"do not tell them: {what}",
            labels=True,
        )
    return Meant(np.array(table, np.uint8)[np.searchsorted(present, codes)], how)


_READERS: Mapping[kinds.Read, Callable[[Picture], Meant]] = {
    kinds.IDS: _by_value,
    kinds.INDICES: _by_index,
    kinds.DAVIS: _by_colour,
}


def _alone(colours: Mapping[int, bytes]) -> Mapping[int, bytes]:
    """Those colours that only one index has."""
    every = list(colours.values())
    return {index: colour for index, colour in colours.items() if every.count(colour) == 1}


def _check_size(picture: Picture, size: tuple[int, int] | None) -> None:
    image = picture.image
    if size is None or image.size == (size[1], size[0]):
        return
    cause = "Masks must have the size of their frames; was one of them resized?"
    if image.size == size:
        cause = (
            "Turned by a quarter: frames are read upright, as their EXIF orientation says and "
            "viewers show them, and this mask seems to be drawn over their stored pixels. Turn the "
            "masks, or take the orientation from the frames: python -m kit convert --as-stored"
        )
    raise DataError(
        f"{picture.path}: {image.width}x{image.height}, but the frames are {size[1]}x{size[0]}. "
        + cause
    )


def _check_upright(picture: Picture) -> None:
    if (turn := kinds.orientation(picture.image)) != 1:
        raise picture.refused(
            f"a label map with EXIF orientation {turn}: some programs turn it and some do not",
            labels=True,
        )


def _check_hidden(picture: Picture, labels: NDArray[np.uint8]) -> None:
    """Refuse objects that are fully transparent: people saw background there."""
    if not picture.image.has_transparency_data:
        return
    hidden = (kinds.alpha(picture.image) == 0) & (labels != 0) & (labels != VOID)
    if hidden.any():
        raise picture.refused(
            f"object {labels[hidden].min()} is drawn in full transparency; was it meant to be "
            "background?",
            labels=True,
        )
