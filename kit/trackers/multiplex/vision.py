"""The vision half: transformers' SAM 3 trunk, and the two necks that the tracker reads.

The trunk is that of SAM 3's detector (`Sam3Model.vision_encoder.backbone`), so that one pass can
serve both; the detector's own neck is the detector's business.
"""

import torch
from torch import Tensor, nn
from transformers import Sam3ViTConfig, Sam3ViTModel

from kit.trackers.multiplex.sizes import Sizes


class NeckLevel(nn.Module):
    """One level of a pyramid: the trunk's map enlarged 4, 2 or 1 times, C channels wide."""

    def __init__(self, sizes: Sizes, scale: int) -> None:
        super().__init__()
        width, channels = sizes.vit_width, sizes.vit_width // scale
        self.dconv_2x2_0: nn.Module | None = None
        self.dconv_2x2_1: nn.Module | None = None
        self.dconv_2x2: nn.Module | None = None
        if scale == 4:
            self.dconv_2x2_0 = nn.ConvTranspose2d(width, width // 2, 2, 2)
            self.dconv_2x2_1 = nn.ConvTranspose2d(width // 2, channels, 2, 2)
        elif scale == 2:
            self.dconv_2x2 = nn.ConvTranspose2d(width, channels, 2, 2)
        self.conv_1x1 = nn.Conv2d(channels, sizes.width, 1)
        self.conv_3x3 = nn.Conv2d(sizes.width, sizes.width, 3, padding=1)

    def forward(self, trunk: Tensor) -> Tensor:
        """[B, vit_width, g, g] to [B, C, scale * g, scale * g]."""
        if self.dconv_2x2_0 is not None and self.dconv_2x2_1 is not None:
            trunk = self.dconv_2x2_1(nn.functional.gelu(self.dconv_2x2_0(trunk)))
        elif self.dconv_2x2 is not None:
            trunk = self.dconv_2x2(trunk)
        found: Tensor = self.conv_3x3(self.conv_1x1(trunk))
        return found


class Vision(nn.Module):
    """Trunk and necks."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.trunk = Sam3ViTModel(trunk_config(sizes))
        self.interactive_convs = nn.ModuleList(NeckLevel(sizes, scale) for scale in (4, 2, 1))
        self.propagation_convs = nn.ModuleList(NeckLevel(sizes, scale) for scale in (4, 2, 1))
        self._grid = sizes.grid

    def hidden(self, pixels: Tensor) -> Tensor:
        """The trunk's output, [B, N, vit_width], of float32 [B, 3, S, S] in [-1, 1]."""
        found: Tensor = self.trunk(pixel_values=pixels).last_hidden_state
        return found

    def necks(self, hidden: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What prompts read, and what tracking reads, of the trunk's output.

        Returns:
            (interactive [B, C, g, g], propagation [B, C, 4g, 4g], [B, C, 2g, 2g], [B, C, g, g])
        """
        grid = torch.unflatten(hidden, 1, (self._grid, self._grid)).permute(0, 3, 1, 2)
        return self.interactive_convs[2](grid), [level(grid) for level in self.propagation_convs]


def trunk_config(sizes: Sizes) -> Sam3ViTConfig:
    """The trunk as transformers describes it; its norms have 1e-5 in this model, not 1e-6."""
    return Sam3ViTConfig(
        hidden_size=sizes.vit_width,
        intermediate_size=sizes.vit_mlp,
        num_hidden_layers=sizes.vit_depth,
        num_attention_heads=sizes.vit_heads,
        image_size=sizes.image_size,
        pretrain_image_size=sizes.pretrain_image_size,
        patch_size=sizes.patch_size,
        window_size=sizes.vit_window,
        global_attn_indexes=list(sizes.vit_global),
        layer_norm_eps=1e-5,
    )
