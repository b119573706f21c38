"""Drawn videos: exact, repeatable, and as difficult as their config says."""

import dataclasses
import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kit.core.errors import ConfigError
from kit.core.masks import PALETTE
from kit.data import motion, sprites, synthetic
from kit.data.synthetic import DEMO, DEMO_VIDEOS, SPLITS, Config, draw, seed_of, write_video

SMALL = Config(frames=12, width=96, height=64, gap_share=0.0)


@pytest.fixture(scope="module")
def demo() -> list[synthetic.Clip]:
    return [draw(seed_of("demo", index), DEMO) for index in range(DEMO_VIDEOS)]


def longest_gap(present: np.ndarray) -> tuple[int, int]:
    """First frame and end of the longest run of absence that lies between two presences."""
    seen = np.flatnonzero(present)
    gaps = np.diff(seen)
    longest = int(gaps.argmax())
    return int(seen[longest]) + 1, int(seen[longest + 1])


def centre(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(axis=0)


# --- seeds ----------------------------------------------------------------------------------------


def test_splits_share_no_seed():
    spans = sorted((seeds.start, seeds.stop) for seeds in SPLITS.values())
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(spans))
    assert len({seed_of(split, 5) for split in SPLITS}) == len(SPLITS) == 4


@pytest.mark.parametrize(
    ("split", "index", "message"),
    [
        ("val", 0, "no split `val`. Known: demo, train, test"),
        ("demo", 1_000_000, r"indices 0\.\.999999, got 1000000"),  # would be train's first
        ("demo", -1, "got -1"),
    ],
)
def test_seed_outside_a_split(split, index, message):
    with pytest.raises(ConfigError, match=message):
        seed_of(split, index)


def test_same_seed_same_pixels():
    first, again, other = draw(7, SMALL), draw(7, SMALL), draw(8, SMALL)
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.instances, again.instances)
    assert not np.array_equal(first.instances, other.instances)


# Recorded with numpy 2.4, the same under OpenCV 4.10 and 5.0, which used to draw different videos.
RECORDED = {
    0: "4b49aa568efdda33",
    1: "6d3aec361311581a",
    2: "e917bd4cc402cf25",
    3: "adb3154322b5e233",
    4: "0828973643c45273",
    5: "6c8267ccd15e048c",
}


@pytest.mark.parametrize("seed", RECORDED)  # six themes, all four backgrounds
def test_pixels_are_those_recorded(seed):
    clip = draw(seed, Config(frames=8, width=96, height=64, objects=2, distractors=1))
    pixels = clip.frames.tobytes() + clip.instances.tobytes()
    assert hashlib.sha256(pixels).hexdigest()[:16] == RECORDED[seed]


def test_the_demo_is_the_one_recorded():
    clip = draw(seed_of("demo", 0), DEMO, times=range(0, 28, 9))
    pixels = clip.frames.tobytes() + clip.instances.tobytes()
    assert hashlib.sha256(pixels).hexdigest()[:16] == "696c218bc2830aa1"


# --- what a clip holds ----------------------------------------------------------------------------


@pytest.mark.parametrize(("objects", "distractors"), [(1, 0), (2, 1), (3, 2)])
def test_ids_and_shapes(objects, distractors):
    config = dataclasses.replace(
        SMALL, objects=objects, distractors=distractors, size_min=0.1, size_max=0.12, occluders=1
    )
    clip = draw(3, config)
    assert clip.frames.shape == (12, 64, 96, 3) and clip.frames.dtype == np.uint8
    assert clip.labels.shape == clip.instances.shape == (12, 64, 96)
    assert clip.labels.dtype == clip.instances.dtype == np.uint8
    total = objects * (1 + distractors)
    assert set(np.unique(clip.labels[0])) == set(range(objects + 1))
    assert set(np.unique(clip.instances[0])) == set(range(total + 1))
    labelled = clip.labels > 0
    assert np.array_equal(labelled, (clip.instances > 0) & (clip.instances <= objects))
    assert np.array_equal(clip.labels[labelled], clip.instances[labelled])
    assert len(clip.categories) == total
    # Every distractor is of its object's category.
    assert clip.categories[objects:] == tuple(np.repeat(clip.categories[:objects], distractors))


def test_mask_is_where_the_sprite_is_at_least_half_opaque():
    alpha = sprites.silhouette(np.random.default_rng(0), 1, 40)
    rgba = np.dstack([np.full((40, 40, 3), 255, np.uint8), alpha])
    white = sprites.Sprite(rgba, np.zeros((40, 40), np.uint8), int((alpha > 0).sum()))
    pose = sprites.Pose((25.3, 31.8), 0.9, 0.5, 0.1, np.ones(3, np.float32))
    canvas, ids = np.zeros((60, 50, 3), np.float32), np.zeros((60, 50), np.uint8)
    sprites.paste(canvas, ids, white, pose, 7)
    inner = np.zeros_like(ids)  # away from colours that fade with the warp's border
    inner[5:-5, 5:-5] = 1
    assert set(np.unique(ids)) == {0, 7}
    assert np.array_equal((ids == 7) & (inner > 0), (canvas[..., 0] >= 127.5) & (inner > 0))
    assert (ids == 7).sum() == pytest.approx(white.area * 0.9**2, rel=0.03)
    assert centre(ids == 7) == pytest.approx([31.8, 25.3], abs=3)  # row, column


