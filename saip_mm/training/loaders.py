"""Data loaders as MMEngine builds them, after a look at what they will load."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from logging import WARNING
from multiprocessing.synchronize import Event

from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..data.checks.files import (
    check_annotations,
    check_images,
    check_places,
    name_files_in_errors,
    places,
)
from .processes import on_main_process


def build_loader(
    dataloader: DataLoader | dict,
    seed: int | None = None,
    diff_rank_seed: bool = False,
) -> DataLoader:
    """Build a data loader as MMEngine does, also one without workers.

    torch refuses settings of workers with ``num_workers=0``; here they have no effect.
    Workers ignore signals that tell a run to stop: schedulers send them to all
    processes, terminals to those in the foreground, and the step has to be finished.
    """
    if isinstance(dataloader, dict) and dataloader.get('num_workers') == 0:
        of_workers = {'persistent_workers', 'prefetch_factor'}
        dataloader = {k: v for k, v in dataloader.items() if k not in of_workers}
    loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
    ended = multiprocessing.Event()
    atexit.register(ended.set)  # before multiprocessing ends workers by SIGTERM
    loader.worker_init_fn = partial(_start_worker, ended, loader.worker_init_fn)
    return loader


def _start_worker(ended: Event, then: Callable | None, worker: int) -> None:
    def leave(*_) -> None:
        if ended.is_set():
            os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if then is not None:
        then(worker)


def build_checked_loader(
    dataloader: DataLoader | dict,
    seed: int | None = None,
    diff_rank_seed: bool = False,
) -> DataLoader:
    """Build a data loader after a look at its files.

    Raises:
        OSError: If some are missing or cannot be read; the first is named.
        ValueError: If there are none, or its library cannot read a record of them.
    """
    if not isinstance(dataloader, dict):
        return dataloader
    config = dataloader['dataset']
    check_places(config)
    lines = on_main_process(check_annotations, config)
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
