"""Candidates from SAM 3's detector, prompted by the target's box of the first frame.

The re-prompting paper says that "the SAM-3 detector is applied to all remaining video frames" with
the first mask as visual prompt (arXiv 2603.23788, section 3.2). Neither SAM 3's public code nor
transformers carries a box from one frame to another, so what is done here is OUR READING of it:
the geometry tokens of the box are computed once, on the first frame's features, and handed to
later frames in the place of the text tokens. On the first frame itself this equals the public call
with `input_boxes` bit for bit (tests/test_detectors.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf

from kit.core.masks import box_of, encode_rle
from kit.core.types import Candidate, FrameSource, Image, Video
from kit.detectors.base import Exemplar, Limits, isolated, searched, shows_target
from kit.runtime.models import Detector

VERSION = 1
MODEL = "sam3_detector"
SOURCE = "exemplar_tokens"


@dataclass(frozen=True)
class Config:
    """Thresholds after SAM 3's own (transformers post-processing 0.3; the detector has no NMS)."""

    threshold: float = 0.3  # of class score times presence, 0..1
    nms_iou: float = 0.7  # masks that overlap more are one candidate
    max_per_frame: int = 10  # the best that are kept, per object
    stride: int = 1  # every n-th later frame is searched
    coordinates: bool = True  # False: forget where the box stood, keep its look
    text: bool = True  # False: leave out the word "visual"
    fill_background: bool = False  # paint out the first frame around the object before encoding it
    dilation: float = 0.1  # of what is not painted out, share of the longer side of the box
    look_alikes: bool = False  # search the first frame too, for what is not the target (`margin`)


@dataclass(frozen=True)
class Prompt:
    """Tokens `float[1, 32 + boxes + 1, C]` and which of them count, `bool[1, ...]`."""

    tokens: torch.Tensor
    valid: torch.Tensor


@torch.inference_mode()
def detect(
    detector: Detector,
    video: Video,
    frames: FrameSource,
    exemplars: Sequence[Exemplar],
    config: Config,
    batch: int,
) -> Iterator[Candidate]:
    """Candidates of every object on the frames after its exemplar, frame by frame.

    Each frame goes through the vision encoder once, whatever the number of objects.
    """
    prompts = {e.object_id: _prompt_of(detector, frames, e, config) for e in exemplars}
    wanted = searched(exemplars, len(frames), config.stride, config.look_alikes)
    sought = sorted(frozenset().union(*(indices for _, indices in wanted)))
    for start in range(0, len(sought), batch):
        indices = sought[start : start + batch]
        vision = encode(detector, [frames[i] for i in indices])
        for exemplar, own in wanted:
            rows = [row for row, i in enumerate(indices) if i in own]
            found = _detect_rows(detector, vision, rows, prompts[exemplar.object_id])
            for row, scores, masks in found:
                yield from candidates_of(
                    video, indices[row], exemplar, scores, masks, config, SOURCE
                )


def encode(detector: Detector, images: Sequence[Image]) -> Any:
    """Vision features of `uint8[H, W, 3]` images, squashed to the model's square as it expects.

    Bilinear with antialiasing, range [-1, 1] (transformers Sam3ImageProcessor).
    """
    size = detector.model.config.vision_config.backbone_config.image_size
    device = detector.text_ids.device
    planes = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1)[None].float()
        planes.append(nnf.interpolate(pixels, (size, size), mode="bilinear", antialias=True))
    return detector.model.get_vision_features(torch.cat(planes).round() / 127.5 - 1)


def exemplar_prompt(detector: Detector, vision: Any, boxes: torch.Tensor, config: Config) -> Prompt:
    """Prompt tokens of boxes on one frame, in the order the detector joins them: text, boxes, CLS.

    Args:
        detector: The model and its text tokens.
        vision: Features of that frame, batch 1.
        boxes: `float32[1, N, 4]`, normalised (centre x, centre y, width, height).
        config: `coordinates` and `text`.
    """
    model = detector.model
    labels = torch.ones(boxes.shape[:2], dtype=torch.long, device=boxes.device)
    with ExitStack() as stack:
        if not config.coordinates:
            _silence_coordinates(model, stack)
        geometry = model.geometry_encoder(
            box_embeddings=boxes,
            box_mask=labels.bool(),
            box_labels=labels,
            img_feats=vision.fpn_hidden_states[:-1],
            img_pos_embeds=vision.fpn_position_encoding[:-1],
        )
    text = model.get_text_features(
        input_ids=detector.text_ids, attention_mask=detector.text_mask, return_dict=True
    ).pooler_output
    said = detector.text_mask.bool()
    said = said if config.text else torch.zeros_like(said)
    return Prompt(
        torch.cat([text, geometry.last_hidden_state], 1),
        torch.cat([said, geometry.attention_mask], 1),
    )


