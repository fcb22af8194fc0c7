"""Market-1501's measures, with and without re-ranking."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from ..retrieval import (
    LabeledFeatures,
    Retrieval,
    evaluate_retrieval,
    report_left_out,
)
from .rerank import KReciprocalDistance

NEEDED = ('feature', 'pid', 'camid', 'is_query')


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """Mean average precision and rank-k accuracy; all in [0, 1].

    See :func:`~saip_mm.downstream.retrieval.evaluate_retrieval`. Features are compared
    by their cosine.

    Args:
        rerank: Also report the same after k-reciprocal re-ranking, with the arguments
            of :class:`~saip_mm.downstream.reid.rerank.KReciprocalDistance`:
            `dict(k1=20, k2=6, weight=0.3)`, or `dict()` for these.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.
    """

    default_prefix = 'reid'

    def __init__(self, rerank: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.rerank = rerank

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep feature [C], person, camera and role of every image.

        Raises:
            KeyError: If data samples lack one of them.
        """
        for sample in data_samples:
            if missing := [name for name in NEEDED if name not in sample]:
                raise KeyError(
                    f'data samples lack {", ".join(missing)}: `feature` comes from '
                    'ReIDHead, the others from the data set, if its pipeline ends with '
                    "PackInputs(algorithm_keys=('pid', 'camid', 'is_query'))"
                )
            feature, *others = (sample[name] for name in NEEDED)
            self.results.append((feature.float().cpu(), *others))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        query, gallery = (_stack(results, is_query) for is_query in (True, False))
        found = evaluate_retrieval(query, gallery)
        report_left_out(found)
        metrics = _named(found)
        if self.rerank is not None:
            distances = KReciprocalDistance(
                query.features, gallery.features, **self.rerank
            )
            found = evaluate_retrieval(query, gallery, distances=distances)
            metrics |= {f'{k}_reranked': v for k, v in _named(found).items()}
        return metrics


def _stack(results: list[tuple], is_query: bool) -> LabeledFeatures:
    chosen = [result[:3] for result in results if bool(result[3]) == is_query]
    if not chosen:
        kind = 'query' if is_query else 'gallery image'
        raise ValueError(
            f'none of {len(results)} images is a {kind}: test with a data set of '
            "split='test', whole"
        )
    features, pids, camids = zip(*chosen, strict=True)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return LabeledFeatures(
        torch.stack(features).to(device),
        torch.tensor(pids, device=device),
        torch.tensor(camids, device=device),
    )


def _named(found: Retrieval) -> dict[str, float]:
    ranks = {name: getattr(found, name) for name in ('rank1', 'rank5', 'rank10')}
    return dict(mAP=found.mean_average_precision, **ranks)
