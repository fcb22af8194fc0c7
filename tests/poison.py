"""A hook that spoils batches, for configs of tests."""

from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS


@HOOKS.register_module(force=True)
class Poison(Hook):
    """Puts a value that is not finite into the batches of some steps.

    Args:
        steps: Which, from 1.
        rank: On which process only.
    """

    def __init__(self, steps: tuple[int, ...], rank: int = 0) -> None:
        self.steps = steps
        self.rank = rank

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 in self.steps and get_rank() == self.rank:
            views = data_batch['inputs']
            views['globals'] = views['globals'].float().fill_(float('inf'))
