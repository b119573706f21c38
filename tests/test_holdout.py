"""The hold-out: whole videos, evenly over what makes videos hard, the same for the same seed."""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.core.errors import DataError
from kit.data.holdout import Clip, add_arguments, candidates, choose, describe, run, write
from kit.data.layout import Split


def labels(*rows: int) -> Image.Image:
    """A 10x10 label map: one full row per label."""
    values = np.zeros((10, 10), np.uint8)
    for row, label in enumerate(rows):
        values[row] = label
    image = Image.fromarray(values)
    image.putpalette(bytes(768))
    return image


def train_set(root: Path, videos: dict[str, list[tuple[int, ...]]]) -> Path:
    """A train set in MOSE layout; per video, the labels seen in each frame."""
    meta = {}
    for name, frames in videos.items():
        (root / "JPEGImages" / name).mkdir(parents=True)
        (root / "Annotations" / name).mkdir(parents=True)
        for index, rows in enumerate(frames):
            labels(*rows).save(root / "Annotations" / name / f"{index:05d}.png")
        objects = sorted({label for rows in frames for label in rows})
        meta[name] = {"length": len(frames), "height": 10, "width": 10, "objects": objects}
    (root / "meta_train.json").write_text(json.dumps({"videos": meta}))
    return root


# Labels per frame; smallest mean share of an object, and gaps.
@pytest.mark.parametrize(
    ("frames", "area", "gaps"),
    [
        ([(1,), (1,), (1,)], 0.1, 0),
        ([(1, 1), (1,), (1,)], 0.4 / 3, 0),
        ([(1, 1, 2), (1, 1, 2)], 0.1, 0),  # the smaller of two objects
        ([(1, 1), (), (1, 1)], 0.2, 1),  # absent frames do not count for the area
        ([(1,), (), ()], 0.1, 1),  # never comes back: out of sight all the same
        ([(), (), (1,)], 0.1, 0),  # comes later: was never lost
        ([(1, 2), (2,), (1,), (1, 2), ()], 0.1, 4),  # over all objects
    ],
)
def test_describe(frames, area, gaps, tmp_path):
    split = Split(train_set(tmp_path, {"cat": frames}), meta="meta_train.json")
    clip = describe(split, "cat", split.entry("cat"))
    assert clip == Clip("cat", len(frames), pytest.approx(area), gaps)


def test_samples_are_spread_over_the_video(tmp_path):
    frames = [(1,)] * 50 + [()] * 50
    split = Split(train_set(tmp_path, {"cat": frames}), meta="meta_train.json")
    assert describe(split, "cat", split.entry("cat"), samples=4).gaps == 1
    for index in range(1, 99):  # only the first and the last are opened
        (tmp_path / f"Annotations/cat/{index:05d}.png").write_bytes(b"")
    assert describe(split, "cat", split.entry("cat"), samples=2).gaps == 1


def test_sets_that_cannot_be_scored_are_refused(tmp_path):
    split = Split(train_set(tmp_path, {"cat": [(1,)] * 4}), meta="meta_train.json")
    entry = split.entry("cat")
    with pytest.raises(DataError, match="4 label maps, meta says 5"):
        describe(split, "cat", entry | {"length": 5})
    with pytest.raises(DataError, match="no usable `objects`"):
        describe(split, "cat", entry | {"objects": None})
    (tmp_path / "JPEGImages/cat").rmdir()
    with pytest.raises(DataError, match="no such frame folder"):
        describe(split, "cat", entry)


def clips(count: int = 270) -> list[Clip]:
    """Ten of each combination of three lengths, areas and gaps."""
    return [
        Clip(f"{at:04d}", 50 + 50 * (at % 3), 0.01 + 0.1 * (at // 3 % 3), at // 9 % 3)
        for at in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_every_stratum_gives_its_share(seed):
    chosen = set(choose(clips(), 54, seed))
    assert len(chosen) == 54
    strata = Counter((c.length, c.area, c.gaps) for c in clips() if c.name in chosen)
    assert set(strata.values()) == {2}
    assert len(strata) == 27


def test_choice_depends_on_the_seed_alone():
    assert choose(clips(), 20, 1) == choose(reversed(clips()), 20, 1)
    assert choose(clips(), 20, 1) != choose(clips(), 20, 2)
    assert choose(clips(), 270, 3) == [clip.name for clip in clips()]


@pytest.mark.parametrize("count", [0, -1, 271])
def test_impossible_counts(count):
    with pytest.raises(DataError, match=rf"hold out {count} of 270"):
        choose(clips(), count, 0)


def test_short_clips_and_excluded_videos_are_no_candidates():
    meta = {name: {"length": n} for name, n in {"a": 1, "b": 2, "c": 3, "d": 4}.items()}
    assert candidates(meta, []) == ["c", "d"]
    assert candidates(meta, ["c"]) == ["d"]
    with pytest.raises(DataError, match="not in meta: \\['v1'\\]"):
        candidates(meta, ["c", "v1"])
    with pytest.raises(DataError, match="no usable `length`"):
        candidates({"a": {}}, [])


def test_a_split_is_two_lists_and_a_meta_file(tmp_path):
    meta = {name: {"length": 3, "objects": [1]} for name in "abcd"}
    write(tmp_path, ["c", "a"], meta)
    assert (tmp_path / "videos.txt").read_text() == "a\nc\n"
    assert (tmp_path / "rest.txt").read_text() == "b\nd\n"
    assert json.loads((tmp_path / "meta.json").read_text()) == {
        "videos": {name: meta[name] for name in "ac"}
    }


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args([str(argument) for argument in arguments]))


def test_command_line(tmp_path, capsys):
    videos = {f"v{at}": [(1,)] * (3 + at) for at in range(6)} | {"one": [(1,)], "old": [(1,)] * 5}
    root = train_set(tmp_path / "train", videos)
    (tmp_path / "mosev1.txt").write_text("old\n")
    options = ("--count", 3, "--exclude", tmp_path / "mosev1.txt")
    assert command(root, "--output", tmp_path / "a", *options) == 0
    printed = capsys.readouterr().out
    assert "all           6 videos" in printed
    assert f"videos: {tmp_path / 'a' / 'videos.txt'}" in printed
    chosen = (tmp_path / "a/videos.txt").read_text().split()
    rest = (tmp_path / "a/rest.txt").read_text().split()
    assert len(chosen) == 3
    assert {"one", "old"} < set(rest)
    assert sorted(chosen + rest) == sorted(videos)
    command(root, "--output", tmp_path / "b", *options)
    assert (tmp_path / "a/meta.json").read_bytes() == (tmp_path / "b/meta.json").read_bytes()


def test_unreadable_exclusions(tmp_path):
    root = train_set(tmp_path, {"cat": [(1,)] * 4})
    with pytest.raises(DataError, match="no such file"):
        command(root, "--output", tmp_path, "--exclude", tmp_path / "nothing.txt")


def test_what_systems_leave_between_label_maps_is_none(tmp_path):
    root = train_set(tmp_path / "train", {f"v{at}": [(1,)] * 4 for at in range(6)})
    for folder in (root / "Annotations").iterdir():
        (folder / "._00000.png").write_bytes(b"x")  # as macOS leaves beside files on other disks
        (folder / "Thumbs.db").write_bytes(b"x")
    assert command(root, "--output", tmp_path / "split", "--count", 3) == 0