def test_what_is_drawn_later_takes_the_pixels():
    rng = np.random.default_rng(0)
    disc = sprites.render(rng, 0, 0, np.full((3, 3), 90, np.float32), 20)
    pose = sprites.Pose((20.0, 20.0), 1.0, 0.0, 0.0, np.ones(3, np.float32))
    aside = dataclasses.replace(pose, centre=(28.0, 20.0))
    canvas, ids = np.zeros((40, 40, 3), np.float32), np.zeros((40, 40), np.uint8)
    sprites.paste(canvas, ids, disc, pose, 1)
    alone = int((ids == 1).sum())
    sprites.paste(canvas, ids, disc, aside, 0)  # an occluder has no id, but it hides
    assert 0.2 * alone < (ids == 1).sum() < 0.8 * alone
    assert set(np.unique(ids)) == {0, 1}


@pytest.mark.parametrize("family", range(len(sprites.FAMILIES)))
def test_shapes_are_as_large_as_asked_and_differ_within_a_family(family):
    rng = np.random.default_rng(family)
    first, second = (sprites.silhouette(rng, family, 100) > 0 for _ in range(2))
    for mask in (first, second):
        radius = np.linalg.norm(np.argwhere(mask) - 49.5, axis=1).max()
        assert radius == pytest.approx(50 * sprites.CONTENT, abs=1.5)
    assert (first & second).sum() / (first | second).sum() < 0.99


# --- difficulty -----------------------------------------------------------------------------------


def histogram(sprite: sprites.Sprite) -> np.ndarray:
    """Joint RGB histogram, 4 bins a channel, of the opaque pixels."""
    pixels = sprite.rgba[sprite.rgba[..., 3] == 255][:, :3]
    counts = np.histogramdd(pixels, bins=(4, 4, 4), range=[(0, 256)] * 3)[0]
    return counts / counts.sum()


def test_a_colour_histogram_does_not_tell_textures_apart():
    rng = np.random.default_rng(0)
    trios = sprites.palette(sprites.THEMES[0], 0.0).trios
    fields = range(len(sprites.FIELDS))
    same = [histogram(sprites.render(rng, 0, field, trios[0], 60)) for field in fields]
    other = histogram(sprites.render(rng, 0, 0, trios[1], 60))
    for one in same[1:]:
        assert np.minimum(same[0], one).sum() > 0.7
        assert np.minimum(other, one).sum() < 0.4


def test_an_object_leaves_for_the_asked_share_and_returns_over_the_opposite_border():
    config = Config(frames=32, gap_share=1.0, return_share=1.0, objects=2, occluders=0)
    for seed in range(6):
        labels = draw(seed, config).labels
        absences = {}
        for ident in (1, 2):
            present = (labels == ident).any(axis=(1, 2))
            assert present[0] and present[-1]
            absences[ident] = int((~present).sum())
        leaver = max(absences, key=absences.__getitem__)
        assert 0.25 * 32 <= absences[leaver] <= 0.45 * 32
        gone, back = longest_gap((labels == leaver).any(axis=(1, 2)))
        jump = centre(labels[back] == leaver) - centre(labels[gone - 1] == leaver)
        assert np.linalg.norm(jump) > 0.4 * 96


def test_an_object_may_leave_for_good():
    config = Config(frames=20, gap_share=1.0, return_share=0.0)
    present = [(draw(4, config).labels == i).any(axis=(1, 2)) for i in (1, 2)]
    assert sorted(bool(p[-1]) for p in present) == [False, True]
    assert all(p[0] for p in present)


def test_late_entry():
    config = Config(frames=20, gap_share=0.0, late_share=1.0, late=0.3, occluders=0)
    labels = draw(2, config).labels
    assert (labels[0] == 1).any()
    assert not (labels[:6] == 2).any()
    assert (labels[12] == 2).any()


def test_without_gaps_a_lone_object_never_goes():
    config = Config(objects=1, distractors=0, occluders=0, gap_share=0.0)
    for seed in range(5):
        areas = (draw(seed, config).labels == 1).sum(axis=(1, 2))
        assert areas.min() > 0.4 * areas.max()


def test_drift_stays_in_its_room_and_keeps_its_pace():
    stage = motion.Stage(100, 60, 10)
    rng = np.random.default_rng(0)
    points = stage.drift(rng, 200, 3.0, 50, np.array([30.0, 20.0]))
    assert points[50] == pytest.approx([30, 20])
    assert points.min() >= 10 and points[:, 0].max() <= 90 and points[:, 1].max() <= 50
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.max() <= 3.0001
    assert np.median(steps) == pytest.approx(3.0)


def test_every_object_is_clearly_visible_on_the_first_frame():
    for seed in range(8):
        areas = np.bincount(draw(seed, Config()).instances[0].ravel(), minlength=5)
        assert areas[1:5].min() >= 30


