"""Head and triplet loss of the strong re-identification baseline."""

import torch
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from ..retrieval import EXACT


@MODELS.register_module()
class ReIDHead(LinearClsHead):
    """Triplet loss on features, and identity loss on batch-normalized features.

    "Bag of Tricks" (Luo et al., CVPRW 2019): a batch norm with its bias fixed at 0
    separates the two losses, which favor different geometries. Normalized features are
    used for retrieval; the classifier, which has no bias, is for training only.

    Features are [N, C]: the class token of a backbone with `out_type='cls_token'`, or
    a map pooled by `neck=dict(type='GlobalAveragePooling')`.

    Args:
        num_classes: Identities in the training set.
        in_channels: C.
        loss: Identity loss.
        triplet: Triplet loss.
        init_cfg: Initialization of the classifier.

    Raises:
        ValueError: If a label is not below `num_classes`, or features are not vectors.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss: dict = dict(type='LabelSmoothLoss', label_smooth_val=0.1),  # noqa: B006
        triplet: dict = dict(type='BatchHardTripletLoss'),  # noqa: B006
        init_cfg: dict | None = dict(type='Normal', layer='Linear', std=0.001),  # noqa: B006
    ) -> None:
        super().__init__(num_classes, in_channels, loss=loss, init_cfg=init_cfg)
        self.fc = nn.Linear(in_channels, num_classes, bias=False)
        self.norm = nn.BatchNorm1d(in_channels)
        self.norm.bias.requires_grad_(False)
        self.triplet = MODELS.build(triplet)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Features [N, C] for retrieval."""
        if feats[-1].ndim != 2:
            raise ValueError(
                f'ReIDHead takes features [N, C], not {list(feats[-1].shape)}: set '
                "model.backbone.out_type='cls_token', or model.neck=dict("
                "type='GlobalAveragePooling')"
            )
        return self.norm(feats[-1])

    def loss(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample]
    ) -> dict[str, Tensor]:
        scores = self(feats)
        labels = torch.cat([sample.gt_label for sample in data_samples])
        if (highest := labels.max().item()) >= self.num_classes:
            raise ValueError(
                f'the training set has at least {highest + 1} identities, but '
                f'model.head.num_classes={self.num_classes}: set it to their number'
            )
        return dict(
            loss_id=self.loss_module(scores, labels, avg_factor=len(scores)),
            loss_triplet=self.triplet(feats[-1], labels),
        )

    def predict(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Data samples with a `feature` [C], to be compared by cosine similarity."""
        features = self.pre_logits(feats)
        samples = data_samples or [DataSample() for _ in features]
        for sample, feature in zip(samples, features, strict=True):
            sample.set_field(feature, 'feature')
        return samples


@MODELS.register_module()
class BatchHardTripletLoss(nn.Module):
    """Triplet loss of each image with its farthest positive and nearest negative.

    "In Defense of the Triplet Loss" (Hermans et al., 2017) with Euclidean distances:
    softplus(d⁺ - d⁻), or max(0, d⁺ - d⁻ + margin), averaged over the images.

    Args:
        margin: None for the soft margin, as in TransReID (He et al., ICCV 2021); 0.3 in
            "Bag of Tricks".
        loss_weight: Factor of the loss.
    """

    def __init__(self, margin: float | None = None, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.margin = margin
        self.loss_weight = loss_weight

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, for features [N, C] with labels [N].

        Raises:
            ValueError: If an image has no positive or no negative.
        """
        same = labels[:, None] == labels
        if not ((same.sum(dim=1) > 1) & ~same.all(dim=1)).all():
            raise ValueError(
                'every image needs another of the same identity, and one of another '
                "identity, in its batch: set train_dataloader.sampler=dict(type='"
                "PKSampler', num_identities=P, num_images=K) and batch_size to P·K"
            )
        features = features.float()
        distances = torch.cdist(features, features, compute_mode=EXACT)
        farthest = distances.masked_fill(~same, -torch.inf).amax(dim=1)
        nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
        gap = farthest - nearest
        losses = softplus(gap) if self.margin is None else relu(gap + self.margin)
        return self.loss_weight * losses.mean()
