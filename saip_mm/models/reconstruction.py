"""Cross-scale reconstruction: fill in a masked person, given its anchor view."""

import torch
from mmengine.model import BaseModule, initialize
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models.utils import resize_pos_embed
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .attention import transformer_blocks
from .weights import XAVIER


@MODELS.register_module()
class CrossScaleReconstructionHead(BaseModule):
    """Transformer decoder that predicts the removed patches.

    Args:
        in_channels: Channels of the backbone's middle tokens.
        embed_dims: Channels of the decoder.
        num_blocks: Number of transformer blocks.
        num_heads: Attention heads per block.
        img_size: (h, w) in pixels for which positions are learned; they are resized in
            two dimensions for other sizes.
        patch_size: Side of a patch in pixels.
        mask_ratio: Share of patches removed from view.
        anchor: Whether the decoder sees the token of the anchor view. The objective
            without it is MAE's.
    """

    def __init__(
        self,
        in_channels: int = 192,
        embed_dims: int = 512,
        num_blocks: int = 8,
        num_heads: int = 16,
        img_size: tuple[int, int] = (256, 128),
        patch_size: int = 16,
        mask_ratio: float = 0.75,
        anchor: bool = True,
    ) -> None:
        super().__init__()
        self.anchor = anchor
        self.in_channels = in_channels
        if not 0 < mask_ratio < 1:
            raise ValueError(f'mask_ratio={mask_ratio} is not between 0 and 1')
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio
        self.grid = (img_size[0] // patch_size, img_size[1] // patch_size)
        self.embed = nn.Linear(in_channels, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        positions = 1 + self.grid[0] * self.grid[1]
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, embed_dims))
        self.blocks = transformer_blocks(num_blocks, embed_dims, num_heads)
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.predict = nn.Linear(embed_dims, 3 * patch_size**2)

    def init_weights(self) -> None:
        initialize(self, XAVIER)
        trunc_normal_(self.mask_token, std=0.02)
        trunc_normal_(self.pos_embed, std=0.02)

    def draw_mask(self, noise: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Choose the patches to remove.

        Args:
            noise: [B, h, w] uniform noise, on any grid; enlarged to ``grid`` so that
                neighboring patches tend to be removed together.
            grid: (h, w) patch grid of the masked image.

        Returns:
            Indices [B, K] of the visible patches, and the mask [B, h, w], 1 where a
            patch is removed.
        """
        noise = interpolate(noise[:, None].float(), grid, mode='nearest').flatten(1)
        # A hundredth of a patch, so that 0.2 × 200 is 40 and not 39.999….
        kept = max(1, int(noise.shape[1] * (1 - self.mask_ratio) + 0.01))
        visible = noise.argsort(dim=1, stable=True)[:, :kept]
        mask = torch.ones_like(noise).scatter_(1, visible, 0)
        return visible, mask.unflatten(1, grid)

    def forward(
        self, anchor_token: Tensor | None, token: Tensor, map_: Tensor, mask: Tensor
    ) -> Tensor:
        """Predict the pixels of every patch.

        Args:
            anchor_token: [B, C] middle class token of the anchor view; not used with
                ``anchor=False``.
            token: [B, C] middle class token of the masked view.
            map_: [B, C, h, w] middle map of the masked view.
            mask: [B, h, w], 1 where the patch was removed.

        Returns:
            Tensor: [B, h·w, 3·p²] pixels, each patch as (row, column, color).
        """
        removed = mask.flatten(1)[..., None].bool()
        patches = self.embed(map_.flatten(2).transpose(1, 2))
        patches = torch.where(removed, self.mask_token.to(patches.dtype), patches)
        given = [token, anchor_token] if self.anchor else [token]
        class_tokens = self.embed(torch.stack(given, dim=1))
        positions = resize_pos_embed(
            self.pos_embed, self.grid, tuple(mask.shape[1:]), mode='bicubic'
        )
        tokens = torch.cat(
            [class_tokens + positions[:, :1], patches + positions[:, 1:]], dim=1
        )
        for block in self.blocks:
            tokens = block(tokens)
        return self.predict(self.norm(tokens[:, len(given) :]))

    def loss(self, prediction: Tensor, images: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error on the removed patches, each normalized to mean 0 and
        variance 1 (so that predicting zero gives about 1).

        Args:
            prediction: [B, h·w, 3·p²].
            images: [B, 3, h·p, w·p] the unmasked view.
            mask: [B, h, w], 1 where the patch was removed.
        """
        patches = to_patches(images, self.patch_size)
        target = patches - patches.mean(dim=-1, keepdim=True)
        # torch.var_mean is 10 times as slow on a CPU.
        variance = target.square().sum(dim=-1, keepdim=True) / (target.shape[-1] - 1)
        target = target / (variance + 1e-6).sqrt()
        error = (prediction.to(target.dtype) - target).square().mean(dim=-1)
        return (error * mask.flatten(1)).sum() / mask.sum()


def to_patches(images: Tensor, patch_size: int) -> Tensor:
    """[B, C, h·p, w·p] → [B, h·w, C·p²], each patch as (row, column, channel)."""
    p = patch_size
    patches = images.unflatten(3, (-1, p)).unflatten(2, (-1, p))
    # [B, C, h, p, w, p] → [B, h·w, p·p·C]
    return patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def from_patches(patches: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Inverse of :func:`to_patches`, for an (h, w) grid."""
    patches = patches.unflatten(2, (patch_size, patch_size, -1)).unflatten(1, grid)
    # [B, h, w, p, p, C] → [B, C, h·p, w·p]
    return patches.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)
