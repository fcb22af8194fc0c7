"""Exact resumes, from the right checkpoint."""

import json
import shutil
import subprocess
import time

import pytest
import torch
from launch import ROOT, TINY, call, environment
from mmengine.config import Config
from short_runs import KEPT, assert_same_end, copy_state, train

from saip_mm.engine.resuming import (
    check,
    choose_checkpoint,
    newest_valid,
    saved_checkpoints,
)


@pytest.mark.parametrize('name', ['epoch_0_iter_1', 'epoch_1', 'epoch_1_iter_5'])
@pytest.mark.parametrize('workers', [0, 2])
def test_goes_on_to_the_same_end_from_any_step(name, workers, undisturbed, tmp_path):
    copy_state(undisturbed / f'{name}.pth', tmp_path / 'run')
    train(tmp_path / 'run', f'train_dataloader.num_workers={workers}', resume=True)
    assert_same_end(tmp_path / 'run', undisturbed)


def test_every_step_has_its_checkpoint(undisturbed):
    names = [path.stem for path in saved_checkpoints(undisturbed)]
    assert names == [
        *('epoch_2', 'epoch_1_iter_6', 'epoch_1_iter_5', 'epoch_1_iter_4', 'epoch_1'),
        *('epoch_0_iter_3', 'epoch_0_iter_2', 'epoch_0_iter_1'),
    ]


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize('damage', [truncate, flip, lambda content: b''])
def test_a_damaged_checkpoint_is_passed_over(damage, undisturbed, tmp_path):
    for name in ('epoch_1', 'epoch_1_iter_5'):
        (tmp_path / f'{name}.pth').write_bytes(
            (undisturbed / f'{name}.pth').read_bytes()
        )
    newest = tmp_path / 'epoch_1_iter_5.pth'
    assert newest_valid(tmp_path) == newest
    newest.write_bytes(damage(newest.read_bytes()))
    assert newest_valid(tmp_path) == tmp_path / 'epoch_1.pth'
    with pytest.raises(ValueError, match=f'{newest} is damaged'):
        check(newest)
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='all 2 checkpoints are damaged'):
        newest_valid(tmp_path)


def test_weights_alone_are_no_training(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'epoch_3.pth')
    with pytest.raises(ValueError, match='epoch_3.pth is not of a training'):
        check(tmp_path / 'epoch_3.pth')


