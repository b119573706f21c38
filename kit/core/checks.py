"""What readers of artifacts check: schema, inputs, whose they are; damage is told as damage.

Knows no format.
"""

import errno
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import zstandard

from kit.core import broken, files
from kit.core.errors import ArtifactError
from kit.core.fields import Damaged, Field

Inputs = Mapping[str, str]


def check_inputs(path: Path, found: Inputs, wanted: Inputs) -> None:
    """Compare recorded digests with those of the files at hand.

    Raises:
        ArtifactError: The artifact was made from something else.
    """
    for name, digest in wanted.items():
        if found.get(name) != digest:
            was = str(found.get(name, "nothing"))[:12]
            raise ArtifactError(
                f"{path}: made from {name} {was}..., but the {name} at hand is {digest[:12]}... "
                "An earlier run failed half-way, or a file was edited. " + files.rebuild_hint(path)
            )


def inputs_of(body: Field) -> dict[str, str]:
    """The digests that an artifact was made from."""
    return {name: digest.text() for name, digest in body["inputs"].entries().items()}


def check_name(path: Path, found: str, wanted: str) -> None:
    """Compare the video that an artifact says it is of with the one it is read for.

    Raises:
        ArtifactError: It is another video's.
    """
    if found != wanted:
        raise ArtifactError(
            f"{path}: of video `{found}`, but read as that of `{wanted}`. Was it renamed or "
            "copied? Give it its own name again. " + files.rebuild_hint(path)
        )


def tagged(path: Path, body: Field, schema: str, cure: str = "") -> Field:
    """The body of an artifact, if it carries the schema that is read here.

    Raises:
        ArtifactError: It is of another kind, or of another version of the kit.
    """
    found = body["schema"].value if "schema" in body else None
    if found != schema:
        raise ArtifactError(
            f"{path}: expected schema {schema}, found {str(found)[:60]}. "
            + (cure or files.rebuild_hint(path))
        )
    return body


@contextmanager
def document(path: Path, what: str, schema: str, cure: str = "") -> Iterator[Field]:
    """The body of a JSON artifact; what is damaged inside is told with the file's name.

    Args:
        path: The file.
        what: It is, for people: "anchors".
        schema: It must carry.
        cure: How to have it made again, if not by the workflow.

    Raises:
        ArtifactError: The file is missing, no JSON, of another schema, or something else stands
            inside than is read.
    """
    with expecting(path, what, cure):
        yield tagged(path, Field(files.read_json(path, cure)), schema, cure)


class expecting:
    """Turns `Damaged`, and nothing else, into an ArtifactError that names the file.

    A defect of the kit keeps its traceback: to have a good file removed for it would help nobody.
    """

    def __init__(self, path: Path, what: str, cure: str = "") -> None:
        self.path, self.what, self.cure = path, what, cure or files.rebuild_hint(path)

    def __enter__(self) -> None:
        if not self.path.is_file():
            what = "no such file"
            with suppress(OSError):
                what = files.unlike_a_file(self.path) or what
            raise ArtifactError(f"{self.path}: {what}. {self.cure}")
        if (found := broken.read(self.path)) is not None:
            raise ArtifactError(f"{self.path}: stands for a video that broke. {found}")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Damaged):
            raise ArtifactError(
                f"{self.path}: damaged {self.what} ({error}). {self.cure}"
            ) from None


@contextmanager
def decoding() -> Iterator[None]:
    """Around a library's decoder and nothing of our own: it tells damage in many ways.

    Raises:
        Damaged: The library gave up.
    """
    try:
        yield
    except _REFUSALS as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None
    except OSError as error:
        # bz2 says "Invalid data stream" without a number; a wrong offset is sought and refused
        if error.errno not in (None, errno.EINVAL):
            raise
        raise Damaged(f"{type(error).__name__}: {error}") from None


_REFUSALS = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, OverflowError,
    RuntimeError, RecursionError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile,
    zstandard.ZstdError, io.UnsupportedOperation,
)  # fmt: skip
