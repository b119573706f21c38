"""Clips made of photographs: a camera moves over one, and things cut from it and others move too.

Static pictures with masks, moved, are what STM, STCN and XMem learn from before they see a video
(arXiv 1904.00607, 2106.05210, 2207.07115: affine motion of a photograph and its objects); here
things also leave and return, bend, cross look-alikes cut from the same photograph, and the camera
blurs, shakes and compresses. For training alone, so that OpenCV may draw it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from kit.data import camera, motion
from kit.data.photographs import Bytes, Cutout, Photograph, Shelf, things_in

Reals = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """What happens in a clip. Shares are probabilities, 0..1."""

    size: int = 176  # pixels of the shorter side
    things: int = 3  # cut-outs that move over the photograph, at most
    size_min: float = 0.15  # of a cut-out's longer side, as a share of the shorter side of the clip
    size_max: float = 0.6
    speed: float = 4.0  # pixels a frame, at most
    spin: float = 4.0  # degrees a frame, at most
    swing: float = 0.25  # of size, shear and perspective, as shares
    bend: float = 0.06  # how far a thing's parts shift, as a share of its size
    alike: float = 0.4  # share of the cut-outs that look like one that is there already
    invented: float = 0.2  # share of them that are random shapes
    textured: float = 0.2  # share of the clips whose background is a texture without objects
    still: float = 0.2  # share of the clips without cut-outs: the photograph's own objects alone
    gap: float = 0.2  # share of the cut-outs that leave and return
    lens: camera.Config = field(default_factory=camera.Config)


@dataclass(frozen=True)
class Made:
    """A clip.

    Attributes:
        frames: uint8[T, H, W, 3], RGB.
        labels: uint8[T, H, W], ids from 1.
    """

    frames: Bytes
    labels: Bytes


def make(rng: np.random.Generator, shelf: Shelf, config: Config, times: Sequence[int]) -> Made:
    """One clip at some times of a motion that goes on between them.

    Args:
        rng: draws everything.
        shelf: material.
        config: difficulty.
        times: frames to render, 0 and up.
    """
    ground = _ground(rng, shelf, config)
    height, width = _size(ground.image, config.size)
    frames = times[-1] + 1 if times[-1] >= times[0] else times[0] + 1
    view = camera.view(rng, ground.image.shape[:2], (height, width), frames, config.lens)
    actors = _actors(rng, shelf, ground, config, (height, width), frames)
    first = int(ground.labels.max()) + 1
    pictures = np.empty((len(times), height, width, 3), np.uint8)
    labels = np.empty((len(times), height, width), np.uint8)
    for row, t in enumerate(times):
        picture, ids = camera.seen(ground.image, ground.labels, view[t], (height, width))
        for number, actor in enumerate(actors):
            _paste(picture, ids, actor, t, first + number)
        pictures[row], labels[row] = picture.clip(0, 255), ids
    return Made(camera.developed(rng, pictures, view, times, config.lens), labels)


def _ground(rng: np.random.Generator, shelf: Shelf, config: Config) -> Photograph:
    if rng.random() < config.textured:
        image = shelf.texture(rng)
        return Photograph(image, np.zeros(image.shape[:2], np.uint8))
    return shelf.photograph(rng)


def _size(image: Bytes, shorter: int) -> tuple[int, int]:
    """Height and width of the clip, at most twice as long as high."""
    height, width = image.shape[:2]
    scale = shorter / min(height, width)
    longest = 2 * shorter
    return min(round(height * scale), longest), min(round(width * scale), longest)


@dataclass(frozen=True)
class Actor:
    """A thing on its way.

    Attributes:
        image: float32[h, w, 3].
        alpha: float32[h, w] in 0..1.
        matrices: float64[T, 3, 3], from its pixels to those of the clip; NaN while out of sight.
        gain: float64[T, 3], light on it.
        bend: float32[2, 3, 3], how far its parts shift at most, in its pixels.
        turns: float64[T], phase of that shift.
        shadow: how dark its shadow is, 0..1.
    """

    image: Floats
    alpha: Floats
    matrices: Reals
    gain: Reals
    bend: Floats
    turns: Reals
    shadow: float


def _actors(
    rng: np.random.Generator,
    shelf: Shelf,
    ground: Photograph,
    config: Config,
    shape: tuple[int, int],
    frames: int,
) -> list[Actor]:
    if ground.labels.any() and rng.random() < config.still:
        return []
    there = things_in(ground)  # and may be copied
    actors = []
    for _ in range(int(rng.integers(1, config.things + 1))):
        if there and rng.random() < config.alike:
            thing = there[int(rng.integers(len(there)))]
        else:
            thing = shelf.cutout(rng, config.invented)
        there.append(thing)
        actors.append(_actor(rng, thing, config, shape, frames))
    return actors


def _actor(
    rng: np.random.Generator, thing: Cutout, config: Config, shape: tuple[int, int], frames: int
) -> Actor:
    """A thing in its size, with a way to go."""
    length = rng.uniform(config.size_min, config.size_max) * min(shape)
    scale = length / max(thing.alpha.shape)
    height, width = (max(3, round(side * scale)) for side in thing.alpha.shape)
    alpha = cv2.resize(thing.alpha, (width, height), interpolation=cv2.INTER_AREA)
    image = cv2.resize(thing.image, (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        alpha, image = alpha[:, ::-1], image[:, ::-1]
    stage = motion.Stage(shape[1], shape[0], 0.35 * length)
    gap = None
    if frames >= 8 and rng.random() < config.gap:
        leave = int(rng.integers(2, frames // 2))
        gap = (leave, leave + int(rng.integers(2, frames // 2)))
    speed = config.speed * rng.uniform(0, 1) ** 1.5
    centres = motion.path(rng, stage, frames, speed, stage.inside(rng), gap, 3)
    light = camera.course(rng, frames, 0.15)[:, None] + np.zeros(3)
    return Actor(
        np.ascontiguousarray(image, np.float32),
        np.ascontiguousarray(alpha, np.float32) / np.float32(255),
        _poses(rng, config, centres, (height, width)),
        1 + rng.uniform(-0.2, 0.2) + rng.uniform(-0.08, 0.08, 3) + light,
        (config.bend * length * rng.uniform(-1, 1, (2, 3, 3))).astype(np.float32),
        np.arange(frames) / rng.uniform(4, 16) * 2 * np.pi,
        float(rng.uniform(0, 0.5) if rng.random() < 0.4 else 0),
    )


def _poses(
    rng: np.random.Generator, config: Config, centres: Reals, size: tuple[int, int]
) -> Reals:
    """Homographies of a thing: float64[T, 3, 3]."""
    frames, (height, width) = len(centres), size
    angle = rng.uniform(-0.3, 0.3) + np.radians(config.spin) * np.cumsum(
        camera.course(rng, frames, rng.uniform(0, 1) ** 2)
    )
    scale = np.exp(camera.course(rng, frames, config.swing))
    shear, tilt = camera.course(rng, frames, config.swing), camera.course(rng, frames, config.swing)
    matrices = np.zeros((frames, 3, 3))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrices[:, 0, 0], matrices[:, 0, 1] = cos, cos * shear - sin
    matrices[:, 1, 0], matrices[:, 1, 1] = sin, sin * shear + cos
    matrices[:, 2, 0], matrices[:, 2, 2] = tilt / (2 * max(size)), 1
    matrices[:, :2, 2] = centres
    middle = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    return np.asarray(matrices @ middle)


def _paste(picture: Floats, ids: Bytes, actor: Actor, t: int, ident: int) -> None:
    """Draw an actor on float32[H, W, 3], and its id where it is at least half opaque."""
    if np.isnan(actor.matrices[t]).any():
        return
    image, alpha = _bent(actor, t)
    size = (ids.shape[1], ids.shape[0])
    paint = np.dstack([image * actor.gain[t].astype(np.float32), alpha])
    drawn = cv2.warpPerspective(paint, actor.matrices[t], size, flags=cv2.INTER_LINEAR)
    over = drawn[..., 3:]
    if actor.shadow:
        dark = cv2.GaussianBlur(np.roll(over[..., 0], (4, 4), (0, 1)), (0, 0), 3)
        picture *= 1 - actor.shadow * dark[..., None]
    picture += over * (drawn[..., :3] - picture)
    ids[over[..., 0] >= 0.5] = ident


def _bent(actor: Actor, t: int) -> tuple[Floats, Floats]:
    """The thing with its parts shifted: limbs that swing, cloth that waves."""
    height, width = actor.alpha.shape
    shift = actor.bend * np.float32(np.sin(actor.turns[t])) + np.roll(
        actor.bend, 1, axis=1
    ) * np.float32(np.cos(actor.turns[t]))
    x, y = (cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in shift)
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    image = cv2.remap(actor.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return image, cv2.remap(actor.alpha, x, y, cv2.INTER_LINEAR)
