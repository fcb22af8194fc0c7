"""Hooks that disturb their own run at a fixed moment."""

import os
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class KillInSave(Hook):
    """Kills the process before it renames the checkpoint of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if checkpoint['meta']['epoch'] == self.epoch:
            os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module(force=True)
class SignalGroup(Hook):
    """Sends a signal to its process group, including data-loader workers.

    It is sent after training step ``step`` or batch ``batch`` of a validation.
    """

    def __init__(self, number: int, step: int | None = None, batch: int | None = None):
        self.number, self.step, self.batch = number, step, batch

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            os.killpg(0, self.number)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == self.batch:
            os.killpg(0, self.number)
