"""Attribute heads: a linear branch, and KE R-CNN's.

KE R-CNN: arXiv 2206.10146. Attribute-Mask R-CNN: arXiv 2004.12276.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import bbox2delta
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from .annotations import knowledge_matrix


class Parts(NamedTuple):
    """What a RoI head knows about n garments and parts of B images."""

    features: Tensor  # [n, C, 7, 7]
    shared: Tensor  # [n, D], what the box head classifies
    boxes: Tensor  # [n, 4], x1, y1, x2, y2 in pixels of the input
    labels: Tensor  # [n], true or predicted
    images: Tensor  # [n], index of the image
    human_boxes: Tensor  # [B, 4]
    human_features: Tensor  # [B, C, 14, 14]
    class_scores: Tensor  # [n, K], softmax without gradient
    class_weights: Tensor  # [K + 2, D], of the box head, with human and background


@MODELS.register_module()
class AttributeHead(BaseModule):
    """Attribute-Mask R-CNN's: the box head's features are classified once more.

    Args:
        num_attributes: Number of attributes A.
        box_channels: Channels D of the box head's last shared layer.
    """

    def __init__(self, num_attributes: int, box_channels: int = 1024) -> None:
        super().__init__()
        self.classifier = nn.Linear(box_channels, num_attributes)

    def forward(self, parts: Parts) -> Tensor:
        """Logits [n, A]."""
        return self.classifier(parts.shared)


@MODELS.register_module()
class KnowledgeAttributeHead(BaseModule):
    """KE R-CNN's: queries, one per attribute, attend to what is known about a part.

    That is its region, refined by the human's; its place in the human's box; and the
    classifier's weights of the likely categories, mixed by how often these have an
    attribute in the training annotations. The authors did not publish this matrix of
    frequencies; it is computed before training, and saved in checkpoints.

    Args:
        num_attributes: Number of attributes A.
        num_parts: Number of categories K, without humans.
        knowledge: Training annotations; see :func:`knowledge_matrix`.
        box_channels: Channels D of the box head's last shared layer.
        channels: Channels C of features and tokens.
        num_layers: Layers of each of the three attentions.
        num_heads: Attention heads.
        feedforward_channels: Hidden channels of the layers.
        dropout: Probability after attention and MLP.
    """

    def __init__(
        self,
        num_attributes: int,
        num_parts: int,
        knowledge: str,
        box_channels: int = 1024,
        channels: int = 256,
        num_layers: int = 2,
        num_heads: int = 8,
        feedforward_channels: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.path, half = knowledge, channels // 2
        self.register_buffer('knowledge', torch.zeros(num_parts, num_attributes))

        def layers(width: int) -> nn.ModuleList:
            shape = width, num_heads, feedforward_channels, dropout
            return nn.ModuleList(AttentionLayer(*shape) for _ in range(num_layers))

        self.local = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1), nn.GroupNorm(4, half), nn.ReLU()
        )
        self.human = nn.Conv2d(channels, half, 1)
        self.look_at_human = layers(half)
        self.place = nn.Linear(4, channels)
        self.mixed = nn.Sequential(
            nn.Linear(box_channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.attributes = nn.Parameter(torch.empty(num_attributes, channels))
        nn.init.trunc_normal_(self.attributes, std=0.02)
        self.queries = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        self.exchange = layers(channels)
        self.decode = layers(channels)

    def init_weights(self) -> None:
        """Compute the knowledge matrix.

        Raises:
            OSError: If the annotations cannot be read.
            ValueError: If they are invalid, or have other categories or attributes.
        """
        super().init_weights()
        if not Path(self.path).is_file():
            raise FileNotFoundError(
                f'roi_head.attribute_head.knowledge={self.path}: no such file; set it '
                'to the annotations of the training data set'
            )
        matrix = torch.from_numpy(knowledge_matrix(self.path))
        if matrix.shape != self.knowledge.shape:
            found, set_to = tuple(matrix.shape), tuple(self.knowledge.shape)
            raise ValueError(
                f'{self.path}: has {found[0]} categories and {found[1]} attributes; '
                f'num_parts and num_attributes are {set_to[0]} and {set_to[1]}'
            )
        self.knowledge.copy_(matrix)

    def forward(self, parts: Parts) -> Tensor:
        """Logits [n, A]."""
        known = torch.cat(
            [self._part(parts), self._place(parts), self._knowledge(parts)], dim=1
        )
        possible = self.knowledge[parts.labels] > 0
        queries = self.queries(self.attributes) * possible[..., None]
        tokens = torch.cat([known, queries], dim=1)
        for layer in self.exchange:
            tokens = layer(tokens, tokens)
        known, queries = tokens.split([known.shape[1], queries.shape[1]], dim=1)
        for layer in self.decode:
            queries = layer(queries, known)
        return (queries * self.attributes).sum(dim=-1)

    def _part(self, parts: Parts) -> Tensor:
        """Tokens of the region, [n, 49, C]."""
        local, queries = parts.features.chunk(2, dim=1)
        queries = queries.flatten(2).mT
        human = self.human(parts.human_features).flatten(2).mT[parts.images]
        for layer in self.look_at_human:
            queries = layer(queries, human)
        return torch.cat([self.local(local).flatten(2).mT, queries], dim=2)

    def _place(self, parts: Parts) -> Tensor:
        """Token of the human's box relative to the part's, [n, 1, C]."""
        humans = parts.human_boxes[parts.images]
        return self.place(bbox2delta(parts.boxes, humans))[:, None]

    def _knowledge(self, parts: Parts) -> Tensor:
        """Tokens of what the likely categories say about attributes, [n, A, C]."""
        first, *others = self.mixed
        # Linear in the weights: mixing the layer's outputs costs less.
        outputs = linear(parts.class_weights[: len(self.knowledge)], first.weight)
        mixed = torch.einsum(
            'nk,ka,kc->nac', parts.class_scores, self.knowledge, outputs
        )
        return nn.Sequential(*others)(mixed + first.bias)


class AttentionLayer(nn.Module):
    """Attention and MLP, each followed by addition and normalization.

    Arguments are those of :class:`KnowledgeAttributeHead`.
    """

    def __init__(
        self, channels: int, num_heads: int, feedforward_channels: int, dropout: float
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, feedforward_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(feedforward_channels, channels),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """[n, Q, C] queries that attend to [n, N, C] tokens → [n, Q, C]."""
        query, key, value = (
            each.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for each in (
                self.query(queries),
                *self.key_value(tokens).chunk(2, dim=2),
            )
        )
        attended = scaled_dot_product_attention(query, key, value)
        attended = self.out(attended.transpose(1, 2).flatten(2))
        queries = self.norm1(queries + self.dropout(attended))
        return self.norm2(queries + self.mlp(queries))
