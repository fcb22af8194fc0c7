"""Launchers of several processes, and their common exit."""

import os
from argparse import ArgumentParser

import pytest
import torch
from launch import python
from mmengine.config import Config

from saip_mm.training import processes
from saip_mm.training.processes import add_launcher, set_launcher

TORCHRUN = dict(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1')
MPI = dict(
    OMPI_COMM_WORLD_RANK='1', OMPI_COMM_WORLD_SIZE='2', OMPI_COMM_WORLD_LOCAL_RANK='1'
)
# See the manual pages of salloc, sbatch and srun.
ALLOCATION = dict(SLURM_JOB_ID='7', SLURM_NTASKS='8', SLURM_NODELIST='n[1-2]')
BATCH = dict(ALLOCATION, SLURM_PROCID='0', SLURM_LOCALID='0')
TASK = dict(BATCH, SLURM_STEP_ID='0', SLURM_STEP_NUM_TASKS='8', SLURM_PROCID='5')
ONE_TASK = dict(TASK, SLURM_STEP_NUM_TASKS='1', SLURM_NTASKS='1', SLURM_PROCID='0')
SHELL_OF_STEP = dict(BATCH, SLURM_STEP_ID='4294967290', SLURM_STEP_NUM_TASKS='1')
PTY = dict(TASK, SLURM_PTY_PORT='40000', SLURM_PROCID='0')


@pytest.fixture
def launcher(monkeypatch):
    """The launcher of a config, by arguments and an environment."""
    names = {*TORCHRUN, *MPI, *TASK, *PTY, 'MASTER_ADDR', 'MASTER_PORT'}
    for name in names:
        monkeypatch.setenv(name, '')  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 8)

    def launcher(environment: dict, *arguments: str) -> str:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        parser = ArgumentParser()
        add_launcher(parser)
        cfg = Config()
        set_launcher(cfg, parser.parse_args(arguments))
        return cfg.launcher

    return launcher


@pytest.mark.parametrize(
    'environment, expected',
    [
        ({}, 'none'),
        (dict(WORLD_SIZE='1'), 'none'),
        (TORCHRUN, 'pytorch'),
        (dict(MPI, MASTER_ADDR='n1'), 'mpi'),
        (TASK, 'slurm'),
        (ONE_TASK | TORCHRUN, 'pytorch'),
        (TASK | MPI | dict(MASTER_ADDR='n1'), 'mpi'),
        *[(each, 'none') for each in (ALLOCATION, BATCH, ONE_TASK, SHELL_OF_STEP, PTY)],
    ],
)
def test_the_launcher_is_found_in_the_environment(environment, expected, launcher):
    assert launcher(environment) == expected
    assert launcher(environment, '--launcher', 'none') == 'none'


@pytest.mark.parametrize('option', ['--local-rank=1', '--local_rank=1'])
def test_the_rank_of_torch_distributed_launch(option, launcher):
    assert launcher(dict(RANK='1', WORLD_SIZE='2'), option) == 'pytorch'


@pytest.mark.parametrize(
    'name, environment, message',
    [
        ('pytorch', {}, 'torchrun.* RANK is not set'),
        ('pytorch', TASK, 'torchrun.* RANK is not set'),
        ('mpi', {}, 'mpirun.* OMPI_COMM_WORLD_RANK is not set'),
        ('mpi', MPI, 'mpirun.* MASTER_ADDR is not set'),
        ('slurm', {}, 'srun.* SLURM_PROCID is not set'),
        ('slurm', ALLOCATION, 'srun.* SLURM_PROCID is not set'),
        ('slurm', BATCH, 'srun.*a job with several tasks'),
        ('slurm', PTY, 'srun.*a job with several tasks'),
    ],
)
def test_another_launcher_is_rejected(name, environment, message, launcher):
    with pytest.raises(ValueError, match=f'--launcher {name} is for .*{message}'):
        launcher(environment, '--launcher', name)


def test_slurm_jobs_of_one_machine_have_different_ports(launcher, monkeypatch):
    ports = []
    for job in ('7', '123456'):
        launcher(dict(TASK, SLURM_JOB_ID=job))
        ports.append(os.environ['MASTER_PORT'])
        monkeypatch.delenv('MASTER_PORT')
    assert ports[0] != ports[1] and all(1024 < int(port) < 32768 for port in ports)
    launcher(dict(TASK, MASTER_PORT='29501'))
    assert os.environ['MASTER_PORT'] == '29501'


@pytest.mark.parametrize('count, expected', [(8, '5'), (1, '0')])
def test_a_slurm_task_may_see_its_own_gpu_only(count, expected, launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: count)
    launcher(dict(TASK, SLURM_LOCALID='5'))
    assert os.environ['SLURM_LOCALID'] == expected


@pytest.mark.parametrize('variables', [TORCHRUN, dict(MPI, MASTER_ADDR='n1')])
def test_more_processes_than_gpus(variables, launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    with pytest.raises(ValueError, match='process 1 .* no GPU, .* sees only 1: start'):
        launcher(variables)


def test_slurm_and_mpi_need_a_gpu(launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ValueError, match='slurm needs a GPU .*torchrun'):
        launcher(TASK)


PROGRAM = """
import atexit, os, runpy, sys
import torch.distributed
exit_together = runpy.run_path(sys.argv[2])['exit_together']  # a faster import

class Last:
    def __del__(self):  # a thread that wants the interpreter from now on is aborted
        os.write(1, b'finalized')

last = Last()
atexit.register(print, 'exit handler')
torch.distributed.init_process_group(
    'gloo', init_method=f'file://{sys.argv[1]}', rank=0, world_size=1
)
with exit_together():
    print('work')
    raise SystemExit(75)
"""


def test_a_process_of_a_group_ends_without_finalization(tmp_path):
    done = python('-c', PROGRAM, tmp_path / 'store', processes.__file__)
    assert done.stdout.splitlines() == ['work', 'exit handler'], done.stderr
    assert done.returncode == 75
