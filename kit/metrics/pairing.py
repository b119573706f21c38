"""Which predicted frame meets which ground truth frame, by the organisers' rules.

Source: `process_video_chunk` in MOSEv2/sam2_rcms/tools/score.py of henghuiding/MOSE-api @241977a.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kit.core import png
from kit.metrics.folders import Folder
from kit.metrics.objects import fitted


@dataclass
class Pairing:
    """Frames of one video; the PREDICTION folder says which are compared.

    Attributes:
        name: of the video.
        length: frames by the meta file, at least 3.
        size: height and width by the meta file; if one is None, the ground truth's.
        gt: folder of the video in the ground truth.
        pred: folder of the video in the predictions.
        notes: what was odd, with the frames it was met in.
    """

    name: str
    length: int
    size: tuple[int | None, int | None]
    gt: Folder
    pred: Folder
    notes: dict[str, list[str]] = field(default_factory=dict)

    def stems(self) -> list[str]:
        """Stems of all predicted frames in numerical order; ValueError if one is no number."""
        names = [n for n in self.pred.names() if not n.startswith(".") and n.endswith(".png")]
        return sorted((n.split(".")[0] for n in names), key=int)

    def evaluated(self) -> list[str]:
        """Stems of the compared frames: indices 1 to length - 2 of what is predicted."""
        return self.stems()[1 : self.length - 1]

    def pairs(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Labels of the compared frames, ground truth and prediction, uint8[H, W] each.

        Raises:
            Exception: in the order in which the organisers' scorer meets the defects.
        """
        stems = self.stems()
        height, width = self.size
        if height is None or width is None:
            height, width = png.decode(self.gt.read(f"{stems[0]}.png")).shape
        for index in range(1, self.length - 1):
            if index >= len(stems):
                raise AssertionError(f"frame {index} of {self.name}: only {len(stems)} predicted")
            name = f"{stems[index]}.png"
            truth = self._labels(self.gt, name, (height, width), "ground truth")
            try:
                yield truth, self._labels(self.pred, name, (height, width), "prediction")
            except FileNotFoundError as error:
                raise ValueError(f"Frame not found: {self.name}/{stems[index]}") from error

    def _labels(
        self, folder: Folder, name: str, shape: tuple[int, int], side: str
    ) -> NDArray[np.uint8]:
        data = folder.read(name)
        labels = png.decode(data)
        trouble = png.trouble(data, labels)
        if trouble:
            self.note(f"{side} is a {trouble}", name)
        if labels.shape != shape:
            self.note(f"{side} of {labels.shape[1]}x{labels.shape[0]} is stretched", name)
        return fitted(labels, shape)

    def note(self, what: str, frame: str) -> None:
        """Remember something odd about a frame."""
        self.notes.setdefault(what, []).append(frame)

    def warnings(self) -> list[str]:
        """What made the score other than meant, a line per cause."""
        lines = [
            f"{self.name}: {what} ({len(frames)} frames, first {frames[0]})"
            for what, frames in self.notes.items()
        ]
        truths = [name.split(".")[0] for name in self.gt.names()]
        truths.sort(key=lambda stem: (len(stem), stem))  # as numbers, but nothing need be one
        meant = truths[1 : self.length - 1]
        scored = self.evaluated()
        if sorted(meant) != sorted(scored):
            lines.append(
                f"{self.name}: {len(self.stems())} frames predicted of {self.length}; scored are"
                f" {scored[0]} to {scored[-1]}, meant are {meant[0]} to {meant[-1]}"
            )
        return lines
