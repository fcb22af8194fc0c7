"""A hook by which a run kills itself while it saves a checkpoint."""

import os
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module(force=True)
class KillInSave(Hook):
    """Kills the process between writing a checkpoint and renaming it.

    Args:
        epoch: The epoch whose checkpoint this is to be.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if checkpoint['meta']['epoch'] == self.epoch:
            os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
