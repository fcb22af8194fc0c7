"""Multi-process runs: launchers, agreement and common exit."""

import atexit
import os
import sys
import warnings
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.dist import (
    all_reduce,
    barrier,
    broadcast_object_list,
    is_distributed,
    is_main_process,
)
from mmengine.model import is_model_wrapper
from torch import nn

# How to use each launcher, and the environment variables that it sets.
_LAUNCHERS = dict(
    pytorch='torchrun; tools/dist_train.sh and tools/dist_test.sh call it',
    mpi="Open MPI's mpirun, with MASTER_ADDR set to the first machine",
    slurm='srun; tools/slurm_train.sh calls it',
)
_OMPI = 'OMPI_COMM_WORLD_'
_VARIABLES = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    mpi=(f'{_OMPI}RANK', f'{_OMPI}SIZE', f'{_OMPI}LOCAL_RANK', 'MASTER_ADDR'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
)
_LOCAL_RANK = dict(
    pytorch='LOCAL_RANK', mpi=f'{_OMPI}LOCAL_RANK', slurm='SLURM_LOCALID'
)


def add_launcher(parser: ArgumentParser) -> None:
    """Add ``--launcher``, for :func:`set_launcher`, to a tool's options."""
    parser.add_argument(
        '--launcher',
        choices=['none', *_LAUNCHERS],
        help='launcher of this process (default: from the environment)',
    )
    # The two spellings of torch.distributed.launch.
    parser.add_argument('--local-rank', '--local_rank', type=int, help=SUPPRESS)


def set_launcher(cfg: Config, args: Namespace) -> None:
    """Set up a config for the launcher that started this process, if any.

    Raises:
        ValueError: If this process was not started by ``args.launcher``, or a launcher
            other than torchrun has no GPU.
    """
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher or _find_launcher()
    if cfg.launcher == 'none':
        return
    # Some convolutions lay out their gradients differently; copying these costs little.
    warnings.filterwarnings('ignore', 'Grad strides do not match bucket view strides')
    # Older versions of PyTorch, and MMEngine, only have this name.
    warnings.filterwarnings('ignore', '`broadcast_buffers` is deprecated')
    how = _LAUNCHERS[cfg.launcher]
    missing = [each for each in _VARIABLES[cfg.launcher] if each not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {cfg.launcher} is for processes started by {how}: '
            f'{missing[0]} is not set'
        )
    if cfg.launcher == 'slurm' and _slurm_tasks() < int(os.environ['SLURM_NTASKS']):
        raise ValueError(
            f'--launcher slurm is for tasks started by {how}; this is a shell or a '
            'batch script of a job with several tasks'
        )
    if cfg.launcher == 'slurm':  # MMEngine's own port is the same for all jobs
        port = 20_000 + int(os.environ['SLURM_JOB_ID']) % 10_000
        os.environ.setdefault('MASTER_PORT', str(port))
        if torch.cuda.device_count() == 1:  # Slurm may show each task its own GPU only
            os.environ['SLURM_LOCALID'] = '0'
    if torch.cuda.is_available():
        _require_gpu(cfg.launcher)
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs a GPU that PyTorch can use; processes '
            f'on a CPU are started by {_LAUNCHERS["pytorch"]}'
        )
    use_cpu_processes(cfg)


def _require_gpu(launcher: str) -> None:
    """Raise ValueError if there are fewer GPUs than processes on this machine."""
    number = int(os.environ.get(_LOCAL_RANK[launcher], 0))
    if number >= (count := torch.cuda.device_count()):
        raise ValueError(
            f'process {number} of this machine has no GPU, because PyTorch sees only '
            f'{count}: start at most as many processes, or set CUDA_VISIBLE_DEVICES'
        )


def _find_launcher() -> str:
    # torchrun may run in Slurm tasks, and mpirun starts its daemons as Slurm tasks.
    if all(name in os.environ for name in _VARIABLES['pytorch']):
        return 'pytorch'
    if int(os.environ.get(f'{_OMPI}SIZE', 1)) > 1:
        return 'mpi'
    return 'slurm' if _slurm_tasks() > 1 else 'none'


def _slurm_tasks() -> int:
    """Number of tasks of this job step; 1 in an interactive shell.

    ``SLURM_NTASKS`` counts the tasks of the whole job, and is also set in ``salloc``
    shells and batch scripts.
    """
    if 'SLURM_PTY_PORT' in os.environ:  # set by srun --pty
        return 1
    return int(os.environ.get('SLURM_STEP_NUM_TASKS', 1))


def use_cpu_processes(cfg: Config) -> None:
    """Replace MMEngine's settings for several processes that need a GPU."""
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {})['backend'] = 'gloo'
    # MMEngine keeps an initialized process group; its own initialization needs a GPU.
    torch.distributed.init_process_group(backend='gloo')
    cfg.sync_bn = None  # PyTorch's needs a GPU
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model itself, without the wrapper of distributed training."""
    return model.module if is_model_wrapper(model) else model


class Agreement:
    """Tells all processes whether a condition is true in any of them.

    Communicates between CPUs, so that no process waits for its GPU. Waits for up to two
    hours: NCCL would end a run if one process were busy for ten minutes.
    """

    def __init__(self) -> None:
        self.group = None
        if is_distributed():
            self.group = torch.distributed.new_group(
                backend='gloo', timeout=timedelta(hours=2)
            )

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true in any process; must be called by all."""
        if self.group is None:
            return value
        flag = torch.tensor(int(value))
        all_reduce(flag, 'max', self.group)
        return bool(flag)


def on_main_process(check: Callable, *arguments: object) -> Any:
    """Run a check in the main process; return or raise its outcome in all."""
    found, unexpected = [None], None
    if is_main_process():
        try:
            found = [check(*arguments)]
        except (OSError, ValueError) as error:
            found = [error]
        except Exception as error:  # noqa: BLE001  (the others wait)
            found = [RuntimeError(f'{type(error).__name__}: {error}')]
            unexpected = error
    broadcast_object_list(found)
    if unexpected:
        raise unexpected
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


@contextmanager
def exit_together() -> Iterator[None]:
    """Make all processes of a run wait for each other, then exit.

    A process that exits while others communicate or save would make them fail. After
    errors other than SystemExit, a process does not wait. A single process continues.
    """
    try:
        yield
    except SystemExit as stop:  # stopped by a signal, like all others
        _end(stop.code)
        raise
    _end(0)


def _end(status: int) -> None:
    if not is_distributed():
        return
    barrier()
    torch.distributed.destroy_process_group()
    # Exit without finalizing the interpreter: finalization stops threads that need it,
    # and a gloo thread that has yet to free a tensor would then abort the process
    # ("terminate called without an active exception").
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
