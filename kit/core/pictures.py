"""Picture files from outside, opened: whole, of a bounded size, and a file at all.

What becomes of their pixels is decided by `kit.core.kinds`.
"""

import io
import shlex
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from kit.core import jpeg, kinds
from kit.core.errors import DataError
from kit.core.files import unlike_a_file

MAX_PIXELS = 8192 * 8192  # 8K video and a margin; more is a mistake or a bomb
MAX_BYTES = MAX_PIXELS * 8  # as many pixels of 16 bits and four channels, not compressed
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # whatever a file is called
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Picture:
    """An opened file: its bytes, and Pillow's view of them."""

    path: Path
    data: bytes
    image: Image.Image

    def load(self) -> None:
        """Decode all of it.

        Raises:
            DataError: It is damaged or cut short.
        """
        try:
            self.image.load()
        except _BROKEN as error:
            raise _damaged(self.path, self.data, str(error)) from None

    def refused(self, what: str, labels: bool = False) -> DataError:
        """The error that says what the file is and which command converts its folder."""
        return DataError(f"{self.path}: {what}. {cure(self.path.parent, labels)}")


def cure(folder: Path, labels: bool = False) -> str:
    """The command that converts the pictures of a folder."""
    target = folder.parent.parent / "converted" / folder.parent.name / folder.name
    command = f"python -m kit convert {shlex.quote(str(folder))} {shlex.quote(str(target))}"
    return f"To convert all of its folder: {command}{' --labels' if labels else ''}"


@contextmanager
def opened(path: Path) -> Iterator[Picture]:
    """Open a picture, nothing decoded yet.

    Raises:
        DataError: It is missing, no file, no picture, absurdly large, or a JPEG that is not whole.
    """
    data = content(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about odd but readable files
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        raise _unknown(path, data) from None
    except _BROKEN as error:
        raise _damaged(path, data, str(error)) from None
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError(
                f"{path}: {image.width}x{image.height} pixels, at most {MAX_PIXELS} in all."
            )
        if image.format in ("JPEG", "MPO") and (flaw := jpeg.flaw(data)):
            raise _damaged(path, data, flaw)
        yield Picture(path, data, image)


def content(path: Path) -> bytes:
    """All bytes of a picture's file; a pipe or a device would never end.

    Raises:
        DataError: There is no file, something else, or far too large a one.
    """
    try:
        if what := unlike_a_file(path):
            raise DataError(f"{path}: {what}, where a picture is meant to be. Remove it.")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{path}: {size} bytes, at most {MAX_BYTES} for a picture.")
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise DataError(
                f"{path}: a link to {path.readlink()}, where there is no file. Fetch its content."
            ) from None
        raise DataError(f"{path}: no such file. Was it deleted or renamed?") from None


def _unknown(path: Path, data: bytes) -> DataError:
    if phone := kinds.phone_format(data):
        return DataError(
            f"{path}: a {phone} picture under another name, as phones save it. Convert it: "
            f"ffmpeg -i {shlex.quote(str(path))} {shlex.quote(str(path.with_suffix('.png')))}"
        )
    return _damaged(path, data, "no picture of a known format")


def _damaged(path: Path, data: bytes, why: str) -> DataError:
    return DataError(
        f"{path}: cannot be decoded ({why}). The file ({len(data)} bytes) is damaged "
        "or cut short; copy or download it again."
    )
