"""Metrics of attribute recognition."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from torch import Tensor


@METRICS.register_module()
class PedestrianAttributeMetric(BaseMetric):
    """Label-based mean accuracy and instance-based metrics in [0, 1].

    As in the benchmark of RAP (Li et al., 2016): `mA` is the mean over attributes of
    (recall of positives + recall of negatives) / 2. `accuracy` (intersection over union
    of true and predicted attributes), `precision`, and `recall` are means over images;
    `F1` is the harmonic mean of the latter two. Ratios with denominator 0 are 0.

    Args:
        threshold: Attributes with scores above it are predicted as present.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.
    """

    default_prefix = 'attributes'

    def __init__(self, threshold: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            # Cloned: a view is sent to the main process with its whole batch.
            scores = sample['pred_score'].float().cpu().clone()
            self.results.append((scores, sample['gt_score'].cpu()))

    def compute_metrics(self, results: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        scores, labels = (torch.stack(each) for each in zip(*results, strict=True))
        if constant := (labels.amin(dim=0) == labels.amax(dim=0)).sum().item():
            print_log(
                f'attributes: {constant} of {labels.shape[1]} have the same label in '
                f'all {len(labels)} images, which limits their mA to 0.5',
                logger='current',
            )
        predicted, actual = scores > self.threshold, labels > 0.5
        right, either = predicted & actual, predicted | actual
        positives = _share(right, actual, dim=0)
        negatives = _share(~either, ~actual, dim=0)
        precision = _share(right, predicted, dim=1).mean().item()
        recall = _share(right, actual, dim=1).mean().item()
        return dict(
            mA=(positives + negatives).mean().item() / 2,
            accuracy=_share(right, either, dim=1).mean().item(),
            precision=precision,
            recall=recall,
            F1=2 * precision * recall / (precision + recall or 1),
        )


def _share(part: Tensor, whole: Tensor, dim: int) -> Tensor:
    """Share of ``whole`` that is in ``part``, both bool [N, A], along ``dim``."""
    return part.sum(dim) / whole.sum(dim).double().clamp(min=1)
