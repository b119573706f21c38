"""Where an object leaves and returns, as the MOSEv2 scorer sees it."""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray


def runs(empty: NDArray[np.bool_]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Stretches of frames after a disappearance and after a reappearance.

    Args:
        empty: bool[n], True where the ground truth has no pixel of the object, over the evaluated
            frames only: what happens in the first and last frame of a video is invisible.

    Returns:
        `(disappearances, reappearances)`, half-open intervals in [0, n). An absence from the start
        is no disappearance, but the presence after it is a reappearance.

    Source: `merge_chunk_results` in score.py of henghuiding/MOSE-api @241977a.
    """
    absent: list[tuple[int, int]] = []
    present: list[tuple[int, int]] = []
    start = 0
    for is_empty, group in groupby(empty.tolist()):
        end = start + len(list(group))
        if start > 0:
            (absent if is_empty else present).append((start, end))
        start = end
    return absent, present
