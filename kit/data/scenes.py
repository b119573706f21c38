"""Who plays in a drawn video and where: the difficulty, the cast, and a pose for every frame.

Knows nothing about pixels beyond asking whether everybody is seen on frame 0.
"""

from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from kit.core import validation
from kit.core.errors import ConfigError
from kit.core.limits import Range, Share, object_schema, settings_of
from kit.data import motion, sprites
from kit.data.sprites import Floats, Palette, Pose, Sprite

ATTEMPTS = 300  # placements tried until every object is clearly visible on frame 0
CLEAR = 0.85  # of each object's and distractor's area, visible on frame 0


@dataclass(frozen=True)
class Config:
    """Difficulty of the drawn videos.

    Three things that must not suffice, at these defaults but 160x160, 16 frames, no gaps (mean J of
    40 objects, frames 1 to 15): keeping the first mask 0.33, warping it by optical flow 0.73,
    a colour histogram and its largest component 0.34.

    Raises:
        ConfigError: a value of another type or out of its range, or values that exclude each other.
    """

    frames: Annotated[int, Range(1, 999)] = 24
    width: Annotated[int, Range(32, 4096)] = 160  # pixels
    height: Annotated[int, Range(32, 4096)] = 96  # pixels
    objects: Annotated[int, Range(1, 100)] = 2  # labelled, ids 1..objects
    distractors: Annotated[int, Range(0, 20)] = 1  # per object: same category, not labelled
    occluders: Annotated[int, Range(0, 20)] = 1  # drawn on top, not labelled
    # diameter of an object as a share of the width
    size_min: Annotated[float, Range(0.05, 0.5)] = 0.13
    size_max: Annotated[float, Range(0.05, 0.5)] = 0.22
    speed: Annotated[float, Range(0, 100)] = 2.0  # pixels per frame, at most
    # pixels per frame while crossing the picture's border
    leave_speed: Annotated[float, Range(0.5, 1000)] = 8.0
    spin: Annotated[float, Range(0, 90)] = 3.0  # degrees per frame, at most
    scale_change: Annotated[float, Range(0, 0.5)] = 0.12  # swing of the size, as a share of it
    shear: Annotated[float, Range(0, 0.5)] = 0.15  # swing of the sideways shift per pixel of height
    light: Annotated[float, Range(0, 0.5)] = 0.15  # swing of an object's brightness and tint
    # degrees by which a theme's colours are turned, at most
    hue: Annotated[float, Range(0, 180)] = 180.0
    flicker: Annotated[float, Range(0, 0.5)] = 0.03  # of the whole picture's brightness
    # pixels per frame that the background moves, at most
    pan: Annotated[float, Range(0, 100)] = 0.4
    gap_share: Share = 0.5  # of the videos: one object leaves ...
    gap: Annotated[float, Range(0.01, 0.5)] = 0.25  # ... for this share of the frames ...
    return_share: Share = 0.85  # ... and comes back elsewhere, with this probability
    late_share: Share = 0.0  # of the videos: the last object enters late ...
    late: Annotated[float, Range(0.01, 0.5)] = 0.3  # ... after this share of the frames
    sibling_share: Share = 0.3  # of the objects: same category as the object before
    shared_colours: Share = 0.85  # of the distractors: same colours in the same shares

    def __post_init__(self) -> None:
        """Check types, limits and what depends on more than one value."""
        validation.check(asdict(self), object_schema(settings_of(Config)), "drawn videos")
        if self.size_min > self.size_max:
            raise ConfigError(
                f"drawn videos: size_min {self.size_min} exceeds size_max {self.size_max}."
            )
        if self.frames < 8 and (self.gap_share or self.late_share):
            raise ConfigError(
                f"drawn videos: {self.frames} frames leave no room for a gap or a late entry. "
                "Use at least 8 frames, or set gap_share and late_share to 0."
            )
        if self.objects * (1 + self.distractors) > 200:
            raise ConfigError(
                "drawn videos: objects * (1 + distractors) must stay below 201, "
                f"got {self.objects} * {1 + self.distractors}."
            )


@dataclass(frozen=True)
class Actor:
    """Something that moves over the background.

    Attributes:
        ident: 1..255 in the instance map, 0 for an occluder.
        category: shape family.
        sprite: how it looks.
        gap: frames out of sight, or None.
    """

    ident: int
    category: int
    sprite: Sprite
    gap: motion.Gap | None


# --- who plays ------------------------------------------------------------------------------------


def cast_of(rng: np.random.Generator, config: Config, palette: Palette) -> list[Actor]:
    """Objects, then distractors, by ident."""
    gaps = _gaps(rng, config)
    trios = rng.permutation(len(palette.trios))
    objects: list[Actor] = []
    distractors: list[Actor] = []
    kinds = 0  # categories used so far
    families = rng.permutation(len(sprites.FAMILIES))
    textures = [list(rng.permutation(len(sprites.FIELDS))) for _ in sprites.FAMILIES]
    for index in range(config.objects):
        kinds += not kinds or rng.random() >= config.sibling_share
        family = int(families[(kinds - 1) % len(families)])
        colours = palette.trios[trios[(kinds - 1) % len(trios)]]
        size = rng.uniform(config.size_min, config.size_max) * config.width
        sprite = _sprite(rng, family, textures[family], colours, size)
        objects.append(Actor(index + 1, family, sprite, gaps[index]))
        for _ in range(config.distractors):
            shared = rng.random() < config.shared_colours
            paint = colours if shared else palette.trios[rng.integers(len(palette.trios))]
            ident = config.objects + len(distractors) + 1
            other = _sprite(rng, family, textures[family], paint, size * rng.uniform(0.9, 1.1))
            distractors.append(Actor(ident, family, other, None))
    return objects + distractors


