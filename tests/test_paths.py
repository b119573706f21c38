"""Paths of a configuration mean what people mean by them."""

from pathlib import Path
from typing import Any

import pytest

from kit.core.errors import ConfigError
from kit.paths import expanded


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("~/out", "{home}/out"), ("~", "{home}"), ("$SCRATCH/out", "/scratch/me/out"),
        ("${{SCRATCH}}/a", "/scratch/me/a"), ("~/$SCRATCH", "{home}//scratch/me"),
        ("out", "out"), ("/a/b", "/a/b"), ("a~b", "a~b"), ("out~", "out~"), ("../x", "../x"),
    ],
)  # fmt: skip
def test_places(text: str, meant: str, home: Path) -> None:
    text, meant = text.format(), meant.format(home=home)
    values: dict[str, Any] = {
        "data": {"root": text, "meta": text, "videos": text, "images": text},
        "submission": {"team": text},
        "detectors": {"named": {"concepts": text, "model": "~not a path"}},
        "trainings": {"one": {"data": [{"root": text, "videos": ["~v"]}]}},
        "split": "~split",
    }
    found = expanded(values)
    for block in (found["data"], found["submission"], found["trainings"]["one"]["data"][0]):
        assert {v for v in block.values() if isinstance(v, str)} == {meant}
    assert found["detectors"]["named"] == {"concepts": meant, "model": "~not a path"}
    assert found["trainings"]["one"]["data"][0]["videos"] == ["~v"]
    assert found["split"] == "~split"
    assert values["data"]["root"] == text  # the given one stays as it was


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("~/out", "{home}/out"), ("out/", "out"), ("./out", "out"), ("a//b", "a/b"), ("/", "/"),
        ("$SCRATCH/", "/scratch/me"), ("work", "work"), (".", "."),
    ],
)  # fmt: skip
def test_where_results_go(text: str, meant: str, home: Path) -> None:
    assert expanded({"work": text}) == {"work": meant.format(home=home)}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"work": "~nobody-here/x"}, "work: ~nobody-here/x: no home folder"),
        ({"data": {"root": "~nobody-here"}}, "data.root: ~nobody-here: no home folder"),
        ({"work": "$NOWHERE/x"}, r"work: \$NOWHERE/x: there is no variable \$NOWHERE"),
        ({"data": {"videos": "${NOWHERE}"}}, "data.videos: .* there is no variable"),
        ({"work": "out<one>"}, "work: out<one>: Snakemake would take '<one>'"),
        ({"work": "{split}"}, r"work: \{split\}: Snakemake would take '\{'"),
    ],
)
def test_places_that_nobody_means(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        expanded(values)


def test_a_folder_with_a_dollar_in_its_name_is_that_folder(home: Path) -> None:
    """But one called ~, which was made where a home was meant, is not."""
    for name in ("~", "$x"):
        (home / name).mkdir()
    assert expanded({"data": {"root": "$x", "meta": "~"}}) == {
        "data": {"root": "$x", "meta": str(home)}
    }


@pytest.mark.parametrize("data", [{"draw": {"videos": 3}}, {"videos": None}, {"videos": ["~a"]}])
def test_what_is_no_path_stays(data: dict[str, Any]) -> None:
    assert expanded({"data": data, "submission": False}) == {"data": data, "submission": False}
