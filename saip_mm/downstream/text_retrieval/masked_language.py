"""Words hidden from a caption are found in the image."""

import torch
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .clip import HEAD_CHANNELS, VOCABULARY, CLIPText, open_clip

# The last word of the vocabulary, which captions hardly contain, stands for a hidden
# one; start and end of a caption follow it.
MASK = VOCABULARY - 3


@MODELS.register_module()
class MaskedLanguageHead(BaseModule):
    """Predicts hidden tokens of a caption from the others and the image.

    Implicit relation reasoning of IRRA (Jiang and Ye, CVPR 2023): the tokens attend to
    those of the image, and then to each other.

    Args:
        channels: C of tokens of text and image, a multiple of 64.
        num_blocks: Blocks after the cross-attention.
        mask_ratio: Probability of hiding a token.
    """

    def __init__(
        self, channels: int, num_blocks: int = 4, mask_ratio: float = 0.15
    ) -> None:
        super().__init__()
        parts = open_clip('transformer')
        heads, self.mask_ratio = channels // HEAD_CHANNELS, mask_ratio
        self.norm_text, self.norm_image, self.norm = (
            nn.LayerNorm(channels) for _ in range(3)
        )
        self.cross_attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.cross_blocks = parts.Transformer(
            channels, num_blocks, heads, act_layer=parts.QuickGELU
        )
        self.mlm_head = nn.Sequential(
            nn.Linear(channels, channels),
            parts.QuickGELU(),
            nn.LayerNorm(channels),
            nn.Linear(channels, VOCABULARY),
        )
        self._init_linear(channels, num_blocks)

    def _init_linear(self, channels: int, num_blocks: int) -> None:
        """CLIP's initialization of transformers, also for the cross-attention."""
        inner, outer = channels**-0.5, (2 * num_blocks * channels) ** -0.5
        attentions = [block.attn for block in self.cross_blocks.resblocks]
        for attention in (self.cross_attention, *attentions):
            nn.init.normal_(attention.in_proj_weight, std=inner)
            nn.init.normal_(attention.out_proj.weight, std=outer)
        for block in self.cross_blocks.resblocks:
            nn.init.normal_(block.mlp.c_fc.weight, std=(2 * channels) ** -0.5)
            nn.init.normal_(block.mlp.c_proj.weight, std=outer)
        for layer in (self.mlm_head[0], self.mlm_head[-1]):
            nn.init.normal_(layer.weight, std=inner)
            nn.init.zeros_(layer.bias)

    def forward(self, text: Tensor, image: Tensor, where: Tensor) -> Tensor:
        """Logits [K, vocabulary] of the K tokens ``where`` is true.

        Args:
            text: [B, 77, C], of captions with hidden tokens.
            image: [B, N, C].
            where: bool [B, 77].
        """
        query, key = self.norm_text(text), self.norm_image(image)
        x = self.cross_attention(query, key, key, need_weights=False)[0]
        return self.mlm_head(self.norm(self.cross_blocks(x))[where])

    def loss(self, text: CLIPText, tokens: Tensor, image: Tensor) -> Tensor:
        """Mean cross entropy of the hidden tokens.

        Args:
            text: Encodes the captions with hidden tokens.
            tokens: [B, 77] of whole captions.
            image: [B, N, C].
        """
        seen, hidden = hide_tokens(tokens, self.mask_ratio)
        logits = self(text(seen)[0], image, hidden)
        # Without a hidden token, a sum of nothing is 0, but a mean is not a number.
        total = cross_entropy(logits.float(), tokens[hidden], reduction='sum')
        return total / hidden.sum().clamp(min=1)


def hide_tokens(tokens: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Captions [B, 77] with some tokens replaced, and bool [B, 77] where these are.

    As in BERT, of the tokens chosen with probability ``ratio``, at least one of each
    caption, 80 % are masked, 10 % become any other, and 10 % stay.
    """
    words = (tokens > 0) & (tokens < MASK)
    draws = torch.rand(tokens.shape, device=tokens.device).where(words, 2.0)
    hidden = words & ((draws < ratio) | (draws == draws.amin(dim=1, keepdim=True)))
    kinds = torch.rand(tokens.shape, device=tokens.device)
    others = torch.randint(1, MASK, tokens.shape, device=tokens.device)
    replaced = torch.where(kinds < 0.8, MASK, others.where(kinds < 0.9, tokens))
    return replaced.where(hidden, tokens), hidden
