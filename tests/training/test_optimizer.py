"""Learning rates and weight decay per layer, against MMPretrain's own."""

import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from torch import nn

from saip_mm.models import SAIPViT

NO_DECAY = ['cls_token', 'pos_embed']
OPTIMIZER = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
RATE = 0.75


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


def by_name(model, constructor, paramwise_cfg):
    """(learning rate, weight decay) of every parameter."""
    config = dict(
        optimizer=OPTIMIZER, constructor=constructor, paramwise_cfg=paramwise_cfg
    )
    optimizer = build_optim_wrapper(model, config).optimizer
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    return {name: settings.get(id(p)) for name, p in model.named_parameters()}


def test_same_as_mmpretrain_layer_decay(classifier):
    ours = by_name(
        classifier,
        'mmpretrain.LayerDecay',
        dict(decay_rate=RATE, no_decay=NO_DECAY),
    )
    theirs = by_name(
        classifier,
        'mmpretrain.LearningRateDecayOptimWrapperConstructor',
        dict(
            layer_decay_rate=RATE,
            flat_decay_mult=0.0,
            custom_keys={f'.{name}': dict(decay_mult=0.0) for name in NO_DECAY},
        ),
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name]), name
    assert ours['backbone.patch_embed.projection.weight'] == pytest.approx(
        (1e-3 * RATE**5, 0.05)
    )
    assert ours['head.fc.weight'] == (1e-3, 0.05)


def test_custom_keys_outside_the_backbone_are_those_of_mmengine(classifier):
    keys = {
        'head': dict(lr_mult=10.0),
        'head.fc.bias': dict(lr_mult=3.0, decay_mult=0.5),
    }
    ours = by_name(
        classifier,
        'mmpretrain.LayerDecay',
        dict(
            decay_rate=RATE, no_decay=NO_DECAY, custom_keys=keys | dict(fc1={}, ln={})
        ),
    )
    theirs = by_name(
        classifier, 'DefaultOptimWrapperConstructor', dict(custom_keys=keys)
    )
    plain = by_name(
        classifier, 'mmpretrain.LayerDecay', dict(decay_rate=RATE, no_decay=NO_DECAY)
    )
    for name in ours:
        expected = theirs if name.startswith('head.') else plain
        assert ours[name] == pytest.approx(expected[name]), name
    assert ours['head.fc.bias'] == pytest.approx((3e-3, 0.025))
    with pytest.raises(ValueError, match=r"custom_keys\['head'\] takes lr_mult and"):
        arguments = dict(decay_rate=RATE, no_decay=[])
        keys = dict(custom_keys=dict(head=dict(fix_lr=True)))
        by_name(classifier, 'mmpretrain.LayerDecay', arguments | keys)


def test_custom_keys_of_weight_decay_groups_are_those_of_mmengine(classifier):
    keys = {'backbone': dict(lr_mult=0.1), 'backbone.cls_token': dict(decay_mult=2.0)}
    options = dict(no_decay=NO_DECAY, custom_keys=keys)
    ours = by_name(classifier, 'mmpretrain.WeightDecayGroups', options)
    options = dict(custom_keys=keys)
    theirs = by_name(classifier, 'DefaultOptimWrapperConstructor', options)
    for name, (lr, decay) in ours.items():
        assert lr == pytest.approx(theirs[name][0]), name
        assert decay in (theirs[name][1], 0.0), name
    assert ours['backbone.cls_token'] == (1e-3, 0.1)
    assert ours['backbone.ln1.weight'] == pytest.approx((1e-4, 0.0))


@pytest.mark.parametrize('scope', ['mmdet', 'mmpose', 'mmseg'])
def test_in_the_scope_of_another_library(classifier, scope):
    paramwise_cfg = dict(decay_rate=RATE, no_decay=NO_DECAY)
    with DefaultScope.overwrite_default_scope(scope):
        settings = by_name(classifier, 'mmpretrain.LayerDecay', paramwise_cfg)
    assert settings['backbone.layers.3.ln1.weight'] == pytest.approx((1e-3 * RATE, 0))


def test_few_groups_and_no_frozen_parameters(classifier):
    classifier.backbone.pos_embed.requires_grad_(False)
    config = dict(
        optimizer=OPTIMIZER,
        constructor='mmpretrain.LayerDecay',
        paramwise_cfg=dict(decay_rate=RATE, no_decay=NO_DECAY),
    )
    groups = build_optim_wrapper(classifier, config).optimizer.param_groups
    assert len(groups) == 2 * 6
    trained = [p for p in classifier.parameters() if p.requires_grad]
    assert sum(len(group['params']) for group in groups) == len(trained)


def test_what_it_cannot_do_is_said(classifier):
    arguments = dict(decay_rate=RATE, no_decay=NO_DECAY)
    with pytest.raises(ValueError, match='_delete_=True'):
        by_name(classifier, 'mmpretrain.LayerDecay', arguments | dict(num_layers=12))
    with pytest.raises(ValueError, match='decay_rate=1.5'):
        by_name(classifier, 'mmpretrain.LayerDecay', arguments | dict(decay_rate=1.5))
    classifier.backbone = nn.Linear(2, 2)
    with pytest.raises(TypeError, match='Linear of ImageClassifier has no get_layer'):
        by_name(classifier, 'mmpretrain.LayerDecay', arguments)
