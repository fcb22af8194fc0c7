"""Distillation: a light student learns from a frozen, larger teacher."""

from typing import NamedTuple

from mmengine.model import BaseModule, initialize
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, cosine_similarity, normalize

from .encoder import AttentionMaps, Encoded
from .matching import attention_divergence
from .weights import XAVIER


class Taught(NamedTuple):
    """Outputs of a teacher for a batch of images, after its final norm."""

    image_token: Tensor
    """[B, D]"""
    patch_map: Tensor | None
    """[B, D, h, w], on the patch grid of the student, if requested."""
    attention: AttentionMaps | None
    """Maps of the last block over class token and patches, if requested. Register
    tokens are left out; rows sum to one without them."""


@MODELS.register_module()
class DistillationHead(BaseModule):
    """The head of SAIP*: tokens and attention of a frozen teacher as further targets.

    The authors of SAIP report results of "Ours*" without a description. Unused decoders
    and a loss in their repositories suggest three terms, besides those of SAIP:

    - the cosine distance of class tokens, the teacher's of the global views and the
      student's of all crops, through a small MLP with a LayerNorm;
    - the cosine distance of patch tokens of the same view;
    - the KL divergence of the last block's query-key and value-value attention, for
      which both need the same number of heads in that block (two ``num_heads`` of
      :class:`~saip_mm.models.saip_vit.SAIPViT`).

    Our own choices are the weights, the mean over all pairs of crops and global views,
    and global views for the last two terms. A student without a class token is taught
    through its pooled token and its last map (the teacher's map is averaged to that
    stride), without attention; the authors add a class token and blocks to TinyViT.

    Args:
        teacher: A ``DistillationTeacher``.
        in_channels: Channels of the student's image token and last map.
        hidden_channels: Width of the two MLPs.
        out_channels: Channels of the teacher.
        class_weight: Factor of the loss of class tokens.
        patch_weight: Factor of the loss of patch tokens; 0 omits it.
        attention_weight: Factor of the loss of attention; 0 omits it.
    """

    def __init__(
        self,
        teacher: dict,
        in_channels: int = 192,
        hidden_channels: int = 768,
        out_channels: int = 768,
        class_weight: float = 1.0,
        patch_weight: float = 1.0,
        attention_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.teacher = MODELS.build(teacher)  # not a module
        self.in_channels, self.out_channels = in_channels, out_channels
        self.class_weight, self.patch_weight = class_weight, patch_weight
        self.attention_weight = attention_weight
        self.attention = attention_weight > 0

        def mlp() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(in_channels, hidden_channels),
                nn.GELU(),
                nn.Linear(hidden_channels, out_channels),
                nn.LayerNorm(out_channels, eps=1e-6),
            )

        self.class_mlp = mlp()
        self.patch_mlp = mlp() if patch_weight else None

    def init_weights(self) -> None:
        initialize(self, XAVIER)

    def loss(
        self, tokens: Tensor, globals_: Encoded, taught: Taught
    ) -> dict[str, Tensor]:
        """Compare student and teacher.

        Args:
            tokens: [V, B, C] image tokens of all crops.
            globals_: The student's outputs for G·B global views, with ``last_map``.
            taught: The teacher's outputs for the same global views.

        Returns:
            Weighted ``loss_distill_class``; unless their weights are 0, also
            ``loss_distill_patch`` and, if the student has attention,
            ``loss_distill_attn``.

        Raises:
            ValueError: If channels or heads of student and teacher do not match.
        """
        check_channels(taught, self.out_channels, 'model.distillation')
        target = normalize(taught.image_token, dim=-1)
        # The cosine with a mean of unit vectors is the mean of the cosines.
        target = target.unflatten(0, (-1, tokens.shape[1])).mean(0)
        guess = normalize(self.class_mlp(tokens).to(target), dim=-1)
        loss = (1 - (guess * target).sum(-1)).mean()
        losses = dict(loss_distill_class=self.class_weight * loss)
        if self.patch_mlp:
            last = globals_.last_map
            target = patch_targets(taught, last)
            guess = self.patch_mlp(last.flatten(2).mT).to(target)
            loss = (1 - cosine_similarity(guess, target, dim=-1)).mean()
            losses['loss_distill_patch'] = self.patch_weight * loss
        if taught.attention:
            ours, theirs = globals_.attention.query_key, taught.attention.query_key
            if ours.shape != theirs.shape:
                raise ValueError(
                    f"the student's last block has {ours.shape[1]} attention heads, "
                    f"the teacher's {theirs.shape[1]}: set "
                    f"backbone.arch['num_heads']=(HEADS, {theirs.shape[1]}), or "
                    'distillation.attention_weight=0'
                )
            loss = attention_divergence(
                globals_.attention, taught.attention, target.dtype
            )
            losses['loss_distill_attn'] = self.attention_weight * loss
        return losses


def patch_targets(taught: Taught, last_map: Tensor) -> Tensor:
    """Patch tokens [B, h·w, D] on the grid of the student's map [B, C, h, w]."""
    return adaptive_avg_pool2d(taught.patch_map, last_map.shape[2:]).flatten(2).mT


def check_channels(taught: Taught, channels: int, part: str) -> None:
    """Check that a part of the config has the channels of the teacher."""
    if (found := taught.image_token.shape[1]) != channels:
        raise ValueError(
            f'the teacher has {found} channels, not out_channels={channels}: set '
            f'{part}.out_channels={found}'
        )
