"""Names that start with a dash are values where a value is expected, by hand and in a workflow."""

import argparse
from pathlib import Path

import pytest
from clips import frames_command, write_clip

from kit.arguments import Parser
from kit.cli import STAGES, TOOLS, _parser, main
from kit.core import artifacts

ODD = ["-QeQv9uDrYk", "--abcdefghi", "-hello", "-", "-h=1", "-1", "- a b", "-v", "--=x"]


@pytest.fixture
def parser() -> Parser:
    parser = Parser()
    sub = parser.add_subparsers().add_parser("stage")
    sub.add_argument("--video")
    sub.add_argument("--videos", nargs="+", action="extend")
    sub.add_argument("--output", type=Path)
    sub.add_argument("--fast", action="store_true")
    sub.add_argument("more", nargs="*")
    return parser


@pytest.mark.parametrize("name", ODD)
def test_a_value_may_start_with_a_dash(name: str, parser: Parser) -> None:
    for given in (["--video", name], [f"--video={name}"]):
        found = parser.parse_args(["stage", *given, "--output", "x"])
        assert (found.video, found.output) == (name, Path("x"))


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_so_may_one_of_many(name: str, place: int, parser: Parser) -> None:
    wanted = ["a", "b"]
    wanted.insert(place, name)
    found = parser.parse_args(["stage", "--videos", *wanted, "--output", "x", "--fast"])
    assert (found.videos, found.output, found.fast) == (wanted, Path("x"), True)


@pytest.mark.parametrize(
    "given",
    [["--video", "--output", "x"], ["--video"], ["--videos", "--fast"], ["--output", "--out", "x"]],
)
def test_a_forgotten_value_is_told(
    given: list[str], parser: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser.parse_args(["stage", *given])
    assert "expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["--fast", "a", "b"], {"more": ["a", "b"], "fast": True}),
        (["--video", "x", "a"], {"more": ["a"], "video": "x"}),
        (["--vid", "x"], {"video": None, "videos": None}),
        (["--outp", "x"], {"output": Path("x")}),
        (["--output=x", "a"], {"output": Path("x"), "more": ["a"]}),
    ],
)
def test_ordinary_command_lines_mean_what_they_did(
    given: list[str], found: dict[str, object], parser: Parser
) -> None:
    if given[0] == "--vid":  # of two flags
        with pytest.raises(SystemExit):
            parser.parse_args(["stage", *given])
        return
    assert vars(parser.parse_args(["stage", *given])).items() >= found.items()


@pytest.mark.parametrize("command", [*STAGES, *TOOLS])
def test_lists_of_videos_may_come_one_by_one(command: str) -> None:
    """Each with its flag, so that any of them may start with a dash."""
    parser = _parser(command)
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for action in commands.choices[command]._actions:
        if "--videos" in action.option_strings:
            assert isinstance(action, argparse._ExtendAction), action


def test_a_list_that_does_not_add_up_is_left_to_argparse(parser: Parser) -> None:
    sub = Parser()
    sub.add_argument("--files", nargs="+", default=["own"])
    assert sub.parse_args(["--files", "a", "b"]).files == ["a", "b"]
    assert sub.parse_args([]).files == ["own"]


@pytest.mark.parametrize("name", ["-QeQv9uDrYk", "--abcdefghi", "-hello"])
def test_a_video_is_indexed_and_listed(name: str, tmp_path: Path) -> None:
    root = write_clip(tmp_path / "data", name)
    write_clip(tmp_path / "data", "other")
    for video in (name, "other"):
        command = [v if v != "clip" else video for v in frames_command(root, Path("x"))]
        command[command.index("x")] = str(tmp_path / "frames" / f"{video}.json")
        assert main(command) == 0
        assert artifacts.read_video(tmp_path / "frames" / f"{video}.json").name == video
    output = str(tmp_path / "meta.json")
    command = ["meta", "--frames", str(tmp_path / "frames"), "--videos", name, "other"]
    assert main([*command, "--output", output]) == 0
    assert f'"{name}"' in Path(output).read_text()
