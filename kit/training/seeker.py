"""SAM 3's detector with gradients: what `Sam3Model.forward` says of its last layer, of every layer.

Deep supervision needs the scores and boxes of all decoder layers, which transformers 5.23 computes
and throws away; and a tiny model learns boxes first, without the fine levels of the neck and the
mask decoder, which take most of the time. Equality with the public call is tested.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kit.detectors.exemplar_tokens import Config, geometry_prompt
from kit.detectors.prompting import Prompt, joined, pixels_of, rows_of, text_prompt
from kit.runtime.models import VISUAL, Detector
from kit.training import initial


@dataclass(frozen=True)
class Found:
    """What L layers say of N searches with Q queries.

    Attributes:
        logits: float [L, N, Q], score.
        boxes: float [L, N, Q, 4], normalised (centre x, centre y, width, height).
        presence: float [L, N], logit.
        masks: float [N, Q, h, w], logits, of the last layer; None if only boxes were asked for.
        area: float [N, h, w], logits of all targets together; None likewise.
    """

    logits: Tensor
    boxes: Tensor
    presence: Tensor
    masks: Tensor | None
    area: Tensor | None


class Seeker:
    """A detector, prompted as `exemplar_tokens` does."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.model = detector, detector.model

    def see(self, frames: Sequence[Any], fine: bool) -> Any:
        """Vision features of frames; without `fine` only the level that makes boxes."""
        pixels = pixels_of(self.detector, frames)
        encoder = self.model.vision_encoder
        if fine:
            return encoder(pixels)
        from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

        tokens = encoder.backbone(pixels).last_hidden_state
        side = pixels.shape[-1] // encoder.config.backbone_config.patch_size
        square = tokens.transpose(1, 2).unflatten(2, (side, side))
        coarse = encoder.neck.fpn_layers[-2](square)
        code = encoder.neck.position_encoding(coarse.shape, coarse.device, coarse.dtype)
        # What reads these leaves out the last level.
        return Sam3VisionEncoderOutput(
            last_hidden_state=tokens,
            fpn_hidden_states=(coarse, coarse),
            fpn_position_encoding=(code, code),
        )

    def prompt(self, vision: Any, shown: Sequence[int], boxes: Tensor, config: Config) -> Prompt:
        """Tokens of P boxes, float32 [P, 1, 4], on the frames of `vision` that `shown` names."""
        geometry = geometry_prompt(self.detector, rows_of(vision, shown), boxes, config)
        text = text_prompt(self.detector, VISUAL)
        rows = len(boxes)
        said = Prompt(text.tokens.expand(rows, -1, -1), text.valid.expand(rows, -1))
        return joined([said, geometry])

    def seek(
        self, vision: Any, searched: Sequence[int], prompt: Prompt, rows: Sequence[int], fine: bool
    ) -> Found:
        """Look for what row `rows[n]` of the prompt shows on frame `searched[n]`."""
        model, seen = self.model, rows_of(vision, searched)
        levels, codes = seen.fpn_hidden_states[:-1], seen.fpn_position_encoding[:-1]
        tokens, valid = prompt.tokens[list(rows)], prompt.valid[list(rows)]
        encoded = model.detr_encoder(
            vision_features=[levels[-1]],
            text_features=tokens,
            vision_pos_embeds=[codes[-1]],
            text_mask=valid,
        )
        decoded = model.detr_decoder(
            vision_features=encoded.last_hidden_state,
            text_features=encoded.text_features,
            vision_pos_encoding=encoded.pos_embeds_flattened,
            text_mask=valid,
            spatial_shapes=encoded.spatial_shapes,
        )
        states = decoded.intermediate_hidden_states
        logits = model.dot_product_scoring(
            decoder_hidden_states=states, text_features=encoded.text_features, text_mask=valid
        )
        masks, area = None, None
        if fine:
            drawn = model.mask_decoder(
                decoder_queries=states[-1],
                backbone_features=list(levels),
                encoder_hidden_states=encoded.last_hidden_state,
                prompt_features=tokens,
                prompt_mask=valid,
            )
            masks, area = drawn.pred_masks.float(), drawn.semantic_seg[:, 0].float()
        boxes = self._boxes(states, decoded.reference_boxes)
        presence = decoded.presence_logits.squeeze(-1).float()
        return Found(logits.squeeze(-1).float(), boxes, presence, masks, area)

    def _boxes(self, states: Tensor, references: Tensor) -> Tensor:
        from transformers.models.sam3.modeling_sam3 import inverse_sigmoid

        offsets = self.model.detr_decoder.box_head(states)
        boxes: Tensor = (inverse_sigmoid(references) + offsets).sigmoid().float()
        return boxes


