"""Restarts by launchers and schedulers."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from launch import free_port
from short_runs import EVERY_STEP, copy_state, launched, train

from saip_mm.checkpoints.files import saved_checkpoints


@pytest.mark.parametrize('by', ['torchrun', 'slurm'])
@pytest.mark.parametrize('begun', [True, False])
def test_a_restart_resumes_from_the_newest(
    by, begun, undisturbed, tmp_path, monkeypatch
):
    """If this launch had begun to train, the command line no longer matters."""
    copy_state(undisturbed / 'epoch_1_iter_5.pth', tmp_path / 'run')
    start = time.time()
    launch = dict(time=start if begun else 1e9, slurm_job=None)
    if by == 'torchrun':
        monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    else:
        monkeypatch.setenv('SLURM_JOB_ID', '4711')
        monkeypatch.setenv('SLURM_RESTART_COUNT', '1')
        launch['slurm_job'] = '4711' if begun else '4710'
    (tmp_path / 'run/launch.json').write_text(json.dumps(launch))
    train(tmp_path / 'run', resume=undisturbed / 'epoch_0_iter_1.pth')
    names = [path.stem for path in saved_checkpoints(tmp_path / 'run')]
    begin = 'epoch_1_iter_5' if begun else 'epoch_1'  # what is there before the end
    assert names == ['epoch_2', begin]
    launch = json.loads((tmp_path / 'run/launch.json').read_text())
    assert launch['slurm_job'] == ('4711' if by == 'slurm' else None)
    assert launch['time'] >= start


def kill_one(work_dir: Path) -> None:
    """Kill a process of a training that has saved a checkpoint."""
    deadline = time.time() + 300
    while not (work_dir / 'last_checkpoint').exists() and time.time() < deadline:
        time.sleep(0.05)
    processes = subprocess.run(
        ['pgrep', '-f', f'tools/train.py.*{work_dir}'], capture_output=True, text=True
    ).stdout.split()
    subprocess.run(['kill', '-9', processes[-1]])  # the first ones are torchrun's


def test_a_dead_process_leads_to_a_restart(tmp_path):
    """Of two machines; two launchers act as them."""
    env = dict(MAX_RESTARTS='1', NNODES='2', MASTER_ADDR='127.0.0.1', PORT=free_port())
    options = ['train_cfg.max_epochs=8', EVERY_STEP]
    processes = [launched(tmp_path, 1, *options, **env) for _ in range(2)]
    kill_one(tmp_path)
    for process in processes:
        out = process.communicate()[0]
        assert process.returncode == 0, out[-3000:]
    logs = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'resumed epoch: ' in logs
    assert (tmp_path / 'epoch_8.pth').exists()
