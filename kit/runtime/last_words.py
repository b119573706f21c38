"""What the log of a failed job says at its end, or why it says nothing. Knows no Snakemake."""

import os
import tempfile
from pathlib import Path

LINES = 12
_PROBE = bytes(1 << 16)  # more than fits behind a short file in the block that it has already


def last_words(log: Path) -> list[str]:
    """The end of a log, and a reason where it can be incomplete."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()[-LINES:]
    except OSError:
        lines = []
    if why := _unwritable(log.parent):
        lines.append(
            f"What went wrong may not stand here: nothing can be written beside this log ({why}). "
            "Free some space, or point `work` in the config to a larger disk; then run again."
        )
    elif not lines:
        lines.append(
            "Its log is empty: it was killed before it could say why, as happens where memory "
            "runs out, or the disk was full at that moment. Run again, and watch both."
        )
    return [*lines, f"log: {log}"]


def _unwritable(folder: Path) -> str:
    """Why a file cannot be written in a folder, empty if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:  # the job never came so far
        return ""
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
