"""Probes during training."""

import time

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import HOOKS

from ..training.processes import Agreement, unwrap_model
from .drawn import ProbeSizes, run_probes
from .real import RealPeople, probe_real
from .subject import subject_of


@HOOKS.register_module()
class ProbeHook(Hook):
    """Probes the teacher (with algorithms other than SAIP, the backbone) before
    training, at intervals, and at the end.

    Scores are logged and sent to the visualizer as ``probe/…``. Training stays
    bit-identical, and a failed probe only logs a warning.

    Args:
        interval: In epochs; 0 disables probes.
        sizes: Numbers that differ from the defaults of :class:`ProbeSizes`.
        real: Photographs to probe on instead of drawn people: arguments of
            :class:`~saip_mm.evaluation.real.RealPeople`.
    """

    priority = 'LOWEST'  # after the checkpoint of the epoch is saved

    def __init__(
        self, interval: int = 10, sizes: dict | None = None, real: dict | None = None
    ) -> None:
        if interval < 0:
            raise ValueError(f'interval={interval}: give 0 (no probes) or more epochs')
        self.interval = interval
        self.sizes = ProbeSizes(**(sizes or {}))
        self.real = RealPeople(**(real or {}))
        self.subject = None

    def before_train(self, runner: Runner) -> None:
        self.agreement = Agreement()
        if runner.iter == 0 and self.interval:
            runner.logger.info(
                'probing the initial model before the first step; this may take '
                'minutes on a CPU. default_hooks.probe.interval=0 disables probes'
            )
            self.probe(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        last = self.interval and self.is_last_train_epoch(runner)
        if last or self.every_n_epochs(runner, self.interval):
            self.probe(runner)

    def probe(self, runner: Runner) -> None:
        """Probe now, in the main process; errors are logged."""
        if is_main_process():
            model = unwrap_model(runner.model)
            training = model.training
            try:
                self._probe(runner, model.eval())
            except Exception as error:  # must not end a long run
                runner.logger.warning(
                    f'the probes failed after {runner.iter} steps; training continues: '
                    f'{type(error).__name__}: {error}'
                )
            model.train(training)
        self.agreement.any(False)  # the others wait

    def _probe(self, runner: Runner, model: BaseSelfSupervisor) -> None:
        began = time.monotonic()
        if self.subject is None or self.subject.model is None:
            self.subject = subject_of(model, runner.cfg.train_dataloader.dataset)
        scores = {} if self.real else run_probes(self.subject, self.sizes)
        for found in probe_real(self.subject, self.real):
            scores |= found
        text = ', '.join(f'{name} {score:.4f}' for name, score in scores.items())
        people = 'photographs' if self.real else 'drawn people'
        runner.logger.info(
            f'probes on {people} after {runner.iter} steps '
            f'({time.monotonic() - began:.0f} s): {text}'
        )
        named = {f'probe/{name}': score for name, score in scores.items()}
        runner.visualizer.add_scalars(named, step=runner.iter)
