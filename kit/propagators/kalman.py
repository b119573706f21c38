"""A box that moves at constant velocity, as a Kalman filter sees it.

The filter of DeepSORT (Wojke et al., arXiv 1703.07402), which SAMURAI uses: the state is
(cx, cy, a, h) and their velocities, with a = width / height and one frame as unit of time. Standard
deviations go with the height, so that the unit of length does not matter:

    start     position h/10, velocity h/16; of a 0.01 and 0.00001
    motion    position h/20, velocity h/160; of a 0.01 and 0.00001
    box seen  h/20; of a 0.1

Written out because it is four matrix products: `filterpy` has the same, brings a plotting library
along, and would have to be handed new noise at every frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom; right and bottom are outside

_MOTION = np.eye(8) + np.eye(8, k=4)
_SEEN = np.eye(4, 8)
_IN_HEIGHTS = np.array([True, True, False, True])  # a has no unit


@dataclass(frozen=True, eq=False)
class Track:
    """Where a box is thought to be, float64: mean [8] and covariance [8, 8]."""

    mean: FloatArray
    covariance: FloatArray

    @property
    def box(self) -> Box:
        """Its middle value."""
        x, y, aspect, height = (float(value) for value in self.mean[:4])
        width = aspect * height
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def start(box: Box) -> Track:
    """A track of one box, at rest."""
    measured = _measured(box)
    height = measured[3]
    noise = (_noise(height / 10, 1e-2), _noise(height / 16, 1e-5))
    return Track(np.concatenate([measured, np.zeros(4)]), np.diag(np.concatenate(noise) ** 2))


def predict(track: Track) -> Track:
    """The track one frame later, nothing seen."""
    height = track.mean[3]
    noise = (_noise(height / 20, 1e-2), _noise(height / 160, 1e-5))
    covariance = _MOTION @ track.covariance @ _MOTION.T + np.diag(np.concatenate(noise) ** 2)
    return Track(_MOTION @ track.mean, covariance)


def update(track: Track, box: Box) -> Track:
    """A predicted track, corrected by the box that was seen."""
    spread = _SEEN @ track.covariance @ _SEEN.T + np.diag(_noise(track.mean[3] / 20, 1e-1) ** 2)
    gain = np.linalg.solve(spread, _SEEN @ track.covariance).T
    mean = track.mean + gain @ (_measured(box) - _SEEN @ track.mean)
    return Track(mean, track.covariance - gain @ spread @ gain.T)


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0..1; 0 where both are empty."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0.0) * max(height, 0.0)
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - common
    return common / union if union > 0 else 0.0


def _measured(box: Box) -> FloatArray:
    left, top, right, bottom = box
    height = bottom - top
    return np.array([(left + right) / 2, (top + bottom) / 2, (right - left) / height, height])


def _noise(length: float, aspect: float) -> FloatArray:
    return np.where(_IN_HEIGHTS, length, aspect)
