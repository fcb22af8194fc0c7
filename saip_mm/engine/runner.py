"""Loading checkpoints into a run, and which runner a config is for."""

import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from logging import ERROR, WARNING, FileHandler
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import nn
from torch.utils.data import DataLoader

from .checkpoint import load_weights, read_checkpoint, resolve_checkpoint
from .convert import state_dict_of
from .data_check import check_images, check_places, places, useless_annotations
from .resuming import LaunchHook, choose_checkpoint
from .saving import restore_logs


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
        """Build a data loader as MMEngine does, and look whether its files are there.

        Raises:
            FileNotFoundError: If some are missing; the first is named.
            ValueError: If there are none.
        """
        if not isinstance(dataloader, dict):
            return dataloader
        config = dataloader['dataset']
        check_places(config)
        if is_main_process() and not config.get('test_mode'):
            for line in useless_annotations(config):
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
        return loader

    def go_on_from(self, resume: str | None) -> None:
        """Let the training go on from a checkpoint, the same on all processes.

        Args:
            resume: See :func:`~saip_mm.engine.resuming.choose_checkpoint`; None for
                what the config says with ``resume`` and ``load_from``.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
            ValueError: If it is damaged, or not the state of a training.
        """
        if resume is None and self._resume:
            resume = self._load_from or 'auto'
        found = [None]
        if is_main_process():  # a look at all of a file is enough
            try:
                found = [choose_checkpoint(self.work_dir, resume)]
            except (OSError, ValueError) as error:
                found = [error]
        broadcast_object_list(found)
        if isinstance(found[0], Exception):
            raise found[0]
        self._resume = found[0] is not None
        if self._resume:
            self._load_from = str(found[0])

    def train(self) -> nn.Module:
        """Train; what stops the training is in the log file as well."""
        self.register_hook(LaunchHook())
        try:
            return super().train()
        except SystemExit:
            raise
        except BaseException:
            files = [h for h in self.logger.handlers if isinstance(h, FileHandler)]
            record = self.logger.makeRecord(
                self.logger.name, ERROR, __file__, 0, 'stopped', (), sys.exc_info()
            )
            for file in files:  # the terminal gets it anyway
                file.handle(record)
            raise

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
        load_state_dict(model, weights, strict, self.logger)
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
            raise ValueError(f'{path}: {error}') from error
        # Mean and std come from the config; converted checkpoints have none.
        if any(not name.startswith('data_preprocessor.') for name in report.missing):
            raise ValueError(
                f'{path} is not of the whole model: {report}. To start from a backbone '
                "alone, set model.backbone.init_cfg=dict(type='Pretrained', …)"
            )
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


def use_cpu_processes(cfg: Config) -> None:
    """Replace what MMEngine takes for granted of a GPU in several processes."""
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {})['backend'] = 'gloo'
    # Already initialised, MMEngine leaves the process group alone; its own set-up asks
    # for a GPU.
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


def _read(path: Path) -> dict:
    checkpoint = read_checkpoint(path)
    # MMEngine would run the text of the config as Python.
    checkpoint.get('meta', {}).pop('config', None)
    return checkpoint


def _fits(tensor: torch.Tensor, wanted: torch.Tensor | None) -> bool:
    return wanted is not None and tensor.shape == wanted.shape