def _sprite(
    rng: np.random.Generator, family: int, textures: list[int], colours: Floats, size: float
) -> Sprite:
    """The next member of a category: never the texture of the one before."""
    textures.append(textures.pop(0))
    return sprites.render(rng, family, textures[-1], colours, round(size))


def occluders_of(rng: np.random.Generator, config: Config, palette: Palette) -> list[Actor]:
    """Plain things in the background's darkest colours."""
    dim = np.array([[0.62], [0.5], [0.72]], np.float32)
    dark = palette.background[[2, 2, 1]] * dim
    actors = []
    for _ in range(config.occluders):
        size = rng.uniform(0.9, 1.3) * config.size_max * config.width
        family = int(rng.integers(len(sprites.FAMILIES)))
        sprite = sprites.render(rng, family, sprites.PATCHES, dark, round(size))
        actors.append(Actor(0, family, sprite, None))
    return actors


def _gaps(rng: np.random.Generator, config: Config) -> list[motion.Gap | None]:
    """Frames out of sight of each object."""
    gaps: list[motion.Gap | None] = [None] * config.objects
    total = config.frames
    late = rng.random() < config.late_share
    if late:
        gaps[-1] = (0, max(1, round(config.late * total)))
    leavers = config.objects - late
    if rng.random() < config.gap_share and leavers:
        length = max(1, round(config.gap * total))
        edge = max(2, (total - length) // 3)  # seen for so long before and after
        leave = int(rng.integers(edge, total - length - edge + 1))
        back = leave + length if rng.random() < config.return_share else total
        gaps[int(rng.integers(leavers))] = (leave, back)
    return gaps


# --- where they go --------------------------------------------------------------------------------

Role = tuple[Actor, list[Pose | None]]


def stage(
    rng: np.random.Generator, config: Config, cast: list[Actor], occluders: list[Actor]
) -> list[Role]:
    """Poses of all actors, back to front, such that frame 0 shows every object clearly."""
    for _ in range(ATTEMPTS):
        order = [cast[i] for i in rng.permutation(len(cast))] + occluders
        roles = [(actor, _poses(rng, config, actor)) for actor in order]
        if _clear(config, roles):
            return roles
    raise ConfigError(
        f"drawn videos: {len(cast)} objects and distractors, up to {config.size_max} of the width "
        f"across, do not fit into {config.width}x{config.height}. Use fewer or smaller ones."
    )


def _poses(rng: np.random.Generator, config: Config, actor: Actor) -> list[Pose | None]:
    """One pose per frame, None while out of sight."""
    frames = config.frames
    scale = 1 + motion.wave(rng, frames, config.scale_change)
    radius = sprites.CONTENT * len(actor.sprite.shadow) / 2 * (1 + config.scale_change)
    stage = motion.Stage(config.width, config.height, radius)
    transit = min(max(1, round(2.6 * radius / config.leave_speed)), max(1, frames // 4))
    speed = config.speed * rng.uniform(0.5, 1)
    centres = motion.path(rng, stage, frames, speed, stage.inside(rng), actor.gap, transit)
    angle = rng.uniform(-0.4, 0.4) + np.radians(rng.uniform(-1, 1) * config.spin) * np.arange(
        frames
    )
    shear = motion.wave(rng, frames, config.shear)
    light = motion.wave(rng, frames, config.light)
    tints = [light + motion.wave(rng, frames, config.light / 3) for _ in range(3)]
    gain = 1 + np.stack(tints, axis=1).astype(np.float32)
    return [
        None
        if np.isnan(centres[t, 0])
        else Pose((centres[t, 0], centres[t, 1]), scale[t], angle[t], shear[t], gain[t])
        for t in range(frames)
    ]


def _clear(config: Config, roles: list[Role]) -> bool:
    """Whether all objects and distractors present on frame 0 show `CLEAR` of their area there."""
    ids = np.zeros((config.height, config.width), np.uint8)
    for actor, poses in roles:
        if (pose := poses[0]) is not None:
            sprites.cover(ids, actor.sprite, pose, actor.ident)
    seen = np.bincount(ids.ravel(), minlength=256)
    return all(
        pose is None or seen[actor.ident] >= CLEAR * actor.sprite.area * pose.scale**2
        for actor, poses in roles
        if actor.ident
        for pose in poses[:1]
    )


def paste_all(
    canvas: npt.NDArray[np.float32], ids: npt.NDArray[np.uint8], roles: list[Role], t: int
) -> None:
    """Draw frame `t`: onto `canvas`, float32[H, W, 3] in 0..255, and `ids`, uint8[H, W]."""
    for actor, poses in roles:
        pose = poses[t]
        if pose is not None:
            sprites.paste(canvas, ids, actor.sprite, pose, actor.ident)
