"""What people write, read strictly: keys that stand twice, nesting, values beyond bounds."""

from pathlib import Path
from typing import Any

import pytest

from kit import config
from kit.core import documents
from kit.core.errors import ConfigError

DEEP = "".join(" " * level + "a:\n" for level in range(51)) + " " * 51 + "1"
REFUSED: list[tuple[str, str, str]] = [
    ("a key twice", "a: 1\nb: 2\na: 3\n", "the key `a` is there twice, lines 1 and 3"),
    ("further in", "r:\n  x: {}\n  y: {}\n  x: {}\n", "the key `x` is there twice, lines 2 and 4"),
    ("on one line", "{a: 1, 'a': 2}", "the key `a` is there twice, lines 1 and 1"),
    ("as JSON", '{"a": 1,\n "a": 2}', "the key `a` is there twice, lines 1 and 2"),
    ("in a list", "- b: 1\n  b: 2\n", "the key `b` is there twice, lines 1 and 2"),
    ("a number twice", "1: x\n0x1: y\n", "the key `1` is there twice, lines 1 and 2"),
    ("too deep", "[" * 51 + "]" * 51, "line 1: nested more than 50 levels deep"),
    ("far too deep", "[" * 100_000, "nest"),
    ("deep mappings", DEEP, "line 51: nested more than 50"),
    ("an anchor in itself", "a: &a [*a]", "`*a` is within itself"),
    ("an alias of nothing", "a: *b", "`*b` is within itself, or stands for nothing"),
    ("an object", "a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ("thousands of digits", "a: " + "1" * 5000, "not valid YAML: Exceeds the limit"),
    ("a day that is none", "a: 2001-99-99", "not valid YAML: month must be"),
    ("not YAML", "a: [", "not valid YAML: while parsing"),
    ("a list as a key", "? [1]\n: 2", "unhashable key"),
]


@pytest.mark.parametrize(
    ("text", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """With the name of the file, whichever way it is read."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    for read in (documents.read, config.load, lambda path: config.given([path])):
        with pytest.raises(ConfigError) as refusal:
            read(file)
        assert str(refusal.value).startswith(f"{file}: ")
        assert words in str(refusal.value)


def doubled(values: int) -> str:
    """A short document that stands for so many values, beside the list that holds them."""
    lists = ["- &a0 [1]"] + [f"- &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    sizes = [2]
    for _ in lists[1:]:
        sizes.append(2 * sizes[-1] + 1)
    taken = next(i for i in range(len(sizes)) if sum(sizes[: i + 1]) + 1 > values)
    over = values - 1 - sum(sizes[:taken])
    return "\n".join([*lists[:taken], *["- 1"] * over]) + "\n"


def test_the_bound_on_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "VALUES", 100)
    assert len(documents.parse(doubled(100), "mine")) > 5
    with pytest.raises(ConfigError, match="mine: it stands for more than 100 values"):
        documents.parse(doubled(101), "mine")


def test_forty_lines_of_aliases_are_refused_at_once() -> None:
    lines = ["- &a0 [1]"] + [f"- &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    with pytest.raises(ConfigError, match="stands for more than 200000 values"):
        documents.parse("\n".join(lines), "mine")


def test_what_is_just_within_bounds() -> None:
    assert documents.parse("[" * 50 + "]" * 50, "mine")
    assert documents.parse("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", "mine")["b"] == {"x": 3, "y": 2}
    assert documents.parse("", "mine") is None


def test_a_file_of_another_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no such configuration file"):
        documents.read(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match="not valid YAML: 'utf-8' codec"):
        documents.read(tmp_path / "latin.yaml")
    (tmp_path / "notepad.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert documents.read(tmp_path / "notepad.yaml") == {"a": 1}
    monkeypatch.setattr(documents, "BYTES", 3)
    with pytest.raises(ConfigError, match="more than 3 bytes"):
        documents.read(tmp_path / "latin.yaml")


@pytest.mark.parametrize("value", [
    "null", "false", "true", "7", "0.5", "1e-3", "text", '"7"', '""', "[1, a]",
    "{b: null, c: {d: no}}", "~", "",
])  # fmt: skip
def test_a_word_means_what_it_means_in_a_file(value: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"key: {value}\n")
    assert config.given([], [f"key={value}"]) == config.given([file])
    nested = f"{{inner: {value or 'null'}}}"
    file.write_text(f"key: {nested}\n")
    assert config.given([], [f"key={nested}"]) == config.given([file])


def test_words_win_over_files_key_by_key(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("split: a\ndata: {root: data, meta: meta.json, videos: [v]}\n")
    second.write_text("split: b\ndata: {videos: null}\n")
    found: Any = config.given([first, second], ["data={meta: null, ground_truth: false}", "work=w"])
    assert found == {
        "split": "b", "work": "w",
        "data": {"root": "data", "meta": None, "videos": None, "ground_truth": False},
    }  # fmt: skip


def test_a_word_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^--config data=\{: not valid YAML"):
        config.given([], ["data={"])
    with pytest.raises(ConfigError, match=r"--config d=.*: the key `a` is there twice"):
        config.given([], ["d={a: 1, a: 2}"])
