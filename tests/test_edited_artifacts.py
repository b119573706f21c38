"""JSON of ours with a key gone, of another type or out of range: refused by name, or all the same.

So come files from an older kit, an editor, a half-copied folder. 2,000 edits with fixed seeds over
every kind of artifact; each is read by a command that builds on it. Edits that make another valid
file are none: a null where the format has one, or one frame less where any may be left out.
"""

import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import zstandard
from clips import NAMES, Work, labels
from safetensors import safe_open
from safetensors.numpy import save

from kit.cli import main
from kit.core import grounds
from kit.core.files import MAX_JSON_DEPTH, sha256
from kit.core.mask_archive import write_masks
from kit.core.masks import encode_png, encode_rle
from kit.core.types import Cycle, MaskNotes, State

EDITS = 2000
OPTIONAL = re.compile(  # keys that a file may lack, or values that may be null
    r"/videos/[^/]*$|/frames$"  # of a manifest, meta: other videos; meta: numbered from 0
    r"|/objects/[^/]*/0000\d$|/best/|/sightings/\d+/2/"  # frames not followed, sources that missed
    r"|/measures/|/objects/clip_\d/|/margin$|/iou$|/sightings/\d+/3$|/anchors/\d+/3$"
    r"|/(local|recipe|config_sha256)$|/server/|/height$|/width$"
)


class Kind(NamedTuple):
    """A kind of artifact.

    Attributes:
        file: One of it.
        opened: Its JSON.
        closed: The file's bytes with other JSON.
        commands: That read it, and hand on what they read.
        out: The folder that the last of them writes to.
    """

    file: Path
    opened: Callable[[bytes], Any]
    closed: Callable[[bytes, Any], bytes]
    commands: Sequence[list[str]]
    out: Path


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    return dict(made(Work(tmp_path_factory.mktemp("edited") / "work")))


def made(work: Work) -> Iterator[tuple[str, Kind]]:
    """Every kind, in a work folder of one clip."""
    out, at = work.folder / "out", work.folder
    index, masks = ["--frames", str(work.index)], ["--masks", str(work.masks)]
    second, cycles, audit = track(work)

    def json_of(name: str, file: Path, *commands: list[str]) -> tuple[str, Kind]:
        return name, Kind(file, json.loads, lambda _, value: dumped(value), commands, out)

    anchors = [work.command("manifest"), [*work.command("anchors")[:-1], str(out)]]
    yield json_of("index", work.index, [*work.command("meta")[:-1], str(out / "meta.json")])
    yield json_of("manifest", work.manifest, anchors[1])
    yield json_of("anchors", work.anchors, [
        "audits", *index, "--candidates", str(work.candidates), "--anchors", str(work.anchors),
        "--output", str(out / "a.json"),
    ])  # fmt: skip
    yield json_of("scores", work.scores, [*work.command("results")[:-1], str(out)])
    yield json_of("cycles", cycles, [
        "fallback", *index, "--first", str(work.masks), "--masks", str(second),
        "--cycles", str(cycles), "--settings", "{}", "--output", str(out / "m.zip"),
    ])  # fmt: skip
    yield json_of("audits", audit, [
        "report", "--work", str(at), "--split", "x", "--recipes", '{"one": [".", "."]}',
        "--videos", "clip", "--players", "0", "--output", str(out / "page.html"),
    ])  # fmt: skip
    results = at / "results" / "results.json"
    other = at / "other.json"
    other.write_bytes(results.read_bytes())
    yield json_of("results", results, ["compare", str(other), str(results), "--samples", "5"])
    yield json_of("meta", work.meta, ["check", str(work.archive), "--meta", str(work.meta)])
    record = at / "ledger.jsonl"
    ledger = ["ledger", "--ledger", str(record)]
    scores = str(at / "results" / "scores.txt")
    assert main([*ledger, "add", scores, "--archive", str(work.archive), "--recipe", "one"]) == 0
    yield "ledger", Kind(record, rows, lambda _, value: b"".join(map(line, value)),
                         [[*ledger, "show"]], out)  # fmt: skip
    yield "masks", Kind(work.masks, notes, with_notes, [
        ["emission", *index, *masks, "--settings", '{"presence": "expected_score"}',
         "--output", str(out / "m.zip")],
    ], out)  # fmt: skip
    yield "candidates", Kind(
        work.candidates,
        lambda data: rows(zstandard.decompress(data)),
        lambda _, value: zstandard.compress(b"".join(map(line, value))),
        [["union", *index, "--candidates", str(work.candidates),
          "--settings", '{"method": "union"}', "--output", str(out / "c")]],
        out,
    )  # fmt: skip
    yield "features", Kind(work.features, header, with_header(work.features), anchors, out)


