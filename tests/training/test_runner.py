"""Loading of checkpoints, and data loaders, by the runners."""

import logging
import os
import resource
import warnings
from types import SimpleNamespace

import pytest
import torch
from launch import ROOT, TINY, call
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import loops
from mmpretrain.registry import MODELS
from torch import nn

from saip_mm.training import SafeCheckpointHook, SafeRunner
from saip_mm.training.hooks import QuarantineHook, _drawing_steps
from saip_mm.training.loaders import build_loader


def runner_of(model: nn.Module) -> SafeRunner:
    """A runner with only the parts that loading needs."""
    runner = SafeRunner.__new__(SafeRunner)
    runner.model = model
    runner.logger = logging.getLogger(__name__)
    runner._hooks, runner._test_loop = [], None
    return runner


@pytest.mark.parametrize(
    'part, message',
    [
        ('data_preprocessor.', None),  # as in a converted checkpoint
        ('teacher.', 'does not fit this SAIP: .* missing: '),
        ('search.kernel.', 'does not fit this SAIP: .* missing: '),
    ],
)
def test_a_part_of_a_saip_is_rejected(part, message, tmp_path):
    runner = runner_of(MODELS.build(Config.fromfile(TINY).model))
    state = runner.model.state_dict()
    for name in [name for name in state if name.startswith(part)]:
        del state[name]
    meta = dict(config='raise SystemExit')  # which MMEngine would run
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'part.pth')
    if message:
        with pytest.raises(ValueError, match=message):
            runner.load_checkpoint(tmp_path / 'part.pth')
    else:
        assert 'config' not in runner.load_checkpoint(tmp_path / 'part.pth')['meta']


@pytest.mark.parametrize(
    'kind',
    [
        'CheckpointHook',
        'mmengine.hooks.CheckpointHook',  # as saved for a config in pure Python
        f'{CheckpointHook.__module__}.CheckpointHook',
        CheckpointHook,
    ],
)
def test_the_checkpoint_hook_is_replaced_by_any_name(kind):
    runner = runner_of(nn.Identity())
    runner.register_hook(dict(type=kind, filename_tmpl='{}.pth'))
    runner.register_hook(dict(type=kind))
    assert [type(hook) for hook in runner.hooks] == [CheckpointHook, SafeCheckpointHook]


def test_memory_is_pinned_only_for_a_gpu():
    sampler = dict(type='DefaultSampler', shuffle=False)
    settings = dict(dataset=[1, 2], sampler=sampler, batch_size=2, num_workers=0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        loader = build_loader(dict(settings, pin_memory=True))
        assert [list(batch) for batch in loader] == [[1, 2]]
    assert loader.pin_memory == torch.cuda.is_available()


def test_a_missing_file_of_an_evaluator_names_the_setting(tmp_path):
    pytest.importorskip('mmpose')
    evaluator = dict(type='mmpose.CocoMetric', ann_file=str(tmp_path / 'none.json'))
    with pytest.raises(FileNotFoundError, match='none.json.*: set ann_file of this'):
        runner_of(nn.Linear(1, 1)).build_evaluator(evaluator)


def test_a_part_of_another_model_is_loaded(tmp_path):
    path, weight = tmp_path / 'part.pth', torch.randn(2, 3)
    weights = {'module.weight': weight, 'module.bias': torch.ones(5)}
    torch.save(dict(state_dict=weights, meta=None), path)
    runner = runner_of(nn.Linear(3, 2))
    runner.load_checkpoint(path)
    torch.testing.assert_close(runner.model.weight.data, weight)
    runner._test_loop = loops.TestLoop.__new__(loops.TestLoop)
    with pytest.raises(ValueError, match=r'1 of 2 .* bias \(5 in .*, 2 in .* use the'):
        runner.load_checkpoint(path)
    torch.save({'other': weight}, path)
    with pytest.raises(ValueError, match='none of 1 tensors fits this Linear'):
        runner.load_checkpoint(path)


def test_a_test_needs_its_data_and_a_checkpoint(tmp_path):
    pa100k = ROOT / 'configs/downstream/attributes/pa100k_saip-vit-tiny_256x128.py'
    for config, message in ((TINY, 'has no test_datal'), (pa100k, 'is no checkpoint')):
        with pytest.raises((OSError, ValueError), match=message):
            call('tools/test.py', config, tmp_path / 'a.pth', '--work-dir', tmp_path)


def test_a_loader_without_workers():
    """Shipped configs with `train_dataloader.num_workers=0`."""
    config = Config.fromfile(TINY).train_dataloader
    config.update(num_workers=0, persistent_workers=True, prefetch_factor=4)
    loader = SafeRunner.build_dataloader(config, seed=0)
    assert (loader.num_workers, loader.persistent_workers) == (0, False)
    config.update(num_workers=2)
    loader = SafeRunner.build_dataloader(config, seed=0)
    assert loader.persistent_workers and loader.prefetch_factor == 4


def test_a_wrapped_data_set_of_people_is_refused():
    config = Config.fromfile(TINY).train_dataloader
    people = config.dataset
    config.dataset = dict(type='RepeatDataset', times=2, dataset=people)
    with pytest.raises(TypeError, match='RepeatDataset cannot .* in a ConcatDataset'):
        SafeRunner.build_dataloader(config)


def test_mixed_precision_without_a_gpu_is_explained(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    options = '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper'
    with pytest.raises(ValueError, match='optim_wrapper.type=OptimWrapper'):
        call('tools/train.py', TINY, '--work-dir', tmp_path / 'run', *options)


def test_workers_may_open_as_many_files_as_the_system_allows():
    """Lists of tensors, as MMDetection's, need an open file for each."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    samples = [torch.zeros(9) for _ in range(300)]
    config = dict(dataset=samples, batch_size=300, num_workers=1)
    config |= dict(sampler=dict(type='DefaultSampler'), timeout=20)
    config |= dict(collate_fn=dict(type='pseudo_collate'))
    now = len(os.listdir('/proc/self/fd'))
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + 100, limits[1]))
    try:
        (batch,) = build_loader(config)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(batch) == 300


class Buggy(Hook):
    """A hook with a mistake in its code."""

    def before_train(self, runner: SafeRunner) -> None:
        len(runner)


def test_a_type_error_in_a_hook_keeps_its_place():
    runner = runner_of(nn.Identity())
    runner.register_hook(Buggy())
    with pytest.raises(TypeError, match='has no len[^<]*$') as error:
        runner.call_hook('before_train')
    assert error.traceback[-1].name == 'before_train'


def test_images_of_other_libraries_are_refused():
    runner = SimpleNamespace(train_dataloader=SimpleNamespace(dataset=[1]))
    assert not list(_drawing_steps(runner))  # SAIPHook asks before QuarantineHook
    with pytest.raises(TypeError, match='cannot replace images of list'):
        QuarantineHook().before_train(runner)
