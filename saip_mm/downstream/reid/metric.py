"""Mean average precision and rank-k accuracy."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.registry import METRICS

from ..retrieval import LabeledFeatures, evaluate_retrieval, report_left_out

NEEDED = ('feature', 'pid', 'camid', 'is_query')


@METRICS.register_module()
class ReIDMetric(BaseMetric):
    """Mean average precision and rank-k accuracy in [0, 1], by cosine similarity.

    See :func:`~saip_mm.downstream.retrieval.evaluate_retrieval`.

    Arguments are those of MMEngine's ``BaseMetric``.
    """

    default_prefix = 'reid'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            if missing := [name for name in NEEDED if name not in sample]:
                raise KeyError(
                    f'data samples lack {", ".join(missing)}: `feature` comes from '
                    'ReIDHead, the others from the data set, if its pipeline ends with '
                    "PackInputs(algorithm_keys=('pid', 'camid', 'is_query'))"
                )
            feature, *others = (sample[name] for name in NEEDED)
            # Cloned: a view is sent to the main process with its whole batch.
            self.results.append((feature.float().cpu().clone(), *others))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        query, gallery = (_stack(results, is_query) for is_query in (True, False))
        found = evaluate_retrieval(query, gallery)
        report_left_out(found)
        ranks = dict(rank1=found.rank1, rank5=found.rank5, rank10=found.rank10)
        return dict(mAP=found.mean_average_precision, **ranks)


def _stack(results: list[tuple], is_query: bool) -> LabeledFeatures:
    chosen = [result[:3] for result in results if bool(result[3]) == is_query]
    if not chosen:
        kind = 'query' if is_query else 'gallery image'
        raise ValueError(
            f"none of {len(results)} images is a {kind}: test on all of split='test'"
        )
    features, pids, camids = zip(*chosen, strict=True)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    return LabeledFeatures(
        torch.stack(features).to(device),
        torch.tensor(pids, device=device),
        torch.tensor(camids, device=device),
    )
