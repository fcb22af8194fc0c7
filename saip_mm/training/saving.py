"""Atomic checkpoints, and saving on signals."""

import math
import os
import signal
import threading
import time
from copy import copy
from logging import ERROR, WARNING
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import is_main_process, master_only
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from ..checkpoints.files import saved_checkpoints
from ..checkpoints.teachers import DISTILLED_FROM
from ..files import atomic_write, write_text
from .batches import done_in_epoch
from .processes import Agreement

# Exit status of a run that was stopped by a signal and can be resumed.
INTERRUPTED = 75  # EX_TEMPFAIL
# Arguments of CheckpointHook for locations and names of checkpoints.
FIXED = {'out_dir', 'filename_tmpl', 'file_client_args', 'backend_args'}
# Windows, where backbones can be loaded, has no SIGUSR1 and no SIGHUP.
STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ('SIGTERM', 'SIGUSR1', 'SIGHUP', 'SIGINT')
    if hasattr(signal, name)
)


@register_backend('local', force=True, prefixes='')
class AtomicBackend(LocalBackend):
    """MMEngine's backend for local files, with atomic writing of checkpoints and text.

    Replaces ``LocalBackend`` on import, so that everything that saves through MMEngine
    uses it, such as the stock ``CheckpointHook``.
    """

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        if Path(filepath).suffix != '.pth':
            return super().put(obj, filepath)
        with atomic_write(filepath) as partial:
            partial.write_bytes(obj)

    def put_text(
        self, obj: str, filepath: str | os.PathLike, encoding: str = 'utf-8'
    ) -> None:
        # All processes of a test write the same file of metrics.
        with atomic_write(filepath) as partial:
            partial.write_text(obj, encoding=encoding)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, for runs that may be killed or interrupted.

    - Older checkpoints are removed only after a new one is on disk.
    - If a checkpoint cannot be written, for example on a full disk, an error is logged
      and the run continues. After ``max_failures`` in a row, or if the final state
      could not be saved, the run exits with status 1.
    - On SIGTERM, SIGUSR1, SIGHUP (a lost terminal) or Ctrl-C (SIGINT), the run finishes
      its step (with several processes, the next one), saves, and exits with status 75,
      or 1 if saving failed. A second Ctrl-C exits immediately.
    - Checkpoints within an epoch (``epoch_3_iter_700.pth``: step 700, in epoch 4) are
      resumed with the remaining batches of the epoch.

    Args:
        minutes: Time after which a checkpoint is saved, in addition to the interval.
        max_failures: Consecutive failures to save that end the run.
        options: Arguments of ``CheckpointHook``, except for locations and names:
            checkpoints are in the work directory, where ``--resume`` looks for them.
    """

    agreement: Agreement | None = None  # None outside of training

    def __init__(
        self, minutes: float = math.inf, max_failures: int = 3, **options
    ) -> None:
        super().__init__(**options)
        # CheckpointHook itself rejects unknown arguments only when it first saves.
        if refused := {*self.args, *FIXED.intersection(options)}:
            raise TypeError(f'SafeCheckpointHook has no argument {min(refused)!r}')
        if max_failures < 1 or minutes <= 0:
            raise ValueError(
                f'max_failures={max_failures} should be at least 1, minutes={minutes} '
                'more than 0'
            )
        self.seconds = 60 * minutes
        self.max_failures = max_failures

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        logs = checkpoint.get('message_hub', {}).get('log_scalars', {})
        for name, values in logs.items():
            if isinstance(values, list):  # otherwise saved by CheckpointHook
                logs[name] = HistoryBuffer(*(each.numpy() for each in values))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write logs as plain data, which PyTorch reads without MMEngine."""
        hub, info = checkpoint['message_hub'], checkpoint['message_hub']['runtime_info']
        hub['log_scalars'] = {
            name: [torch.from_numpy(np.array(each)) for each in buffer.data]
            for name, buffer in hub['log_scalars'].items()
        }
        hub['runtime_info'] = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in info.items()
        }
        if DISTILLED_FROM in info:  # exports state it
            checkpoint['meta'][DISTILLED_FROM] = info[DISTILLED_FROM]

    def before_train(self, runner: Runner) -> None:
        self.saved_at = time.monotonic()
        self.saved_step = None
        self.stop_by = None
        self.failures = 0  # of saving, in a row
        self.agreement = Agreement()
        self.handlers = {}
        in_main_thread = threading.current_thread() is threading.main_thread()
        for number in STOP_SIGNALS if in_main_thread else ():  # others cannot set them
            # Shells let background jobs ignore Ctrl-C, and nohup SIGHUP.
            if signal.getsignal(number) != signal.SIG_IGN:
                self.handlers[number] = signal.signal(number, self._remember)
        if is_main_process():
            for partial in Path(runner.work_dir).glob('.*.partial'):
                partial.unlink()  # of a run killed while saving
        info = runner.message_hub.runtime_info
        for name in [name for name in info if name.startswith('best_ckpt')]:
            # In a copied folder, the path is that of the original, which must remain.
            here = Path(runner.work_dir, Path(info.pop(name)).name)
            if here.exists():
                info[name] = str(here)
        super().before_train(runner)
        self.outdated: list[str] = []  # removed once a better one is on disk
        self.file_backend = copy(self.file_backend)
        self.file_backend.remove = self.outdated.append

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None
    ) -> None:
        # Here processes wait for one that saves, or lacks images; within the step, NCCL
        # would give up earlier.
        self.stopping = self._is_asked()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        alone = self.agreement.group is None
        if alone or self.end_of_epoch(runner.train_dataloader, batch_idx):
            self.stopping = self._is_asked()
        if self.stopping:
            self._stop(runner, runner.iter + 1)
        # Only the main process saves, by its own clock, without waiting for others.
        if time.monotonic() - self.saved_at > self.seconds:
            self._save(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        if self.agreement and self._is_asked():
            self._stop_validating(runner)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        # Processes may validate on different numbers of batches.
        if self.agreement and self.agreement.group is None and self._is_asked():
            self._stop_validating(runner)

    def after_train(self, runner: Runner) -> None:
        super().after_train(runner)
        for number, handler in self.handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if self.failures:
            runner.logger.error(f'the final state could not be saved. {self._remedy()}')
            raise SystemExit(1)

    def _remember(self, number: int, frame: object) -> None:
        self.stop_by = signal.Signals(number)
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)  # a second one exits
            if is_main_process():
                os.write(2, b'Saving after this step; press Ctrl-C again to exit now\n')

    def _is_asked(self) -> bool:
        """Whether a signal to any process, or failures to save, should end the run."""
        hopeless = self.failures >= self.max_failures
        return self.agreement.any(hopeless or self.stop_by is not None)

    def _stop_validating(self, runner: Runner) -> None:
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):  # validates averaged weights
                hook.after_val_epoch(runner)
        self._stop(runner, runner.iter)

    def _stop(self, runner: Runner, step: int) -> None:
        """Save and exit, in all processes."""
        cause = 'a signal to another process, or its failures to save'
        if self.failures >= self.max_failures:
            cause = f'{self.failures} consecutive failures to save a checkpoint'
        else:
            self._save(runner, step)
            cause = self.stop_by.name if self.stop_by else cause
        lost = self.agreement.any(self.failures > 0)
        outcome = 'rerun with --resume to continue'
        if lost:
            outcome = f'its state could not be saved. {self._remedy()}'
        level = ERROR if lost else WARNING
        runner.logger.log(level, f'stopped by {cause} after step {step}; {outcome}')
        raise SystemExit(1 if lost else INTERRUPTED)

    def _remedy(self) -> str:
        """How to continue after failing to save."""
        if saved := saved_checkpoints(self.out_dir):
            return f'Free disk space and rerun with --resume, from {saved[0]}'
        return 'Free disk space, and start again: there is no earlier checkpoint'

    def _save(self, runner: Runner, step: int) -> None:
        """Save the state after ``step`` steps in total, unless just saved."""
        if step == self.saved_step:
            return
        name = step
        if self.by_epoch:
            within = f'_iter_{step}' if done_in_epoch(runner, step) else ''
            name = f'{runner.epoch}{within}'
        meta = dict(epoch=runner.epoch, iter=step)
        self._save_checkpoint_with_step(runner, name, meta)

    @master_only
    def _save_checkpoint_with_step(
        self, runner: Runner, step: int | str, meta: dict
    ) -> None:
        path = Path(self.out_dir, self.filename_tmpl.format(step))
        self.last_ckpt = str(path)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        try:
            runner.save_checkpoint(
                self.out_dir,
                path.name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
            )
        except OSError as error:
            self.failures += 1
            runner.logger.error(
                f'{path} was not saved ({error}), consecutive failure {self.failures} '
                f'of {self.max_failures}; earlier checkpoints are kept. Free disk '
                'space before the next one is due'
            )
            return
        finally:
            self.saved_at = time.monotonic()
        self.failures, self.saved_step = 0, meta['iter']
        runner.logger.info(f'Saved {path}')
        try:
            write_text(Path(runner.work_dir, 'last_checkpoint'), str(path))
            if self.max_keep_ckpts > 0:
                others = [p for p in saved_checkpoints(path.parent) if p != path]
                for old in others[self.max_keep_ckpts - 1 :]:
                    old.unlink()
        except OSError as error:
            runner.logger.error(
                f'{path.parent}: could not write last_checkpoint or remove an old '
                f'checkpoint ({error})'
            )

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        info = runner.message_hub.runtime_info
        records = [vars(self), info]
        before = [_best_of(record) for record in records]
        try:
            super()._save_best_checkpoint(runner, metrics)
        except OSError as error:
            text = f'the best checkpoint so far was not saved ({error})'
            runner.logger.error(text)
            # The next one is compared with what is on disk.
            for record, saved in zip(records, before, strict=True):
                for name in _best_of(record).keys() - saved.keys():
                    del record[name]
                record.update(saved)
        else:
            best = {info[name] for name in info if name.startswith('best_ckpt')}
            for path in set(self.outdated) - best:
                Path(path).unlink(missing_ok=True)
        self.outdated.clear()


def _best_of(record: dict) -> dict:
    """Scores and paths of the best checkpoints."""
    return {name: copy(record[name]) for name in record if name.startswith('best_')}
