"""Prediction of hidden words of a caption from the image."""

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

    Implicit relation reasoning of IRRA (arXiv 2303.12501): tokens attend to those of
    the image, then to each other.

    Args:
        channels: C of tokens of text and image, a multiple of 64.
        num_blocks: Blocks after the cross-attention.
        mask_ratio: Probability of hiding a token.
    """

    def __init__(self, channels: int, num_blocks: int, mask_ratio: float) -> None:
        super().__init__()
        if channels % HEAD_CHANNELS:
            raise ValueError(
                f'MaskedLanguageHead: out_channels={channels} of model.text is not a '
                'multiple of 64'
            )
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
        # CLIP's initialization
        wide, narrow = (2 * channels) ** -0.5, (2 * num_blocks * channels) ** -0.5
        stds = dict(in_proj_weight=channels**-0.5, out_proj=narrow, c_fc=wide)
        stds |= dict(c_proj=narrow) | {'mlm_head.0': wide, 'mlm_head.3': narrow}
        for name, weight in self.named_parameters():
            for part, std in stds.items():
                if name.removesuffix('.weight').endswith(part):
                    nn.init.normal_(weight, std=std)

    def forward(self, text: Tensor, image: Tensor, where: Tensor) -> Tensor:
        """Logits [K, vocabulary] of the K tokens at which ``where`` is true.

        Args:
            text: [B, 77, C], of captions with hidden tokens.
            image: [B, N, C].
            where: bool [B, 77].
        """
        query, key = self.norm_text(text), self.norm_image(image)
        x = self.cross_attention(query, key, key, need_weights=False)[0]
        return self.mlm_head(self.norm(self.cross_blocks(x))[where])

    def loss(self, text: CLIPText, tokens: Tensor, image: Tensor) -> Tensor:
        """Mean cross entropy of hidden ``tokens`` [B, 77]; ``image`` is [B, N, C]."""
        seen, hidden = hide_tokens(tokens, self.mask_ratio)
        logits = self(text(seen)[0], image, hidden)
        # Without a hidden token, a sum of nothing is 0, but a mean is not a number.
        total = cross_entropy(logits.float(), tokens[hidden], reduction='sum')
        return total / hidden.sum().clamp(min=1)


def hide_tokens(tokens: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """Captions [B, 77] with hidden tokens, and bool [B, 77], true at these tokens.

    As in BERT, tokens are hidden with probability ``ratio``, at least one per caption:
    80 % of them are masked, 10 % become random ones, and 10 % stay.
    """
    words = (tokens > 0) & (tokens < MASK)
    draws = torch.rand(tokens.shape, device=tokens.device).where(words, 2.0)
    hidden = words & ((draws < ratio) | (draws == draws.amin(dim=1, keepdim=True)))
    kinds = torch.rand(tokens.shape, device=tokens.device)
    others = torch.randint(1, MASK, tokens.shape, device=tokens.device)
    replaced = torch.where(kinds < 0.8, MASK, others.where(kinds < 0.9, tokens))
    return replaced.where(hidden, tokens), hidden
