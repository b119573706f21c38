"""Photographs with masks, cut-outs and textures, as material of moving collages.

Reads three kinds of folders, each of them optional:

- photographs: `images/NAME.jpg`, `masks/NAME.png` (0 background, ids from 1, 255 unknown);
- sprites: `images/NAME.jpg`, `alpha/NAME.png` (8-bit opacity);
- textures: `*.jpg`, any pictures without masks.
"""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from kit.core import images, label_maps
from kit.core.errors import ConfigError
from kit.core.masks import VOID
from kit.data import raster

Bytes = npt.NDArray[np.uint8]
LEAST = 12  # pixels of a side below which a cut-out shows nothing


@dataclass(frozen=True)
class Photograph:
    """A picture and what is in it.

    Attributes:
        image: uint8[H, W, 3], RGB.
        labels: uint8[H, W], ids from 1; 0 elsewhere.
    """

    image: Bytes
    labels: Bytes


@dataclass(frozen=True)
class Cutout:
    """One thing without its surroundings.

    Attributes:
        image: uint8[h, w, 3], RGB, also where nothing is seen of it.
        alpha: uint8[h, w], opacity.
    """

    image: Bytes
    alpha: Bytes


class Shelf:
    """All material of a training source.

    Args:
        photos: Folder of photographs with masks.
        sprites: Folder of cut-outs, or None.
        textures: Folder of pictures, or None.
        only: Patterns of names that are taken; all if empty. A prefix picks a licence.

    Raises:
        ConfigError: No photograph is left.
    """

    def __init__(
        self,
        photos: Path,
        sprites: Path | None = None,
        textures: Path | None = None,
        only: Sequence[str] = (),
    ) -> None:
        self._photos, self._sprites, self._textures = photos, sprites, textures
        self._only = tuple(only)
        if not self.photos:
            raise ConfigError(
                f"data: no photograph in {photos}/images that `only` = {list(only)} lets through."
            )

    @cached_property
    def photos(self) -> list[Path]:
        """Pictures that have masks, by name."""
        return self._named(self._photos / "images")

    @cached_property
    def sprites(self) -> list[Path]:
        """Pictures that have opacities, by name."""
        return self._named(self._sprites / "images") if self._sprites else []

    @cached_property
    def textures(self) -> list[Path]:
        """Pictures without masks, by name."""
        return self._named(self._textures) if self._textures else []

    def photograph(self, rng: np.random.Generator) -> Photograph:
        """Any photograph."""
        path = _any(rng, self.photos)
        image = images.read_image(path)
        labels = label_maps.read_labels(
            self._photos / "masks" / f"{path.stem}.png", image.shape[:2]
        )
        return Photograph(image, np.where(labels == VOID, 0, labels).astype(np.uint8))

    def texture(self, rng: np.random.Generator) -> Bytes:
        """Any texture; a photograph where there are none."""
        if not self.textures:
            return self.photograph(rng).image
        return images.read_image(_any(rng, self.textures))

    def cutout(self, rng: np.random.Generator, invented: float) -> Cutout:
        """Any thing: a sprite, an object of a photograph, or a random shape out of a picture.

        Args:
            rng: draws which.
            invented: probability of a shape that is nobody's outline.
        """
        draw = rng.random()
        if draw < invented:
            return shape_of(rng, self.texture(rng))
        if self.sprites and draw < invented + 0.3 * (1 - invented):
            path = _any(rng, self.sprites)
            assert self._sprites is not None
            with Image.open(self._sprites / "alpha" / f"{path.stem}.png") as alpha:
                return Cutout(images.read_image(path), np.array(alpha.convert("L")))
        found = things_in(self.photograph(rng))
        return found[int(rng.integers(len(found)))] if found else self.cutout(rng, 1.0)

    def _named(self, folder: Path) -> list[Path]:
        found = sorted(folder.glob("*.jpg"))
        return [
            path
            for path in found
            if not self._only or any(fnmatch.fnmatch(path.name, one) for one in self._only)
        ]


def things_in(photograph: Photograph) -> list[Cutout]:
    """Every labelled thing of a photograph that is large enough to be seen."""
    found = []
    for ident in (int(i) for i in np.unique(photograph.labels) if i):
        mask = photograph.labels == ident
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        if min(mask[box].shape) >= LEAST:
            found.append(Cutout(photograph.image[box], mask[box].astype(np.uint8) * 255))
    return found


def shape_of(rng: np.random.Generator, image: Bytes) -> Cutout:
    """A random polygon cut out of a picture: anything may be an object."""
    side = int(min(image.shape[:2]) * rng.uniform(0.4, 1))
    top, left = (int(rng.integers(length - side + 1)) for length in image.shape[:2])
    corners = int(rng.integers(3, 12))
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = side / 2 * rng.uniform(0.35, 1, corners)
    places = side / 2 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if rng.random() < 0.5:  # what it spans: no dents
        places = cv2.convexHull(places.astype(np.float32))[:, 0].astype(np.float64)
    inside = raster.polygon(places, side, side)
    alpha = np.rint(255 * raster.blurred(inside.astype(float), 1.0)).astype(np.uint8)
    return Cutout(image[top : top + side, left : left + side], alpha)


def _any(rng: np.random.Generator, paths: Sequence[Path]) -> Path:
    return paths[int(rng.integers(len(paths)))]
