"""A mask as a prompt: the part of SAM's prompt encoder that reads masks."""

from torch import Tensor, nn

from kit.trackers.multiplex.codes import FourierCode
from kit.trackers.multiplex.layers import ChannelNorm
from kit.trackers.multiplex.sizes import Sizes


class PromptEncoder(nn.Module):
    """Prompts of the interactive head. What clicks need is loaded, but masks do not use it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width = sizes.width
        self.pe_layer = FourierCode(width)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, width) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, width)
        self.no_mask_embed = nn.Embedding(1, width)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, 2),
            ChannelNorm(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, 2),
            ChannelNorm(16),
            nn.GELU(),
            nn.Conv2d(16, width, 1),
        )

    def forward(self, hint: Tensor) -> tuple[Tensor, Tensor]:
        """A mask and no click.

        Args:
            hint: [N, 1, 4g, 4g].

        Returns:
            (sparse [N, 2, C]: the absent click and the padding; dense [N, C, g, g])
        """
        absent = self.not_a_point_embed.weight[None].expand(len(hint), 2, -1)
        return absent, self.mask_downscaling(hint)