def test_another_training_in_the_same_folder_loses_nothing(undisturbed, tmp_path):
    for name in ('epoch_2', 'epoch_1_iter_5', 'epoch_1'):
        (tmp_path / f'{name}.pth').write_bytes(
            (undisturbed / f'{name}.pth').read_bytes()
        )
    call(
        *('tools/train.py', TINY, '--work-dir', tmp_path),
        *('--resume', undisturbed / 'epoch_0_iter_2.pth', '--cfg-options'),
        *('train_cfg.max_epochs=1', 'default_hooks.checkpoint.max_keep_ckpts=1'),
    )
    assert [path.name for path in saved_checkpoints(tmp_path)] == ['epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    (aside,) = tmp_path.glob('superseded_*')
    names = [path.stem for path in saved_checkpoints(aside)]
    assert names == ['epoch_2', 'epoch_1_iter_5', 'epoch_1']


@pytest.mark.parametrize(
    'option, message',
    [
        ('train_dataloader.batch_size=4', 'trained with global_batch=8, now it is 4'),
        ('train_dataloader.dataset.images_per_identity=9', 'images=24, now it is 27'),
    ],
)
def test_other_data_are_refused(option, message, undisturbed, tmp_path):
    with pytest.raises(ValueError, match=message):
        call(
            *('tools/train.py', TINY, '--work-dir', tmp_path, '--resume'),
            *(undisturbed / 'epoch_0_iter_2.pth', '--cfg-options', option),
        )


@pytest.mark.parametrize('by', ['TORCHELASTIC_RUN', 'SLURM_JOB'])
@pytest.mark.parametrize('same_launch', [True, False])
def test_a_restart_goes_on_from_the_newest(
    by, same_launch, undisturbed, tmp_path, monkeypatch
):
    """Not from what the command line named at the beginning; unless it had not begun,
    and what lies there is of another launch.
    """
    arguments = ['--resume', undisturbed / 'epoch_0_iter_1.pth']
    copy_state(undisturbed / 'epoch_1_iter_5.pth', tmp_path / 'run')
    monkeypatch.setenv(f'{by}_ID', '4711')
    monkeypatch.setenv(f'{by.split("_")[0]}_RESTART_COUNT', '1')
    noted = {f'{by}_ID': '4711' if same_launch else '4710'}
    (tmp_path / 'run/launch.json').write_text(json.dumps(noted))
    call('tools/train.py', TINY, '--work-dir', tmp_path / 'run', *arguments)
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    begin = 'epoch: 1, iter: 5' if same_launch else 'epoch: 0, iter: 1'
    assert f'resumed {begin}' in log
    noted = json.loads((tmp_path / 'run/launch.json').read_text())
    assert noted[f'{by}_ID'] == '4711'


def test_what_is_named_is_compared_with_its_checksums(undisturbed, tmp_path):
    for name in ('epoch_1', 'epoch_1_iter_5'):
        shutil.copy(undisturbed / f'{name}.pth', tmp_path)
    newest = tmp_path / 'epoch_1_iter_5.pth'
    newest.write_bytes(flip(newest.read_bytes()))
    cfg = Config(dict(work_dir=str(tmp_path / 'new')))
    with pytest.raises(ValueError, match=f'{newest} is damaged'):
        choose_checkpoint(cfg, str(newest))
    assert choose_checkpoint(cfg, str(tmp_path)) == tmp_path / 'epoch_1.pth'
    assert choose_checkpoint(cfg, 'auto') is None
    cfg = Config(dict(work_dir=str(tmp_path), resume=True))  # as MMEngine's users do
    assert choose_checkpoint(cfg, None) == tmp_path / 'epoch_1.pth'
    cfg.load_from = str(newest)
    with pytest.raises(ValueError, match=f'{newest} is damaged'):
        choose_checkpoint(cfg, None)
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        choose_checkpoint(cfg, str(tmp_path / 'none.pth'))


def test_random_numbers_of_a_model_are_those_of_the_step(tmp_path):
    """With stochastic depth, which draws from torch's own generator."""
    options = ['model.backbone.drop_path_rate=0.3']
    train(tmp_path / 'a', *options, 'default_hooks.checkpoint.minutes=1e-9')
    copy_state(tmp_path / 'a/epoch_0_iter_2.pth', tmp_path / 'b')
    train(tmp_path / 'b', *options, resume=True)
    assert_same_end(tmp_path / 'b', tmp_path / 'a')


def test_another_order_of_the_images_is_refused(tmp_path):
    with pytest.raises(TypeError, match='DefaultSampler cannot go on within an epoch'):
        train(tmp_path, 'train_dataloader.sampler.type=DefaultSampler')


def test_a_dead_process_leads_to_a_restart(undisturbed, tmp_path):
    options = ['--cfg-options', *KEPT, 'train_dataloader.batch_size=4']
    script = ['bash', 'tools/dist_train.sh', TINY, '2', '--work-dir', tmp_path]
    process = subprocess.Popen(
        [*script, *options],
        cwd=ROOT,
        env=environment(MAX_RESTARTS='1', CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.time() + 300
    while not (tmp_path / 'last_checkpoint').exists() and time.time() < deadline:
        time.sleep(0.05)
    children = subprocess.run(
        ['pgrep', '-f', f'tools/train.py.*{tmp_path}'],
        capture_output=True,
        text=True,
    ).stdout.split()
    subprocess.run(['kill', '-9', children[-1]])
    out = process.communicate()[0]
    assert process.returncode == 0, out[-3000:]
    assert 'resumed epoch: 1' in out
    assert (tmp_path / 'epoch_2.pth').exists()
