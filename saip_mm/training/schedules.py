"""Learning-rate schedules and hooks that do not fit a run."""

from mmengine.hooks import EarlyStoppingHook
from mmengine.optim import CosineAnnealingLR, LinearLR, PolyLR
from mmengine.runner import Runner

from ..data.configs import type_name

# Schedules that stay at their first value forever if they last one step, and the
# setting that makes them have no effect.
_STUCK = dict(LinearLR='start_factor', ConstantLR='factor')


def startable(scheduler: object, runner: Runner) -> object:
    """The config of ``param_scheduler`` with schedules that cannot start disabled.

    It is a dict, a list, or one of these by the name of an optimizer. MMEngine never
    ends a ``LinearLR`` of one step, so that the learning rate would stay at its start,
    and refuses schedules that rounding to steps leaves empty, or that end with the run
    and begin after it. They stay in the list, because checkpoints contain the states of
    all schedules. A warning is logged for each warm-up.
    """
    if isinstance(scheduler, list | tuple):
        return [startable(each, runner) for each in scheduler]
    if not isinstance(scheduler, dict):
        return scheduler
    if 'type' not in scheduler:
        return {k: startable(v, runner) for k, v in scheduler.items()}
    kind = type_name(scheduler)
    converted = scheduler.get('convert_to_iter_based', False)
    epoch_length = len(runner.train_dataloader)
    unit = epoch_length if converted else 1
    begin, end = scheduler.get('begin', 0), scheduler.get('end')
    if end is None:
        by_epoch = scheduler.get('by_epoch', True)
        length = runner.max_epochs if by_epoch else runner.max_iters
        return dict(scheduler, end=begin + 1) if begin >= length else scheduler
    if (steps := int(end * unit) - int(begin * unit)) > 1:
        return scheduler
    if converted and steps < 1:
        scheduler = dict(scheduler, end=begin + 1.5 / epoch_length)
    factor = _STUCK.get(kind)
    if factor is None or (factor == 'factor' and not converted):
        return scheduler
    runner.logger.warning(
        f'a {kind} of fewer than two steps, from {begin} to {end}, has no effect: the '
        'learning rate is not warmed up'
    )
    return dict(scheduler, **{factor: 1.0})


def compare_lengths(runner: Runner) -> None:
    """Warn if the learning rate is scheduled for another number of steps."""
    schedules = runner.param_schedulers or ()
    if isinstance(schedules, dict):  # by optimizer
        schedules = sum(schedules.values(), [])
    remedy = (
        'set the end (or T_max) of that param_scheduler to the length of the run, '
        'or omit it'
    )
    if runner.iter:
        remedy = (
            "a resumed run keeps its checkpoint's schedules; for others, start a new "
            'run from its weights with load_from'
        )
    for each in schedules:
        unit = len(runner.train_dataloader) if each.by_epoch else 1
        if isinstance(each, LinearLR) and each.start_factor < each.end_factor:
            end = (each.begin + each.total_iters) * unit
            if 2 * end > runner.max_iters:
                runner.logger.warning(
                    f'the learning rate is warmed up for {end:,} steps, and the '
                    f'training has {runner.max_iters:,}: set the end of that '
                    'param_scheduler to about a tenth of them'
                )
        elif isinstance(each, CosineAnnealingLR | PolyLR):
            length = each.T_max if hasattr(each, 'T_max') else each.total_iters + 1
            end = (each.begin + length) * unit
            if end != runner.max_iters:
                runner.logger.warning(
                    f'the learning rate reaches its minimum after {end:,} steps, but '
                    f'the training has {runner.max_iters:,}: {remedy}'
                )


def name_idle_hooks(runner: Runner) -> None:
    """Warn of hooks that wait for a validation, if there is none."""
    for hook in () if runner.val_loop else runner.hooks:
        best = getattr(hook, 'save_best', None)
        if best or isinstance(hook, EarlyStoppingHook):
            what = f'save_best={best}' if best else 'EarlyStoppingHook'
            runner.logger.warning(
                f'{what} has no effect: it acts after validations, and this training '
                'has none (val_cfg, val_dataloader, val_evaluator)'
            )
