"""Write the pictures of a folder again, as a kind that is read as it stands.

Frames become 8-bit RGB, upright; one range for all of them where they have more bits. Label maps
become palette PNGs whose values are ids: black is the background, other colours or values are
numbered in the order in which they come. Pictures in one animated file become files of their own.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageSequence

from kit.core import kinds, pictures
from kit.core.clutter import is_clutter
from kit.core.errors import DataError
from kit.core.files import replacing
from kit.core.masks import MAX_ID, encode_png
from kit.data.layout import natural

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("source", type=Path, help="folder of pictures")
    parser.add_argument("output", type=Path, help="folder to write; must not exist")
    parser.add_argument("--labels", action="store_true", help="they are label maps")
    parser.add_argument(
        "--as-stored", action="store_true", help="do not turn frames as their EXIF says"
    )


def run(args: argparse.Namespace) -> None:
    """Convert one folder."""
    if args.output.exists():
        raise DataError(f"{args.output}: is there already. Remove it, or name another folder.")
    here = (p for p in args.source.glob("*") if not is_clutter(p.name))
    files = sorted((p for p in here if p.suffix.lower() in SUFFIXES), key=_order)
    if not files:
        raise DataError(f"{args.source}: no pictures ({', '.join(SUFFIXES)}).")
    write = _label_maps if args.labels else _frames
    for line in write(files, args.output, not args.as_stored):
        print(line)
    print(f"{args.output}: written. Put it where {args.source} is now, or name it in `data`.")


def _order(path: Path) -> list[tuple[int, int, str]]:
    return natural(path.stem)


@dataclass(frozen=True)
class Item:
    """One picture, decoded: its new name, its kind, and how it has to be turned."""

    name: str
    kind: kinds.Kind
    image: Image.Image
    data: bytes
    turn: Image.Transpose | None

    def turned(self, image: Image.Image) -> Image.Image:
        """Upright, unless it was asked for as stored."""
        return image if self.turn is None else image.transpose(self.turn)


def _items(files: Sequence[Path], upright: bool) -> Iterator[Item]:
    """All pictures of all files; several of one file are numbered."""
    for file in files:
        with pictures.opened(file) as picture:
            kind = kinds.kind_of(picture.image, picture.data)
            count = kinds.pictures_in(picture.image)
            if count > 1 and len(files) > 1:
                raise DataError(f"{file}: {count} pictures beside other files; which come first?")
            picture.load()
            for number, image in enumerate(ImageSequence.Iterator(picture.image)):
                turn = kinds.TURNS.get(kinds.orientation(image)) if upright else None
                name = f"{number:05d}" if count > 1 else file.stem
                yield Item(name, kind, image, picture.data, turn)
                if number + 1 == count:  # a phone's file holds smaller ones behind it
                    break


# --- frames -------------------------------------------------------------------------------------


def _frames(files: Sequence[Path], folder: Path, upright: bool) -> Iterator[str]:
    low, high = np.inf, -np.inf
    for item in _items(files, upright):
        if item.kind.frame == kinds.RANGE:
            values = _deep(item)
            values = values[np.isfinite(values)]
            low, high = min(low, values.min(initial=np.inf)), max(high, values.max(initial=-np.inf))
    if low <= high:
        yield f"values from {low:g} to {high:g} become 0 to 255, in all frames alike"
    for item in _items(files, upright):
        deep = item.kind.frame == kinds.RANGE
        pixels = _scaled(_deep(item), low, high) if deep else _as_rgb(item)
        with replacing(folder / f"{item.name}.png") as stream:
            Image.fromarray(pixels).save(stream, format="PNG")


def _deep(item: Item) -> NDArray[np.float64]:
    """Values of a picture with more than 8 bits, `float64[H, W, 1 or 3]`, on black."""
    if item.kind.mode not in ("RGB", "RGBA", "LA"):
        return np.asarray(item.turned(item.image), dtype=np.float64)[..., None]
    # Pillow cuts these to 8 bits; OpenCV does not. It puts blue first.
    stored = cv2.imdecode(np.frombuffer(item.data, np.uint8), cv2.IMREAD_UNCHANGED)
    planes = [item.turned(Image.fromarray(plane)) for plane in cv2.split(stored)]
    values = np.stack([np.asarray(plane, dtype=np.float64) for plane in planes], axis=-1)
    opaque = values[..., 3:] / 65535 if values.shape[-1] == 4 else 1.0
    return np.asarray(values[..., 2::-1] * opaque)


def _scaled(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    finite = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = ((finite - low) * (255 / ((high - low) or 1))).round().astype(np.uint8)
    return np.repeat(scaled, 3 // scaled.shape[-1], axis=-1)


def _as_rgb(item: Item) -> NDArray[np.uint8]:
    """8-bit colours, transparent pixels on black, inks without a profile."""
    image = item.turned(item.image)
    if image.mode == "CMYK" and item.image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes the inks of every JPEG for Adobe's
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return np.asarray(image.convert("RGB"))


# --- label maps ---------------------------------------------------------------------------------


def _label_maps(files: Sequence[Path], folder: Path, upright: bool) -> Iterator[str]:
    ids: dict[int, int] = {0: 0}
    for item in _items(files, upright):
        name, image = item.name, item.image
        if image.format in ("JPEG", "MPO"):
            raise DataError(f"{name}: a JPEG blurs what it holds; ids cannot be had from it.")
        values = _values(item.turned(image))
        for value in np.unique(values).tolist():
            if value not in ids:
                ids[value] = len(ids)
                yield f"object {ids[value]}: {_told(value, image)}, first in {name}"
        if len(ids) > MAX_ID + 1:
            raise DataError(
                f"{files[0].parent}: more than {MAX_ID} colours or values, at {name}. Were the "
                "masks resized or smoothed? Then edges hold mixtures, and ids cannot be had back."
            )
        known = np.array(sorted(ids))
        table = np.array([ids[value] for value in known], np.uint8)
        with replacing(folder / f"{name}.png") as stream:
            stream.write(encode_png(table[np.searchsorted(known, values)]))


def _values(image: Image.Image) -> NDArray[np.int64]:
    """Grey values, or colours as numbers: what tells objects apart; 0 where all is transparent."""
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        values = np.asarray(image.getchannel(0) if image.mode == "LA" else image).astype(np.int64)
    else:
        rgb = np.asarray(image.convert("RGB")).astype(np.int64)
        values = rgb @ np.array([1 << 16, 1 << 8, 1])
    if image.has_transparency_data:
        values[kinds.alpha(image) == 0] = 0
    return values


def _told(value: int, image: Image.Image) -> str:
    grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    return f"value {value}" if grey else f"colour {tuple(value.to_bytes(3))}"