def track(work: Work) -> tuple[Path, Path, Path]:
    """A second pass, what came of tracking both back, and an audit; claims in the first one."""
    sure = dict.fromkeys(NAMES, State(2.0, 0.9))
    claims = {NAMES[2]: {i: encode_rle(labels(2) == i) for i in (1, 2)}}
    noted = MaskNotes({1: sure, 2: sure}, {1: NAMES[:1], 2: NAMES[:1]}, {NAMES[2]: 4}, claims)
    pngs = [(name, encode_png(labels(number))) for number, name in enumerate(NAMES)]
    inputs = {"video": work.video.digest, "anchors": sha256(work.anchors)}
    write_masks(work.masks, work.video, pngs, lambda: noted, inputs)
    second = work.folder / "second.zip"
    write_masks(second, work.video, [*pngs[:4], (NAMES[4], encode_png(labels(4) * 0))],
                lambda: noted, inputs)  # fmt: skip
    for stage in ("scores", "results", "submission"):
        assert main(work.command(stage)) == 0
    cycles = work.folder / "cycles.json"
    rivals = {"first_masks": sha256(work.masks), "masks": sha256(second)}
    found = [Cycle(i, NAMES[4], who, share, 1) for i in (1, 2)
             for who, share in (("first", 0.75), ("second", None))]  # fmt: skip
    grounds.write_cycles(cycles, work.video, found, {"video": work.video.digest, **rivals})
    audit = work.folder / "audits" / "clip.json"
    assert main([
        "audits", "--frames", str(work.index), "--candidates", str(work.candidates),
        "--anchors", str(work.anchors), "--output", str(audit),
    ]) == 0  # fmt: skip
    return second, cycles, audit


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def line(value: Any) -> bytes:
    return dumped(value) + b"\n"


def rows(data: bytes) -> list[Any]:
    return [json.loads(row) for row in data.splitlines()]


def notes(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return json.loads(archive.read("objects.json"))


def with_notes(data: bytes, value: Any) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(stream, "w") as copy:
        for name in archive.namelist():
            copy.writestr(name, archive.read(name) if name.endswith(".png") else dumped(value))
    return stream.getvalue()


def header(data: bytes) -> Any:
    length = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["header"])


def with_header(file: Path) -> Callable[[bytes, Any], bytes]:
    with safe_open(file, framework="np") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    return lambda _, value: save(tensors, {"header": json.dumps(value)})


# --- edits --------------------------------------------------------------------------------------


