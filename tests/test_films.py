"""Video files: the frames that players show, and the reason where they cannot be had."""

import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import mp4_boxes as boxes
import numpy as np
import pytest
from clips import (
    film,
    frame,
    frames_command,
    holds,
    labels,
    mask,
    picture,
    refused,
    relabel,
    run,
    write_clip,
)  # fmt: skip
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.core import artifacts
from kit.core.images import Frames
from kit.data import extract, mp4

# Four frames of 64 x 48 by libaom: ffmpeg -f lavfi -i testsrc2=size=64x48:rate=10 -t 0.4 ...
AV1 = base64.b64decode(
    """
AAAAIGZ0eXBpc29tAAACAGlzb21hdjAxaXNvMm1wNDEAAAAIZnJlZQAAAlRtZGF0CgoAAAACr/ebXyAIMv4CFAApIAAA
kAsg23HA/pBNXuZFvMxFx8QUOT2IeQyTITdBfokGV1dchYwPhLQZ3MO0NgUquXmYtg9SYOZe8Czwod8KBVRko7wPZu+R
0hXQPOl230hNl7H6B6fvzhRNRZD3Psq4NSv9s2IhvrnFU0tRhRj5g9m0+yEga/dH9/t2HepXkGVlnnfMo6KwQYS4Bkp7
1vNDix5qpzO2t9LsHiajNVisTHHnPo/FSpwyr4XN6eafY5wEQBDs7Vn2WPSliRd5/M2BQf7osefFW58gc1vRMv9MPvVa
0j1OHksdwvYIB7N+0JGgyjFb0DO8eI3NczMhWdttWea2y5+7WhNuEED7ETIBpEvflJBb/MJL2ujXzUE3I3TO2XDapk5c
kLc9TAAF4WQIEuT7GYSLaLRopMJ1IjfGYgLQY4/33nPUEcLHWIHkapSKiO3nC6qyH9rw5O7ZFL3F9k83KzlXDBbcn87l
LpUrTTcfwEIP3AQHkR74itmhvcOObnwZN6fkGgysdDJfIQHwIAAAEazAAACQK4gAuilQAjIDiYNsilNo9hsL8hGWahgs
0jayLVLZVhFTWNrmNVRgM/r+GKH//2pAXMnQa39g54tuabMZWOzpmo7ofGPlSwcPha1wADXwaVH+1kYyJTIB4IAAICNf
wAABJdcQANyPrU/z1mORwVxedNFA1p4QxQG2yIAyIjICAQQAAINgABBGgBRdY4AA3c+GVjm6WnTjES8T/Ctx+EAyETID
AAaAAINgABBFABQAAQCRAAADJm1vb3YAAABsbXZoZAAAAAAAAAAAAAAAAAAAA+gAAAGQAAEAAAEAAAAAAAAAAAAAAAAB
AAAAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIAAAJRdHJh
awAAAFx0a2hkAAAAAwAAAAAAAAAAAAAAAQAAAAAAAAGQAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAQAA
AAAAAAAAAAAAAAAAQAAAAABAAAAAMAAAAAAAJGVkdHMAAAAcZWxzdAAAAAAAAAABAAABkAAAAAAAAQAAAAAByW1kaWEA
AAAgbWRoZAAAAAAAAAAAAAAAAAAAKAAAABAAVcQAAAAAAC1oZGxyAAAAAAAAAAB2aWRlAAAAAAAAAAAAAAAAVmlkZW9I
YW5kbGVyAAAAAXRtaW5mAAAAFHZtaGQAAAABAAAAAAAAAAAAAAAkZGluZgAAABxkcmVmAAAAAAAAAAEAAAAMdXJsIAAA
AAEAAAE0c3RibAAAAKxzdHNkAAAAAAAAAAEAAACcYXYwMQAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAABAADAASAAAAEgA
AAAAAAAAARdMYXZjNjMuMS4xMDIgbGliYW9tLWF2MQAAAAAAAAAAABj//wAAABhhdjFDgQAMAAoKAAAAAq/3m18gCAAA
AApmaWVsAQAAAAAQcGFzcAAAAAEAAAABAAAAFGJ0cnQAAAAAAAAt8AAAAAAAAAAYc3R0cwAAAAAAAAABAAAABAAABAAA
AAAUc3RzcwAAAAAAAAABAAAAAQAAABxzdHNjAAAAAAAAAAEAAAABAAAABAAAAAEAAAAkc3RzegAAAAAAAAAAAAAABAAA
AY0AAACIAAAAJAAAABMAAAAUc3RjbwAAAAAAAAABAAAAMAAAAGF1ZHRhAAAAWW1ldGEAAAAAAAAAIWhkbHIAAAAAAAAA
AG1kaXJhcHBsAAAAAAAAAAAAAAAALGlsc3QAAAAkqXRvbwAAABxkYXRhAAAAAQAAAABMYXZmNjMuMS4xMDI=
"""
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clip whose frames are to be in a video file."""
    root = write_clip(tmp_path / "data")
    for path in [*frame(root).parent.iterdir(), *mask(root).parent.iterdir()]:
        path.unlink()
    frame(root).parent.rmdir()
    relabel(mask(root), labels(0).repeat(4, 0).repeat(4, 1))
    return root


def shot(root: Path, name: str = "clip.mp4") -> bytes:
    """Forty frames, ten a second."""
    path = root / "JPEGImages" / name
    data = film(path, "mp4v")
    path.unlink()
    return data


def command(root: Path) -> list[str]:
    return frames_command(root, root.parent / "clip.json")


def shown(root: Path, data: bytes, name: str = "clip.mp4") -> list[int]:
    """Which of the drawn pictures the frames are."""
    (root / "JPEGImages" / name).write_bytes(data)
    run(*command(root))
    found = Frames(artifacts.read_video(root.parent / "clip.json"))
    drawn = [np.kron(picture(n), np.ones((4, 4, 1)))[..., ::-1] for n in range(40)]  # film is BGR
    return [int(np.argmin([np.abs(f - d).mean() for d in drawn])) for f in found]


Cut = Callable[[int, int], tuple[tuple[int, int], ...]]  # of units per second: movie, track
EDITS: list[tuple[str, Cut, list[int]]] = [
    ("all of it", lambda m, t: ((4 * m, 0),), list(range(40))),
    ("cut at the start", lambda m, t: ((5 * m // 2, 3 * t // 2),), list(range(15, 40))),
    ("cut at both ends", lambda m, t: ((m, t),), list(range(10, 20))),
    ("cut at the end", lambda m, t: ((m, 0),), list(range(10))),
    ("a delay", lambda m, t: ((m, -1), (4 * m, 0)), list(range(40))),
    ("two parts", lambda m, t: ((m, t), (m // 2, 3 * t)), [*range(10, 20), *range(30, 35)]),
]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(("cut", "wanted"), [r[1:] for r in EDITS], ids=[r[0] for r in EDITS])
def test_frames_are_those_that_players_show(
    cut: Cut, wanted: list[int], suffix: str, root: Path
) -> None:
    """A clip cut without encoding again keeps hidden frames; the header counts them."""
    data = shot(root)
    whole = boxes.with_edits(data, *cut(*boxes.scales(data)))
    assert shown(root, whole, f"clip{suffix}") == wanted
    assert mp4.frames_shown(root / "JPEGImages" / f"clip{suffix}") == len(wanted)


@pytest.mark.parametrize("rest", [0.4, 0.7])
def test_a_cut_clip_that_is_damaged_is_told(
    rest: float, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shot(root)
    movie, track = boxes.scales(data)
    whole = boxes.tables_first(boxes.with_edits(data, (5 * movie // 2, 3 * track // 2)))
    assert shown(root, whole) == list(range(15, 40))
    (root / "JPEGImages/clip.mp4").write_bytes(whole[: int(rest * len(whole))])
    told = refused(capsys, command(root))
    holds(told, ("clip.mp4", "the file declares 25", "damaged or cut short"))


def test_an_edit_list_that_is_not_followed(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another back end of OpenCV: its frames would not be those of the masks."""
    data = shot(root)
    movie, track = boxes.scales(data)
    cut = boxes.with_edits(data, (movie, track))
    (root / "JPEGImages/clip.mp4").write_bytes(cut)
    monkeypatch.setattr(extract, "_decode", lambda *_: extract.Film(40, "mp4v", [0.0] * 40))
    told = refused(capsys, command(root))
    holds(told, ("clip.mp4", "40 frames were decoded", "shows 10", cv2.__version__, "ffmpeg -i"))


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("hostile") / "clip.mp4"
    return path, boxes.with_edits(film(path, "mp4v"), (1000, 0))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_hostile_tables_are_unknown(edited: tuple[Path, bytes], data: st.DataObject) -> None:
    """Cut, or with numbers exchanged anywhere in the tables: a bounded number, or nothing."""
    path, whole = edited
    file = bytearray(whole)
    tables = file.index(b"moov") - 4
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(tables, len(file) - 4))
        number = data.draw(st.sampled_from([0, 1, 7, 0xFF, 1 << 20, (1 << 31) - 1, (1 << 32) - 1]))
        file[at : at + 4] = number.to_bytes(4)
    path.write_bytes(file[: data.draw(st.integers(tables, len(file)))])
    found = mp4.frames_shown(path)
    assert found is None or 0 <= found <= mp4.MAX_FRAMES


