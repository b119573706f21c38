"""Frames in, results out, without holding the video."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from kit.core.ahead import ahead
from kit.core.types import FloatArray, FrameResult, FrameSource, Prompt
from kit.trackers.base import Encoded, Hypothesis, Tracker


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


class Parcel:
    """Values on their way to host memory, while the device goes on."""

    def __init__(self, *values: Tensor) -> None:
        self._copies = [value.to("cpu", non_blocking=True) for value in values]
        self._sent: torch.cuda.Event | None = None
        if values[0].is_cuda:
            self._sent = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._sent.record()

    def open(self) -> list[FloatArray]:
        """The values, as soon as they have arrived."""
        if self._sent is not None:
            self._sent.synchronize()
        return [copy.numpy() for copy in self._copies]


def enlarge(low: Tensor, size: tuple[int, int]) -> Tensor:
    """Mask logits [N, K, h, w] at a video's size, (height, width)."""
    if low.shape[-2:] == size:
        return low
    return functional.interpolate(low, size=size, mode="bilinear", align_corners=False)


def enlarged(low: FloatArray, size: tuple[int, int], device: str) -> FloatArray:
    """float32 [N, h, w] at a video's size, by the same arithmetic on the same device."""
    with torch.inference_mode():
        planes = enlarge(torch.from_numpy(low)[:, None].to(device), size)
        found: FloatArray = planes[:, 0].cpu().numpy()
    return found


class Outbox:
    """A frame's result on its way."""

    def __init__(
        self, frame: int, answers: Mapping[int, Hypothesis], size: tuple[int, int]
    ) -> None:
        """Enlarge the masks and send them.

        Args:
            frame: Index of the frame.
            answers: K = 1, by object id.
            size: (height, width) of the video.
        """
        self._frame, self._ids = frame, tuple(answers)
        with torch.inference_mode():
            low = torch.stack([answer.logits for answer in answers.values()])
            presence = torch.stack([answer.presence for answer in answers.values()])
            iou = torch.cat([answer.iou for answer in answers.values()])
            self._parcel = Parcel(enlarge(low, size)[:, 0], presence, iou, low[:, 0])

    def open(self) -> FrameResult:
        """The result, as soon as it has arrived."""
        return FrameResult(self._frame, self._ids, *self._parcel.open())


def emit(
    answers: Iterable[tuple[int, Mapping[int, Hypothesis]]], prompts: Sequence[Prompt]
) -> Iterator[FrameResult]:
    """Results of answers, each fetched while the device is busy with the next frame.

    Args:
        answers: Frame by frame, by object id.
        prompts: Of the video; their masks have its size.
    """
    waiting: Outbox | None = None
    for frame, found in answers:
        height, width = prompts[0].mask.shape
        sent = Outbox(frame, found, (height, width))
        if waiting is not None:
            yield waiting.open()
        waiting = sent
    if waiting is not None:
        yield waiting.open()
