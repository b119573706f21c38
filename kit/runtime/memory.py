"""Memory of the device: how much is free, who has to make room, what to do when it runs out."""

import gc
import resource
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from kit.core.errors import DeviceError

Result = TypeVar("Result")
KEPT_FREE = 1 / 3  # of the device's memory, for the job itself
_SHORT = ("out of memory", "ALLOC_FAILED", "can't allocate memory")


class Recent:
    """Models by key, the last used ones: as many as leave a third of the device's memory free."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], Any], device: str) -> Any:
        """The model of a key, loaded if need be; older ones make room for it."""
        if key not in self._kept:
            self._kept[key] = self._loaded(load, device)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and is_tight(device):
            self._drop(next(iter(self._kept)), device)
        return self._kept[key]

    def _loaded(self, load: Callable[[], Any], device: str) -> Any:
        try:
            return load()
        except Exception as error:
            if not is_shortage(error) or not self._kept:
                raise
        self.keep(0, device)
        return load()

    def keep(self, count: int, device: str) -> int:
        """Drop all but the `count` last used models; returns how many had to go."""
        surplus = list(self._kept)[: max(len(self._kept) - count, 0)]
        for key in surplus:
            self._drop(key, device)
        return len(surplus)

    def _drop(self, key: Hashable, device: str) -> None:
        del self._kept[key]
        release(device)


def is_tight(device: str) -> bool:
    """Whether less than `KEPT_FREE` of the device's memory is free."""
    free, total = free_and_total(device)
    return free < KEPT_FREE * total


def free_and_total(device: str) -> tuple[int, int]:
    """Bytes of the device's memory, or of the machine's for the CPU."""
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()
    table = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free, total = (int(table[name].split()[0]) for name in ("MemAvailable", "MemTotal"))
    return 1024 * free, 1024 * total


def release(device: str) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()


def start_peak(device: str) -> None:
    """Measure the peak from here on."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark below


def peak(device: str) -> int:
    """Most bytes in use since `start_peak`: of the device, or of the process on the CPU."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def is_shortage(error: BaseException) -> bool:
    """Whether an exception says that memory, of the device or of the machine, has run out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SHORT)


def fitting(
    attempt: Callable[[int], Result],
    most: int,
    what: str,
    lower: str,
    offload: Callable[[], object],
    device: str,
) -> Result:
    """Do something with less and less at once until it fits into the device's memory.

    Args:
        attempt: Does it all with a number of `what` at once; whole or not at all.
        most: The number to begin with.
        what: "frames", "objects".
        lower: What a user can do if nothing helps.
        offload: Takes from the device what the attempt does not need; called once.
        device: "cpu" or "cuda".

    Raises:
        DeviceError: One at once was too much.
    """
    count, emptied = most, False
    while True:
        try:
            return attempt(count)
        except Exception as error:
            if not is_shortage(error):
                raise
            told = str(error).splitlines()[0]
        # The failed attempt's tensors went with its traceback.
        if emptied and count <= 1:
            raise DeviceError(f"out of memory with one of the {what} at once ({told}). {lower}")
        step = f"again with {(count + 1) // 2 if emptied else count} {what} at once"
        if emptied:
            count = (count + 1) // 2
        else:
            offload()
            emptied, step = True, f"{step}, other models put away"
        release(device)
        print(f"out of memory ({told}); {step}", file=sys.stderr, flush=True)
