"""Label maps of soft masks, as they are propagated."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from kit.core import masks
from kit.core.ahead import ahead
from kit.core.types import FrameResult, MaskNotes, Prompt, State, Video
from kit.labelling.overlaps import resolve_overlaps


class Painter:
    """Turns soft masks into label maps while noting what they were made of."""

    def __init__(
        self, video: Video, given: Mapping[int, masks.Mask], prompts: Sequence[Prompt] = ()
    ) -> None:
        self.video, self.given, self.prompts = video, given, prompts
        self.states: dict[int, dict[str, State]] = {o.id: {} for o in video.objects}
        self.contested: dict[str, int] = {}
        self.claims: dict[str, dict[int, str]] = {}

    def paint(self, results: Iterable[FrameResult]) -> Iterator[tuple[str, bytes]]:
        """(frame name, palette PNG) for every frame; those that no result covers are empty.

        Pixels are labelled and compressed in a thread, while the next frame is propagated.
        """
        return ahead(self._painted, self._covered(results))

    def _covered(self, results: Iterable[FrameResult]) -> Iterator[tuple[str, FrameResult | None]]:
        """(frame name, result) for every frame; None where no result covers it."""
        found = iter(results)
        result = next(found, None)
        for index, name in enumerate(self.video.frames):
            if result is not None and result.frame == index:
                yield name, result
                result = next(found, None)
            else:
                yield name, None

    def describe(self) -> MaskNotes:
        """What the frames painted so far were made of."""
        prompted = {
            o.id: [self.video.frames[p.frame] for p in self.prompts if p.object_id == o.id]
            for o in self.video.objects
        }
        return MaskNotes(self.states, prompted, self.contested, self.claims)

    def _painted(self, found: tuple[str, FrameResult | None]) -> tuple[str, bytes]:
        name, result = found
        labels = np.zeros(self.video.shape, np.uint8) if result is None else self._labels(result)
        return name, masks.encode_png(labels)

    def _labels(self, result: FrameResult) -> masks.LabelMap:
        name = self.video.frames[result.frame]
        labels = resolve_overlaps(result.logits, result.object_ids)
        claimed = result.logits > 0
        contested = int((claimed.sum(0) > 1).sum())
        if contested:
            self.contested[name] = contested
            pairs = zip(result.object_ids, claimed, strict=True)
            self.claims[name] = {i: masks.encode_rle(mask) for i, mask in pairs}
        for i, presence, iou in zip(result.object_ids, result.presence, result.iou, strict=True):
            self.states[i][name] = State(round(float(presence), 3), round(float(iou), 4))
        return self._with_given(name, labels)

    def _with_given(self, name: str, labels: masks.LabelMap) -> masks.LabelMap:
        """On the frame where an object was given, its pixels are exactly the user's."""
        for target in self.video.objects:
            if target.first_frame == name:
                mask = self.given[target.id]
                labels[(labels == target.id) & ~mask] = 0
                labels[mask] = target.id
        return labels