# --- the demo -------------------------------------------------------------------------------------


def test_demo_objects_are_there_from_the_start_and_of_a_good_size(demo):
    assert len(demo) >= 4 and DEMO.objects >= 2
    for clip in demo:
        for ident in range(1, DEMO.objects + 1):
            rows, columns = np.nonzero(clip.labels[0] == ident)
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            assert 0.08 <= extent / DEMO.width <= 0.25


def test_demo_objects_go_and_come_back_elsewhere(demo):
    returning = 0
    for clip in demo:
        for ident in range(1, DEMO.objects + 1):
            present = (clip.labels == ident).any(axis=(1, 2))
            gone, back = longest_gap(present)
            jump = centre(clip.labels[back] == ident) - centre(clip.labels[gone - 1] == ident)
            far = np.linalg.norm(jump) >= 0.25 * DEMO.width
            returning += bool(far and back - gone >= 0.2 * DEMO.frames)
    assert returning >= DEMO_VIDEOS / 2


def test_demo_videos_differ_in_colour(demo):
    means = np.array([clip.frames.mean(axis=(0, 1, 2)) for clip in demo])
    apart = np.linalg.norm(means[:, None] - means[None], axis=2)
    assert apart[np.triu_indices(len(demo), 1)].min() > 10


# --- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frames": 0}, r"drawn videos\.frames: 0 is not allowed; it must be at least 1"),
        ({"frames": 12.5}, r"frames: 12\.5 is not allowed; it must be of type integer"),
        ({"objects": "2"}, r"objects: '2' is not allowed; it must be of type integer"),
        ({"objects": True}, "objects: True is not allowed"),
        ({"speed": -1}, "speed: -1 is not allowed; it must be at least 0"),
        ({"speed": float("nan")}, "speed: nan is not allowed"),
        ({"gap_share": 1.5}, r"gap_share: 1\.5 is not allowed; it must be at most 1"),
        ({"size_min": 0.3}, "size_min 0.3 exceeds size_max 0.22"),
        ({"frames": 4}, "no room for a gap"),
        ({"objects": 60, "distractors": 4}, "must stay below 201, got 60"),
    ],
)
def test_wrong_values(values, message):
    with pytest.raises(ConfigError, match=message):
        Config(**values)


def test_too_crowded():
    crowd = Config(objects=8, distractors=2, size_min=0.4, size_max=0.4)
    with pytest.raises(ConfigError, match=r"24 objects and distractors.* do not fit into 160x96"):
        draw(0, crowd)


@pytest.mark.parametrize("frames", [1, 2])
def test_very_short_clips(frames):
    still = Config(frames=frames, gap_share=0.0)
    assert draw(0, still).frames.shape == (frames, 96, 160, 3)


# --- files ----------------------------------------------------------------------------------------


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_files_in_mose_layout(tmp_path):
    meta = write_video(tmp_path, "pond", 5, SMALL)
    names = [f"{t:05d}" for t in range(12)]
    assert meta == {"length": 12, "height": 64, "width": 96, "objects": [1, 2], "frames": names}
    expected = {f"JPEGImages/pond/{n}.jpg" for n in names}
    expected |= {f"Annotations/pond/{n}.png" for n in names}
    assert set(contents(tmp_path)) == expected  # and nothing else

    clip = draw(5, SMALL)
    for t, name in enumerate(names):
        mask = Image.open(tmp_path / f"Annotations/pond/{name}.png")
        assert mask.mode == "P" and mask.getpalette()[:30] == PALETTE[:30]
        assert np.array_equal(np.asarray(mask), clip.labels[t])
        frame = np.asarray(Image.open(tmp_path / f"JPEGImages/pond/{name}.jpg")).astype(int)
        assert np.abs(frame - clip.frames[t]).mean() < 6  # RGB order, little JPEG loss


def test_same_seed_same_bytes_and_an_older_video_is_replaced(tmp_path):
    write_video(tmp_path / "a", "v", 1, dataclasses.replace(SMALL, frames=15))
    write_video(tmp_path / "a", "v", 2, SMALL)
    write_video(tmp_path / "b", "v", 2, SMALL)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) == 24


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    write_video(tmp_path, "v", 1, SMALL)
    before = contents(tmp_path)
    calls = []

    def full_disk(labels: np.ndarray) -> bytes:
        calls.append(labels)
        if len(calls) == 3:
            raise OSError("no space left on device")
        return b"png"

    monkeypatch.setattr(synthetic, "encode_png", full_disk)
    for name in ("v", "fresh"):
        calls.clear()
        with pytest.raises(OSError, match="no space left"):
            write_video(tmp_path, name, 2, SMALL)
    assert contents(tmp_path) == before
    assert not (tmp_path / "JPEGImages" / "fresh").exists()


def test_remains_of_a_killed_run_do_no_harm(tmp_path):
    litter = tmp_path / ".drawing-v" / "JPEGImages"
    litter.mkdir(parents=True)
    (litter / "00099.jpg").write_bytes(b"half")
    write_video(tmp_path, "v", 1, SMALL)
    assert len(contents(tmp_path)) == 24
