"""Exact resumes, from the right checkpoint."""

import errno
import shutil
from itertools import product
from unittest.mock import Mock
from zipfile import ZipFile

import pytest
import torch
from launch import TINY
from mmengine.config import Config
from short_runs import EVERY_STEP, assert_same_end, copy_state, log_of, train

from saip_mm.checkpoints.files import saved_checkpoints
from saip_mm.data import PeopleDataset
from saip_mm.training import SafeRunner
from saip_mm.training.loops import AccumulatingTrainLoop
from saip_mm.training.resuming import check_checkpoint, choose_checkpoint, newest_valid


@pytest.mark.parametrize(
    'name, workers', [('epoch_0_iter_1', 0), ('epoch_1', 0), ('epoch_1_iter_5', 2)]
)
def test_any_step_can_be_resumed(name, workers, undisturbed, tmp_path):
    copy_state(undisturbed / f'{name}.pth', tmp_path / 'run')
    (tmp_path / 'link').symlink_to('run')
    train(tmp_path / 'link', f'train_dataloader.num_workers={workers}', resume=True)
    assert_same_end(tmp_path / 'run', undisturbed)
    assert (tmp_path / f'run/{name}.pth').exists()  # not moved away


def test_a_longer_training_needs_other_schedules(undisturbed, tmp_path):
    run = tmp_path / 'run'
    copy_state(undisturbed / 'epoch_1_iter_5.pth', run)
    train(run, 'train_cfg.max_epochs=3', 'param_scheduler.1.end=9', resume=True)
    log = log_of(run)
    assert 'minimum after 6 steps, but the training has 9: a resumed run' in log
    assert 'nothing is left to train' not in log


def test_a_finished_training_has_nothing_left(undisturbed, tmp_path):
    copy_state(undisturbed / 'epoch_2.pth', tmp_path / 'run')
    (tmp_path / 'run/refused_step_4.pth').touch()
    train(tmp_path / 'run', resume=True)
    assert (tmp_path / 'run/refused_step_4.pth').exists()  # of this training
    log = log_of(tmp_path / 'run')
    assert 'nothing is left to train: the checkpoint is of step 6, and' in log
    assert_same_end(tmp_path / 'run', undisturbed)


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize('damage', [truncate, flip, lambda content: b''])
def test_a_damaged_checkpoint_is_skipped(damage, undisturbed, tmp_path):
    for name in ('epoch_1', 'epoch_1_iter_5'):
        shutil.copy(undisturbed / f'{name}.pth', tmp_path)
    newest = tmp_path / 'epoch_1_iter_5.pth'
    assert newest_valid(tmp_path) == newest
    newest.write_bytes(damage(newest.read_bytes()))
    assert newest_valid(tmp_path) == tmp_path / 'epoch_1.pth'
    with pytest.raises(ValueError, match=f'{newest} is damaged'):
        check_checkpoint(newest)
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='none of 2 .*iter_5.pth is damaged'):
        newest_valid(tmp_path)


def test_the_newest_is_resumed_without_a_command_line(undisturbed, tmp_path):
    copy_state(undisturbed / 'epoch_1_iter_5.pth', tmp_path / 'run')
    cfg = Config.fromfile(TINY)
    cfg.work_dir, cfg.resume = str(tmp_path / 'run'), True
    SafeRunner.from_cfg(cfg).train()
    assert_same_end(tmp_path / 'run', undisturbed)


def test_micro_batches_are_counted_after_a_resume(tmp_path):
    options = ['optim_wrapper.accumulative_counts=2', EVERY_STEP]
    options += ['train_dataloader.dataset.images_per_identity=9']  # 27
    train(tmp_path / 'a', *options)
    train(tmp_path / 'b', *options, resume=tmp_path / 'a/epoch_0_iter_1.pth')
    assert_same_end(tmp_path / 'b', tmp_path / 'a')
    assert 'is not divisible' not in log_of(tmp_path / 'b')


def test_other_files_of_another_training_are_moved_away(tmp_path):
    names = ['bad_images.jsonl', 'refused_step_9_rank_0.pth']
    for name in names:
        (tmp_path / name).touch()
    train(tmp_path, 'train_cfg.max_epochs=1')
    (aside,) = tmp_path.glob('superseded_*')
    assert sorted(path.name for path in aside.iterdir()) == names
    assert not any((tmp_path / name).exists() for name in names)


@pytest.mark.parametrize('name', ['meta', 'state_dict', 'optimizer', 'message_hub'])
def test_a_checkpoint_without_a_part_cannot_be_resumed(name, tmp_path):
    whole = dict(meta={}, state_dict={}, optimizer={}, message_hub={})
    torch.save(whole, tmp_path / 'epoch_3.pth')
    check_checkpoint(tmp_path / 'epoch_3.pth')
    torch.save({key: whole[key] for key in whole.keys() - {name}}, tmp_path / '3.pth')
    message = f'3.pth is not a training checkpoint: no {name}'
    with pytest.raises(ValueError, match=message):
        check_checkpoint(tmp_path / '3.pth')


def test_weights_alone_cannot_be_resumed(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'epoch_3.pth')
    with pytest.raises(ValueError, match='epoch_3.pth is not a training checkpoint'):
        check_checkpoint(tmp_path / 'epoch_3.pth')


def test_an_error_of_the_file_system_is_no_damage(undisturbed, monkeypatch):
    """The newest checkpoint may be intact."""
    error = OSError(errno.EIO, 'Input/output error')
    monkeypatch.setattr(ZipFile, 'testzip', Mock(side_effect=error))
    with pytest.raises(OSError, match='Input/output error; repair that.*epoch_2.pth'):
        newest_valid(undisturbed)


