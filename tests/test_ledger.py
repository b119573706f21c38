"""The ledger: what the server returned is kept, found again, and never rewritten."""

import argparse
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from kit.core.errors import ArtifactError, DataError
from kit.core.files import canonical_json
from kit.core.scored import SCORE_KEYS
from kit.submission import ledger
from kit.submission.ledger import Entry, add, add_arguments, read, read_scores, run, table

SCORES_TXT = """J&F_new: 51.17
J: 49.55
F_new: 52.8
disappear_J&F_new: 66.23
reappear_J&F_new: nan
F: 55.13
J&F: 52.34
Copy-Paste: 51.2,49.5,52.8,66.2,nan,55.1,52.3
"""
SCORES = {
    "J&F_new": 51.17, "J": 49.55, "F_new": 52.8, "disappear_J&F_new": 66.23,
    "reappear_J&F_new": None, "F": 55.13, "J&F": 52.34,
}  # fmt: skip
OBJECT = dict.fromkeys(SCORE_KEYS, 40.0)


def entry(**changes):
    fields = {"date": "2026-03-09T00:00:00+00:00", "archive": "a.zip", "archive_sha256": "ab" * 32}
    return Entry(**({"server": SCORES} | fields | changes))


def test_scores_txt(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text(SCORES_TXT)
    assert read_scores(path) == SCORES


def test_metrics_json_is_averaged_over_objects_that_have_a_score(tmp_path):
    path = tmp_path / "metrics.json"
    second = OBJECT | {"J": 60.0, "reappear_J&F_new": None}
    path.write_text(json.dumps({"cat_1": OBJECT, "cat_2": second, "total_time": 3.5}))
    assert read_scores(path) == OBJECT | {"J": 50.0}


# Content that is no result, or a hostile one; the words of the message.
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "J&F_new"),
        ("J&F_new: 51.17\n", "`J`: expected a number from 0 to 100, found nothing"),  # cut short
        (
            SCORES_TXT.replace("51.17", "5117"),
            "`J&F_new`: expected a number from 0 to 100, found 5117",
        ),
        (SCORES_TXT.replace("51.17", "inf"), "found Infinity"),
        (SCORES_TXT.replace("51.17", "high"), "could not convert"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("[1]", "expected an object"),
        ('{"total_time": 1}', "all scores are undefined"),
        (json.dumps({"cat_1": {}}), "`cat_1.J&F_new`: expected a number"),
        (
            json.dumps({"cat_1": OBJECT | {"J": "x"}}),
            '`cat_1.J`: expected a number from 0 to 100, found "x"',
        ),
        (json.dumps({"cat_1": OBJECT | {"J": -1}}), "found -1"),
        (json.dumps({"cat_1": OBJECT}).replace("40.0", "1e999"), "found Infinity"),
        (json.dumps({"cat_1": OBJECT | {"J": 10**400}}), "found 1000000"),
        ("\udcff", "can't decode byte"),
    ],
)
def test_no_scores(content, words, tmp_path):
    path = tmp_path / "scores"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DataError, match=words):
        read_scores(path)


def test_large_files_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "MAX_BYTES", 100)
    path = tmp_path / "scores.txt"
    path.write_text(SCORES_TXT)
    with pytest.raises(DataError, match="more than 100 bytes"):
        read_scores(path)


def test_entries_are_appended_and_old_bytes_stay(tmp_path):
    path = tmp_path / "new" / "ledger.jsonl"
    first, second = entry(), entry(archive="b.zip", archive_sha256="cd" * 32, local=SCORES)
    assert add(path, first)
    before = path.read_bytes()
    assert add(path, second)
    assert path.read_bytes().startswith(before)
    assert read(path) == [first, second]
    assert read(tmp_path / "nothing") == []


def test_the_same_result_is_recorded_once(tmp_path):
    path = tmp_path / "ledger.jsonl"
    assert add(path, entry())
    assert not add(path, entry(date="2026-03-10T00:00:00+00:00", recipe="x"))
    assert add(path, entry(server=SCORES | {"J": 1.0}))  # scored again, otherwise
    assert len(read(path)) == 2