DOUBT = 2.5  # minus the score of a query that knows nothing, as a logit
BOX = 0.25  # side of the boxes that queries begin with, as a share of the picture
FALL = 8.0  # of attention outside a box, per unit of the decoder's logarithmic distance
EDGE = 0.2  # value of tokens at the picture's edge in the channels that tell them
REACH = 4.0  # how fast attention falls with the distance from the edge


@torch.no_grad()
def prepare(model: Any) -> None:
    """Make a new detector know places, look where its queries stand, and doubt every one of them.

    As the library initialises it, all queries begin at the centre with boxes of half the picture,
    and attend to all of it; and masks, which are products of queries and pixels, cannot tell two
    things of one look apart, as pixels do not know where they are: the trunk of a large model has
    learned to say so, that of a tiny tracker has not. All this grows in thousands of steps. Here
    queries begin on a grid and know their places, attention falls off outside their boxes, tokens
    know how far the edges are, and scores begin low (the prior of focal loss, arXiv 1708.02002).
    """
    initial.spread(model, but="vision_encoder.backbone")
    decoder, scoring = model.detr_decoder, model.dot_product_scoring
    references = grid(len(decoder.reference_points.weight))
    decoder.reference_points.weight.copy_(references)
    code = model.geometry_encoder.position_encoding.encode_1d_positions(
        *references[:, :2].sigmoid().T
    )
    decoder.query_embed.weight.copy_(torch.cat(code[::-1], 1))
    decoder.box_head.layer3.weight.zero_()
    decoder.box_head.layer3.bias.zero_()
    for embed in (decoder.box_rpb_embed_x, decoder.box_rpb_embed_y):
        _local(embed)
    _know_places(model)
    width = scoring.text_proj.bias.numel()
    doubt = (DOUBT / (width * scoring.scale)) ** 0.5
    scoring.text_proj.bias.fill_(doubt)
    scoring.query_proj.bias.fill_(-doubt)


def grid(queries: int) -> Tensor:
    """Where queries begin: logits [Q, 4] of boxes whose centres fill the picture evenly."""
    columns = round(queries**0.5)
    rows = -(-queries // columns)
    places = [((i % columns + 0.5) / columns, (i // columns + 0.5) / rows) for i in range(queries)]
    return torch.tensor([[x, y, BOX, BOX] for x, y in places]).logit()


def _local(embed: Any) -> None:
    """Attention as a function of the distances to a box's two sides: all but the last head fall.

    Two hidden units grow with the distance beyond the near and beyond the far side.
    """
    first, last = embed.layer1, embed.layer2
    first.weight[:2].copy_(torch.tensor([[-1.0, 0.0], [0.0, 1.0]]))
    first.bias[:2].zero_()
    last.weight[:-1, :2].fill_(-FALL)


def _know_places(model: Any) -> None:
    """Let tokens know how far they are from the edges.

    The neck's convolution sees a border of zeros: two channels tell the left from the right edge,
    and the top from the bottom. In the first layer of the encoder a head for each axis attends by
    distance along it, so that what it brings from the edges changes steadily from one to the other.
    """
    level, layer = model.vision_encoder.neck.fpn_layers[-2], model.detr_encoder.layers[0]
    attention, width = layer.self_attn, model.detr_encoder.hidden_size
    level.proj1.weight[-1] = 0
    level.proj1.bias[-1] = 1
    for head, (after, before) in enumerate((((1, 2), (1, 0)), ((2, 1), (0, 1)))):
        edge, told = width - 1 - head, width - 3 - head
        level.proj2.weight[edge] = 0
        level.proj2.weight[edge, -1][after] = EDGE
        level.proj2.weight[edge, -1][before] = -EDGE
        rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
        # Position codes are y, then x; their second pair turns once in 1.8 pictures.
        code = torch.arange(2, 4) + (0 if head else width // 2)
        layer.layer_norm1.weight[code] = 0
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            projection.weight[rows] = 0
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[rows][[0, 1], code] = (REACH / attention.scaling) ** 0.5
        attention.v_proj.weight[rows][0, edge] = 1
        attention.o_proj.weight[told, rows] = 0
        attention.o_proj.weight[told, rows.start] = 1
