"""Training clips: a few frames of a video, and some objects that its first one shows.

Where a clip comes from is a source: videos drawn as they are needed, photographs that are moved, or
folders in MOSE layout.
Every clip is a pure function of a random generator, so that a resumed run sees what it would have.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kit.core import images, label_maps, validation
from kit.core.errors import ConfigError, DataError
from kit.core.masks import VOID
from kit.data import collage, layout, photographs, synthetic
from kit.training import augment

ATTEMPTS = 50  # windows tried until one shows an object on its first frame
CROWDED = 5  # drawn videos in a row whose cast may find no place
VISIBLE = 0.0005  # share of a frame from which on an object counts as shown; 1,000 px at 1080p


@dataclass(frozen=True)
class Config:
    """What a clip is. Defaults are those of SAM 2's fine-tuning, but for `later`."""

    frames: int = 8  # T
    objects: int = 3  # at most
    max_gap: int = 1  # frames between two of the clip's: drawn from 1 to this
    reverse: float = 0.0  # probability that time runs backward
    points: float = 0.25  # probability that the first frame is prompted by a click
    boxes: float = 0.25  # ... by a box; otherwise by the mask
    corrections: int = 0  # clicks that then correct the answer to a click or box; SAM 2: up to 7
    later: float = 0.5  # probability that masks are given on later frames as well
    most_later: int = 3  # and on how many at most


@dataclass(frozen=True)
class Clip:
    """T frames and O objects.

    Attributes:
        frames: `uint8[T, H, W, 3]`, RGB.
        masks: `bool[O, T, H, W]`, visible parts; each object is visible on frame 0.
        later: Per object the frames after the first on which its mask is given too.
        first: Per object how it is shown on frame 0: "mask", "point" or "box".
        chance: `float64[O, T, 4]` in [0, 1): whatever else is left to chance for an object in a
            frame, so that a clip meets the same fate in whichever batch it is.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    later: tuple[tuple[int, ...], ...]
    first: tuple[str, ...]
    chance: NDArray[np.float64]


@dataclass(frozen=True)
class Footage:
    """Some frames of a video, and what is known of them.

    Attributes:
        frames: `uint8[T, H, W, 3]`, RGB.
        labels: `uint8[T, H, W]`, ids of what is labelled.
        categories: Of id i + 1; empty where nobody has said what is of one kind, and where not all
            of a kind need be labelled.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    categories: tuple[int, ...] = ()


class Source(Protocol):
    """Where clips come from."""

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> Footage:
        """T frames of some video, 1 to `max_gap` frames apart."""
        ...


class Drawn:
    """Videos of the drawn training split, rendered as they are asked for; none comes twice."""

    def __init__(self, config: synthetic.Config, split: str = "train") -> None:
        self._config = config
        self._seeds = synthetic.SPLITS[split]

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> Footage:
        """See `Source`; distractors are objects like others.

        Raises:
            ConfigError: The cast of several videos in a row found no place.
        """
        for attempt in range(CROWDED):
            seed = int(rng.integers(self._seeds.start, self._seeds.stop))
            times = window(rng, self._config.frames, length, max_gap)
            try:
                clip = synthetic.draw(seed, self._config, times)
            except ConfigError:  # a crowd finds no place now and then: the next video
                if attempt + 1 == CROWDED:
                    raise
            else:
                break
        return Footage(clip.frames, clip.instances, clip.categories)


class Folder:
    """Videos of a split in MOSE or DAVIS layout, with a label map for every frame."""

    def __init__(
        self,
        split: layout.Split,
        videos: Sequence[str] | None = None,
        without: Sequence[str] = (),
        changes: augment.Config | None = None,
    ) -> None:
        self._split = split
        self._videos = [v for v in videos or split.videos() if v not in set(without)]
        self._changes = changes or augment.Config()
        self._known: dict[str, list[Path]] = {}

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> Footage:
        """See `Source`."""
        video = self._videos[int(rng.integers(len(self._videos)))]
        paths = self._frames(video)
        picked = [paths[t] for t in window(rng, len(paths), length, max_gap)]
        frames = [images.read_image(path) for path in picked]
        maps = self._split.root / self._split.annotations / video
        shape = frames[0].shape[:2]
        labels = np.stack(
            [label_maps.read_labels(maps / f"{path.stem}.png", shape) for path in picked]
        )
        decided = np.where(labels == VOID, np.uint8(0), labels)
        changed = augment.apply(rng, np.stack(frames), decided, self._changes)
        return Footage(*changed)

    def videos(self) -> int:
        """How many there are."""
        return len(self._videos)

    def _frames(self, video: str) -> list[Path]:
        if video not in self._known:
            folder = self._split.root / self._split.images / video
            self._known[video] = layout.frame_files(folder)
        return self._known[video]


class Collages:
    """Moving collages of photographs, made as they are asked for; none comes twice."""

    def __init__(self, shelf: photographs.Shelf, config: collage.Config) -> None:
        self._shelf, self._config = shelf, config

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> Footage:
        """See `Source`; objects of the photograph and what is pasted over it are objects alike."""
        gap = int(rng.integers(1, max_gap + 1))
        made = collage.make(rng, self._shelf, self._config, range(0, gap * length, gap))
        return Footage(made.frames, made.labels)


