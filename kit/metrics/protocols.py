"""Other benchmarks' measures by the same counts: what differs between them is one row of a table.

`kit.metrics.protocol_video` measures a video by a row, `kit.metrics.protocol_means` averages.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """A row of the table. All share J = inter / union without smoothing (1 if both are empty).

    Attributes:
        frames: evaluated ones. `inner`: annotated without the first and the last; `all`: annotated;
            `after_first`: annotated after the object's first appearance, without the last;
            `span`: every fifth of the object's own span, without its first and last;
            `whole_span`: the same with its first and last.
        objects: `first_frame`: 1 to the highest label of the first ground truth frame; `seen`: the
            labels of the evaluated ground truth frames; `given`: named by the caller; `single`: all
            pixels that are not 0 are one object.
        averaging: `objects`: mean over the objects of all videos; `seen_unseen`: mean of the means
            over seen and over unseen groups; `videos`: mean over the objects of a frame, then over
            frames, then over videos.
        source: repository and commit of the rules, or why there is none.
        tolerance: radius of F as a fraction of the diagonal, rounded up; None: no F.
        void: label of the ground truth that is turned into background.
        first_sight: frames count from where the object is first in ground truth or prediction.
        extra_labels: whether predicted labels beyond the objects are refused.
        few_frames: whether a video without an evaluated frame is refused; else it has no objects.
        truth: how ground truth PNGs are read: as numpy sees them, or as colours of a palette.
        reports: beyond the means: `recall`, `decay`, `variability`, `last_quarter`.
    """

    frames: Literal["inner", "all", "after_first", "span", "whole_span"]
    objects: Literal["first_frame", "seen", "given", "single"]
    averaging: Literal["objects", "seen_unseen", "videos"]
    source: str
    tolerance: float | None = 0.008
    void: int | None = None
    first_sight: bool = False
    extra_labels: Literal["ignored", "refused"] = "ignored"
    few_frames: Literal["left_out", "refused"] = "left_out"
    truth: Literal["numpy", "palette"] = "numpy"
    reports: tuple[str, ...] = ()

    @property
    def has_spans(self) -> bool:
        """Whether frames are told by a meta file, as in LVOS."""
        return self.frames in ("span", "whole_span")


DAVIS = Protocol(
    frames="inner",
    objects="first_frame",
    averaging="objects",
    source="davis2017-evaluation @ac7c43f, semi-supervised",
    void=255,
    extra_labels="refused",
    few_frames="refused",
    reports=("recall", "decay"),
)
BENCHMARK = Protocol(
    frames="inner",
    objects="seen",
    averaging="objects",
    source="hkchengrex/vos-benchmark @acb4733",
    first_sight=True,
)
LVOS = Protocol(
    frames="span",
    objects="given",
    averaging="seen_unseen",  # groups of videos
    source="lvos-evaluation @25cb02d, Python boundary (its Cython one keeps 60 % of the pixels)",
    reports=("variability",),
)

PROTOCOLS = {
    "davis2017": DAVIS,
    "mosev1": replace(DAVIS, source="no public evaluator: as DAVIS by the paper"),
    "vos-benchmark": BENCHMARK,
    "sa-v": replace(
        BENCHMARK,
        objects="single",  # a folder per object; ground truth at 6 of the 24 frames per second
        few_frames="refused",
        source="facebookresearch/sam2 @2b90b9f, sav_dataset",
    ),
    # Numbers on LVOS v1 that were published before its code changed in May 2024 follow this row.
    "lvos-v1": replace(LVOS, frames="whole_span", source="lvos-evaluation @9ff733c"),
    "lvos-v2": LVOS,
    "youtube-vos": Protocol(
        frames="after_first",
        objects="given",
        averaging="seen_unseen",  # groups of categories
        source="no public evaluator: as andr345/frtm-vos, lib/davis.py:19-50",
    ),
    "vost": Protocol(
        frames="inner",
        objects="first_frame",
        averaging="objects",
        source="TRI-ML/VOST @fe27457, evaluation",
        tolerance=None,
        void=255,
        few_frames="refused",
        reports=("recall", "decay", "last_quarter"),
    ),
    "pumavos": Protocol(
        frames="all",
        objects="seen",
        averaging="videos",
        source="mbzuai-metaverse/XMem2 @adc7d4c, util/metrics.py, inference/run_experiments.py:376",
        void=255,
        few_frames="refused",
        truth="palette",
    ),
}
