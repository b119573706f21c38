"""Pipes, devices and links in a circle where files are meant: told at once, never waited for."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clips import HEIGHT, NAMES, WIDTH, Work, holds, labels, refused

from kit.cli import main
from kit.core.masks import encode_png
from kit.runtime import models


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """A test that waits for a pipe is stopped, not the suite."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(20)
    yield
    signal.alarm(0)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def circle(path: Path) -> None:
    path.symlink_to(path.name)


ODD = [
    (pipe, "a named pipe"),
    (device, "a device"),
    (circle, "a link that leads back to itself"),
]
READERS = [  # a stage, and what it reads
    ("candidates", "index"),
    ("features", "candidates"),
    ("manifest", "features"),
    ("anchors", "manifest"),
    ("masks", "anchors"),
    ("scores", "masks"),
    ("results", "scores"),
]


@pytest.mark.parametrize(("odd", "words"), ODD, ids=[words for _, words in ODD])
@pytest.mark.parametrize(("stage", "read"), READERS)
def test_an_artifact_that_is_no_file(
    stage: str,
    read: str,
    odd: Callable[[Path], None],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    work = Work(tmp_path / "work")
    path = getattr(work, read)
    path.unlink()
    odd(path)
    holds(refused(capsys, work.command(stage)), (path.name, words))


@pytest.mark.parametrize("odd", [pipe, device, circle])
@pytest.mark.parametrize("side", ["gt", "pred"])
@pytest.mark.parametrize("protocol", [[], ["--protocol", "davis2017"]], ids=["mosev2", "davis"])
def test_a_scored_picture_that_is_no_file(
    protocol: list[str],
    side: str,
    odd: Callable[[Path], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder in ("gt", "pred"):
        for video in ("a", "b"):
            (tmp_path / folder / video).mkdir(parents=True)
            for number, name in enumerate(NAMES):
                data = encode_png(labels(number))
                (tmp_path / folder / video / f"{name}.png").write_bytes(data)
    entry = {"length": 5, "height": HEIGHT, "width": WIDTH, "objects": [1, 2]}
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"videos": {"a": entry, "b": entry}}))
    path = tmp_path / side / "b" / "00002.png"
    path.unlink()
    odd(path)
    command = ["score", "--gt", str(tmp_path / "gt"), "--pred", str(tmp_path / "pred"),
               "--output", str(tmp_path / "out"), *(protocol or ["--meta", str(meta)])]  # fmt: skip
    assert main(command) == 2
    told = capsys.readouterr().err  # behind a bar of progress
    assert "00002.png" in told
    assert "Traceback" not in told
    assert ("pipe or a device" in told) != (odd is circle)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DINOv3 as transformers writes it."""
    folder = tmp_path_factory.mktemp("model")
    models.load("dinov3", {"source": "tiny"}, "cpu").save_pretrained(folder)
    return folder


ODD_CONFIGS: list[tuple[str, Callable[[dict[str, object]], object]]] = [
    ("a list", lambda config: []),
    ("null", lambda config: None),
    ("a number", lambda config: 5),
    ("nothing in it", lambda config: {}),
    ("a type that is a list", lambda config: {**config, "model_type": ["dinov3_vit"]}),
    ("text for a number", lambda config: {**config, "patch_size": "x"}),
    ("layers below zero", lambda config: {**config, "num_hidden_layers": -1}),
    ("no heads", lambda config: {**config, "num_attention_heads": 0}),
    ("an unknown dtype", lambda config: {**config, "dtype": "zz"}),
    ("a number for a block", lambda config: {**config, "quantization_config": 5}),
]


@pytest.mark.parametrize("change", [r[1] for r in ODD_CONFIGS], ids=[r[0] for r in ODD_CONFIGS])
def test_a_model_with_an_odd_config(
    change: Callable[[dict[str, object]], object],
    model: Path,
    shared: Work,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What a library raises there belongs to a dozen unrelated classes."""
    config = model / "config.json"
    good = config.read_text()
    config.write_text(json.dumps(change(json.loads(good))))
    command = shared.command("features")
    settings = {"method": "dinov3", "model": {"source": str(model)}}
    command[command.index("--settings") + 1] = json.dumps(settings)
    assert main(command) == 2
    told = capsys.readouterr().err
    assert str(model) in told
    assert "Traceback" not in told
    config.write_text(good)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return Work(tmp_path_factory.mktemp("odd") / "work")
