"""`kit try`: one clip from the disk to masks and an overlay."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from kit.cli import main
from kit.core.masks import iou
from kit.data import synthetic
from kit.trial import worth

CONFIG = synthetic.Config(
    frames=5, width=160, height=96, objects=1, distractors=0, occluders=0, gap_share=0.0,
    size_min=0.2,
)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def drawn() -> synthetic.Clip:
    return synthetic.draw(synthetic.seed_of("validation", 3), CONFIG)


@pytest.fixture
def here(tmp_path: Path, drawn: synthetic.Clip, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A film, the same as a folder of frames, and its first mask as 0/255."""
    monkeypatch.chdir(tmp_path)
    frames = tmp_path / "frames"
    frames.mkdir()
    size = (CONFIG.width, CONFIG.height)
    film = cv2.VideoWriter("my clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10.0, size)
    for t, frame in enumerate(drawn.frames):
        Image.fromarray(frame).save(frames / f"{t:05d}.jpg", quality=95)
        film.write(np.ascontiguousarray(frame[..., ::-1]))
    film.release()
    Image.fromarray((drawn.labels[0] > 0).astype(np.uint8) * 255).save("mask.png")
    return tmp_path


def mask(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(np.array(image) == 1)


def test_a_film_and_a_mask_become_masks_and_an_overlay(
    here: Path, drawn: synthetic.Clip, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["try", "my clip.mp4", "--mask", "mask.png"]) == 0
    result = here / "try" / "my_clip"
    told = sorted((result / "masks").iterdir())
    assert [path.name for path in told] == [f"{t:05d}.png" for t in range(5)]
    assert np.array_equal(mask(told[0]), drawn.labels[0] > 0)
    assert iou(mask(told[-1]), drawn.labels[-1] > 0) > 0.6
    film = cv2.VideoCapture(str(result / "overlay.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 5 and film.get(cv2.CAP_PROP_FPS) == 10
    with Image.open(result / "sheet.png") as sheet:
        assert sheet.size == (4 * 160, 2 * 96)
    words = capsys.readouterr().out
    assert "real clips" in words and "--models" in words
    assert (result / "READ_ME.txt").read_text().strip() in words
    assert not (result / "frames").exists()


@pytest.mark.parametrize("propagator", ["sam2", "sam3"])
@pytest.mark.parametrize("kind", ["box", "point"])
def test_the_trackers_own_decoder_draws_what_is_shown(
    here: Path,
    drawn: synthetic.Clip,
    kind: str,
    propagator: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is asked of it and what becomes of its answer; the embedded family draws badly."""
    truth = drawn.labels[0] > 0
    asked: list[tuple[str, list[float]]] = []

    class Noted:
        def __init__(self, model: object) -> None:
            asked.append((type(model).__name__, []))

        def look(self, image: np.ndarray) -> None:
            assert np.abs(image.astype(int) - drawn.frames[0]).mean() < 3  # the first frame

        def masks(
            self, view: None, points: torch.Tensor | None, boxes: torch.Tensor | None
        ) -> torch.Tensor:
            asked[-1][1].extend((points if boxes is None else boxes)[0].tolist())  # type: ignore[index]
            small = cv2.resize(truth.astype(np.float32), (80, 48), interpolation=cv2.INTER_AREA)
            return torch.from_numpy(small)[None] - 0.5

    monkeypatch.setattr("kit.trackers.clicks.clicks_of", Noted)
    shown = {"box": "16,24,80,72", "point": "40,48"}[kind]
    command = ["try", "frames", f"--{kind}", shown, "--propagator", propagator, "--output", "out"]
    assert main(command) == 0
    model, place = asked[0]
    assert model == {"sam2": "SAM2VideoPredictor", "sam3": "Sam3TrackerVideoModel"}[propagator]
    assert place == pytest.approx({"box": [0.1, 0.25, 0.5, 0.75], "point": [0.25, 0.5]}[kind])
    assert iou(mask(here / "out" / "masks" / "00000.png"), truth) > 0.85


def test_presets_of_a_config_can_be_named(here: Path) -> None:
    config = Path(__file__).parents[1] / "config" / "folder.yaml"
    command = ["try", "frames", "--mask", "mask.png", "--models", str(config), "--output", "out"]
    assert main([*command, "--propagator", "tree"]) == 0
    assert main([*command, "--propagator", "sam2"]) == 0  # our own result is replaced
    assert len(list((here / "out" / "masks").iterdir())) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gone.mp4", "--mask", "mask.png"], "no such video file"),
        (["frames", "--box", "10,10,400,50"], "160 wide and 96 high"),
        (["frames", "--box", "50,50,20,80"], "left, top, right, bottom"),
        (["frames", "--point", "5,5", "--propagator", "flow"], "has no tracker"),
        (["frames", "--mask", "mask.png", "--propagator", "sam9"], "embedded ones are"),
        (["frames", "--mask", "small.png"], "small.png"),
        (["frames", "--mask", "empty.png"], "is empty"),
        (["frames", "--mask", "mask.png", "--output", "frames"], "no result of `kit try`"),
    ],
)
def test_mistakes_are_told_and_leave_nothing(
    here: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.full((9, 9), 1, np.uint8)).save("small.png")
    Image.fromarray(np.zeros((96, 160), np.uint8)).save("empty.png")
    before = sorted(here.rglob("*"))
    assert main(["try", *words]) == 2
    assert message in capsys.readouterr().err
    after = [path for path in sorted(here.rglob("*")) if path != here / "try"]
    assert after == before


def test_what_uses_no_model_is_called_by_its_name() -> None:
    assert "`hold`" in worth.words({"method": "hold"})
    theirs = {"tracker": {"model": {"source": "facebook/sam3"}}, "method": "greedy"}
    assert "facebook/sam3" in worth.words(theirs)
