"""All modules of the tracker under the names of the checkpoint, and the steps that they make."""

import torch
from torch import Tensor, nn

from kit.trackers.attention import sine_code
from kit.trackers.multiplex.codes import FourierCode
from kit.trackers.multiplex.decoder import Decoded, MaskDecoder
from kit.trackers.multiplex.layers import Mlp
from kit.trackers.multiplex.memory_attention import MemoryTransformer
from kit.trackers.multiplex.memory_encoder import MemoryEncoder
from kit.trackers.multiplex.prompt_encoder import PromptEncoder
from kit.trackers.multiplex.sizes import Sizes
from kit.trackers.multiplex.vision import Vision

RECENT = 6  # spatial memories beside those of prompted frames
_MASKS = 3  # that tracking chooses from, per slot
_SINGLE = 2  # the interactive head's single-mask token, behind presence and IoU


class Network(nn.Module):
    """SAM 3.1's tracker. Attributes but `vision` have the names of the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, slots = sizes.width, sizes.multiplex_count
        self.sizes = sizes
        self.vision = Vision(sizes)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(RECENT + 1, 1, 1, width))
        self.interactivity_no_mem_embed = nn.Parameter(torch.zeros(1, 1, width))
        self.no_obj_embed_spatial = nn.Parameter(torch.zeros(slots, width))
        self.output_valid_embed = nn.Parameter(torch.zeros(slots, width))
        self.output_invalid_embed = nn.Parameter(torch.zeros(slots, width))
        self.interactive_mask_downsample = nn.Conv2d(1, 1, 4, 4)
        self.interactive_sam_prompt_encoder = PromptEncoder(sizes)
        self.interactive_sam_mask_decoder = MaskDecoder(sizes, slots=1, masks=_MASKS + 1)
        self.interactive_obj_ptr_proj = Mlp([width] * 4)
        self.transformer = MemoryTransformer(sizes)
        self.maskmem_backbone = MemoryEncoder(sizes)
        self.image_pe_layer = FourierCode(width)
        self.sam_mask_decoder = MaskDecoder(sizes, slots, _MASKS)
        self.obj_ptr_proj = Mlp([width] * 4)
        self.no_obj_ptr_linear = nn.Linear(width, width)
        self.obj_ptr_tpos_proj = nn.Linear(width, width)

    def point(self, features: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
        """Pointers of given masks.

        Args:
            features: The frame's, of the interactive neck, [1, C, g, g].
            soft: float32 [N, 1, 16g, 16g], shares of the mask in each pixel, 0..1.

        Returns:
            (pointers [N, C], the head's own presence logits [N])
        """
        prompts, decoder = self.interactive_sam_prompt_encoder, self.interactive_sam_mask_decoder
        sparse, dense = prompts(self.interactive_mask_downsample(soft))
        tokens = torch.cat([decoder.tokens().expand(len(soft), -1, -1), sparse], 1)
        image = features + self.interactivity_no_mem_embed.view(1, -1, 1, 1) + dense
        tokens, _ = decoder.transformer(tokens, image, prompts.pe_layer(self.sizes.grid))
        presence = decoder.pred_obj_score_head(tokens[:, 0])[:, 0]
        pointers = self.interactive_obj_ptr_proj(tokens[:, _SINGLE])
        return self._settled(pointers, presence), presence

    def remember(self, features: Tensor, maps: Tensor, absent: Tensor) -> Tensor:
        """A memory of a frame.

        Args:
            features: Of the propagation neck, [1, C, g, g].
            maps: [B, 2M, 16g, 16g], see `MemoryEncoder`.
            absent: 1 where a slot is empty or its object is thought absent, [B, M].

        Returns:
            [B, C, g, g]
        """
        missing = absent.to(maps.dtype) @ self.no_obj_embed_spatial.to(maps.dtype)
        found: Tensor = self.maskmem_backbone(features, maps) + missing[:, :, None, None]
        return found

    def decode(self, image: Tensor, fine: tuple[Tensor, Tensor], used: Tensor) -> Decoded:
        """Masks of all slots.

        Args:
            image: What memory attention makes of the frame, [B, C, g, g].
            fine: See `MaskDecoder`.
            used: 1 where a slot holds an object, [B, M].
        """
        valid, invalid = self.output_valid_embed, self.output_invalid_embed
        marks = torch.where(used[..., None] > 0, valid, invalid)
        found: Decoded = self.sam_mask_decoder(
            image, self.image_pe_layer(self.sizes.grid), fine, marks
        )
        return found

    def pointers(self, tokens: Tensor, presence: Tensor) -> Tensor:
        """Pointers of tracked objects.

        Args:
            tokens: Mask tokens, [n, K, C].
            presence: Logits, [n].

        Returns:
            [n, K, C]
        """
        return self._settled(self.obj_ptr_proj(tokens), presence[:, None])

    def pointer_code(self, distance: Tensor) -> Tensor:
        """Time codes of pointers, [n, C], of distances as shares of the horizon, [n]."""
        found: Tensor = self.obj_ptr_tpos_proj(sine_code(distance, self.sizes.width))
        return found

    def _settled(self, pointers: Tensor, presence: Tensor) -> Tensor:
        """A pointer of an absent object goes through a map of its own."""
        return torch.where(presence[..., None] > 0, pointers, self.no_obj_ptr_linear(pointers))
