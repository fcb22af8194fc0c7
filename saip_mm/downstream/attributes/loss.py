"""Loss weighted by the frequency of attributes."""

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ...training.processes import unwrap_model


@MODELS.register_module()
class RatioWeightedBCELoss(nn.Module):
    """Binary cross entropy weighted by the ratio r of positives of each attribute.

    Weights are exp(1 - r) for positive and exp(r) for negative labels: DeepMAR (Li et
    al., ACPR 2015) with σ = 1, as in its released code. Terms are summed over
    attributes and averaged over images. :class:`PositiveRatioHook` determines r.

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.positive_ratio: Tensor | None = None

    def forward(
        self, cls_score: Tensor, label: Tensor, avg_factor: float | None = None
    ) -> Tensor:
        """The loss, a scalar, for logits [N, A] and labels [N, A] of 0 and 1.

        Raises:
            ValueError: If r is unknown or has another number of attributes.
        """
        ratio = self.positive_ratio
        if ratio is None:
            raise ValueError(
                'RatioWeightedBCELoss needs the frequency of attributes: set '
                "custom_hooks=[dict(type='PositiveRatioHook')]"
            )
        if len(ratio) != cls_score.shape[1]:
            raise ValueError(
                f'the training set has {len(ratio)} attributes, but the model predicts '
                f'{cls_score.shape[1]}: set model.head.num_classes={len(ratio)}'
            )
        weight = torch.where(label > 0.5, 1 - ratio, ratio).exp()
        losses = binary_cross_entropy_with_logits(
            cls_score.float(), label.float(), weight, reduction='sum'
        )
        return self.loss_weight * losses / (avg_factor or len(cls_score))


@HOOKS.register_module()
class PositiveRatioHook(Hook):
    """Pass the ratio of positives in the training set to the loss of `model.head`."""

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        loss = model.head.loss_module
        if not isinstance(loss, RatioWeightedBCELoss):
            raise TypeError(
                f'PositiveRatioHook requires RatioWeightedBCELoss, but model.head.loss '
                f'is {type(loss).__name__}: change the loss or remove the hook'
            )
        dataset = runner.train_dataloader.dataset
        labels = [dataset.get_data_info(i)['gt_score'] for i in range(len(dataset))]
        device = next(model.parameters()).device
        loss.positive_ratio = torch.from_numpy(np.mean(labels, axis=0)).to(device)
