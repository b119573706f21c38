"""Which videos are run: lists as people write them, and names that cannot be run, each in words."""

import unicodedata
from pathlib import Path

import pytest

from kit.core.errors import DataError
from kit.data.chosen import choose
from kit.data.layout import Split


@pytest.fixture
def split(tmp_path: Path) -> Split:
    for name in ("a", "b", "my clip", "@eaDir", unicodedata.normalize("NFD", "café")):
        (tmp_path / "JPEGImages" / name).mkdir(parents=True)
    (tmp_path / "JPEGImages" / "film.MP4").touch()
    return Split(tmp_path)


CAFE = unicodedata.normalize("NFD", "café")


def test_all_of_a_folder(split: Split) -> None:
    found = choose(split, None)
    assert found.videos == sorted(["a", "b", CAFE, "film", "my clip"])
    assert found.refused == {}
    assert found.notes() == ["passed over, as no videos: @eaDir"]


@pytest.mark.parametrize(
    ("wanted", "videos"),
    [
        (["b", "a"], ["a", "b"]),
        (["a", "a/", "./a", "JPEGImages/a"], ["a"]),
        (["my clip"], ["my clip"]),
        (["film.MP4"], ["film"]),
        (["film.mp4", "film"], ["film"]),
        (["café"], [CAFE]),
    ],
    ids=str,
)
def test_a_list_is_read_as_meant(wanted: list[str], videos: list[str], split: Split) -> None:
    assert choose(split, wanted).videos == videos
    path = split.root / "list.txt"
    path.write_text("".join(f"{name}\n" for name in wanted), encoding="utf-8")
    assert choose(split, str(path)).videos == videos


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("take<two>", "'<two>'"),
        ("C:\\clip", "'\\\\'"),
        ("aa", "is neither a frame folder nor a video file in {root}/JPEGImages; is it 'a'?"),
        ("nothing like it", "is neither a frame folder nor a video file in {root}/JPEGImages"),
        ("@eaDir", "is neither"),
    ],
)
def test_a_video_that_cannot_be_run_stops_no_other(name: str, words: str, split: Split) -> None:
    found = choose(split, ["a", name])
    assert found.videos == ["a"]
    assert words.format(root=split.root) in found.refused[name]
    (note,) = found.notes()
    assert note.startswith(f"video {name!r} is refused: it ")
    with pytest.raises(DataError, match="no video can be run"):
        choose(split, [name])


@pytest.mark.parametrize("name", ["take<two>", "a\\b"])
def test_so_does_one_in_the_folder(name: str, split: Split) -> None:
    (split.root / "JPEGImages" / name).mkdir()
    assert set(choose(split, None).refused) == {name}


@pytest.mark.parametrize("wanted", [[], ["", " "]])
def test_an_empty_list_is_not_all(wanted: list[str], split: Split) -> None:
    with pytest.raises(DataError, match=r"data\.videos: an empty list.* null for all"):
        choose(split, wanted)
