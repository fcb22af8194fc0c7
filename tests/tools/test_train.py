"""Messages of tools/train.py about mistakes in options."""

import subprocess
import sys

import pytest
import torch
from launch import ROOT, TINY, call, environment
from random_models import ARCH

from saip_mm.models import SAIPViT


@pytest.mark.parametrize(
    'option, message',
    [
        ('modle.backbone=None', "unknown setting 'modle'; did you mean 'model'?"),
        ('model.matching.temperature=0.1', "unexpected keyword argument 'temperature'"),
        ('train_dataloader.batch_size=25', '24 images do not fill a batch of 25'),
        ('model.backbone.init_cfg.checkpoint=none.pth', 'init_cfg needs it'),
        ('optim_wrapper.accumulative_counts=3', 'batch_size=8 cannot be split'),
        (
            'optim_wrapper.accumulative_counts=5 train_dataloader.batch_size=10 '
            'train_dataloader.drop_last=False',
            'the last batch of 4: set drop_last=True',
        ),
        ('load_from=OTHER', 'tensors matched'),
        ('train_dataloader.dataset.pipeline.0.patch_size=8', '8 in train_dataloader'),
        ('model.backbone.patch_size=8', 'it is 8 in model.backbone, 16 in model'),
        ('global_size=(96,48)', 'nothing would change'),
        ('optim_wrapper.paramwise_cfg.norm_decay_mult=0', 'norm_decay_mult'),
        ('train_dataloader.dataset.pipeline.0.local_size=(64,32)', 'side by side'),
        ('train_dataloader.dataset.pipeline.0.local=None', 'the scene needs local'),
        ('train_dataloader.dataset.pipeline.0.scene=None', 'view that the model needs'),
        ('model.data_preprocessor.csr_scale=None', 'csr_scale=None leaves out a view'),
    ],
)
def test_mistakes_in_options(option, message, tmp_path):
    model = SAIPViT(dict(ARCH, embed_dims=48), img_size=(64, 32), middle_block=1)
    torch.save(model.state_dict(), tmp_path / 'other.pth')
    options = option.replace('OTHER', str(tmp_path / 'other.pth')).split()
    if 'init_cfg' in option:
        options.append('model.backbone.init_cfg.type=Pretrained')
    with pytest.raises(Exception) as error:  # noqa: B017  (any type, if it says why)
        call('tools/train.py', TINY, '--work-dir', tmp_path, '--cfg-options', *options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    'setting, expected', [({}, '1000'), (dict(OMP_WAIT_POLICY='PASSIVE'), '0')]
)
def test_openmp_reads_the_limit_of_spinning(setting, expected, monkeypatch):
    """As reported by the library itself, when it is loaded."""
    for name in ('GOMP_SPINCOUNT', 'OMP_WAIT_POLICY'):  # set by earlier trainings
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, 'tools/train.py', '--help']
    env = environment(OMP_DISPLAY_ENV='VERBOSE', **setting)
    pipes = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with subprocess.Popen(command, cwd=ROOT, env=env, **pipes) as process:
        found = next(line for line in process.stderr if 'GOMP_SPINCOUNT' in line)
        process.kill()
    assert f"GOMP_SPINCOUNT = '{expected}'" in found
