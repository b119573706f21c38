"""Which archive was it that scored 51.17? An append-only record of what the server returned.

One JSON object per line; lines are added under a lock and never rewritten. Knows nothing of how
scores come about.
"""

import argparse
import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import IO

from kit.core import locks
from kit.core.errors import ArtifactError, DataError
from kit.core.fields import Damaged, Field
from kit.core.files import canonical_json, parse_json, sha256
from kit.core.scored import SCORE_KEYS

SCHEMA = "ledger/1"
MAX_BYTES = 64 << 20  # what a server returns for 10,000 objects has 3 MB
Scores = dict[str, float | None]


@dataclass(frozen=True)
class Entry:
    """One submission; scores in percent as the server rounds them, None where undefined."""

    date: str  # ISO 8601, UTC
    archive: str
    archive_sha256: str
    server: Scores
    local: Scores | None = None
    recipe: str | None = None
    config_sha256: str | None = None

    def same_run(self, other: "Entry") -> bool:
        """Whether both record the same result of the same archive."""
        return (self.archive_sha256, self.server) == (other.archive_sha256, other.server)


def read_scores(path: Path) -> Scores:
    """Scores from the server's `scores.txt` or `metrics.json`.

    `metrics.json` has two decimals per object; its means may differ in the last digit from those
    of `scores.txt`.

    Returns:
        Percent by key of `SCORE_KEYS`; None where the file says nan or null.

    Raises:
        DataError: if the file is neither, is unreasonably large, or holds no percentages.
    """
    data = _bounded(path, DataError)
    try:
        if data.lstrip()[:1] in {b"{", b"["}:
            return _from_json(data)
        return _scores(_from_text(data))
    except (Damaged, ValueError) as error:
        raise DataError(
            f"{path}: no scores: {error}. Give the scores.txt or metrics.json that the server"
            " returned."
        ) from None


def _from_text(data: bytes) -> Field:
    """The lines of scores.txt as a document; ValueError for what is no text or no number."""
    pairs = [line.partition(":") for line in data.decode().splitlines()]
    values = {key.strip(): float(value) for key, _, value in pairs if key.strip() in SCORE_KEYS}
    return Field({key: None if math.isnan(value) else value for key, value in values.items()})


def _from_json(data: bytes) -> Scores:
    """Means over the objects of metrics.json."""
    entries = Field(parse_json(data)).entries()
    rows = [_percentages(_nulled(row)) for name, row in entries.items() if name != "total_time"]
    means = {key: _mean([row[key] for row in rows]) for key in SCORE_KEYS}
    return _scores(Field(means))


def _nulled(row: Field) -> Field:
    """The same with null for NaN, which is what the organisers write for undefined scores."""
    scores = {k: None if one.value != one.value else one.value for k, one in row.entries().items()}
    return row.replaced(scores)


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return round(fmean(defined), 2) if defined else None


def _percentages(field: Field) -> Scores:
    """Percent by key of `SCORE_KEYS`."""
    return {key: field[key].or_null(lambda one: one.number(0, 100)) for key in SCORE_KEYS}


def _scores(field: Field) -> Scores:
    """Percentages of a submission, of which one at least is defined."""
    scores = _percentages(field)
    if all(value is None for value in scores.values()):
        raise Damaged("all scores are undefined")
    return scores


