"""Runs of several processes: how they start, agree and end."""

import atexit
import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.dist import (
    barrier,
    broadcast_object_list,
    is_distributed,
    is_main_process,
)

# What each launcher tells its processes, and how such processes are started.
_LAUNCHERS = {
    'pytorch': (
        ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
        'torchrun; tools/dist_train.sh and tools/dist_test.sh call it',
    ),
    'mpi': (
        (
            'OMPI_COMM_WORLD_RANK',
            'OMPI_COMM_WORLD_SIZE',
            'OMPI_COMM_WORLD_LOCAL_RANK',
            'MASTER_ADDR',
        ),
        "Open MPI's mpirun, with MASTER_ADDR set to the first machine",
    ),
    'slurm': (
        ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
        'srun; tools/slurm_train.sh calls it',
    ),
}


def add_launcher(parser: ArgumentParser) -> None:
    """Add ``--launcher``, for :func:`set_launcher`, to a tool's options."""
    parser.add_argument(
        '--launcher',
        choices=['none', *_LAUNCHERS],
        help='what started this process as one of several; default: what the '
        'environment says',
    )
    # The two spellings of torch.distributed.launch.
    parser.add_argument('--local-rank', '--local_rank', type=int, help=SUPPRESS)


def set_launcher(cfg: Config, args: Namespace) -> None:
    """Set up a config for the launcher that started this process, if any.

    Raises:
        ValueError: If ``--launcher`` names what did not start this process, or what
            needs a GPU where there is none.
    """
    if args.local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher or _find_launcher()
    if cfg.launcher == 'none':
        return
    names, how = _LAUNCHERS[cfg.launcher]
    missing = [name for name in names if name not in os.environ]
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
    if torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs a GPU that PyTorch can use; processes '
            f'on a CPU are started by {_LAUNCHERS["pytorch"][1]}'
        )
    use_cpu_processes(cfg)


def _find_launcher() -> str:
    # torchrun may run within tasks of Slurm, and mpirun starts its daemons as such.
    if all(name in os.environ for name in _LAUNCHERS['pytorch'][0]):
        return 'pytorch'
    if int(os.environ.get('OMPI_COMM_WORLD_SIZE', 1)) > 1:
        return 'mpi'
    return 'slurm' if _slurm_tasks() > 1 else 'none'


def _slurm_tasks() -> int:
    """Number of the tasks that this process is one of; 1 in an interactive shell.

    ``SLURM_NTASKS`` is that of the job: shells of ``salloc`` and batch scripts have it.
    """
    if 'SLURM_PTY_PORT' in os.environ:  # of srun --pty
        return 1
    return int(os.environ.get('SLURM_STEP_NUM_TASKS', 1))


def use_cpu_processes(cfg: Config) -> None:
    """Replace what MMEngine takes for granted of a GPU in several processes."""
    cfg.setdefault('env_cfg', {}).setdefault('dist_cfg', {})['backend'] = 'gloo'
    # Already initialized, MMEngine leaves the process group alone; its own set-up asks
    # for a GPU.
    torch.distributed.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


class Agreement:
    """Tells all processes whether something is true on any of them.

    They communicate through their CPUs, so that none waits for its GPU.
    """

    def __init__(self) -> None:
        self.group = (
            torch.distributed.new_group(backend='gloo') if is_distributed() else None
        )

    def any(self, value: bool) -> bool:
        """Whether ``value`` is true on any process; all of them have to ask."""
        if self.group is None:
            return value
        flag = torch.tensor(int(value))
        torch.distributed.all_reduce(
            flag, torch.distributed.ReduceOp.MAX, group=self.group
        )
        return bool(flag)


def on_main_process(check: Callable, *arguments: object) -> Any:
    """Run a check on the main process; return or raise its outcome on all of them."""
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


@contextmanager
def ending_together() -> Iterator[None]:
    """Makes the processes of a run wait for each other at its end, and ends them.

    One that exits while others still communicate, or save, would make them fail. An
    error ends a process at once. A single process just continues.
    """
    try:
        yield
    except SystemExit as stop:  # told to stop, as all of them are
        _end(stop.code)
        raise
    _end(0)


def _end(status: int) -> None:
    if not is_distributed():
        return
    barrier()
    torch.distributed.destroy_process_group()
    # Python's own end comes next, without its finalization: that stops any thread which
    # then wants the interpreter, and one of gloo that has yet to free a tensor aborts
    # the process ("terminate called without an active exception").
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