RATES = [
    ("half the rate", ((16, 1), (24, 2)), "100 to 200 ms", "about 63"),
    ("frames left out", ((10, 1), (1, 3), (29, 1)), "100 to 300 ms", "about 42"),
]


@pytest.mark.parametrize(
    ("rows", "lasts", "even"), [r[1:] for r in RATES], ids=[r[0] for r in RATES]
)
def test_masks_of_an_even_frame_rate(
    rows: tuple[tuple[int, int], ...],
    lasts: str,
    even: str,
    root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Masks named by the images that the ffmpeg command line makes: refused with the reason."""
    data = shot(root)
    unit = boxes.scales(data)[1] // 10
    uneven = boxes.with_times(data, *((count, steps * unit) for count, steps in rows))
    assert shown(root, uneven) == list(range(40))
    told = capsys.readouterr().err
    holds(told, ("frame rate varies", lasts, "holds 40 pictures", even))
    relabel(mask(root, "00041.png"), labels(0).repeat(4, 0).repeat(4, 1))
    told = refused(capsys, command(root))
    holds(told, ("00041.png", "no frame 00041 among the 40 frames", "frame rate varies", lasts))
    holds(told, (even, "-fps_mode passthrough"))


def test_an_even_rate_is_not_mentioned(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown(root, shot(root))
    assert "rate" not in capsys.readouterr().err
    jitter = boxes.with_times(shot(root), *[(1, 1000 + 60 * (n % 2)) for n in range(40)])
    shown(root, jitter)  # as phones write it
    assert "rate" not in capsys.readouterr().err


def test_av1(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some wheels of OpenCV cannot decode it: which one this is and what to do, not "damaged"."""
    (root / "JPEGImages/clip.mp4").write_bytes(AV1)
    relabel(mask(root), np.ones((48, 64), np.uint8))
    if cv2.VideoCapture(str(root / "JPEGImages/clip.mp4")).read()[0]:
        run(*command(root))
        assert len(artifacts.read_video(root.parent / "clip.json").frames) == 4
        return
    told = refused(capsys, command(root))
    holds(told, (f"OpenCV {cv2.__version__}", "4 frames of AV1", "opencv-python-headless<5"))
    assert "damaged" not in told


def test_av1_that_no_decoder_gives(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with any OpenCV at hand."""
    (root / "JPEGImages/clip.mkv").write_bytes(b"some film")
    for codec in ("AV01", "av01"):
        monkeypatch.setattr(extract, "_decode", lambda *_, codec=codec: extract.Film(9, codec))
        holds(refused(capsys, command(root)), ("clip.mkv", "9 frames of AV1", "decodes none"))
