"""Checkpoints of SAM 3.1: what is read, what is refused, and what `check-weights` says."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import SAM31, tiny_sam31, write_tiny_sam31

from kit import cli, plugins
from kit.core.errors import WeightsError
from kit.runtime import layouts, models
from kit.trackers import sam31
from kit.trackers.multiplex import checkpoint, names
from kit.trackers.multiplex.network import Network

SCORE = "tracker.model.sam_mask_decoder.obj_score_token.weight"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path / "cache" / "mose-kit" / "sam31"
    models.RECENT.keep(0, "cpu")


def loaded(path: Path) -> Network:
    model = models.load(sam31.load, {"source": str(path)}, "cpu")
    assert isinstance(model, Network)
    return model


def same(one: Network, other: Network) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_the_public_layout_is_split_once(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sam3.1_multiplex.pt"
    write_tiny_sam31(path)
    assert same(loaded(path), tiny_sam31())
    (folder,) = own_cache.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["tracker.safetensors", "trunk.safetensors"]
    models.RECENT.keep(0, "cpu")
    whole = layouts.loaded
    monkeypatch.setattr(
        layouts, "loaded", lambda p: pytest.fail("read again") if p == path else whole(p)
    )
    assert same(loaded(path), tiny_sam31())
    assert same(loaded(tmp_path), tiny_sam31())  # a folder that has it


def test_a_file_of_the_kit_itself_loads(tmp_path: Path, own_cache: Path) -> None:
    path = tmp_path / "own.safetensors"
    checkpoint.write(path, names.exported(tiny_sam31().state_dict()), SAM31)
    assert same(loaded(path), tiny_sam31())
    assert not own_cache.exists()


@pytest.mark.parametrize("wrapped", [True, False])
def test_the_other_names_that_the_makers_take(tmp_path: Path, wrapped: bool) -> None:
    others = {"tracker.": "sam2_predictor.", "detector.": "sam3_model."}
    tensors = {}
    for name, value in names.exported(tiny_sam31().state_dict()).items():
        start = next(s for s in others if name.startswith(s))
        tensors[others[start] + name.removeprefix(start)] = value
    tensors["sam3_model.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis"] = torch.ones(2)
    told = {"sizes": SAM31.as_text()}
    torch.save({"model": tensors, **told} if wrapped else tensors | told, tmp_path / "a.pt")
    assert same(loaded(tmp_path / "a.pt"), tiny_sam31())


def test_without_a_cache_it_loads_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pt"
    write_tiny_sam31(path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert same(loaded(path), tiny_sam31())


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harm",)


def harmful(path: Path) -> None:
    torch.save({"model": {"a": Harmful()}}, path)


def page(path: Path) -> None:
    path.write_text("<html>Please log in</html>")


def swollen(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"0" * 1_000_000)


def training(path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1), "step": 3}}, path)


def foreign(path: Path) -> None:
    torch.save({"a": torch.ones(1)}, path)


def cut(path: Path) -> None:
    write_tiny_sam31(path)
    path.write_bytes(path.read_bytes()[:-100_000])


def nonsense_sizes(path: Path) -> None:
    torch.save({"model": {"a": torch.ones(1)}, "sizes": '{"width": 1e99}'}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (harmful, r"UnpicklingError.*never run"),
        (page, r"not a readable checkpoint \(UnpicklingError\)"),
        (swollen, "which no checkpoint has"),
        (training, r"of 1 tensors \d+ missing"),
        (foreign, r"of 1 tensors \d+ missing"),
        (cut, "not a readable checkpoint"),
        (nonsense_sizes, "no size of a model"),
        (lambda path: None, "no such folder or file"),
    ],
)
def test_files_that_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=message):
        loaded(tmp_path / "a.pt")
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (torch.full((4, 32), torch.nan), r"128 of 128 numbers in `sam_mask.*obj_score_token"),
        (torch.zeros(16, 32), r"1 of another shape: .*\[16, 32\] for \[4, 32\]"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, change: torch.Tensor, message: str) -> None:
    write_tiny_sam31(tmp_path / "a.pt", **{SCORE: change})
    with pytest.raises(WeightsError, match=message):
        loaded(tmp_path / "a.pt")


def test_sources_that_are_not_there() -> None:
    with pytest.raises(WeightsError, match="nobody has trained one"):
        sam31.load({"source": "tiny"})
    with pytest.raises(WeightsError, match=r"no such folder or file.*gated"):
        sam31.load({"source": "/nowhere/sam31.pt"})


def test_the_hub_is_asked_for_the_public_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked = []

    def download(source: str, file: str, revision: str | None) -> str:
        asked.append((source, file, revision))
        write_tiny_sam31(tmp_path / file)
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    model = sam31.load({"source": "facebook/sam3.1", "revision": "abc"})
    assert same(model, tiny_sam31())
    assert asked == [("facebook/sam3.1", "sam3.1_multiplex.pt", "abc")]


def test_other_content_under_the_same_path_is_another_model(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    block = {"method": "sam31", "model": {"source": str(path)}}
    write_tiny_sam31(path)
    before = plugins.identity("trackers", block)
    write_tiny_sam31(path, **{SCORE: torch.zeros(4, 32)})
    assert plugins.identity("trackers", block) != before
    assert not same(loaded(path), tiny_sam31())


def test_check_weights_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.pt"
    write_tiny_sam31(path)
    assert cli.main(["check-weights", "sam31", str(path)]) == 0
    said = capsys.readouterr().out
    assert "missing: none" in said
    assert "not read by the tracker: 1" in said
    assert said.endswith("the tracker can use it\nthere is no detector in it\n")
    tensors = names.exported(tiny_sam31().state_dict())
    del tensors[SCORE]
    tensors["tracker.model.new"] = torch.ones(1)
    torch.save({"model": tensors, "sizes": SAM31.as_text()}, path)
    assert cli.main(["check-weights", "sam31", str(path)]) == 2
    said = capsys.readouterr().out
    assert f"missing: 1\n  {SCORE}\n" in said
    assert "unknown to this tracker: 1\n  tracker.model.new\n" in said
    assert "the tracker cannot use it\n" in said
    assert cli.main(["check-weights", "sam31", str(tmp_path / "no.pt")]) == 2
    assert "no such checkpoint file" in capsys.readouterr().err
