"""PNG bytes to labels, as the organisers' scorer reads them.

What `PIL.Image.open(...).convert("P")` returns is the truth, odd conversions and errors included.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode one mask.

    Args:
        data: a whole file; normally an 8-bit palette or grey PNG.

    Returns:
        uint8[H, W] labels, not to be written to.

    Raises:
        OSError: damaged or truncated data (`PIL.UnidentifiedImageError` if it is no image).
    """
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("P"))


def trouble(data: bytes) -> str | None:
    """Say what goes wrong with the ids of a PNG of this kind, None if they are kept.

    Args:
        data: a whole file or at least its first 26 bytes.
    """
    if data[12:16] != b"IHDR" or len(data) < 26:
        return "not a PNG"
    depth, colour = data[24], data[25]
    if colour == 3 or (colour in (0, 4) and depth == 8):
        return None
    if colour in (2, 6):
        return "colour image: its ids become indices of the web palette"
    if depth == 16:
        return "16-bit image: what becomes of its ids depends on the version of Pillow"
    return f"{depth}-bit grey image: its values are stretched to 0..255"
