"""Validations before resumed runs continue, against MMEngine's uninterrupted loops, and
hooks that wait for one."""

from unittest.mock import Mock

import pytest
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch.utils.data import DataLoader

from saip_mm.training.resuming import DueValidationHook
from saip_mm.training.schedules import name_idle_hooks

LENGTH = 7  # epochs, or steps


def loop(kind: type, settings: dict) -> EpochBasedTrainLoop | IterBasedTrainLoop:
    """A loop with as many steps per epoch."""
    return kind(Mock(), DataLoader(range(LENGTH)), LENGTH, **settings)


def validations(kind: type, settings: dict) -> list[int]:
    """Epochs or steps after which an uninterrupted loop validates."""

    class Counting(kind):
        def run_epoch(self) -> None:
            self._epoch += 1

        def run_iter(self, data_batch: object) -> None:
            self._iter += 1

    uninterrupted, found = loop(Counting, settings), []
    uninterrupted.runner.val_loop.run = lambda: found.append(
        max(uninterrupted.epoch, uninterrupted.iter)
    )
    uninterrupted.run()
    return found


def resumed(kind: type, settings: dict, done: int, more: int = 0) -> bool:
    """Whether a run validates that is resumed after ``done`` epochs or steps."""
    train_loop = loop(kind, settings)
    runner = train_loop.runner
    runner.train_loop, runner.train_dataloader = train_loop, train_loop.dataloader
    train_loop._epoch = train_loop._iter = runner.epoch = done
    runner.iter = more + (done if kind is IterBasedTrainLoop else LENGTH * done)
    DueValidationHook().before_train(runner)
    return runner.val_loop.run.called


@pytest.mark.parametrize('kind', [EpochBasedTrainLoop, IterBasedTrainLoop])
@pytest.mark.parametrize(
    'settings, expected',
    [
        (dict(val_begin=3, val_interval=2), [4, 6, 7]),
        (dict(val_begin=1, val_interval=3), [3, 6, 7]),
        (dict(val_interval=1, dynamic_intervals=[(3, 2)]), [1, 2, 4, 6, 7]),
    ],
)
def test_what_was_due_is_validated(kind, settings, expected):
    assert validations(kind, settings) == expected
    found = [done for done in range(LENGTH + 1) if resumed(kind, settings, done)]
    assert found == expected


def test_nothing_is_due_within_an_epoch():
    assert resumed(EpochBasedTrainLoop, dict(val_interval=1), 2)
    assert not resumed(EpochBasedTrainLoop, dict(val_interval=1), 2, more=1)


def test_hooks_that_wait_in_vain_for_a_validation_are_named():
    hooks = [
        CheckpointHook(save_best='AP', rule='greater'),
        CheckpointHook(),
        EarlyStoppingHook('loss'),
    ]
    runner = Mock(hooks=hooks)
    name_idle_hooks(runner)
    runner.logger.warning.assert_not_called()
    runner.val_loop = None
    name_idle_hooks(runner)
    said = [call.args[0] for call in runner.logger.warning.call_args_list]
    assert [text.partition(' has no effect')[0] for text in said] == [
        "save_best=['AP']",
        'EarlyStoppingHook',
    ]
