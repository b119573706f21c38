"""What a method is, family by family: the types that stages hold, and what its module declares.

A method is one module: `VERSION`, a frozen dataclass `Config`, and the functions of its family,
each with a parameter `config`. Here they stand as stages call them, with `config` filled in.

What else is to be known of a method its module declares as constants, most of which have the
default that is right for nearly all (`FLAGS`, `NEEDS`). They are read from the source text, since
the workflow plans with them and must not import torch.
"""

from __future__ import annotations  # planning reads this file, and needs none of these types

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kit.core.masks import Mask
    from kit.core.types import (
        Candidate,
        Evidence,
        FrameResult,
        FrameSource,
        Image,
        Prompt,
        Selection,
        Video,
    )
    from kit.detectors.base import Search
    from kit.detectors.prompting import Asked, Views
    from kit.embedders.crops import Crop
    from kit.trackers.base import Tracker

# A kind of weights that `models.load` knows, the constant `MODEL` of the module (else the method's
# name); or its own function `load`, from the settings of a model to a torch module on the CPU.
Weights = str | Callable[[Mapping[str, Any]], Any]
# Constants of a method's module: True, False, or the name of what in its `Config` says so.
FLAGS: Mapping[str, bool | str] = {
    "READS_FIRST": False,  # it goes on from what an earlier recipe left
    "MERGES": False,  # a detector that searches nothing: it merges what others found
    "SHARES_PASS": False,  # a detector that can share its vision pass with others (`asked`)
    "OBJECTS_INTERACT": False,  # a propagator or tracker: one object's result depends on others
    "RUNS_FORWARD": True,  # a propagator that follows time, so that it can be run backward
}
# Presets that a method's block names beside its own settings, unless its module has a `NEEDS`. Its
# `TAKES` are those that it may name.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "detectors": ("model",),
    "embedders": ("model",),
    "selectors": (),
    "trackers": ("model",),
    "propagators": ("tracker",),
    "emissions": (),
    "fallbacks": ("propagator",),
}
NAMED = ("model", "decoder", "tracker", "of", "propagator")  # all that can be named


class Method(Protocol):
    """What every method has.

    Attributes:
        name: As configurations say it.
        config: Its settings, an instance of its module's `Config`.
        reads_first: It reads what an earlier recipe left.
    """

    name: str
    config: Any
    reads_first: bool


class Detector(Method, Protocol):
    """Searches frames for whatever looks like the targets.

    Attributes:
        model: The kind of weights it searches with; see `Weights`.
        shares_pass: It has `asked`: several such sources search a frame in one vision pass.
    """

    model: Weights
    shares_pass: bool

    def detect(self, search: Search) -> Iterator[Candidate]:
        """Candidates in any order; of one frame and object, the best first."""
        ...

    def asked(self, search: Search, views: Views) -> Sequence[Asked]:
        """What it asks the detection model on each frame."""
        ...


class Merger(Method, Protocol):
    """Merges what detectors found."""

    def merge(self, found: Sequence[Sequence[Candidate]]) -> list[Candidate]:
        """One list; of the candidates of each source the best come first."""
        ...


class Embedder(Method, Protocol):
    """Describes regions by vectors.

    Attributes:
        model: The kind of weights; see `Weights`.
    """

    model: Weights

    def crop(self, image: Image, mask: Mask, *, corner: tuple[int, int] = (0, 0)) -> Crop:
        """The view of an object that `embed` takes.

        Args:
            image: `uint8[H, W, 3]`.
            mask: `bool[h, w]`, not empty.
            corner: (row, column) of the mask's first pixel, if it is of a part of the frame.
        """
        ...

    def pool(self, image: Image, mask: Mask) -> Sequence[Crop]:
        """Views of a target, the plain one first; a candidate is compared with all of them."""
        ...

    def embed(self, model: Any, views: Sequence[Crop], *, batch: int) -> NDArray[np.float32]:
        """Unit vectors, `float32[N, D]`; so many views go through the model at a time."""
        ...


class Selector(Method, Protocol):
    """Chooses the masks that condition propagation beside the given ones."""

    def select(self, video: Video, evidence: Evidence) -> Selection:
        """The decision for one video, sorted by object and frame."""
        ...


class TrackerLibrary(Method, Protocol):
    """Makes trackers of models.

    Attributes:
        model: The kind of weights; see `Weights`.
        objects_interact: Rows of one call share rounding, so that results depend on who is in it.
    """

    model: Weights
    objects_interact: bool

    def build(self, model: Any) -> Tracker:
        """A tracker over loaded weights."""
        ...


class Propagator(Method, Protocol):
    """Carries prompts through a video.

    Attributes:
        objects_interact: What becomes of one object depends on the others.
        runs_forward: It goes through the frames in their order and no other.
    """

    objects_interact: bool
    runs_forward: bool

    def propagate(
        self, tracker: Tracker | None, frames: FrameSource, prompts: Sequence[Prompt]
    ) -> Iterator[FrameResult]:
        """Results in the order of the frames, from the first prompt on.

        The tracker is None if the module's `NEEDS` leaves it out.
        """
        ...


# The functions that a module must have, as its family's type declares them.
FUNCTIONS: Mapping[type, tuple[Callable[..., Any], ...]] = {
    Detector: (Detector.detect,),
    Merger: (Merger.merge,),
    Embedder: (Embedder.crop, Embedder.pool, Embedder.embed),
    Selector: (Selector.select,),
    TrackerLibrary: (TrackerLibrary.build,),
    Propagator: (Propagator.propagate,),
}
