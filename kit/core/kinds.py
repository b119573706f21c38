"""What kinds of pictures there are, and what becomes of each: the one table.

Every frame and every label map is judged here before a model, a training or a score sees it. What
Pillow would change without a word (16 bits cut to 8, transparency dropped, small grey depths
stretched, colours taken for ids) is either read as it was meant or refused with what it is and a
command that converts it. Whatever the row, transparency that shows, several pictures in one file
and an orientation are looked at too. Colour profiles (ICC, gamma) are ignored, as by every model's
own loader.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


class Read(Enum):
    """How a kind that is not refused is read."""

    COLOURS = "as a picture: red, green, blue from 0 to 255"
    IDS = "as a label map: stored values are ids, 255 is void"
    INDICES = "as a label map: palette indices are ids, or its DAVIS colours where re-ordered"
    DAVIS = "as a label map: exact DAVIS colours stand for their ids"


COLOURS, IDS, INDICES, DAVIS = Read
RANGE = "8 bits a channel are read; which part of its range is meant depends on the camera"
_INKS = "inks for print, not light; what colours they make depends on the printer"
_LOSSY = "no file of ids"
_HALVED = "16 bits next to transparency are cut to 8 when read, and ids with them"
_COLOURED = "no ids: colours of 16 bits stand for none"


@dataclass(frozen=True)
class Kind:
    """A row: what files with Pillow's `mode` and so many `bits` a channel are taken for.

    `frame` and `labels` say how to read it, or in words why that is refused.
    """

    mode: str
    bits: tuple[int, ...]
    name: str
    frame: Read | str
    labels: Read | str


KINDS: Final = (
    #    mode    bits          name                       as a frame  as a label map
    Kind("1",    (1,),         "1-bit grey",              COLOURS,    IDS),
    Kind("L",    (2, 4, 8),    "grey",                    COLOURS,    IDS),
    Kind("LA",   (8,),         "grey with transparency",  COLOURS,    IDS),
    Kind("P",    (1, 2, 4, 8), "palette",                 COLOURS,    INDICES),
    Kind("RGB",  (8,),         "RGB",                     COLOURS,    DAVIS),
    Kind("RGBA", (8,),         "RGB with transparency",   COLOURS,    DAVIS),
    Kind("I;16", (16,),        "16-bit grey",             RANGE,      IDS),
    Kind("RGB",  (16,),        "16-bit RGB",              RANGE,      _COLOURED),
    Kind("RGBA", (16,),        "16-bit with transparency", RANGE,     _HALVED),
    Kind("LA",   (16,),        "16-bit with transparency", RANGE,     _HALVED),
    Kind("I",    (32,),        "32-bit grey",             RANGE,      _LOSSY),
    Kind("F",    (32,),        "floating-point",          RANGE,      _LOSSY),
    Kind("CMYK", (8,),         "CMYK",                    _INKS,      _LOSSY),
)  # fmt: skip


def kind_of(image: Image.Image, data: bytes) -> Kind:
    """The row of an opened picture; one that refuses both uses if there is none.

    Args:
        image: As opened; nothing need be decoded yet.
        data: Its file.
    """
    mode, bits = image.mode, depth(image, data)
    if mode.startswith("I") and bits == 16:  # I, I;16 or I;16B, by the version of Pillow
        mode = "I;16"
    for kind in KINDS:
        if kind.mode == mode and bits in kind.bits:
            return kind
    odd = f"{bits}-bit {image.mode}"
    return Kind(mode, (bits,), odd, "a kind that is not used for frames", "no ids")


def depth(image: Image.Image, data: bytes) -> int:
    """Bits a channel as stored; Pillow tells them only where they change the mode."""
    if data.startswith(PNG) and len(data) > 24:
        return data[24]  # of the IHDR chunk, which comes first
    return {"1": 1, "I": 32, "F": 32}.get(image.mode, 16 if "16" in image.mode else 8)


def alpha(image: Image.Image) -> NDArray[np.uint8]:
    """How opaque each pixel is, `uint8[H, W]`; of a picture that `has_transparency_data`."""
    return np.asarray(image.convert("RGBA").getchannel("A"))


def pictures_in(image: Image.Image) -> int:
    """Pictures that a file holds; the smaller ones beside a phone's photograph do not count."""
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


# How pixels as stored are brought upright, by EXIF's orientation (Exif 2.32, tag 0x0112).
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) to 8; 1 where there is none or it cannot be read.

    Of a PNG all chunks must have been read.
    """
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # a damaged EXIF block raises a dozen classes, and is no damage to the pixels
        return 1
    return found if found in TURNS else 1


def phone_format(data: bytes) -> str | None:
    """HEIC or AVIF, which phones also save with the name of a JPEG; None for anything else."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand[:3] in (b"hei", b"hev", b"mif", b"msf"):
        return "HEIC"
    return "AVIF" if brand[:3] == b"avi" else None
