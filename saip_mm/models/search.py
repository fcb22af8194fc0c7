"""Cross-scale search: find the person of the query in a scene."""

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, initialize
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from .attention import class_token, transformer_blocks
from .weights import XAVIER


class CrossAttentionBlock(BaseModule):
    """Pre-norm cross attention and MLP, both residual."""

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, batch_first=True)
        self.norm2 = nn.LayerNorm(embed_dims, eps=1e-6)
        self.ffn = FFN(embed_dims, 4 * embed_dims, act_cfg=dict(type='GELU'))

    def forward(self, query: Tensor, scene: Tensor) -> Tensor:
        """[B, Q, C] queries, [B, N, C] scene tokens → [B, Q, C]."""
        attended, _ = self.attn(self.norm1(query), scene, scene, need_weights=False)
        query = query + attended
        return self.ffn(self.norm2(query), identity=query)


@MODELS.register_module()
class CrossScaleSearchHead(BaseModule):
    """Turns a query image into a kernel that finds its person in the scene.

    Args:
        in_channels: Channels of the backbone's middle tokens.
        embed_dims: Channels of the decoder.
        num_blocks: Self-attention blocks over the query.
        num_heads: Attention heads per block.
    """

    def __init__(
        self,
        in_channels: int = 192,
        embed_dims: int = 512,
        num_blocks: int = 2,
        num_heads: int = 16,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.query_embed = nn.Linear(in_channels, embed_dims)
        self.query_blocks = transformer_blocks(num_blocks, embed_dims, num_heads)
        self.scene_embed = nn.Linear(in_channels, embed_dims)
        self.scene_norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.cross_block = CrossAttentionBlock(embed_dims, num_heads)
        self.query_norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.kernel = nn.Linear(embed_dims, embed_dims)
        self.mask_branch = nn.Sequential(
            nn.Conv2d(in_channels, embed_dims, 1), nn.GELU()
        )
        for _ in range(3):
            self.mask_branch.append(nn.Conv2d(embed_dims, embed_dims, 3, padding=1))
            self.mask_branch.append(nn.GELU())

    def init_weights(self) -> None:
        initialize(self, XAVIER)

    def forward(self, queries: list[Tensor], scene: Tensor) -> Tensor:
        """Search a scene for each of Q queries.

        Args:
            queries: Q tensors [B, 1 + n, C], middle tokens of query images of any
                sizes, class token first.
            scene: [B, C, h, w] middle map of the scene.

        Returns:
            Tensor: [B, Q, h, w] logits of the queries' places.
        """
        # Queries attend only to the scene, not to each other: one pass serves all.
        query = torch.stack([self._summarize(tokens) for tokens in queries], dim=1)
        tokens = self.scene_norm(self.scene_embed(scene.flatten(2).transpose(1, 2)))
        kernels = self.kernel(self.query_norm(self.cross_block(query, tokens)))
        return torch.einsum('bqc,bchw->bqhw', kernels, self.mask_branch(scene))

    def _summarize(self, tokens: Tensor) -> Tensor:
        """[B, 1 + n, in_channels] query tokens → [B, embed_dims]."""
        tokens = self.query_embed(tokens)
        for block in self.query_blocks[:-1]:
            tokens = block(tokens)
        return class_token(self.query_blocks[-1], tokens)[0]

    def loss(self, logits: Tensor, masks: Tensor) -> Tensor:
        """Binary cross entropy in nats, averaged over images and places.

        Args:
            logits: [B, Q, h, w]
            masks: [B, Q, h, w], 1 where the pasted person of the query covers more
                than half of a patch; drawn by ``DrawViews``.

        Returns:
            Tensor: [Q]
        """
        dtype = self.kernel.weight.dtype
        loss = binary_cross_entropy_with_logits(
            logits.to(dtype), masks.to(dtype), reduction='none'
        )
        return loss.mean(dim=(0, 2, 3))
