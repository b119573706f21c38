"""Writing archives: none is revealed that the server would not score as meant."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kit.core.errors import SubmissionError
from kit.core.files import replacing
from kit.submission.check import check
from kit.submission.rules import WARN_ARCHIVE_BYTES
from kit.submission.stored import StoredZip

_log = logging.getLogger(__name__)
# A lone folder at the root is taken for a wrapper, and the video is then looked for inside itself.
COMPANION = ("README.txt", b"This file keeps a single video folder from passing as a wrapper.\n")


@contextmanager
def checked(output: Path, meta: Mapping[str, Any], workers: int = 1) -> Iterator[StoredZip]:
    """Open an archive for writing; reveal it as `output` only if the server would score it.

    Raises:
        SubmissionError: on leaving, if a defect worse than harmless is found; whatever stood
            under `output` before still does.
    """
    with replacing(output) as stream:
        archive = StoredZip(stream)
        yield archive
        archive.finish()
        stream.flush()
        report = check(Path(stream.name), meta, workers)
        if not report.ok:
            raise SubmissionError(f"{output} was not written:\n{report}")
    for finding in report.findings:
        _log.info("%s", finding)


def warn_of_size(size: int) -> None:
    """Log a warning for archives that servers are known to choke on.

    Args:
        size: expected size in bytes.
    """
    if size > WARN_ARCHIVE_BYTES:
        _log.warning(
            "the archive will have %.0f MB; uploads of 500 to 600 MB pass, 1 GB and more hang or"
            " score 0.0. Were the masks written as compressed palette PNGs?",
            size / 1e6,
        )
