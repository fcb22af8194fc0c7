"""The shell launchers."""

import os
import socket

import pytest
from launch import ROOT, TINY, run, run_two
from PIL import Image


@pytest.mark.parametrize(
    'script', ['tools/dist_train.sh', 'tools/dist_test.sh', 'tools/slurm_train.sh']
)
def test_a_launcher_without_arguments_prints_its_usage(script):
    done = run(script, check=False)
    assert done.returncode == 2
    assert done.stdout.startswith(f'usage: {script} ')


def test_the_number_of_processes_is_checked():
    done = run('tools/dist_train.sh', TINY, 'gpu', check=False)
    assert done.returncode == 2
    assert done.stdout == 'error: gpu processes: give a number, such as 8\n'


def test_a_launcher_does_not_import_from_the_current_folder(tmp_path):
    (tmp_path / 'random.py').write_text('raise SystemExit("imported")')
    launcher = ROOT / 'tools/dist_train.sh'
    done = run(launcher, 'none.py', 1, cwd=tmp_path, check=False)
    assert 'error: none.py: no such config file' in done.stdout
    assert 'imported' not in done.stdout


def test_runs_on_one_machine_do_not_share_the_port_of_a_cluster():
    with socket.create_server(('127.0.0.1', 0)) as other:  # of another run
        port = str(other.getsockname()[1])
        env = dict(MASTER_ADDR='127.0.0.1', PORT=port, MASTER_PORT=port)
        done = run('tools/dist_train.sh', 'none.py', 1, check=False, **env)
    assert 'error: none.py: no such config file' in done.stdout


def test_several_machines_need_an_address(monkeypatch):
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    done = run('tools/dist_train.sh', TINY, 1, check=False, NNODES='2')
    assert done.returncode
    assert done.stdout.endswith('MASTER_ADDR: name the first of the machines\n')


def test_different_seeds_of_processes_are_rejected(tmp_path):
    options = ['train_dataloader.batch_size=4', 'randomness.seed=3']
    options = ['--cfg-options', *options, 'randomness.diff_rank_seed=True']
    arguments = [TINY, '--work-dir', tmp_path, *options]
    done = run_two('tools/train.py', *arguments, check=False)
    assert done.returncode == 1
    expected = 'processes differ (3, 4) in their seed: set randomness.diff_rank_seed'
    assert f'{expected}=False' in done.stdout
    assert not list(tmp_path.glob('*.pth'))


def test_different_images_of_processes_are_rejected(tmp_path):
    """The same number of images, in another order."""
    names = [f'{i}.png' for i in range(16)]
    for name in names:
        Image.new('RGB', (32, 64)).save(tmp_path / name)
    (tmp_path / '0.txt').write_text('\n'.join(names))
    (tmp_path / '1.txt').write_text('\n'.join(reversed(names)))
    (tmp_path / 'config.py').write_text(
        f"_base_ = '{ROOT / TINY}'\n"
        f"people = dict(type='PersonImages', data_root='{tmp_path}', _delete_=True,\n"
        "    ann_file='{{$RANK:0}}.txt',\n"
        '    pipeline={{_base_.train_dataloader.dataset.pipeline}})\n'
        'train_dataloader = dict(batch_size=4, dataset=people)\n'
    )
    work_dir = tmp_path / 'run'
    arguments = [tmp_path / 'config.py', '--work-dir', work_dir]
    done = run_two('tools/train.py', *arguments, check=False)
    assert done.returncode == 1
    assert 'in their list of images: is the data the same for all' in done.stdout
    assert not list(work_dir.glob('*.pth'))
    (log,) = work_dir.glob('*/error_of_process_1.log')
    assert 'in their list of images' in log.read_text()


def test_slurm_starts_one_task_per_gpu(tmp_path):
    srun = tmp_path / 'srun'
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    done = run(
        'tools/slurm_train.sh',
        *('gpu', 'saip', 'config.py', 'work', '--resume'),
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        GPUS='16',
        GPUS_PER_NODE='8',
    )
    arguments = done.stdout.splitlines()
    for expected in ('--ntasks=16', '--ntasks-per-node=8', '--gres=gpu:8'):
        assert expected in arguments
    command = arguments[arguments.index('-u') + 1 :]
    options = ['config.py', '--work-dir', 'work', '--launcher', 'slurm', '--resume']
    assert command == ['tools/train.py', *options]


@pytest.mark.parametrize('status', [0, 1, 75])
@pytest.mark.parametrize('resume', [(), ('--resume=a.pth',), ('--resume', 'a.pth')])
def test_an_interrupted_batch_job_is_requeued(status, resume, tmp_path):
    """Stand-ins for Slurm's commands run a job as soon as it is queued."""
    commands = dict(
        sbatch='printf "%s\\n" "$@"; SLURM_JOB_ID=4711 exec bash',
        srun=f'printf "%s\\n" "$@"; exit {status}',
        scontrol='echo scontrol "$@"',
    )
    for name, body in commands.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{body}\n')
        (tmp_path / name).chmod(0o755)
    done = run(
        'tools/slurm_train.sh',
        *('gpu', 'saip', 'config.py', tmp_path / 'my work'),
        *('--cfg-options', 'model.search=None', *resume),
        check=False,
        PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
        BATCH='1',
    )
    lines = done.stdout.splitlines()
    assert done.returncode == status
    for expected in ('--requeue', '--signal=USR1@120', '--ntasks=8'):
        assert expected in lines
    for expected in (str(tmp_path / 'my work'), 'model.search=None'):
        assert lines.count(expected) == 1
    assert ''.join(lines).count('--resume') == 1
    assert set(resume) <= set(lines)
    assert '--cpus-per-task=12' in lines[lines.index('--requeue') :]
    assert ('scontrol requeue 4711' in lines) == (status == 75)
