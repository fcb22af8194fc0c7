"""MMEngine's data loaders, with checks of their data."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Event

from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch.multiprocessing import get_sharing_strategy
from torch.utils.data import DataLoader

from ..data.checks import (
    check_images,
    check_keypoints,
    check_paths,
    check_records,
    name_files_in_errors,
    paths_in,
)
from ..data.concat import holds_people
from .saving import STOP_SIGNALS

# Errors of libraries that are given other annotations than they expect.
_MALFORMED = (ArithmeticError, AssertionError, AttributeError, LookupError)
_MALFORMED += (TypeError, ValueError)


def build_loader(
    dataloader: DataLoader | dict,
    seed: int | None = None,
    diff_rank_seed: bool = False,
) -> DataLoader:
    """Build a data loader as MMEngine does, with or without workers.

    With ``num_workers=0``, settings of workers have no effect (torch rejects them).
    Workers ignore stop signals, which schedulers and terminals send to all processes,
    because the step has to be finished.
    """
    if isinstance(dataloader, dict):
        dataloader = dict(dataloader)
        if dataloader.get('num_workers') == 0:
            dataloader.pop('persistent_workers', None)
            dataloader.pop('prefetch_factor', None)
        if isinstance(dataloader.get('collate_fn'), dict):
            # Bases such as 'mmpretrain::…' add a scope, which MMEngine would pass on.
            collate = dataloader['collate_fn'].items()
            dataloader['collate_fn'] = {k: v for k, v in collate if k != '_scope_'}
        if get_device() == 'cpu':
            dataloader['pin_memory'] = False  # else PyTorch warns
    loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
    if not loader.num_workers:
        return loader
    if get_sharing_strategy() == 'file_descriptor':  # PyTorch's on Linux only
        _allow_open_files()
    ended = (loader.multiprocessing_context or multiprocessing).Event()
    atexit.register(ended.set)  # before multiprocessing sends SIGTERM to workers
    loader.worker_init_fn = partial(_start_worker, ended, loader.worker_init_fn)
    return loader


def _allow_open_files() -> None:
    """Raise the limit of open files, of which each tensor in a queue is one.

    A worker that may not open another one loses its batch, for which the run would wait
    forever.
    """
    import resource  # not on Windows

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _start_worker(ended: Event, then: Callable | None, worker: int) -> None:
    def leave(*_) -> None:
        if ended.is_set():
            os._exit(0)

    for number in STOP_SIGNALS:
        signal.signal(number, leave if number == signal.SIGTERM else signal.SIG_IGN)
    if then is not None:
        then(worker)


def _name(dataset: dict) -> str:
    files = ', '.join(map(str, paths_in(dataset)))
    return files or dataset.get('data_root') or dataset['type']


def build_checked_loader(
    dataloader: DataLoader | dict,
    seed: int | None = None,
    diff_rank_seed: bool = False,
) -> DataLoader:
    """Build a data loader after checking its files.

    Data sets of people, with possibly millions of images, check files themselves.
    """
    if not isinstance(dataloader, dict) or holds_people(dataloader['dataset']):
        return build_loader(dataloader, seed, diff_rank_seed)
    config = dataloader['dataset']
    if holds_people(config.get('dataset')):
        raise TypeError(
            f'{config["type"]} cannot hold a data set of people: use that itself, or '
            'list it several times in a ConcatDataset'
        )
    check_paths(config)
    try:
        check_keypoints(config)
        loader = build_loader(dataloader, seed, diff_rank_seed)
    except _MALFORMED as error:
        files = list(paths_in(config))
        named = any(path.is_file() and str(path) in str(error) for path in files)
        if isinstance(error, ValueError) and (named or not files):
            raise
        check_records(config)
        raise ValueError(
            f'the data set {_name(config)} cannot be loaded '
            f'({type(error).__name__}: {error}). Do the annotations have the format, '
            'class names and image names that its config expects?'
        ) from error
    if not len(loader):
        raise ValueError(
            f'{len(loader.dataset)} samples of {_name(config)} do not fill a batch of '
            f'{loader.batch_size} per process: reduce batch_size of the data loader'
        )
    if is_main_process():
        check_images(loader.dataset)
    name_files_in_errors(loader.dataset)
    return loader
