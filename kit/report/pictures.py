"""Pictures small enough to be carried along: frames as JPEG, masks as outlines.

An outline is drawn over the frame by whoever looks at the page: a frame is stored once however many
recipes there are, and stays sharp at any size.
"""

import io

import cv2
import numpy as np
from PIL import Image as PillowImage

from kit.core import masks
from kit.core.masks import Mask
from kit.core.types import Image

SIDE = 320  # pixels of the longer side: twice what a screen of usual width shows
QUALITY = 78
LONGEST = 6000  # characters of one outline; only masks that are all crumbs would need more


def scale_of(shape: tuple[int, int]) -> float:
    """Pixels of a picture per pixel of its frame; never enlarges."""
    return min(1.0, SIDE / max(shape))


def jpeg(image: Image) -> bytes:
    """A frame as a small JPEG; the same pixels give the same bytes."""
    scale = scale_of(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    stream = io.BytesIO()
    PillowImage.fromarray(small).save(stream, format="JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def outline(mask: Mask, scale: float) -> str:
    """SVG path around a mask, holes included, in pixels of the picture.

    Taken from the whole mask and simplified afterwards, so that an object of a few pixels remains
    as a dot. Where a mask is all crumbs the path gets coarser until it is short enough.
    """
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    path = ""
    for tolerance in (0.35, 0.7, 1.4, 2.8, 5.6, 11.2):  # pixels of the picture
        path = _path([_points(contour, scale, tolerance) for contour in found])
        if len(path) <= LONGEST:
            break
    return path


def colour(object_id: int) -> str:
    """The object's colour in the palette, made bright enough to be seen on a photograph."""
    rgb = np.array(masks.PALETTE[3 * object_id : 3 * object_id + 3], float)
    bright = 72 + 183 * rgb / max(rgb.max(), 1.0)
    return "#" + "".join(f"{round(value):02x}" for value in bright)


def _points(contour: np.ndarray, scale: float, tolerance: float) -> tuple[tuple[float, float], ...]:
    """Corners of one contour; on a grid when coarse, so that crumbs fall together."""
    corners = cv2.approxPolyDP(contour, tolerance / scale, closed=True)[:, 0] * scale
    if tolerance > 0.5:
        corners = np.round(corners / tolerance) * tolerance
    rounded = [(round(float(x), 1), round(float(y), 1)) for x, y in corners]
    return tuple(dict.fromkeys(rounded))


def _path(contours: list[tuple[tuple[float, float], ...]]) -> str:
    return "".join(
        "M" + " ".join(f"{x:g},{y:g}" for x, y in points) + "Z"
        for points in dict.fromkeys(contours)
    )