def add(ledger: Path, entry: Entry) -> bool:
    """Append an entry.

    Returns:
        False if the same archive with the same server scores is recorded already.

    Raises:
        ArtifactError: if the ledger holds a damaged line; nothing is added then.
    """
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a+b") as file:
        with suppress(locks.Unsupported):  # without them, a line is still written in one piece
            locks.wait_for(file)  # two uploads may end at once
        file.seek(0)
        if any(entry.same_run(other) for other in _entries(ledger, file)):
            return False
        file.write(canonical_json({"schema": SCHEMA, **asdict(entry)}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return True


def read(ledger: Path) -> list[Entry]:
    """All entries in the order they were added; none if there is no ledger yet.

    Raises:
        ArtifactError: naming the first damaged line.
    """
    if not ledger.exists():
        return []
    with ledger.open("rb") as file:
        return list(_entries(ledger, file))


def _entries(ledger: Path, file: IO[bytes]) -> Iterator[Entry]:
    if os.fstat(file.fileno()).st_size > MAX_BYTES:
        raise ArtifactError(f"{ledger}: more than {MAX_BYTES:,} bytes. Is this the ledger?")
    for number, line in enumerate(file, 1):
        try:
            row = Field(parse_json(line))
            if not line.endswith(b"\n") or row["schema"].value != SCHEMA:
                raise Damaged(f"expected a whole line of schema {SCHEMA}")
            entry = _recorded(row)
        except (Damaged, ValueError) as error:
            raise ArtifactError(
                f"{ledger}:{number}: no ledger entry: {error}. Was it edited, or the disk full?"
                " Repair or remove the line."
            ) from None
        yield entry


def _recorded(row: Field) -> Entry:
    return Entry(
        date=row["date"].text(),
        archive=row["archive"].text(),
        archive_sha256=row["archive_sha256"].text(),
        server=_scores(row["server"]),
        local=row["local"].or_null(_scores),
        recipe=row["recipe"].or_null(Field.text),
        config_sha256=row["config_sha256"].or_null(Field.text),
    )


def table(entries: list[Entry]) -> str:
    """Entries as lines of text, one per submission, with the head of each digest."""
    columns = ["date", "archive", "sha256", "recipe", "config", "local", *SCORE_KEYS]
    rows = [columns, *(_row(entry) for entry in entries)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
             for row in rows)  # fmt: skip
    return "\n".join(line.rstrip() for line in lines)


def _row(entry: Entry) -> list[str]:
    digests = [entry.archive_sha256[:12], entry.recipe or "-", (entry.config_sha256 or "-")[:12]]
    local = _shown((entry.local or {}).get("J&F_new"))
    scores = [_shown(entry.server.get(key)) for key in SCORE_KEYS]
    return [entry.date, entry.archive, *digests, local, *scores]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _bounded(path: Path, error: type[Exception]) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as reason:
        raise error(f"{path}: cannot be read: {reason}.") from reason
    if len(data) > MAX_BYTES:
        raise error(f"{path}: more than {MAX_BYTES:,} bytes. Is this what the server returned?")
    return data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `kit ledger`."""
    parser.add_argument("--ledger", type=Path, default=Path("ledger.jsonl"), help="the record")
    verbs = parser.add_subparsers(dest="verb", required=True)
    adding = verbs.add_parser("add", help="record what the server returned for an archive")
    adding.add_argument("scores", type=Path, help="scores.txt or metrics.json of the server")
    adding.add_argument("--archive", type=Path, required=True, help="the archive uploaded")
    adding.add_argument("--recipe", help="name of the recipe that made it")
    adding.add_argument("--config", type=Path, help="configuration that made it")
    adding.add_argument("--local", type=Path, help="scores.txt or metrics.json of a hold-out")
    showing = verbs.add_parser("show", help="print the record")
    showing.add_argument("--score", type=float, help="only entries with this J&F_new, +-0.005")


def run(args: argparse.Namespace) -> int:
    """Add to the ledger or print it; 1 if nothing matched `--score`."""
    if args.verb == "add":
        added = add(args.ledger, _entry(args))
        sys.stdout.write(f"{args.ledger}: {'added' if added else 'recorded already'}\n")
        return 0
    entries = read(args.ledger)
    if args.score is not None:
        near = [(e, e.server.get("J&F_new")) for e in entries]
        entries = [e for e, score in near if score is not None and abs(score - args.score) <= 0.005]
    sys.stdout.write(table(entries) + "\n")
    return 0 if entries or args.score is None else 1


def _entry(args: argparse.Namespace) -> Entry:
    return Entry(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        archive=args.archive.name,
        archive_sha256=_digest(args.archive),
        server=read_scores(args.scores),
        local=args.local and read_scores(args.local),
        recipe=args.recipe,
        config_sha256=args.config and _digest(args.config),
    )


def _digest(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give the very file that was uploaded or run.")
    return sha256(path)
