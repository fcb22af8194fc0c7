"""External files: nothing in them is executed, and unusable ones are named."""

import argparse
import errno
import os
import pickle
import stat
import tarfile
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import save_checkpoint
from safetensors.torch import save_file
from torch import nn
from trap import Trap

from saip_mm.checkpoints.files import (
    read_checkpoint,
    resolve_checkpoint,
    write_checkpoint,
)
from saip_mm.checkpoints.loading import load_pretrained


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    'wrap',
    [
        lambda trap: trap,
        lambda trap: dict(state_dict=dict(w=torch.ones(1)), meta=dict(config=trap)),
        lambda trap: dict(args=argparse.Namespace(epochs=trap)),
    ],
)
def test_nothing_in_a_file_is_executed(tmp_path, wrap, zipped):
    marker, path = tmp_path / 'marker', tmp_path / 'trap.pth'
    trap = Trap(os.mkdir, str(marker))
    torch.save(wrap(trap), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match='trap.pth was refused for safety.*mkdir'):
        read_checkpoint(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(trap))
    assert marker.exists(), 'the trap itself does not work'


def test_getattr_in_a_file_reaches_nothing(tmp_path):
    reached = Trap(getattr, HistoryBuffer, '__init__')
    torch.save(dict(reached=reached), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['reached'] == '__init__'


def test_functions_of_a_history_buffer_are_not_loaded(tmp_path):
    class Forged(HistoryBuffer):
        def __reduce__(self):
            state = dict(self.__getstate__(), statistics_methods=dict(mean=42))
            return HistoryBuffer, (), state

    torch.save(dict(loss=Forged([1.0, 3.0], [1, 1])), tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['loss'].mean() == 2


def test_empty_arrays_are_read(tmp_path):
    colors = np.zeros((0, 3), np.uint8)  # of MMPose's data sets without a skeleton
    torch.save(dict(meta=dict(skeleton_link_colors=colors)), tmp_path / 'a.pth')
    meta = read_checkpoint(tmp_path / 'a.pth')['meta']
    assert meta['skeleton_link_colors'].shape == (0, 3)


def test_a_checkpoint_of_mmengine_is_read_whole(tmp_path):
    optimizer = torch.optim.AdamW(nn.Linear(3, 1).parameters())
    optimizer.step(lambda: torch.ones(1))
    logs = {'train/loss': HistoryBuffer([3.0, 1.0], [1, 1])}
    content = dict(
        state_dict=nn.Linear(3, 1).state_dict(),
        optimizer=optimizer.state_dict(),
        message_hub=dict(log_scalars=logs, runtime_info=dict(lr=np.float64(0.1))),
        param_schedulers=[dict(last_step=4, _global_step=5)],
    )
    save_checkpoint(content, str(tmp_path / 'iter_4.pth'))
    found = read_checkpoint(tmp_path / 'iter_4.pth')
    losses = found.pop('message_hub')['log_scalars']['train/loss']
    assert type(losses) is HistoryBuffer and losses.data[0].tolist() == [3, 1]
    for name, part in found.items():
        torch.testing.assert_close(part, content[name])


def test_names_of_numpy_1_and_2_are_read(tmp_path):
    path, renamed = tmp_path / 'new.pth', tmp_path / 'old.pth'
    torch.save(dict(scores=np.arange(3.0), best=np.float64(2)), path)
    with zipfile.ZipFile(path) as new, zipfile.ZipFile(renamed, 'w') as old:
        for name in new.namelist():
            content = new.read(name)
            swapped = content.replace(b'numpy._core.', b'numpy.core.')
            if swapped == content:
                swapped = content.replace(b'numpy.core.', b'numpy._core.')
            old.writestr(name, swapped)
    for each in path, renamed:
        assert read_checkpoint(each)['scores'].tolist() == [0, 1, 2]
        assert read_checkpoint(each)['best'] == 2


def test_before_pytorch_2_6_tensors_and_plain_data_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr('saip_mm.checkpoints.files._TAKES_GLOBALS', False)
    path = tmp_path / 'a.pth'
    write_checkpoint(path, dict(w=torch.ones(1)), dict(grid=[8, 4]))
    assert read_checkpoint(path)['meta'] == dict(grid=[8, 4])
    torch.save(dict(model={}, args=argparse.Namespace(epochs=1)), path)
    with pytest.raises(ValueError, match='uses argparse.Namespace.*PyTorch 2.6 and ne'):
        read_checkpoint(path)


@pytest.mark.parametrize('takes_globals', [True, False])
def test_tar_archives_are_refused(tmp_path, monkeypatch, takes_globals):
    """The reader of PyTorch before 2.6 could be made to run code by them."""
    monkeypatch.setattr('saip_mm.checkpoints.files._TAKES_GLOBALS', takes_globals)
    path, part = tmp_path / 'a.pth', tmp_path / 'storages'
    part.write_bytes(pickle.dumps(0))
    with tarfile.open(path, 'w') as archive:
        archive.add(part, 'storages')
    with pytest.raises(ValueError, match='a.pth .*tar (archive|format)'):
        read_checkpoint(path)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f'whole{suffix}'
    write_checkpoint(path, dict(w=torch.randn(64, 64)), {})
    whole = path.read_bytes()
    damaged = tmp_path / f'damaged{suffix}'
    contents = [whole[: len(whole) * part // 8] for part in range(8)]
    for content in [*contents, b'\0' * 4096]:
        damaged.write_bytes(content)
        with pytest.raises(ValueError, match=f'damaged{suffix}.* is damaged, incompl'):
            read_checkpoint(damaged)


TENSORS = dict(w=torch.ones(1))


@pytest.mark.parametrize(
    'name, content, message',
    [
        ('a.jpg', b'\xff\xd8\xff', '(3 bytes) is damaged, incomplete or not a check'),
        ('a.pth', b'<!DOCTYPE html>\n<html>', '(22 bytes) is damaged, incomplete or n'),
        ('a.safetensors', b'version https://git', 'damaged, incomplete or not'),
        ('a.bin', partial(save_file, TENSORS), 'rename it to end in .safetensors'),
        ('a.safetensors', partial(torch.save, TENSORS), 'rename it to end in .pth'),
    ],
)
def test_other_files_are_identified(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content) if isinstance(content, bytes) else content(path)
    with pytest.raises(ValueError) as error:
        read_checkpoint(path)
    said = str(error.value)
    assert str(path) in said and message in said


@pytest.mark.parametrize(
    'address',
    ['https://a.org/b.pth', 's3://b/c.pth', 'hf:org/model', 'torchvision://resnet50'],
)
def test_nothing_is_downloaded_from_addresses(address):
    with pytest.raises(FileNotFoundError) as error:
        resolve_checkpoint(address)
    assert str(error.value).startswith(f'{address} is a URL: nothing is downl')
    with pytest.raises(FileNotFoundError, match='is a URL'):
        load_pretrained(nn.Linear(1, 1), address)


def test_the_home_directory_and_colons_in_names(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save(nn.Linear(1, 1).state_dict(), tmp_path / 'a.pth')
    assert resolve_checkpoint('~/a.pth') == tmp_path / 'a.pth'
    assert load_pretrained(nn.Linear(1, 1), '~/a.pth').matched
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'run:3.pth').touch()
    assert resolve_checkpoint('run:3.pth').is_file()


def test_a_work_dir_means_its_latest_checkpoint(tmp_path, tiny_run):
    latest = tiny_run / 'epoch_2.pth'
    for path in (tiny_run, tiny_run / 'last_checkpoint', latest):
        assert resolve_checkpoint(path) == latest
    last = tmp_path / 'last_checkpoint'
    last.touch()  # by a run killed while writing it
    with pytest.raises(FileNotFoundError, match='has no checkpoint: give a checkpoint'):
        resolve_checkpoint(tmp_path)
    for name in ('superseded_20260101_000000', 'superseded_20260102_000000'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'epoch_3.pth').touch()
    with pytest.raises(FileNotFoundError, match=f'an earlier run has some in .*{name}'):
        resolve_checkpoint(tmp_path)
    for name in ('epoch_9.pth', 'epoch_10.pth', 'backbone_11.pth', 'best.pth'):
        (tmp_path / name).touch()
    assert resolve_checkpoint(tmp_path) == tmp_path / 'epoch_10.pth'
    last.write_text('/moved/away/epoch_9.pth')
    assert resolve_checkpoint(tmp_path) == tmp_path / 'epoch_9.pth'


def test_a_file_system_that_cannot_sync_folders(tmp_path, monkeypatch):
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, 'Invalid argument')  # see fsync(2)
        sync(descriptor)

    monkeypatch.setattr(os, 'fsync', fsync)
    write_checkpoint(tmp_path / 'a.pth', dict(w=torch.ones(1)), {})
    assert read_checkpoint(tmp_path / 'a.pth')['state_dict'] == dict(w=torch.ones(1))


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_files_have_the_usual_permissions(suffix, tmp_path):
    (tmp_path / 'plain').touch()
    write_checkpoint(path := tmp_path / f'a.{suffix}', TENSORS, {})
    assert path.stat().st_mode == (tmp_path / 'plain').stat().st_mode


def test_the_home_directory_as_a_place_to_write(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write_checkpoint('~/new/a.pth', TENSORS, {})
    assert (tmp_path / 'new/a.pth').is_file()
