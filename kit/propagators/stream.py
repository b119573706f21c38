"""Frames in, results out, without holding the video."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch.nn import functional

from kit.core.ahead import ahead
from kit.core.types import FrameSource, Image
from kit.trackers.base import Encoded, FrameResult, Hypothesis, Prompt, Tracker


class Reversed:
    """A video from its end to its beginning."""

    def __init__(self, frames: FrameSource) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Image:
        return self._frames[len(self._frames) - 1 - index]


class EncodedFrames:
    """Encodes each frame once, even where a prompt needs it ahead of its turn.

    Invariant: it holds the encodings of prompted frames that have not had their turn, no others.
    """

    def __init__(self, tracker: Tracker, frames: FrameSource) -> None:
        self._tracker = tracker
        self._frames = frames
        self._waiting: dict[int, Encoded] = {}

    def early(self, frame: int) -> Encoded:
        """Encode a frame before its turn, and keep it till then."""
        if frame not in self._waiting:
            self._waiting[frame] = self._tracker.encode(self._frames[frame])
        return self._waiting[frame]

    def walk(self, order: Sequence[int]) -> Iterator[tuple[int, Encoded]]:
        """Encoded frames in an order; the next image is decoded while one is worked on."""
        unread = [frame for frame in order if frame not in self._waiting]
        images = ahead(self._frames.__getitem__, unread)
        for frame in order:
            if frame in self._waiting:
                yield frame, self._waiting.pop(frame)
            else:
                yield frame, self._tracker.encode(next(images))


class Outbox:
    """Results on their way to host memory while the device goes on."""

    def __init__(
        self,
        frame: int,
        object_ids: Iterable[int],
        answers: Sequence[Hypothesis],
        size: tuple[int, int],
        device: torch.device | None = None,
    ) -> None:
        """Enlarge the masks and start the copy.

        Args:
            frame: Index of the frame.
            object_ids: The N objects.
            answers: Of each, K = 1.
            size: (height, width) of the video.
            device: Where to enlarge, if not where the answers are.
        """
        self._frame = frame
        self._ids = tuple(object_ids)
        with torch.inference_mode():
            masks = torch.stack([answer.logits for answer in answers]).to(device)
            if masks.shape[-2:] != size:
                masks = functional.interpolate(
                    masks, size=size, mode="bilinear", align_corners=False
                )
            presence = torch.stack([answer.presence for answer in answers])
            iou = torch.cat([answer.iou for answer in answers])
            values = (masks[:, 0], presence, iou)
            self._copies = [value.to("cpu", non_blocking=True) for value in values]
            self._done = torch.cuda.Event() if masks.is_cuda else None  # type: ignore[no-untyped-call]
        if self._done is not None:
            self._done.record()

    def open(self) -> FrameResult:
        """The result, as soon as it has arrived."""
        if self._done is not None:
            self._done.synchronize()
        logits, presence, iou = (copy.numpy() for copy in self._copies)
        return FrameResult(self._frame, self._ids, logits, presence, iou)


def emit(
    answers: Iterable[tuple[int, Mapping[int, Hypothesis]]], prompts: Sequence[Prompt]
) -> Iterator[FrameResult]:
    """Results of answers, each fetched while the device is busy with the next frame.

    Args:
        answers: Frame by frame, by object id.
        prompts: Of the video; their masks have its size.
    """
    outbox: Outbox | None = None
    for frame, found in answers:
        if outbox is not None:
            yield outbox.open()
        height, width = prompts[0].mask.shape
        outbox = Outbox(frame, found, list(found.values()), (height, width))
    if outbox is not None:
        yield outbox.open()
