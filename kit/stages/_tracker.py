"""The tracker that a propagator's settings name; some propagators need none."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kit import plugins
from kit.methods import TrackerLibrary
from kit.stages import _settings

if TYPE_CHECKING:
    from kit.runtime.job import Job
    from kit.trackers.base import Tracker


def library_of(chosen: Mapping[str, Any]) -> TrackerLibrary | None:
    """What makes the tracker; None for a propagator that needs none.

    Args:
        chosen: Propagator preset with tracker and model resolved.

    Raises:
        ConfigError: A tracker is needed, and it or its model is missing or no object.
    """
    if "tracker" not in plugins.needs("propagators", str(chosen.get("method"))):
        return None
    named = _settings.block(chosen, "tracker", "method")
    _settings.block(named, "model", "source")
    return plugins.tracker(named)


def tracker_of(
    job: "Job", library: TrackerLibrary | None, chosen: Mapping[str, Any]
) -> "Tracker | None":
    """The tracker, on the job's device."""
    if library is None:
        return None
    return library.build(job.load(library.model, chosen["tracker"]["model"]))
