"""SAM 3's detector on a video: one vision pass per frame, whatever is asked of it.

A prompt is a row of tokens; on the vision features of a frame any number of them can be tried.
Sources that ask of the whole frame (`exemplar_tokens`, `concept`) say what they ask, and this
module asks it: of several objects, and of several such sources, in the same pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kit.core.ahead import ahead
from kit.core.masks import decode_rle, encode_logits
from kit.core.types import Candidate, Image, Video
from kit.detectors.base import Exemplar, Limits, Search, shows_target
from kit.runtime.models import Detector
from kit.trackers.square import HALF, Entrance


@dataclass(frozen=True)
class Prompt:
    """Tokens `float[1, L, C]` and which of them count, `bool[1, L]`."""

    tokens: torch.Tensor
    valid: torch.Tensor


@dataclass(frozen=True)
class Asked:
    """A prompt and where it is tried.

    Attributes:
        exemplar: Whom it seeks.
        frames: Indices of the frames that are searched.
        prompt: The tokens.
        limits: Which answers become candidates.
        source: Who asks.
    """

    exemplar: Exemplar
    frames: frozenset[int]
    prompt: Prompt
    limits: Limits
    source: str


class Views:
    """Vision features of a video's frames, each frame encoded once.

    Invariant: it holds the features of frames that prompts were made from, until they are searched.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._early: dict[int, Any] = {}

    def early(self, index: int) -> Any:
        """Features of a frame ahead of its turn, batch 1."""
        if index not in self._early:
            self._early[index] = encode(self._search.model, [self._search.frames[index]])
        return self._early[index]

    def walk(self, indices: frozenset[int]) -> Iterator[tuple[Sequence[int], Any]]:
        """Frames with their features: first those at hand, then batch by batch.

        The next batch is read while one is worked on.
        """
        for index in sorted(self._early):
            vision = self._early.pop(index)
            if index in indices:
                yield [index], vision
                indices -= {index}
        groups = self._search.groups(indices)
        for group, pixels in zip(groups, ahead(self._read, groups), strict=True):
            yield group, self._search.model.model.get_vision_features(pixels)

    def _read(self, indices: Sequence[int]) -> torch.Tensor:
        return pixels_of(self._search.model, [self._search.frames[i] for i in indices])


@torch.inference_mode()
def detect(search: Search, views: Views, asked: Sequence[Asked]) -> Iterator[Candidate]:
    """The answers to all that is asked; each frame goes through the vision encoder once.

    Frames are read, and masks written as run lengths, by threads beside the model.
    """
    for found in ahead(enlarged, _all_answers(search, views, asked), most=8):
        yield from found


def _all_answers(search: Search, views: Views, asked: Sequence[Asked]) -> Iterator["Answers"]:
    for indices, vision in views.walk(frozenset().union(*(a.frames for a in asked))):
        for one in asked:
            rows = [row for row, index in enumerate(indices) if index in one.frames]
            for row, (scores, masks) in zip(rows, _answers(search, vision, rows, one), strict=True):
                found = best(scores, masks, one.limits)
                yield Answers(search.video, indices[row], one.exemplar, one.source, *found)


def encode(detector: Detector, images: Sequence[Image]) -> Any:
    """Vision features of `uint8[H, W, 3]` images."""
    return detector.model.get_vision_features(pixels_of(detector, images))


def pixels_of(detector: Detector, images: Sequence[Image]) -> torch.Tensor:
    """Images as the vision encoder takes them, `float32[B, 3, S, S]` in [-1, 1].

    Squashed to the model's square as by transformers' Sam3ImageProcessor.
    """
    size = detector.model.config.vision_config.backbone_config.image_size
    entrance = Entrance(size, HALF, "bilinear", torch.device(detector.device))
    return torch.cat([entrance(image) for image in images])


def text_prompt(detector: Detector, phrase: str) -> Prompt:
    """What the detector makes of a phrase."""
    ids, said = detector.words(phrase)
    out = detector.model.get_text_features(input_ids=ids, attention_mask=said, return_dict=True)
    return Prompt(out.pooler_output, said.bool())


def joined(prompts: Sequence[Prompt]) -> Prompt:
    """Several prompts as one."""
    return Prompt(
        torch.cat([p.tokens for p in prompts], 1), torch.cat([p.valid for p in prompts], 1)
    )


