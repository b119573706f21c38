"""Candidates from SAM 3's detector, prompted by the target's box of the first frame.

The re-prompting paper says that "the SAM-3 detector is applied to all remaining video frames" with
the first mask as visual prompt (arXiv 2603.23788, section 3.2). Neither SAM 3's public code nor
transformers carries a box from one frame to another, so what is done here is OUR READING of it:
the geometry tokens of the box are computed once, on the first frame's features, and handed to
later frames in the place of the text tokens. On the first frame itself this equals the public call
with `input_boxes` bit for bit (tests/test_detectors.py).

Public reports on one-shot detection find such tokens weak with the word "visual" and strong with
the name of the thing (F1 0.46 and 0.87, PerSeg and LVIS); `concepts` gives names.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch

from kit.core.limits import PerVideo, Range
from kit.core.masks import Mask, box_of
from kit.core.types import Candidate
from kit.detectors import prompting
from kit.detectors.base import Exemplar, Limits, Search, accepted, isolated, searched
from kit.detectors.prompting import Asked, Prompt, Views
from kit.runtime.models import VISUAL, Detector

VERSION = 3
MODEL = "sam3_detector"
SHARES_PASS = True
READS_FIRST = "accepted"
SOURCE = "exemplar_tokens"
SECOND_ROUND = "second_round"  # with `accepted`: a union tells what that finds beside the first


@dataclass(frozen=True)
class Config(Limits):
    """What of the first frame is carried over."""

    coordinates: bool = True  # False: forget where the box stood, keep its look
    text: bool = True  # False: leave out the word "visual"
    # object id to the phrase that takes the place of "visual" (see `concept`)
    concepts: Annotated[Mapping[str, str], PerVideo()] = field(default_factory=dict)
    accepted: bool = False  # a second round: the anchors of a first pass are exemplars too
    fill_background: bool = False  # paint out the first frame around the object before encoding it
    # of what is not painted out, share of the longer side of the box
    dilation: Annotated[float, Range(0, 2)] = 0.1


def detect(search: Search, config: Config) -> Iterator[Candidate]:
    """Candidates of every object on the frames after its exemplar."""
    views = Views(search)
    return prompting.detect(search, views, asked(search, views, config))


@torch.inference_mode()
def asked(search: Search, views: Views, config: Config) -> list[Asked]:
    """A prompt for each object."""
    source = SECOND_ROUND if config.accepted else SOURCE
    return [
        Asked(exemplar, frames, _prompt_of(search, views, exemplar, config), config, source)
        for exemplar, frames in searched(search, config)
    ]


def exemplar_prompt(
    detector: Detector,
    shown: Sequence[tuple[Any, torch.Tensor]],
    config: Config,
    phrase: str = VISUAL,
) -> Prompt:
    """Prompt tokens of boxes, in the order in which the detector joins them: text, boxes, CLS.

    Args:
        detector: The model.
        shown: Features of a frame, batch 1, and its boxes `float32[1, N, 4]`, normalised (centre x,
            centre y, width, height). Boxes and CLS of further frames follow those of the first.
        config: `coordinates` and `text`.
        phrase: What the detector is told beside the boxes.

    Returns:
        Tokens [1, 32 + N + 1, C] for one frame.
    """
    text = prompting.text_prompt(detector, phrase)
    if not config.text:
        text = Prompt(text.tokens, torch.zeros_like(text.valid))
    boxes = [geometry_prompt(detector, vision, some, config) for vision, some in shown]
    return prompting.joined([text, *boxes])


def geometry_prompt(detector: Detector, vision: Any, boxes: torch.Tensor, config: Config) -> Prompt:
    """The tokens of the boxes alone, and the class token that goes with them."""
    model = detector.model
    labels = torch.ones(boxes.shape[:2], dtype=torch.long, device=boxes.device)
    with ExitStack() as stack:
        if not config.coordinates:
            _silence_coordinates(model, stack)
        out = model.geometry_encoder(
            box_embeddings=boxes,
            box_mask=labels.bool(),
            box_labels=labels,
            img_feats=vision.fpn_hidden_states[:-1],
            img_pos_embeds=vision.fpn_position_encoding[:-1],
        )
    return Prompt(out.last_hidden_state, out.attention_mask)


def _prompt_of(search: Search, views: Views, exemplar: Exemplar, config: Config) -> Prompt:
    detector: Detector = search.model
    shown = [exemplar, *(accepted(search, exemplar) if config.accepted else [])]
    boxes = [(_view(search, views, e, config), _box(detector, e.mask)) for e in shown]
    phrase = config.concepts.get(str(exemplar.object_id), VISUAL)
    return exemplar_prompt(detector, boxes, config, phrase)


def _view(search: Search, views: Views, exemplar: Exemplar, config: Config) -> Any:
    """Features of the frame that an exemplar stands on."""
    if not config.fill_background:
        return views.early(exemplar.frame)
    image = isolated(search.frames[exemplar.frame], exemplar.mask, config.dilation)
    return prompting.encode(search.model, [image])


def _box(detector: Detector, mask: Mask) -> torch.Tensor:
    """The mask's box as the detector takes it, `float32[1, 1, 4]`."""
    height, width = mask.shape
    size = np.asarray([width, height, width, height], dtype=np.float32)
    left, top, right, bottom = (box_of(mask) / size).tolist()
    box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return torch.tensor([[box]], dtype=torch.float32, device=detector.device)


def _silence_coordinates(model: Any, stack: ExitStack) -> None:
    encoder = model.geometry_encoder
    for layer in (encoder.boxes_direct_project, encoder.boxes_pos_enc_project):
        handle = layer.register_forward_hook(lambda _m, _i, out: torch.zeros_like(out))
        stack.callback(handle.remove)
