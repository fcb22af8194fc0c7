"""The encoder of student (image encoder) and teacher (expert encoder)."""

from typing import Literal, NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn


class AttentionMaps(NamedTuple):
    """Attention of a backbone's last block, rows summing to one."""

    query_key: Tensor
    """[B, heads, N, N]: softmax(q kᵀ / √d), d = channels per head."""
    value_value: Tensor
    """[B, heads, N, N]: softmax(v vᵀ / √d)."""


class Encoded(NamedTuple):
    """Outputs of a SAIP backbone for a batch of images.

    A backbone without a class token returns pooled tokens in its place; one without
    attention returns ``None``.
    """

    image_token: Tensor | None
    """[B, C] after the last block and the final norm; None for ``until='middle'``."""
    middle_token: Tensor
    """[B, C] half-way through."""
    middle_map: Tensor
    """[B, C, h, w] half-way through; undefined where patches were not visible."""
    attention: AttentionMaps | None
    """Attention maps of the last block, if requested."""

    @property
    def middle_tokens(self) -> Tensor:
        """[B, 1 + h·w, C]: the middle token, then the map in row-major order."""
        grid = self.middle_map.flatten(2).transpose(1, 2)
        return torch.cat([self.middle_token[:, None], grid], dim=1)


class Encoder(BaseModule):
    """A backbone and the norm of its middle tokens; the teacher averages both.

    The norm is not part of the backbone because no downstream task uses it: there it
    would be an unused parameter in distributed training and a stray key in exports.

    Args:
        backbone: A module with the ``encode`` method of
            :class:`~saip_mm.models.saip_vit.SAIPViT`.
        middle_norm: Norm over the channels of the middle tokens.
    """

    def __init__(self, backbone: nn.Module, middle_norm: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.middle_norm = middle_norm

    def forward(
        self,
        images: Tensor,
        visible: Tensor | None = None,
        until: Literal['middle', 'end'] = 'end',
        attention: bool = False,
    ) -> Encoded:
        """Encode images and normalize their middle tokens.

        Args:
            images: [B, 3, H, W], normalized.
            visible: [B, K] indices into the row-major patch grid; the other patches
                are hidden. None shows all.
            until: Last part of the backbone to compute.
            attention: Whether to return the last block's attention maps.
        """
        encoded = self.backbone.encode(images, visible, until, attention)
        channels_last = encoded.middle_map.permute(0, 2, 3, 1)
        return encoded._replace(
            middle_token=self.middle_norm(encoded.middle_token),
            middle_map=self.middle_norm(channels_last).permute(0, 3, 1, 2),
        )
