"""What every candidate source is given and gives back."""

from dataclasses import dataclass

from kit.core.masks import Mask


@dataclass(frozen=True)
class Exemplar:
    """The target as the user drew it.

    Attributes:
        object_id: Of the target.
        frame: Index of the frame of its first mask; candidates are sought on later frames.
        mask: `bool[H, W]`, not empty.
    """

    object_id: int
    frame: int
    mask: Mask