def test_checkpoints_of_another_training_are_moved_away(undisturbed, tmp_path):
    copied = ['epoch_2', 'epoch_1_iter_5', 'epoch_1', 'epoch_0_iter_2']
    for name in copied:
        shutil.copy(undisturbed / f'{name}.pth', tmp_path)
    options = 'train_cfg.max_epochs=1', 'default_hooks.checkpoint.max_keep_ckpts=1'
    train(tmp_path, *options, resume=undisturbed / 'epoch_0_iter_2.pth')
    assert [path.name for path in saved_checkpoints(tmp_path)] == ['epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    (aside,) = tmp_path.glob('superseded_*')
    assert [path.stem for path in saved_checkpoints(aside)] == copied


@pytest.mark.parametrize(
    'option, message',
    [
        ('train_dataloader.batch_size=4', 'trained with global_batch=8, now it is 4'),
        ('train_dataloader.dataset.images_per_identity=9', 'images=24, now it is 27'),
    ],
)
def test_other_data_are_rejected(option, message, undisturbed, tmp_path):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, option, resume=undisturbed / 'epoch_0_iter_2.pth')


def test_another_list_of_as_many_images_is_reported(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(PeopleDataset, 'listed', lambda self: b'another list')
    train(tmp_path, resume=undisturbed / 'epoch_0_iter_2.pth')
    log = log_of(tmp_path)
    assert log.count("the list of images is not the checkpoint's") == 1


def test_a_stated_seed_of_the_sampler_is_kept(tmp_path):
    train(tmp_path / 'a', 'train_dataloader.sampler.seed=7', EVERY_STEP)
    copy_state(tmp_path / 'a/epoch_0_iter_2.pth', tmp_path / 'b')
    train(tmp_path / 'b', 'train_dataloader.sampler.seed=7', resume=True)
    assert_same_end(tmp_path / 'b', tmp_path / 'a')
    train(tmp_path / 'c')
    weights = [torch.load(tmp_path / x / 'epoch_2.pth') for x in 'ac']
    weights = [each['state_dict']['backbone.pos_embed'] for each in weights]
    assert not torch.equal(*weights)


def test_another_number_of_steps_per_epoch_is_rejected(tmp_path):
    options = ['train_dataloader.dataset.images_per_identity=9', EVERY_STEP]
    train(tmp_path, *options, 'train_dataloader.drop_last=False')
    with pytest.raises(ValueError, match='steps_per_epoch=4, now it is 3'):
        train(tmp_path / 'new', *options, resume=tmp_path / 'epoch_0_iter_2.pth')
    assert not list((tmp_path / 'new').glob('*.py'))  # no config of a refused run


def test_a_requested_checkpoint_is_verified(undisturbed, tmp_path):
    for name in ('epoch_1', 'epoch_1_iter_5'):
        shutil.copy(undisturbed / f'{name}.pth', tmp_path)
    newest = tmp_path / 'epoch_1_iter_5.pth'
    newest.write_bytes(flip(newest.read_bytes()))
    with pytest.raises(ValueError, match=f'{newest} is damaged.*; resume from another'):
        choose_checkpoint(tmp_path / 'new', str(newest))
    with pytest.raises(FileNotFoundError, match='no checkpoint .*none.pth'):
        choose_checkpoint(tmp_path / 'new', str(tmp_path / 'none.pth'))
    whole = tmp_path / 'epoch_1.pth'
    assert choose_checkpoint(tmp_path / 'new', str(tmp_path)) == whole
    assert choose_checkpoint(tmp_path / 'new', 'auto') is None
    # MMEngine's setting.
    train(tmp_path, 'resume=True')
    (aside,) = tmp_path.glob('superseded_*')
    assert saved_checkpoints(aside) == [aside / newest.name]


def test_torchs_random_numbers_depend_on_the_step(tmp_path):
    """Stochastic depth draws from torch's generator."""
    options = ['model.backbone.drop_path_rate=0.3']
    train(tmp_path / 'a', *options, EVERY_STEP)
    copy_state(tmp_path / 'a/epoch_0_iter_2.pth', tmp_path / 'b')
    train(tmp_path / 'b', *options, resume=True)
    assert_same_end(tmp_path / 'b', tmp_path / 'a')


def test_torchs_generator_is_seeded_with_seed_step_and_process(monkeypatch):
    seeds = []
    loop = AccumulatingTrainLoop.__new__(AccumulatingTrainLoop)
    for seed, step, rank in 2 * list(product(range(3), repeat=3)):
        monkeypatch.setattr('saip_mm.training.loops.get_rank', lambda rank=rank: rank)
        loop._runner, loop._iter = Mock(seed=seed, epoch=0), step
        loop.runner.train_dataloader = range(9)
        loop.runner.optim_wrapper._accumulative_counts = 1
        loop.runner.model.train_step.return_value = {}
        loop.run_iter(step, {})
        seeds.append(torch.initial_seed())
    assert len(set(seeds[:27])) == 27
    assert seeds[:27] == seeds[27:]


def test_another_loop_or_sampler_is_rejected(tmp_path):
    options = ['train_cfg.type=EpochBasedTrainLoop', 'train_dataloader.batch_size=2']
    with pytest.raises(TypeError, match='AccumulatingTrainLoop'):
        train(tmp_path, *options)
    with pytest.raises(TypeError, match='DefaultSampler cannot resume within an epoch'):
        train(tmp_path, 'train_dataloader.sampler.type=DefaultSampler')
