"""Loading checkpoints into a run, and which runner a config is for."""

import re
import signal
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from logging import ERROR, WARNING, FileHandler
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from ..checkpoints.checkpoint import (
    check_finite,
    load_weights,
    read_checkpoint,
    resolve_checkpoint,
)
from ..checkpoints.convert import state_dict_of
from ..data.checks.files import (
    check_annotations,
    check_images,
    check_places,
    check_scores,
    name_files_in_errors,
    places,
)
from .resuming import LaunchHook, choose_checkpoint
from .saving import STOP_SIGNALS, restore_logs


def build_loader(
    dataloader: DataLoader | dict,
    seed: int | None = None,
    diff_rank_seed: bool = False,
) -> DataLoader:
    """Build a data loader as MMEngine does, also one without workers.

    torch refuses settings of workers with ``num_workers=0``; here they have no effect.
    """
    if isinstance(dataloader, dict) and dataloader.get('num_workers') == 0:
        of_workers = {'persistent_workers', 'prefetch_factor'}
        dataloader = {k: v for k, v in dataloader.items() if k not in of_workers}
    return Runner.build_dataloader(dataloader, seed, diff_rank_seed)


class SafeRunner(Runner):
    """MMEngine's runner, which runs nothing that a checkpoint holds.

    It says what is wrong with the data before it begins.
    """

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict,
        seed: int | None = None,
        diff_rank_seed: bool = False,
    ) -> DataLoader:
        """Build a data loader as MMEngine does, after a look at its files.

        Raises:
            OSError: If some are missing or cannot be read; the first is named.
            ValueError: If there are none, or its library cannot read a record of them.
        """
        if not isinstance(dataloader, dict):
            return dataloader
        config = dataloader['dataset']
        check_places(config)
        lines = _on_main_process(check_annotations, config)
        for line in () if config.get('test_mode') else lines:
            print_log(line, 'current', WARNING)
        try:
            loader = build_loader(dataloader, seed, diff_rank_seed)
        except ValueError as error:
            if 'need at least one array' not in str(error):
                raise
            raise ValueError(
                f'{", ".join(map(str, places(config)))}: nothing is left of this data '
                'set. Are there annotations of the classes, and images with the names, '
                'that its config expects?'
            ) from error
        if is_main_process():
            check_images(loader.dataset)
        name_files_in_errors(loader.dataset)
        return loader

    def build_evaluator(self, evaluator: Evaluator | dict | list) -> Evaluator:
        """Build an evaluator as MMEngine does, and check what its metrics have read.

        Raises:
            ValueError: If a metric would fail; the file and the record are named.
        """
        built = super().build_evaluator(evaluator)
        configs = evaluator
        if isinstance(configs, dict):
            configs = configs.get('metrics', configs)
        configs = configs if isinstance(configs, list) else [configs]
        for metric, config in zip(built.metrics, configs, strict=False):
            _on_main_process(check_scores, metric, config)
        return built

    def resume_from(self, resume: str | None) -> None:
        """Let the training go on from a checkpoint, the same on all processes.

        Args:
            resume: See :func:`~saip_mm.training.resuming.choose_checkpoint`; None for
                what the config says with ``resume`` and ``load_from``.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If it is damaged, or not the state of a training.
        """
        if resume is None and self._resume:
            resume = self._load_from or 'auto'
        # A look at all of a file by one process is enough.
        found = _on_main_process(choose_checkpoint, self.work_dir, resume)
        self._resume = found is not None
        if self._resume:
            self._load_from = str(found)

    def train(self) -> nn.Module:
        """Train; what stops the training is in the log file as well."""
        self.register_hook(LaunchHook())
        handlers = {each: signal.getsignal(each) for each in STOP_SIGNALS}
        try:
            return super().train()
        except SystemExit:  # told to stop
            with suppress(OSError):  # the disk may be full
                self.visualizer.close()
            raise
        except BaseException:
            files = [h for h in self.logger.handlers if isinstance(h, FileHandler)]
            record = self.logger.makeRecord(
                self.logger.name, ERROR, __file__, 0, 'stopped', (), sys.exc_info()
            )
            for file in files:  # the terminal gets it anyway
                file.handle(record)
            raise
        finally:  # of hooks, which may not come to their end
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = False,
        revise_keys: Sequence[tuple[str, str]] = ((r'^module\.', ''),),
    ) -> dict:
        """Load what fits of a checkpoint, as MMEngine does; it logs what does not.

        Args:
            filename: File, or work directory; no address to download from.
            map_location: Not used: state goes to the device of what it belongs to.
            strict: Whether names and shapes must be those of the model.
            revise_keys: (pattern, replacement) pairs applied to names.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If it cannot be read safely, or no tensor fits.
        """
        path = resolve_checkpoint(filename)
        checkpoint = _read(path)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        weights = state_dict_of(checkpoint)
        metadata = getattr(weights, '_metadata', OrderedDict())
        for pattern, replacement in revise_keys:
            weights = OrderedDict(
                (re.sub(pattern, replacement, k), v) for k, v in weights.items()
            )
        weights._metadata = metadata
        model = self.model.module if is_model_wrapper(self.model) else self.model
        if isinstance(model, BaseTTAModel):
            model = model.module
        wanted = model.state_dict()
        fitting = [k for k, v in weights.items() if _fits(v, wanted.get(k))]
        if not fitting:
            raise ValueError(
                f'{path}: none of {len(weights)} tensors fits this '
                f'{type(model).__name__}: is it a checkpoint of another model? To '
                'start from a backbone alone, set model.backbone.init_cfg='
                "dict(type='Pretrained', …)"
            )
        try:
            trained = dict(model.named_parameters())
            check_finite({k: weights[k] for k in fitting if k in trained})
            load_state_dict(model, weights, strict, self.logger)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error
        self.logger.info(f'{path}: {len(fitting)} of {len(wanted)} tensors matched')
        self._has_loaded = True
        return checkpoint


