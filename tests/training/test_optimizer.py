"""Parameter groups, against MMPretrain's and MMEngine's own; precision."""

import pytest
import torch
from launch import TINY
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS, OPTIM_WRAPPERS
from torch import nn

from saip_mm.models import SAIPViT
from saip_mm.training.optimizer import has_bfloat16

NO_DECAY = ['cls_token', 'pos_embed']
RATE = 0.75
DECAY = dict(decay_rate=RATE, no_decay=NO_DECAY)


@pytest.fixture
def classifier():
    backbone = dict(
        type=SAIPViT,
        arch=dict(embed_dims=12, num_layers=4, num_heads=2, feedforward_channels=24),
        img_size=(64, 32),
        out_type='cls_token',
    )
    head = dict(type='mmpretrain.LinearClsHead', num_classes=3, in_channels=12)
    return ImageClassifier(backbone=backbone, head=head)


def groups(model, constructor, **paramwise_cfg):
    optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
    config = dict(
        optimizer=optimizer, constructor=constructor, paramwise_cfg=paramwise_cfg
    )
    return build_optim_wrapper(model, config).optimizer.param_groups


def by_name(model, constructor='mmpretrain.LayerDecay', **paramwise_cfg):
    """(learning rate, weight decay) of every parameter."""
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in groups(model, constructor, **paramwise_cfg)
        for parameter in group['params']
    }
    return {name: settings.get(id(p)) for name, p in model.named_parameters()}


def test_no_decay_for_vectors_positions_and_tokens():
    cfg = Config.fromfile(TINY)
    model = MODELS.build(cfg.model)
    decayed, others = build_optim_wrapper(
        model, cfg.optim_wrapper
    ).optimizer.param_groups
    assert (decayed['weight_decay'], others['weight_decay']) == (0.05, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    without = {names[id(p)] for p in others['params']}
    for name, parameter in model.named_parameters():
        plain = name.split('.')[-1] in ('bias', 'in_proj_bias')
        norm = any(word in name for word in ('norm', '.ln')) and 'projector' not in name
        special = name.endswith(('cls_token', 'pos_embed', 'mask_token'))
        if parameter.requires_grad:
            assert (name in without) == (plain or norm or special), name
        else:
            assert name.startswith('teacher.') and name not in without
    trained = sum(p.requires_grad for p in model.parameters())
    assert len(decayed['params']) + len(without) == trained


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmdet', 'mmpose', 'mmseg'])
def test_same_as_mmpretrains_layer_decay(classifier, scope):
    with DefaultScope.overwrite_default_scope(scope):
        ours = by_name(classifier, **DECAY)
    theirs = by_name(
        classifier,
        'mmpretrain.LearningRateDecayOptimWrapperConstructor',
        layer_decay_rate=RATE,
        flat_decay_mult=0.0,
        custom_keys={f'.{name}': dict(decay_mult=0.0) for name in NO_DECAY},
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name]), name
    first = ours['backbone.patch_embed.projection.weight']
    assert first == pytest.approx((1e-3 * RATE**5, 0.05))
    assert ours['head.fc.weight'] == (1e-3, 0.05)


def test_custom_keys_outside_the_backbone_are_those_of_mmengine(classifier):
    keys = {
        'head': dict(lr_mult=10.0),
        'd.fc.bias': dict(lr_mult=3.0, decay_mult=0.5),  # longer
    }
    ours = by_name(classifier, **DECAY, custom_keys=keys | dict(fc1={}, ln={}))
    theirs = by_name(classifier, 'DefaultOptimWrapperConstructor', custom_keys=keys)
    plain = by_name(classifier, **DECAY)
    for name in ours:
        expected = theirs if name.startswith('head.') else plain
        assert ours[name] == pytest.approx(expected[name]), name
    assert ours['head.fc.bias'] == pytest.approx((3e-3, 0.025))


