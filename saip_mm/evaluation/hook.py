"""Probes during training."""

import time

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from .data import ProbeSizes
from .run import run_probes
from .subject import teacher_of


@HOOKS.register_module()
class ProbeHook(Hook):
    """Probes the teacher before training, every so many epochs, and at the end.

    The people are drawn, whatever the training images are. Scores are logged and go to
    the visualizer as ``probe/…``. Training is the same to the bit with and without this
    hook; a probe that fails is a warning, no more.

    Args:
        interval: In epochs; 0 for no probes at all.
        sizes: Numbers of people other than those of :class:`ProbeSizes`.
    """

    priority = 'LOWEST'  # after the checkpoint of the epoch is saved

    def __init__(self, interval: int = 10, sizes: dict | None = None) -> None:
        if interval < 0:
            raise ValueError(f'interval={interval}: give 0 (no probes) or more epochs')
        self.interval = interval
        self.sizes = ProbeSizes(**(sizes or {}))
        self.subject = None

    def before_train(self, runner: Runner) -> None:
        if runner.iter == 0 and self.interval:
            runner.logger.info(
                'probing the initial teacher before the first step; this may take '
                'minutes on a CPU. default_hooks.probe.interval=0 trains without probes'
            )
            self.probe(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        last = self.interval and self.is_last_train_epoch(runner)
        if last or self.every_n_epochs(runner, self.interval):
            runner.logger.info(f'probing the teacher after {runner.iter} steps')
            self.probe(runner)

    @master_only
    def probe(self, runner: Runner) -> None:
        """Probe now, whatever happens."""
        began = time.monotonic()
        try:
            if self.subject is None:
                wrapped = is_model_wrapper(runner.model)
                model = runner.model.module if wrapped else runner.model
                dataset = runner.cfg.train_dataloader.dataset
                self.subject = teacher_of(model, dataset)
            scores = run_probes(self.subject, self.sizes)
        except Exception as error:  # a week of training is worth more
            runner.logger.warning(
                f'the probes failed after {runner.iter} steps, and training goes on: '
                f'{type(error).__name__}: {error}'
            )
            return
        text = ', '.join(f'{name} {score:.4f}' for name, score in scores.items())
        runner.logger.info(
            f'probes on drawn people after {runner.iter} steps '
            f'({time.monotonic() - began:.0f} s): {text}'
        )
        named = {f'probe/{name}': score for name, score in scores.items()}
        runner.visualizer.add_scalars(named, step=runner.iter)