def test_additions_at_once_are_all_kept(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: add(path, entry(archive_sha256=f"{at:064x}")), range(40)))
    assert len({e.archive_sha256 for e in read(path)}) == 40


def test_one_result_reported_by_many_at_once_is_recorded_once(tmp_path, monkeypatch):
    path, ready = tmp_path / "ledger.jsonl", Barrier(8)

    def slow_json(value: object) -> str:  # between reading the ledger and writing to it
        time.sleep(0.02)
        return canonical_json(value)

    monkeypatch.setattr(ledger, "canonical_json", slow_json)

    def report(_: int) -> bool:
        ready.wait()
        return add(path, entry())

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(report, range(8))) == 1


# Damage to the second line; the message names it.
@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:-10],  # torn write
        lambda line: line.rstrip(b"\n"),  # the line end is the last thing written
        lambda line: line.replace(b"ledger/1", b"ledger/0"),
        lambda line: line.replace(b'"recipe"', b'"recip"'),
        lambda line: line.replace(b"51.17", b"true, 1"),
        lambda line: b"[]\n",
        lambda line: b"[" * 100_000,
    ],
)
def test_damaged_lines_are_named_and_nothing_is_added(damage, tmp_path):
    path = tmp_path / "ledger.jsonl"
    add(path, entry())
    add(path, entry(archive_sha256="cd" * 32))
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damage(second))
    before = path.read_bytes()
    for action in (lambda: read(path), lambda: add(path, entry(archive_sha256="ef" * 32))):
        with pytest.raises(ArtifactError, match=r"ledger.jsonl:2: no ledger entry"):
            action()
    assert path.read_bytes() == before


def test_table_lines_up():
    head, row = table([entry(recipe="tiny.top_k", local=OBJECT)]).splitlines()
    assert head.split() == ["date", "archive", "sha256", "recipe", "config", "local", *SCORE_KEYS]
    assert row.split()[1:] == [
        "a.zip", "abababababab", "tiny.top_k", "-", "40.00",
        "51.17", "49.55", "52.80", "66.23", "-", "55.13", "52.34",
    ]  # fmt: skip


def command(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(argument) for argument in arguments]))


def test_which_zip_was_51_17(tmp_path, capsys):
    path = tmp_path / "ledger.jsonl"
    for name in ("a.zip", "b.zip", "config.yaml"):
        (tmp_path / name).write_text(name)
    (tmp_path / "scores.txt").write_text(SCORES_TXT)
    (tmp_path / "other.txt").write_text(SCORES_TXT.replace("51.17", "48.19"))
    common = ("--ledger", path, "add")
    made_of = ("--recipe", "r", "--config", tmp_path / "config.yaml", "--local",
               tmp_path / "other.txt")  # fmt: skip
    assert command(*common, tmp_path / "other.txt", "--archive", tmp_path / "a.zip") == 0
    assert command(*common, tmp_path / "scores.txt", "--archive", tmp_path / "b.zip", *made_of) == 0
    capsys.readouterr()
    assert command("--ledger", path, "show", "--score", "51.17") == 0
    shown = capsys.readouterr().out
    assert "b.zip" in shown
    assert "a.zip" not in shown
    recorded = read(path)[1]
    assert recorded.archive_sha256 == hashlib.sha256(b"b.zip").hexdigest()
    assert recorded.config_sha256 == hashlib.sha256(b"config.yaml").hexdigest()
    assert recorded.local == SCORES | {"J&F_new": 48.19}
    assert command("--ledger", path, "show", "--score", "99") == 1


def test_missing_archive(tmp_path):
    (tmp_path / "scores.txt").write_text(SCORES_TXT)
    with pytest.raises(DataError, match="Give the very file"):
        command("--ledger", tmp_path / "l", "add", tmp_path / "scores.txt", "--archive", "no.zip")
