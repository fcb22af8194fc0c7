"""Rank-k accuracy, mean average precision and mINP of searches by sentences."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from ..retrieval import LabeledFeatures, evaluate_retrieval

NEEDED = ('feature', 'text_features', 'gt_label')


@METRICS.register_module()
class TextRetrievalMetric(BaseMetric):
    """Each caption ranks all images by cosine similarity; those of its person match.

    Rank-k accuracy, mean average precision and mINP in [0, 1]; see
    :func:`~saip_mm.downstream.retrieval.evaluate_retrieval`. Arguments are those of
    MMEngine's ``BaseMetric``.
    """

    default_prefix = 'text_retrieval'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            if missing := [name for name in NEEDED if name not in sample]:
                raise KeyError(
                    f'data samples lack {", ".join(missing)}: the pipeline has to '
                    'contain TokenizeCaptions and end with '
                    "PackInputs(algorithm_keys=('tokens',))"
                )
            # Cloned: a view is sent to the main process with its whole batch.
            self.results.append([sample[name].float().cpu().clone() for name in NEEDED])

    def compute_metrics(self, results: list[list]) -> dict[str, float]:
        images, texts, people = zip(*results, strict=True)
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
        # Identity 0 would be a distractor, and a camera's own images are left out.
        people = torch.cat(people).long().to(device) + 1
        counts = torch.tensor([len(each) for each in texts], device=device)
        owners = people.repeat_interleave(counts)
        found = evaluate_retrieval(
            LabeledFeatures(torch.cat(texts).to(device), owners, 0 * owners),
            LabeledFeatures(torch.stack(images).to(device), people, 0 * people + 1),
        )
        return dict(
            rank1=found.rank1,
            rank5=found.rank5,
            rank10=found.rank10,
            mAP=found.mean_average_precision,
            mINP=found.mean_inverse_negative_penalty,
        )