def detect_prompted(detector: Detector, vision: Any, prompt: Prompt) -> Any:
    """The detector's outputs on B frames for one prompt that may come from another frame."""
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    count = len(vision.fpn_hidden_states[0])
    tokens = BaseModelOutputWithPooling(pooler_output=prompt.tokens.expand(count, -1, -1))
    valid = prompt.valid.expand(count, -1)
    return detector.model(vision_embeds=vision, text_embeds=tokens, attention_mask=valid)


def _answers(
    search: Search, vision: Any, rows: Sequence[int], asked: Asked
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(scores `float[Q]`, mask logits `float[Q, h, w]`) of the chosen rows of a batch."""
    if not rows:
        return
    out = detect_prompted(search.model, rows_of(vision, rows), asked.prompt)
    yield from zip(scores_of(out), out.pred_masks.float(), strict=True)


def scores_of(out: Any) -> torch.Tensor:
    """Class score times presence, `float[B, Q]` in 0..1."""
    scores: torch.Tensor = out.pred_logits.float().sigmoid() * out.presence_logits.float().sigmoid()
    return scores


def rows_of(vision: Any, rows: Sequence[int]) -> Any:
    """The features of some frames of a batch, in any order, one several times if asked for."""
    from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

    picked = list(rows)
    if picked == list(range(len(vision.fpn_hidden_states[0]))):
        return vision
    return Sam3VisionEncoderOutput(
        last_hidden_state=vision.last_hidden_state[picked],
        fpn_hidden_states=tuple(level[picked] for level in vision.fpn_hidden_states),
        fpn_position_encoding=tuple(
            level[picked] if len(level) > 1 else level for level in vision.fpn_position_encoding
        ),
    )


@dataclass(frozen=True)
class Answers:
    """What is kept of a detector's answers on one frame, best first.

    Attributes:
        video: For names and sizes.
        index: Of the frame. On the exemplar's own, the target will be left out.
        exemplar: What was sought.
        source: Who asked.
        scores: 0..1.
        logits: `float32[N, h, w]`, masks over the whole frame.
    """

    video: Video
    index: int
    exemplar: Exemplar
    source: str
    scores: Sequence[float]
    logits: NDArray[np.float32]


def best(scores: torch.Tensor, masks: torch.Tensor, limits: Limits) -> tuple[Any, Any]:
    """Of Q answers, scores `float[Q]` and logits `float[Q, h, w]`, those that become candidates."""
    kept = keep_distinct(scores, masks > 0, limits)
    return scores[kept].tolist(), masks[kept].cpu().numpy()


def enlarged(answers: Answers) -> list[Candidate]:
    """The answers as candidates, masks as large as the frame."""
    shape, exemplar = answers.video.shape, answers.exemplar
    name = answers.video.frames[answers.index]
    found = []
    for score, logits in zip(answers.scores, answers.logits, strict=True):
        rle = encode_logits(logits, shape)
        on_own = answers.index == exemplar.frame
        if rle is None or (on_own and shows_target(decode_rle(rle, *shape), exemplar)):
            continue
        found.append(Candidate(name, exemplar.object_id, score, rle, shape, answers.source))
    return found


def keep_distinct(scores: torch.Tensor, masks: torch.Tensor, limits: Limits) -> list[int]:
    """Greedy mask-NMS: indices of kept queries, best first.

    Args:
        scores: `float[Q]` in 0..1.
        masks: `bool[Q, h, w]`; compared at the detector's own resolution.
        limits: `threshold`, `nms_iou`, `max_per_frame`.
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[(scores[order] >= limits.threshold) & masks[order].flatten(1).any(1)]
    flat = masks[order].flatten(1).float()
    with torch.autocast(flat.device.type, enabled=False):  # it would round counts of pixels
        shared = flat @ flat.T
    area = shared.diagonal()
    overlap = (shared / (area[:, None] + area - shared) > limits.nms_iou).cpu().numpy()
    kept: list[int] = []
    for row in range(len(order)):
        if len(kept) < limits.max_per_frame and not overlap[row, kept].any():
            kept.append(row)
    return [int(order[row]) for row in kept]
