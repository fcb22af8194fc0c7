"""Gradients of the objectives with respect to the parameters that they share."""

from itertools import combinations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ..models import SAIP
from ..models.saip import WEIGHTED
from .processes import unwrap_model

LOSSES = WEIGHTED | dict(
    distillation=('loss_distill_class', 'loss_distill_patch', 'loss_distill_attn')
)


@HOOKS.register_module()
class ObjectiveGradients(Hook):
    """Logs how strongly each objective changes the parameters that all of them share.

    Sends to the visualizer the norm of each objective's gradient with respect to the
    parameters that all objectives reach, as ``gradient/matching`` and so on, and the
    cosine of each pair, as ``gradient/cos_matching_search``. If one norm is many times
    another, the sum of the losses follows that objective: change
    ``SAIP(loss_weights=…)``. Training stays bit-identical, except that batch norms see
    a batch once more.

    Args:
        interval: In steps; each measurement costs about one more step, of the first
            micro-batch. The main process logs its gradients; the others compute theirs
            because synchronized batch norms need all processes.
    """

    def __init__(self, interval: int = 100) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval}: give at least 1 step')
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        if not isinstance(model, SAIP):
            raise TypeError(
                f'ObjectiveGradients compares objectives of SAIP, which a '
                f'{type(model).__name__} does not have: remove it from custom_hooks'
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        if runner.iter % self.interval:
            return
        model = unwrap_model(runner.model)
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with (
            torch.random.fork_rng(devices),
            runner.optim_wrapper.optim_context(runner.model),
        ):
            (data_batch, *_) = runner.train_loop.split(data_batch)
            data = model.data_preprocessor(data_batch, True)
            gradients = shared_gradients(model, model.loss(**data))
        runner.visualizer.add_scalars(compare_gradients(gradients), step=runner.iter)


def shared_gradients(model: SAIP, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradients [P] of the model's objectives by the parameters that all of them reach.

    The losses are weighted, as in training; ``grad`` of parameters does not change.
    """
    parameters = [each for each in model.parameters() if each.requires_grad]
    found = {}
    for objective, names in LOSSES.items():
        if present := [losses[name] for name in names if name in losses]:
            found[objective] = torch.autograd.grad(
                sum(present), parameters, retain_graph=True, allow_unused=True
            )
    shared = [
        index
        for index in range(len(parameters))
        if all(gradients[index] is not None for gradients in found.values())
    ]
    return {
        objective: torch.cat([gradients[index].flatten() for index in shared])
        for objective, gradients in found.items()
    }


def compare_gradients(gradients: dict[str, Tensor]) -> dict[str, float]:
    """Norms and cosines of gradients [P]; see :class:`ObjectiveGradients`."""
    scores = {f'gradient/{name}': each.norm() for name, each in gradients.items()}
    for (a, first), (b, second) in combinations(gradients.items(), 2):
        scores[f'gradient/cos_{a}_{b}'] = cosine_similarity(first, second, dim=0)
    return {name: score.item() for name, score in scores.items()}
