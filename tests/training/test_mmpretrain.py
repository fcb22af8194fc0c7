"""Algorithms of MMPretrain in this harness."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from launch import ROOT
from mmpretrain.models.utils import CosineEMA
from mmpretrain.registry import MODELS
from short_runs import assert_same_end, copy_state, scalars_of, train

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.data import SyntheticPeople
from saip_mm.evaluation import load_subject
from saip_mm.evaluation.drawn import ProbeSizes, run_probes
from saip_mm.training.config import load_config
from saip_mm.training.loops import AccumulatingTrainLoop

BASELINES = ROOT / 'configs/pretrain/baselines'
NARROW = 'model = dict(backbone=dict(base_channels=8), neck=dict(in_channels=64))\n'
TINY_HAP = ROOT / 'tests/configs/tiny_hap.py'
NAMES = ('mocov3_small', 'simclr_resnet18', 'mae_square')
DRAWN = """
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        type='SyntheticPeople',
        num_identities=3,
        images_per_identity=8,
        size=(128, 64),
        pipeline={{_base_.pipeline}},
    ),
)
train_cfg = dict(max_epochs=2)
default_hooks = dict(
    logger=dict(interval=1),
    checkpoint=dict(type='SafeCheckpointHook', minutes=1e-9, max_keep_ckpts=9),
)
randomness = dict(seed=3)
"""


def written(name: str, folder: Path, more: str = '') -> Path:
    """A config of a few steps on drawn people."""
    path = folder / f'{name}.py'
    path.write_text(f'_base_ = {str(BASELINES / name)!r} ".py"{DRAWN}{more}')
    return path


@pytest.mark.parametrize('name', NAMES)
def test_any_step_of_an_algorithm_is_resumed_bit_for_bit(name, tmp_path):
    more = NARROW if name == 'simclr_resnet18' else ''
    config = written(name, tmp_path, more)
    train(tmp_path / 'a', config=config)
    copy_state(tmp_path / 'a/epoch_1_iter_4.pth', tmp_path / 'b')
    train(tmp_path / 'b', config=config, resume=True)
    assert_same_end(tmp_path / 'b', tmp_path / 'a')
    states = [
        read_checkpoint(tmp_path / 'a' / f'{stem}.pth')['state_dict']
        for stem in ('epoch_0_iter_1', 'epoch_2')
    ]
    changed = [name for name in states[0] if not states[0][name].equal(states[1][name])]
    assert any(name.startswith('backbone.') for name in changed)


@pytest.mark.parametrize('name', ['simclr_resnet18', 'mae_square', 'hap'])
def test_probes_during_training_are_those_of_the_checkpoint(name, tmp_path):
    more = NARROW if name == 'simclr_resnet18' else ''
    config = TINY_HAP if name == 'hap' else written(name, tmp_path, more)
    sizes = dict(identities=4, images=4, train_identities=4, train_images=2)
    probe = dict(type='ProbeHook', interval=1, sizes=sizes)
    train(tmp_path / 'a', config=config)
    train(tmp_path / 'b', f'default_hooks.probe={probe}', config=config)
    assert_same_end(tmp_path / 'b', tmp_path / 'a')
    *_, last = (x for x in scalars_of(tmp_path / 'b') if 'probe/reid/mAP' in x)
    subject = load_subject(str(tmp_path / 'b/epoch_2.pth'), config)
    expected = run_probes(subject, ProbeSizes(**sizes))
    assert {f'probe/{name}': score for name, score in expected.items()} == {
        name: score for name, score in last.items() if name != 'step'
    }


@pytest.mark.parametrize('name', NAMES)
def test_features_are_those_of_the_algorithm(name, tmp_path):
    config = written(name, tmp_path)
    cfg = load_config(str(config))
    preprocessor = cfg.data_preprocessor  # MMEngine's runner adds it to the model
    model = MODELS.build(dict(cfg.model, data_preprocessor=preprocessor)).eval()
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'epoch_1.pth')
    subject = load_subject(str(tmp_path / 'epoch_1.pth'), config)
    images = torch.randint(256, (2, 3, *subject.features.size), dtype=torch.uint8)
    batch = dict(inputs=images.flip(1), data_samples=[])  # BGR, as read by OpenCV
    if cfg.model.type != 'MAE':
        batch['inputs'] = [batch['inputs']]
    inputs = model.data_preprocessor(batch)['inputs']
    with torch.no_grad():
        found = subject.features(images, patches=True)
        if cfg.model.type == 'MAE':
            expected = model.backbone(inputs, mask=None)[0][:, 0]
        else:
            expected = model.backbone(inputs[0])[-1]
    if expected.ndim == 4:
        torch.testing.assert_close(found.patches, expected)
        expected = torch.nn.functional.adaptive_avg_pool2d(expected, 1).flatten(1)
    torch.testing.assert_close(found.image, expected, rtol=1e-4, atol=1e-4)


def test_a_sample_is_a_function_of_its_key(tmp_path):
    cfg = load_config(str(written('mocov3_small', tmp_path)))
    people = SyntheticPeople(2, 2, pipeline=cfg.train_dataloader.dataset.pipeline)
    first = people[3, 0, 1]['inputs']
    other_epoch = people[3, 1, 1]['inputs']
    again = people[3, 0, 1]['inputs']
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other_epoch))


def test_a_target_network_is_averaged_once_per_step(tmp_path, monkeypatch):
    """With the same momenta, whatever the number of micro-batches."""
    config, momenta = written('mocov3_small', tmp_path), []
    average = CosineEMA.avg_func

    def noted(self, old, new, steps):
        average(self, old, new, steps)
        average(self, old := torch.zeros(1), torch.ones(1), steps)
        momenta.append(float(old))

    monkeypatch.setattr(CosineEMA, 'avg_func', noted)
    train(tmp_path / 'whole', config=config)
    whole = momenta.copy()
    momenta.clear()
    train(tmp_path / 'parts', 'optim_wrapper.accumulative_counts=2', config=config)
    assert len(set(whole)) == 5  # of six steps: the first one copies
    assert momenta == whole


def test_micro_batches_of_views_and_data_samples():
    views = [torch.randn(4, 3, 8, 8) for _ in range(2)]
    loop = SimpleNamespace(dataloader=SimpleNamespace(batch_size=4), _micro_batches=2)
    batch = dict(inputs=views, data_samples=list('abcd'), scales=(1, 2))
    first, second = AccumulatingTrainLoop.split(loop, batch)
    assert second['data_samples'] == ['c', 'd'] and second['scales'] == (1, 2)
    assert torch.equal(first['inputs'][1], views[1][:2])
    assert torch.equal(second['inputs'][0], views[0][2:])
    first, second = AccumulatingTrainLoop.split(loop, dict(inputs=views[0]))
    assert torch.equal(second['inputs'], views[0][2:])


@pytest.mark.parametrize(
    'more, error, message',
    [
        (
            "model = dict(_delete_=True, type='ImageClassifier', backbone=dict("
            "type='SAIPViT', arch='deit-tiny'))\n"
            "data_preprocessor = dict(_delete_=True, type='ClsDataPreprocessor')\n",
            TypeError,
            'ImageClassifier learns from labels',
        ),
        (
            "default_hooks['saip'] = dict(type='SAIPHook')\n",
            TypeError,
            'SAIPHook cannot update',
        ),
        (
            "default_hooks['chekpoint'] = dict(interval=2)\n",
            ValueError,
            r'default_hooks.chekpoint has no type.*\(checkpoint, ',
        ),
        (
            'val_dataloader = dict(train_dataloader)\nval_cfg = dict()\n'
            "val_evaluator = dict(type='Accuracy')\n",
            ValueError,
            'MoCoV3 learns without labels',
        ),
    ],
)
def test_what_cannot_be_trained_is_refused(more, error, message, tmp_path):
    with pytest.raises(error, match=message):
        train(tmp_path / 'run', config=written('mocov3_small', tmp_path, more))
