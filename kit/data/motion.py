"""Paths of drawn objects: slow drift, leaving over a border, coming back over another one.

Positions are x, y in pixels of the object's centre; NaN where the object is out of sight.
"""

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

Gap = tuple[int, int]  # first frame out of sight, first frame back


def wave(rng: np.random.Generator, frames: int, amplitude: float) -> Points:
    """A slow swing about zero: float64[T] in -amplitude..amplitude, period 24 to 60 frames."""
    phase = rng.uniform(0, 2 * np.pi)
    turns = np.arange(frames) / rng.uniform(24, 60)
    return np.asarray(amplitude * np.sin(2 * np.pi * turns + phase), np.float64)


def fold(values: Points, low: float, high: float) -> Points:
    """Reflect a coordinate at two walls, as often as it takes."""
    if high <= low:
        return np.full_like(values, (low + high) / 2)
    span = high - low
    folded: Points = low + span - np.abs((values - low) % (2 * span) - span)
    return folded


class Stage:
    """The room in which one object may move: all of it stays in the picture.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        radius: of the object, pixels.
    """

    def __init__(self, width: int, height: int, radius: float) -> None:
        self.radius = radius
        self.low = np.array([radius, radius])
        self.high = np.array([width, height]) - radius

    def inside(self, rng: np.random.Generator) -> Points:
        """Any point of the room."""
        return rng.uniform(self.low, np.maximum(self.high, self.low))

    def at_border(self, rng: np.random.Generator, side: int) -> Points:
        """A point of the room at border `side`: 0 left, 1 top, 2 right, 3 bottom."""
        point = self.inside(rng)
        point[side % 2] = (self.low if side < 2 else self.high)[side % 2]
        return point

    def drift(
        self, rng: np.random.Generator, frames: int, speed: float, anchor: int, point: Points
    ) -> Points:
        """Wander with bounces, passing `point` at frame `anchor`: float64[T, 2]."""
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.12, frames))
        steps = speed * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        travelled = np.cumsum(steps, axis=0)
        free = point + travelled - travelled[min(anchor, frames - 1)]
        folded = [fold(free[:, i], self.low[i], self.high[i]) for i in range(2)]
        return np.stack(folded, axis=1)


def path(
    rng: np.random.Generator,
    stage: Stage,
    frames: int,
    speed: float,
    start: Points,
    gap: Gap | None,
    transit: int,
) -> Points:
    """Where one object is on each frame.

    Args:
        rng: draws the wandering and the borders.
        stage: the object's room.
        frames: T.
        speed: pixels per frame while wandering.
        start: position on frame 0, if the object never leaves.
        gap: frames out of sight, `(0, late)` for a late entry, `(leave, T)` for good; or None.
        transit: frames taken to cross a border, at least 1.

    Returns:
        float64[T, 2], NaN within the gap. It comes back over the border opposite to the one it
        left by, so that waiting where it was lost does not help.
    """
    if gap is None:
        return stage.drift(rng, frames, speed, 0, start)
    leave, back = gap
    side = int(rng.integers(4))
    before = _crossing(rng, stage, frames, speed, side, leave, transit, leaving=True)
    after = _crossing(rng, stage, frames, speed, (side + 2) % 4, back, transit, leaving=False)
    times = np.arange(frames)[:, None]
    return np.where(times < leave, before, np.where(times < back, np.nan, after))


def _crossing(
    rng: np.random.Generator,
    stage: Stage,
    frames: int,
    speed: float,
    side: int,
    when: int,
    transit: int,
    leaving: bool,
) -> Points:
    """A drift that is out of the picture at `when` and crosses a border just before or after."""
    inner = max(when - transit, 0) if leaving else when + transit
    drift = stage.drift(rng, frames, speed, inner, stage.at_border(rng, side))
    distance = np.abs(np.arange(frames) - when)
    outward = np.zeros(2)
    outward[side % 2] = 2.6 * stage.radius * (-1 if side < 2 else 1)
    share = np.clip(1 - distance / transit, 0, 1)
    return drift + share[:, None] * outward
