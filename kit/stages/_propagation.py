"""The propagation of one video, object for object where that comes to the same.

It does if the propagator does not let objects act on each other, and the tracker computes each row
by itself, so that not even rounding depends on the others. Then tracks of the last result stand for
objects whose prompts did not change, and a device that is too small for all objects takes them one
after the other.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit import plugins
from kit.core.types import FloatArray, FrameResult, Prompt
from kit.stages._track_cache import Kept, keys_of
from kit.stages._tracker import library_of, tracker_of

if TYPE_CHECKING:
    from kit.runtime.job import Job


class Propagation:
    """Results of all objects, from the propagator and from tracks that were kept."""

    def __init__(
        self,
        job: "Job",
        chosen: Mapping[str, Any],
        prompts: Sequence[Prompt],
        folder: Path | None,
        shared: Sequence[object],
    ) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            job: On its device.
            chosen: Propagator preset with tracker and model resolved.
            prompts: By object and frame.
            folder: Of the tracks; None: none are kept.
            shared: What all tracks depend on, beside versions and weights.
        """
        self._job, self._chosen, self._prompts = job, chosen, prompts
        self._propagator = plugins.propagator(chosen)
        self._library = library_of(chosen)
        # Without a model a track is made sooner than it is read back.
        together = self._library is None or self._library.objects_interact
        together = together or self._propagator.objects_interact
        self._ids = sorted({p.object_id for p in prompts})
        self._kept: Kept | None = None
        if folder is not None and len(self._ids) > 1 and not together:
            versions = plugins.identity("propagators", chosen)
            self._kept = Kept(folder, keys_of(prompts, *shared, versions))

    def results(self, at_once: int) -> Iterator[FrameResult]:
        """Results frame by frame; so many objects are propagated at a time."""
        if self._kept is None:
            return self._fresh(self._prompts)
        held = self._kept.holding()
        left = [i for i in self._ids if i not in held]
        print(f"objects to propagate: {left or 'none'}; kept from the last time: {held or 'none'}")
        self._job.note(objects_propagated=len(left), objects_kept=len(held))
        while len(left) > at_once:
            first, left = left[:at_once], left[at_once:]
            deque(self._recorded(first), maxlen=0)
            held += first
        self._kept.tidy()
        return self._kept.joined(self._recorded(left), held, self._enlarged)

    def _recorded(self, object_ids: Sequence[int]) -> Iterator[FrameResult]:
        assert self._kept is not None
        prompts = [p for p in self._prompts if p.object_id in object_ids]
        return self._kept.recorded(self._fresh(prompts), object_ids)

    def _fresh(self, prompts: Sequence[Prompt]) -> Iterator[FrameResult]:
        if not prompts:
            return
        tracker = tracker_of(self._job, self._library, self._chosen)
        yield from self._job.each(self._propagator.propagate(tracker, self._job.frames, prompts))

    def _enlarged(self, low: FloatArray) -> FloatArray:
        from kit.propagators.stream import enlarged

        found: FloatArray = enlarged(low, self._prompts[0].mask.shape, self._job.device)
        return found
