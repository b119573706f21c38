"""Drawn videos with exact masks, in MOSE layout: the demo, the tiny family's training and test.

A video is a pure function of a seed and a `Config`: `kit.data.raster` draws it, whose pixels depend
on no library's version (numpy's generators keep their streams). Within a category most objects show
the same colours in the same shares; what tells them apart is texture and details of shape.
"""

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from PIL import Image

from kit.core.errors import ConfigError
from kit.core.masks import encode_png
from kit.data import backgrounds, motion, raster, scenes, sprites
from kit.data.scenes import Config as Config

VERSION = 2  # bump when the same seed and config give another video

# Disjoint, whatever the sizes of the splits.
SPLITS = {
    "demo": range(1_000_000),
    "train": range(1_000_000, 1_000_000_000),
    "test": range(1_000_000_000, 2_000_000_000),
    "validation": range(2_000_000_000, 3_000_000_000),  # to look at while changing things
}

JPEG_QUALITY = 92
KINDS = ("Annotations", "JPEGImages")  # in the order of their appearance


def seed_of(split: str, index: int) -> int:
    """The seed of the index-th video of a split.

    Raises:
        ConfigError: unknown split, or an index outside it.
    """
    if split not in SPLITS:
        raise ConfigError(f"drawn videos: no split `{split}`. Known: {', '.join(SPLITS)}.")
    seeds = SPLITS[split]
    if not 0 <= index < len(seeds):
        raise ConfigError(f"drawn videos: {split} has indices 0..{len(seeds) - 1}, got {index}.")
    return seeds[index]


# The README's picture. Everything happens within 28 frames, so objects leave and return briskly.
DEMO = Config(
    frames=28,
    width=320,
    height=192,
    speed=2.2,
    leave_speed=18.0,
    pan=0.8,
    hue=0.0,  # as the themes were composed
    size_min=0.15,
    gap_share=1.0,
    return_share=1.0,
)
DEMO_VIDEOS = 4


@dataclass(frozen=True)
class Clip:
    """One drawn video.

    Attributes:
        frames: uint8[T, H, W, 3], RGB.
        labels: uint8[T, H, W], ids of the labelled objects, visible part only; 0 elsewhere.
        instances: uint8[T, H, W], like `labels`, with the distractors as further ids.
        categories: of instance i + 1; objects and distractors of one kind share a number.
    """

    frames: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8]
    categories: tuple[int, ...]


class Meta(TypedDict):
    """A video's entry in the split's meta file."""

    length: int
    height: int
    width: int
    objects: list[int]
    frames: list[str]


def draw(seed: int, config: Config, times: Sequence[int] | None = None) -> Clip:
    """Draw one video; the same arguments give the same pixels.

    Args:
        seed: Of everything that is drawn at random.
        config: Difficulty.
        times: The frames to render, which are the same as in the whole video; None renders all.

    Raises:
        ConfigError: the objects do not fit beside each other.
    """
    rng = np.random.default_rng(seed)
    theme = sprites.THEMES[seed % len(sprites.THEMES)]  # in turn, so that neighbours differ
    palette = sprites.palette(theme, config.hue * rng.uniform(-1, 1))
    cast = scenes.cast_of(rng, config, palette)
    roles = scenes.stage(rng, config, cast, scenes.occluders_of(rng, config, palette))
    frames, instances = _render(
        rng, config, palette, roles, range(config.frames) if times is None else times
    )
    labels = np.where(instances <= config.objects, instances, 0).astype(np.uint8)
    return Clip(frames, labels, instances, tuple(actor.category for actor in cast))


# --- the pictures ---------------------------------------------------------------------------------


def _render(
    rng: np.random.Generator,
    config: Config,
    palette: sprites.Palette,
    roles: list[scenes.Role],
    times: Sequence[int],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Frames uint8[T, H, W, 3] and instance maps uint8[T, H, W] at `times`."""
    shape = (len(times), config.height, config.width)
    frames, instances = np.empty((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
    flicker = 1 + rng.normal(0, config.flicker / 2, config.frames).clip(
        -config.flicker, config.flicker
    )
    picture, corners = _ground(rng, config, palette)
    for row, t in enumerate(times):
        ground = raster.window(picture, config.height, config.width, *corners[t])
        scenes.paste_all(ground, instances[row], roles, t)
        ground *= np.float32(flicker[t])
        frames[row] = np.clip(ground, 0, 255)
    return frames, instances


def _ground(
    rng: np.random.Generator, config: Config, palette: sprites.Palette
) -> tuple[npt.NDArray[np.float32], motion.Points]:
    """A background larger than the frames, and where the camera that pans over it looks.

    Returns:
        (float32[H', W', 3], float64[T, 2], x and y of the frames' first pixels).
    """
    margin = min(config.width, config.height) // 4
    height, width = config.height + 2 * margin, config.width + 2 * margin
    picture = backgrounds.draw(rng, height, width, palette.background)
    view = motion.Stage(2 * margin, 2 * margin, 1)
    return picture, view.drift(
        rng, config.frames, config.pan * rng.uniform(0, 1), 0, view.inside(rng)
    )


# --- files ----------------------------------------------------------------------------------------


def write_video(root: Path, name: str, seed: int, config: Config) -> Meta:
    """Draw one video into `root/JPEGImages/<name>` and `root/Annotations/<name>`.

    Both folders are filled under a temporary name and renamed, frames last: a video whose frames
    have their final name is complete. One that stood there is replaced. Same arguments, same pixels
    before JPEG, with any version of any library; files are the same bytes with the same Pillow.

    Returns:
        The video's entry in the split's meta file.
    """
    clip = draw(seed, config)
    names = [f"{t:05d}" for t in range(config.frames)]
    scratch = root / f".drawing-{name}"  # a fixed name, so that what a killed run left is found
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _write_files(scratch, clip, names)
        _reveal(scratch, root, name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Meta(
        length=config.frames,
        height=config.height,
        width=config.width,
        objects=list(range(1, config.objects + 1)),
        frames=names,
    )


def _write_files(folder: Path, clip: Clip, names: list[str]) -> None:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
    for frame, labels, name in zip(clip.frames, clip.labels, names, strict=True):
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(_jpeg(frame))
        (folder / "Annotations" / f"{name}.png").write_bytes(encode_png(labels))


def _reveal(scratch: Path, root: Path, name: str) -> None:
    """Swap the finished folders in: the old frames go first, the new frames come last."""
    for kind in reversed(KINDS):
        if (root / kind / name).exists():
            (root / kind / name).rename(scratch / f"old-{kind}")
    for kind in KINDS:
        (root / kind).mkdir(exist_ok=True)
        (scratch / kind).rename(root / kind / name)


def _jpeg(frame: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()
