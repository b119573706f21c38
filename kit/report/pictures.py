"""Pictures small enough to be carried along: frames as JPEG, masks as outlines.

An outline is drawn over the frame where the page is looked at: a frame is stored once however many
recipes there are, and stays sharp at any size.
"""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from kit.core import masks
from kit.core.masks import Mask
from kit.core.types import Image

SIDE = 256  # pixels of the longer side of a player's frames
CROP_SIDE = 128  # of a crop on an anchor sheet
QUALITY = 72
EDGE = (255, 176, 32)  # of the outline in a crop
TOLERANCE = 0.35  # pixels of the picture by which an outline may be off
LONGEST = 4000  # characters of one outline; only masks that are all crumbs would need more


def scale_of(shape: tuple[int, int]) -> float:
    """Pixels of a picture per pixel of its frame; never enlarges."""
    return min(1.0, SIDE / max(shape))


def jpeg(image: Image, side: int = SIDE) -> bytes:
    """A frame as a small JPEG of at most so many pixels a side; same pixels, same bytes."""
    scale = min(1.0, side / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    stream = io.BytesIO()
    PillowImage.fromarray(small).save(stream, format="JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def outlined(image: Image, mask: Mask) -> Image:
    """A copy of a picture uint8[H, W, 3] with the border of a mask bool[H, W] drawn into it."""
    width = max(1, max(mask.shape) // 64)
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    inner = cv2.erode(mask.astype(np.uint8), kernel)
    drawn = image.copy()
    drawn[mask & (inner == 0)] = EDGE
    return drawn


def outline(mask: Mask, scale: float) -> str:
    """SVG path around a mask, holes included, in pixels of the picture.

    Taken from the whole mask and simplified afterwards, so that an object of a few pixels remains
    as a dot. A mask that is all crumbs is halved until its path is short enough.
    """
    shrunk = mask.astype(np.uint8)
    while True:
        found, _ = cv2.findContours(shrunk, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        if len(found) <= LONGEST // 6:  # "M1,1Z" is the least that a crumb takes
            zoom = scale * np.array(mask.shape[::-1]) / shrunk.shape[::-1]
            path = "".join(_subpath(contour, zoom) for contour in found)
            if len(path) <= LONGEST:
                return path
        height, width = (max(1, side // 2) for side in shrunk.shape)
        halved = cv2.resize(shrunk * 255, (width, height), interpolation=cv2.INTER_AREA)
        shrunk = (halved >= 128).astype(np.uint8)


def colour(object_id: int) -> str:
    """The object's colour in the palette, made bright enough to be seen on a photograph."""
    rgb = np.array(masks.PALETTE[3 * object_id : 3 * object_id + 3], float)
    bright = 72 + 183 * rgb / max(rgb.max(), 1.0)
    return "#" + "".join(f"{round(value):02x}" for value in bright)


def _subpath(contour: NDArray[np.int32], zoom: NDArray[np.float64]) -> str:
    """One closed line; `contour` runs through the centres of pixels, `zoom` is by (x, y)."""
    corners = cv2.approxPolyDP(contour, TOLERANCE / zoom.mean(), closed=True)[:, 0]
    points = np.round((corners + 0.5) * zoom, 1).tolist()
    return "M" + " ".join(f"{x:g},{y:g}" for x, y in points) + "Z"
