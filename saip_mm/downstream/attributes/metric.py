"""How well attributes of people are recognised."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpretrain.registry import METRICS
from torch import Tensor


@METRICS.register_module()
class PedestrianAttributeMetric(BaseMetric):
    """Label-based mean accuracy and instance-based measures; all in [0, 1].

    As in the benchmark of RAP (Li et al., 2016). `mA` is the mean, over attributes, of
    (recall of positives + recall of negatives) / 2. `accuracy` (intersection over
    union of the attributes that are there and those predicted), `precision` and
    `recall` are means over images, and `F1` is the harmonic mean of the latter two
    means. A share of nothing is 0.

    Args:
        threshold: Scores above it mean that the attribute is there.
        collect_device: As in MMEngine's BaseMetric.
        collect_dir: As in MMEngine's BaseMetric.
        prefix: As in MMEngine's BaseMetric.
    """

    default_prefix = 'attributes'

    def __init__(
        self,
        threshold: float = 0.5,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.threshold = threshold

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            self.results.append(
                (sample['pred_score'].float().cpu(), sample['gt_score'].cpu())
            )

    def compute_metrics(self, results: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        scores, labels = (torch.stack(each) for each in zip(*results, strict=True))
        if one_sided := (labels.amin(dim=0) == labels.amax(dim=0)).sum().item():
            print_log(
                f'attributes: {one_sided} of {labels.shape[1]} are the same in all '
                f'{len(labels)} images, which costs them half their mA',
                logger='current',
            )
        return score_attributes(scores > self.threshold, labels > 0.5)


def score_attributes(predicted: Tensor, actual: Tensor) -> dict[str, float]:
    """The measures of :class:`PedestrianAttributeMetric`.

    Args:
        predicted: bool [N, A]
        actual: bool [N, A]
    """
    right = predicted & actual
    positives = _share(right.sum(dim=0), actual.sum(dim=0))
    negatives = _share((~predicted & ~actual).sum(dim=0), (~actual).sum(dim=0))
    accuracy = _share(right.sum(dim=1), (predicted | actual).sum(dim=1)).mean()
    precision = _share(right.sum(dim=1), predicted.sum(dim=1)).mean()
    recall = _share(right.sum(dim=1), actual.sum(dim=1)).mean()
    return dict(
        mA=(positives + negatives).mean().item() / 2,
        accuracy=accuracy.item(),
        precision=precision.item(),
        recall=recall.item(),
        F1=_share(2 * precision * recall, precision + recall).item(),
    )


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, in double precision; 0 of nothing."""
    return (part.double() / whole).where(whole > 0, 0)