class Mixture:
    """Several sources, each drawn from with a probability in proportion to its weight."""

    def __init__(self, sources: Sequence[tuple[float, Source]]) -> None:
        self._sources = [source for _, source in sources]
        weights = np.array([weight for weight, _ in sources], np.float64)
        self._shares = weights / weights.sum()

    def take(self, rng: np.random.Generator, length: int, max_gap: int) -> Footage:
        """See `Source`."""
        chosen = int(rng.choice(len(self._sources), p=self._shares))
        return self._sources[chosen].take(rng, length, max_gap)

    def videos(self) -> int:
        """Videos in all folders, which an epoch goes through once.

        Raises:
            ConfigError: Some source has no end.
        """
        counts = [source.videos() for source in self._sources if isinstance(source, Folder)]
        if len(counts) < len(self._sources):
            raise ConfigError("data: drawn videos have no epochs; give `steps` to each phase.")
        return sum(counts)


def window(rng: np.random.Generator, total: int, length: int, max_gap: int) -> list[int]:
    """Frames of a clip: evenly apart, anywhere in a video of `total` frames.

    A shorter video is walked to and fro.
    """
    if total == 1:
        return [0] * length
    gap = int(rng.integers(1, max_gap + 1))
    gap = max(1, min(gap, (total - 1) // max(length - 1, 1)))
    start = int(rng.integers(max(total - gap * (length - 1), 1)))
    walked = (start + gap * np.arange(length)) % (2 * total - 2)
    return [int(min(t, 2 * total - 2 - t)) for t in walked]


def sample(source: Source, config: Config, rng: np.random.Generator) -> Clip:
    """One training clip.

    Raises:
        DataError: No window with an object on its first frame was found.
    """
    for _ in range(ATTEMPTS):
        footage = source.take(rng, config.frames, config.max_gap)
        frames, labels = footage.frames, footage.labels
        if rng.random() < config.reverse:
            frames, labels = frames[::-1], labels[::-1]
        least = max(1, VISIBLE * labels[0].size)
        ids, areas = np.unique(labels[0], return_counts=True)
        shown = ids[(ids > 0) & (areas >= least)]
        if len(shown):
            chosen = rng.permutation(shown)[: config.objects]
            masks = labels[None] == chosen[:, None, None, None]
            later = tuple(_later(rng, mask, least, config) for mask in masks)
            first = tuple(_first(rng, config) for _ in chosen)
            chance = rng.random((len(chosen), config.frames, 4))
            return Clip(np.ascontiguousarray(frames), masks, later, first, chance)
    raise DataError(
        f"training clips: in {ATTEMPTS} windows no object covered {VISIBLE:.2%} of the first "
        "frame. Are the label maps those of the frames?"
    )


def source_of(blocks: Sequence[dict[str, Any]]) -> Mixture:
    """The mixture that a config's `data` block describes.

    Each entry has a `weight` and one of

    - `draw`: a difficulty, see `synthetic.Config`;
    - `root`: a folder of clips (with `images`, `annotations`, `videos` where they differ from
      MOSE's; `without` names videos that are set aside; `augment` says how much is changed);
    - `photos`: a folder of photographs with masks, moved (with `sprites`, `textures` and `only`,
      see `photographs.Shelf`, and `collage`, see `collage.Config`).

    With `optional: true` an entry whose folder is absent is left out, and said to be.

    Raises:
        ConfigError: There is none, or an entry is none of these or several.
    """
    if not blocks:
        raise ConfigError("data: empty; give at least one entry with `draw`, `root` or `photos`.")
    sources: list[tuple[float, Source]] = []
    for block in blocks:
        kinds = [kind for kind in KINDS if kind in block]
        if len(kinds) != 1:
            raise ConfigError(f"data: an entry has one of {', '.join(KINDS)}; got {sorted(block)}.")
        if block.get("optional") and not Path(block[kinds[0]]).exists():
            print(f"data: {block[kinds[0]]} is not there and optional: left out", file=sys.stderr)
            continue
        sources.append((float(block.get("weight", 1.0)), KINDS[kinds[0]](block)))
    if not sources:
        raise ConfigError("data: all entries are optional and none of their folders is there.")
    return Mixture(sources)


def _drawn(block: dict[str, Any]) -> Source:
    return Drawn(validation.parse(synthetic.Config, block["draw"], "data.draw"))


def _folder(block: dict[str, Any]) -> Source:
    split = layout.Split(
        Path(block["root"]),
        block.get("images", "JPEGImages"),
        block.get("annotations", "Annotations"),
        None,
    )
    changes = validation.parse(augment.Config, block.get("augment", {}), "data.augment")
    return Folder(split, block.get("videos"), block.get("without", ()), changes)


def _collages(block: dict[str, Any]) -> Source:
    sprites, textures = (Path(block[k]) if k in block else None for k in ("sprites", "textures"))
    shelf = photographs.Shelf(Path(block["photos"]), sprites, textures, block.get("only", ()))
    return Collages(
        shelf, validation.parse(collage.Config, block.get("collage", {}), "data.collage")
    )


KINDS: dict[str, Callable[[dict[str, Any]], Source]] = {
    "draw": _drawn,
    "root": _folder,
    "photos": _collages,
}


def _later(
    rng: np.random.Generator, mask: NDArray[np.bool_], least: float, config: Config
) -> tuple[int, ...]:
    """Later frames on which one object's mask is given: some of those that show it."""
    if rng.random() >= config.later:
        return ()
    seen = [t for t in range(1, len(mask)) if mask[t].sum() >= least]
    count = int(rng.integers(1, config.most_later + 1))
    return tuple(sorted(int(t) for t in rng.permutation(seen)[:count]))


def _first(rng: np.random.Generator, config: Config) -> str:
    draw = rng.random()
    if draw < config.points:
        return "point"
    return "box" if draw < config.points + config.boxes else "mask"