def places(value: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """(container, key, path) of everything inside a document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key, f"{path}/{key}"
        if isinstance(value[key], dict | list):
            yield from places(value[key], f"{path}/{key}")


def edit(document: Any, rng: random.Random) -> str:
    """Change one thing, and say what."""
    while True:
        holder, key, path = rng.choice(list(places(document)))
        kind = rng.choice(("gone", "type", "range"))
        old = holder[key]
        if kind == "gone" and isinstance(holder, dict) and not OPTIONAL.search(path):
            del holder[key]
            return f"{path} gone"
        if kind == "type":
            strange = ["text", [1], {"a": 1}, True, 7, *([] if OPTIONAL.search(path) else [None])]
            number = isinstance(old, int | float) and not isinstance(old, bool)
            other = [v for v in strange if type(v) is not type(old) and not (number and v == 7)]
            if old is None:  # where null may stand, so may a number or a text
                other = [v for v in other if not isinstance(v, int | str) or v is True]
            holder[key] = rng.choice(other)
            return f"{path}: {old!r:.20} became {holder[key]!r}"
        if kind == "range" and isinstance(old, int | float) and not isinstance(old, bool):
            holder[key] = rng.choice([10**18, -(10**18), float("inf"), float("nan"), 10**400])
            return f"{path}: {old!r} became {holder[key]!r:.20}"


def outcome(folder: Path) -> dict[str, Any]:
    """Everything below a folder; digests of what was edited are left out."""
    found: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as archive:
                found |= {f"{file.name}/{n}": masked(archive.read(n)) for n in archive.namelist()}
        elif file.is_file():
            data = file.read_bytes()
            unpacked = zstandard.decompress(data) if data[:4] == b"\x28\xb5\x2f\xfd" else data
            found[str(file)] = masked(unpacked)
    return found


def masked(data: bytes) -> bytes:
    return re.sub(rb"[0-9a-f]{64}", b"...", data)


def ran(kind: Kind, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], bytes, str]:
    """Status, files and text of the commands of a kind, up to the first that fails."""
    capsys.readouterr()
    status = next((found for c in kind.commands if (found := main(c)) != 0), 0)
    out, error = capsys.readouterr()
    return status, outcome(kind.out), masked(out.encode()), error


NAMES_OF_KINDS = (
    "index", "manifest", "anchors", "scores", "cycles", "audits", "results", "meta", "ledger",
    "masks", "candidates", "features",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES_OF_KINDS)
def test_an_edited_file_is_refused_or_changes_nothing(
    name: str, kinds: dict[str, Kind], capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(kinds) == set(NAMES_OF_KINDS)
    kind = kinds[name]
    data = kind.file.read_bytes()
    refused = 0
    try:
        kind.file.write_bytes(kind.closed(data, kind.opened(data)))  # re-written, and not edited
        status, files, text, _ = ran(kind, capsys)
        assert status == 0
        for seed in range(-(-EDITS // len(NAMES_OF_KINDS))):
            document = kind.opened(data)
            what = f"{name} {seed}: {edit(document, random.Random(f'{name} {seed}'))}"
            kind.file.write_bytes(kind.closed(data, document))
            found, now, said, error = ran(kind, capsys)
            assert now == files, what
            if found == 0:
                assert said == text, what
            else:
                assert (found, str(kind.file) in error) == (2, True), f"{what}\n{error}"
                assert "Traceback" not in error, what
                refused += 1
    finally:
        kind.file.write_bytes(data)
    assert refused > EDITS / len(NAMES_OF_KINDS) / 2  # most edits touch what is read


@pytest.mark.parametrize("name", NAMES_OF_KINDS)
def test_json_that_nests_too_deep_is_refused(
    name: str, kinds: dict[str, Kind], capsys: pytest.CaptureFixture[str]
) -> None:
    """Just over the bound, which is far above what ours need and far below what Python can take."""
    kind = kinds[name]
    data = kind.file.read_bytes()
    deep: Any = 0
    for _ in range(MAX_JSON_DEPTH + 1):
        deep = [deep]
    try:
        kind.file.write_bytes(kind.closed(data, deep))
        status, _, _, error = ran(kind, capsys)
    finally:
        kind.file.write_bytes(data)
    assert status == 2
    assert str(kind.file) in error
    assert f"nested more than {MAX_JSON_DEPTH} deep" in error or name in ("ledger", "candidates")


@pytest.mark.parametrize("recipes", ["[" * 40 + "]" * 40, '{"one": 5}', '{"one": ["a", 1]}', "{"])
def test_recipes_by_hand_that_are_none(
    recipes: str, kinds: dict[str, Kind], capsys: pytest.CaptureFixture[str]
) -> None:
    (command,) = kinds["audits"].commands
    with pytest.raises(SystemExit) as end:
        main([recipes if part.startswith("{") else part for part in command])
    assert end.value.code == 2
    assert "argument --recipes" in capsys.readouterr().err