class PretrainingRunner(SafeRunner):
    """A runner with checkpoints that load whole or not at all."""

    # PersonImages looks for its files itself, of which there may be millions.
    build_dataloader = staticmethod(build_loader)

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = True,
        revise_keys: list | None = None,
    ) -> dict:
        """Load a training checkpoint, to start or to go on from it.

        Args:
            filename: File, or work directory.
            map_location: Not used: state goes to the device of what it belongs to.
            strict: Not used: a part of a model is never enough.
            revise_keys: Not used: only ``module.`` is removed from names.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If it cannot be read safely or is not of the whole model.
        """
        path = resolve_checkpoint(filename)
        checkpoint = _read(path)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        try:
            report = load_weights(model, state_dict_of(checkpoint))
        except ValueError as error:
            raise ValueError(
                f'{path}: {error}. To start from a backbone alone, set '
                "model.backbone.init_cfg=dict(type='Pretrained', …)"
            ) from error
        self.logger.info(f'{path}: {report}')
        self._has_loaded = True
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = restore_logs(checkpoint['message_hub'])
        return checkpoint


def choose_runner(cfg: Config) -> type[SafeRunner]:
    """The runner for what a config trains.

    Pretraining goes on whole or not at all; a detector, say, often starts from a part.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = MODELS.get(cfg.model.type)
    pretrains = isinstance(model, type) and issubclass(model, BaseSelfSupervisor)
    return PretrainingRunner if pretrains else SafeRunner


def _on_main_process(check: Callable, *arguments: object) -> Any:
    """What a check returns or raises on one process, on all of them."""
    found = [None]
    if is_main_process():
        try:
            found = [check(*arguments)]
        except (OSError, ValueError) as error:
            found = [error]
    broadcast_object_list(found)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _read(path: Path) -> dict:
    checkpoint = read_checkpoint(path)
    # MMEngine would run the text of the config as Python.
    checkpoint.get('meta', {}).pop('config', None)
    return checkpoint


def _fits(tensor: torch.Tensor, wanted: torch.Tensor | None) -> bool:
    return wanted is not None and tensor.shape == wanted.shape
