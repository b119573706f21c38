"""What a preset's results depend on beside its settings: versions, and the content of weights."""

import os
from pathlib import Path

import pytest
import yaml

from kit import config, plugins
from kit.core import files, weights


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "dinov3"
    (folder / "more").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "more" / "model.safetensors").write_bytes(b"weights")
    return folder


def rewrite(file: Path, data: bytes) -> None:
    """Another content, and nothing else that the file system tells by its name, size and time."""
    seen = file.stat()
    file.write_bytes(data)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def test_content_counts_and_a_touch_does_not(checkpoint: Path) -> None:
    file = checkpoint / "more" / "model.safetensors"
    for source in (checkpoint, file):
        before = weights.identity(str(source))
        assert len(before) == 16
        file.touch()
        assert weights.identity(str(source)) == before
        rewrite(file, b"others!")
        assert weights.identity(str(source)) != before
        rewrite(file, b"weights")
        assert weights.identity(str(source)) == before
    (checkpoint / ".cache").mkdir()
    (checkpoint / ".cache" / "note").touch()
    assert weights.identity(str(checkpoint)) == weights.identity(f"{checkpoint}/")
    before = weights.identity(str(checkpoint))
    (checkpoint / "second.safetensors").touch()
    assert weights.identity(str(checkpoint)) != before


def test_what_has_no_content_here() -> None:
    assert weights.identity("facebook/sam3") == ""
    assert weights.identity("/not/there") == ""


def test_gigabytes_are_read_once(
    checkpoint: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    genuine = files.sha256

    def counting(data: bytes | Path) -> str:
        if isinstance(data, Path):
            read.append(data)
        return genuine(data)

    monkeypatch.setattr(files, "sha256", counting)
    first = weights.identity(str(checkpoint))
    assert len(read) == 2
    assert weights.identity(str(checkpoint)) == first
    assert len(read) == 2
    (own_cache / "mose-kit" / "digests.json").write_text("[")  # whatever became of it
    assert weights.identity(str(checkpoint)) == first
    assert len(read) == 4


def test_a_cache_that_cannot_be_written(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert weights.identity(str(checkpoint))


def test_a_preset_depends_on_all_that_it_uses(checkpoint: Path) -> None:
    model = {"source": str(checkpoint)}
    tracker = {"method": "sam3", "model": model}
    sam3, greedy = plugins.version("trackers", "sam3"), plugins.version("propagators", "greedy")
    content = weights.identity(str(checkpoint))
    found = plugins.identity("propagators", {"method": "greedy", "tracker": tracker})
    assert found == f"greedy={greedy} sam3={sam3} weights={content}"
    assert plugins.identity("emissions", {"presence": "library"}) == ""
    hub = {"source": "facebook/sam3", "revision": "abc"}
    assert plugins.identity("trackers", {"method": "sam3", "model": hub}) == f"sam3={sam3}"


def test_what_the_workflow_trains_is_an_input_and_no_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are not there yet when the plan is made, and must not change it later."""
    monkeypatch.chdir(tmp_path)
    file = Path(config.__file__).parents[1] / "config" / "train_tiny.yaml"
    values = yaml.safe_load(file.read_text())
    made = config.Config(values)
    before = made.versions("trackers", "sam2")
    (tmp_path / "work" / "trainings" / "sam2").mkdir(parents=True)
    (tmp_path / "work" / "trainings" / "sam2" / "model.safetensors").touch()
    assert made.versions("trackers", "sam2") == before


def test_the_family_is_its_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcome: other weights and texts beside them remake no mask that the family made."""
    from kit.runtime import tiny

    assert set(weights.FAMILY) == set(tiny.FOLDERS.values())
    monkeypatch.setattr(weights, "TINY", tmp_path)
    (tmp_path / "sam2").mkdir()
    (tmp_path / "sam2" / "model.safetensors").write_bytes(b"1")
    before = weights.identity("tiny")
    (tmp_path / "wide" / "sam2").mkdir(parents=True)
    (tmp_path / "wide" / "sam2" / "model.safetensors").write_bytes(b"2")
    (tmp_path / "WEIGHTS.md").write_bytes(b"terms")
    assert weights.identity("tiny") == before
    (tmp_path / "sam2" / "model.safetensors").write_bytes(b"3")
    assert weights.identity("tiny") != before
