"""A vision encoder as a CUDA graph: recorded on its first frame, replayed on all others.

At one frame a call SAM 3's encoder is 1,900 small kernels, and the host takes longer to launch them
than the device to run them (an H200 in a virtual machine: 40 ms a frame launched, 25.5 replayed).
The kernels are the same, and so are the bits.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from kit.trackers.base import Encoded

WARM_UP = 3  # calls before recording, in which libraries choose their kernels; PyTorch's advice


class Recorded:
    """A function of one tensor that always has the same shape; on a CPU it is just called.

    Invariant: what is returned does not lie in the graph's memory, which the next replay writes to,
    but for the position code, which is the same for all frames.
    """

    def __init__(self, work: Callable[[Tensor], Encoded]) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None
        self._refused = False

    def __call__(self, pixels: Tensor) -> Encoded:
        """What the function makes of a tensor; both in the same numeric mode as at the first call.

        Args:
            pixels: float32 [1, 3, S, S].
        """
        if self._graph is None and pixels.is_cuda and not self._refused:
            self._try_to_record(pixels)
        if self._graph is None:
            return self._work(pixels)
        self._pixels.copy_(pixels)
        self._graph.replay()
        found = self._found
        fine, middle = found.fine
        prompt = None if found.prompt is None else found.prompt.clone()
        return Encoded(found.tokens.clone(), found.position, (fine.clone(), middle.clone()), prompt)

    def _try_to_record(self, pixels: Tensor) -> None:
        """A graph needs memory of its own, and is no more than a convenience."""
        try:
            self._graph = self._record(pixels)
        except RuntimeError as error:  # `torch.OutOfMemoryError` is one; so is a broken recording
            self._refused = True
            why = next(iter(str(error).splitlines()), type(error).__name__)
            warnings.warn(f"vision encoder: not recorded, so it is slower ({why})", stacklevel=3)

    def _record(self, pixels: Tensor) -> torch.cuda.CUDAGraph:
        self._pixels = pixels.clone()
        graph = torch.cuda.CUDAGraph()
        with _uncached():
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP):
                    self._work(self._pixels)
            torch.cuda.current_stream().wait_stream(aside)
            # Other threads read frames meanwhile; what they do is not to be recorded or forbidden.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._found = self._work(self._pixels)
        return graph


def _uncached() -> torch.autocast:
    """The numeric mode around, without the weights it has cached: they may be gone before us."""
    dtype, enabled = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
    return torch.autocast("cuda", dtype, enabled, cache_enabled=False)