def test_custom_keys_of_weight_decay_groups_are_those_of_mmengine(classifier):
    keys = {'backbone': dict(lr_mult=0.1), 'backbone.cls_token': dict(decay_mult=2.0)}
    options = dict(no_decay=NO_DECAY, custom_keys=keys)
    ours = by_name(classifier, 'mmpretrain.WeightDecayGroups', **options)
    theirs = by_name(classifier, 'DefaultOptimWrapperConstructor', custom_keys=keys)
    for name, (lr, decay) in ours.items():
        assert lr == pytest.approx(theirs[name][0]), name
        assert decay in (theirs[name][1], 0.0), name
    assert ours['backbone.cls_token'] == (1e-3, 0.1)
    assert ours['backbone.ln1.weight'] == pytest.approx((1e-4, 0.0))


def test_unknown_settings_of_groups_are_named(classifier):
    options = dict(no_decay=NO_DECAY, norm_decay_mult=0.0)
    with pytest.raises(ValueError, match='given: no_decay, norm_decay_mult'):
        groups(classifier, 'mmpretrain.WeightDecayGroups', **options)


def test_keys_of_the_backbone_are_refused_with_layer_decay(classifier):
    frozen = {'head': dict(lr_mult=2.0), 'backbone.layers': dict(lr_mult=0.0)}
    with pytest.raises(ValueError, match='hence not backbone.layers; use decay_rate'):
        by_name(classifier, **DECAY, custom_keys=frozen)


def test_few_groups_and_no_frozen_parameters(classifier):
    classifier.backbone.pos_embed.requires_grad_(False)
    found = groups(classifier, 'mmpretrain.LayerDecay', _delete_=True, **DECAY)
    assert len(found) == 2 * 6
    trained = [p for p in classifier.parameters() if p.requires_grad]
    assert sum(len(group['params']) for group in found) == len(trained)
    flat = by_name(classifier, **DECAY | dict(decay_rate=1))
    assert {lr for lr, _ in filter(None, flat.values())} == {1e-3}


def test_an_optimizer_without_weight_decay(classifier):
    config = dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=dict(no_decay=[]))
    config['constructor'] = 'mmpretrain.WeightDecayGroups'
    found = build_optim_wrapper(classifier, config).optimizer.param_groups
    assert [group['weight_decay'] for group in found] == [0, 0]


def test_bad_settings_are_rejected(classifier):
    for options, message in (
        (dict(num_layers=12), '_delete_=True'),
        (dict(decay_rate=1.5), 'decay_rate=1.5'),
        (
            dict(custom_keys=dict(head=dict(fix_lr=True))),
            r"\['head'\] takes lr_mult an",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            by_name(classifier, **DECAY | options)
    classifier.backbone = nn.Linear(2, 2)
    with pytest.raises(TypeError, match='Linear of ImageClassifier has no get_layer'):
        by_name(classifier, **DECAY)


@pytest.mark.parametrize(
    'flags, dtype',
    [
        ('flags: avx512f avx512_bf16 avx512_vnni', torch.bfloat16),
        ('flags: avx512f avx512_vnni', torch.float32),
        (None, torch.float32),  # not Linux
    ],
)
def test_bfloat16_is_used_where_the_cpu_has_it(flags, dtype, monkeypatch, tmp_path):
    cpuinfo = tmp_path / 'cpuinfo'
    if flags:
        cpuinfo.write_text(f'processor: 0\n{flags}\n')
    monkeypatch.setattr('saip_mm.training.optimizer._CPUINFO', cpuinfo)
    not_cached = has_bfloat16.__wrapped__
    assert not_cached('cuda')
    monkeypatch.setattr('saip_mm.training.optimizer.has_bfloat16', not_cached)
    layer = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    config = dict(type='BFloat16OptimWrapper', optimizer=optimizer)
    with OPTIM_WRAPPERS.build(config).optim_context(layer):
        assert layer(torch.ones(2, 4)).dtype == dtype
    assert layer.weight.dtype == torch.float32