def detect_prompted(detector: Detector, vision: Any, prompt: Prompt) -> Any:
    """The detector's outputs on B frames for one prompt that may come from another frame."""
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    count = len(vision.fpn_hidden_states[0])
    tokens = BaseModelOutputWithPooling(pooler_output=prompt.tokens.expand(count, -1, -1))
    valid = prompt.valid.expand(count, -1)
    return detector.model(vision_embeds=vision, text_embeds=tokens, attention_mask=valid)


def _prompt_of(
    detector: Detector, frames: FrameSource, exemplar: Exemplar, config: Config
) -> Prompt:
    height, width = exemplar.mask.shape
    size = np.asarray([width, height, width, height], dtype=np.float32)
    left, top, right, bottom = (box_of(exemplar.mask) / size).tolist()
    box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    boxes = torch.tensor([[box]], dtype=torch.float32, device=detector.text_ids.device)
    image = frames[exemplar.frame]
    if config.fill_background:
        image = isolated(image, exemplar.mask, config.dilation)
    return exemplar_prompt(detector, encode(detector, [image]), boxes, config)


def _silence_coordinates(model: Any, stack: ExitStack) -> None:
    encoder = model.geometry_encoder
    for layer in (encoder.boxes_direct_project, encoder.boxes_pos_enc_project):
        handle = layer.register_forward_hook(lambda _m, _i, out: torch.zeros_like(out))
        stack.callback(handle.remove)


def _detect_rows(
    detector: Detector, vision: Any, rows: Sequence[int], prompt: Prompt
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """(row, scores `float[Q]`, mask logits `float[Q, h, w]`) of the chosen rows of a batch."""
    if not rows:
        return
    out = detect_prompted(detector, _take(vision, rows), prompt)
    scores = out.pred_logits.float().sigmoid() * out.presence_logits.float().sigmoid()
    for position, row in enumerate(rows):
        yield row, scores[position], out.pred_masks[position].float()


def _take(vision: Any, rows: Sequence[int]) -> Any:
    """The features of some frames of a batch."""
    from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

    if len(rows) == len(vision.fpn_hidden_states[0]):
        return vision
    picked = list(rows)
    return Sam3VisionEncoderOutput(
        last_hidden_state=vision.last_hidden_state[picked],
        fpn_hidden_states=tuple(level[picked] for level in vision.fpn_hidden_states),
        fpn_position_encoding=tuple(
            level[picked] if len(level) > 1 else level for level in vision.fpn_position_encoding
        ),
    )


def candidates_of(
    video: Video,
    index: int,
    exemplar: Exemplar,
    scores: torch.Tensor,
    masks: torch.Tensor,
    limits: Limits,
    source: str,
) -> Iterator[Candidate]:
    """The detector's answers on a frame as candidates, best first.

    Args:
        video: For names and sizes.
        index: Of the frame. On the exemplar's own, the target is left out.
        exemplar: What was sought.
        scores: `float[Q]` in 0..1.
        masks: `float[Q, h, w]`, logits over the whole frame.
        limits: Which of the Q are kept.
        source: Who says so.
    """
    for query in keep_distinct(scores, masks > 0, limits):
        logits = nnf.interpolate(masks[query][None, None], video.shape, mode="bilinear")
        mask = (logits[0, 0] > 0).cpu().numpy()
        if not mask.any() or (index == exemplar.frame and shows_target(mask, exemplar)):
            continue
        name, score = video.frames[index], float(scores[query])
        yield Candidate(name, exemplar.object_id, score, encode_rle(mask), video.shape, source)


def keep_distinct(scores: torch.Tensor, masks: torch.Tensor, config: Limits) -> list[int]:
    """Greedy mask-NMS: indices of kept queries, best first.

    Args:
        scores: `float[Q]` in 0..1.
        masks: `bool[Q, h, w]`; compared at the detector's own resolution.
        config: `threshold`, `nms_iou`, `max_per_frame`.
    """
    order = [i for i in scores.argsort(descending=True, stable=True).tolist()
             if scores[i] >= config.threshold and masks[i].any()]  # fmt: skip
    flat = masks.flatten(1).float()
    area = flat.sum(1)
    kept: list[int] = []
    for query in order:
        shared = (flat[kept] * flat[query]).sum(1)  # autocast would round a product's pixel counts
        overlap = shared / (area[kept] + area[query] - shared)
        if not (overlap > config.nms_iou).any():
            kept.append(query)
        if len(kept) == config.max_per_frame:
            break
    return kept
