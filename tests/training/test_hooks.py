"""SAIPHook, parameter groups and precision."""

import pytest
import torch
from launch import TINY, call
from mmengine.config import Config
from mmpretrain.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS

from saip_mm.training import SAIPHook


@pytest.mark.parametrize('option', ['momentum', 'end_momentum', 'max_initial_share'])
def test_a_momentum_outside_zero_to_one_is_refused(option):
    with pytest.raises(ValueError, match=f'^{option}='):
        SAIPHook(**{option: 1.1})


def test_no_decay_for_vectors_positions_and_tokens():
    cfg = Config.fromfile(TINY)
    model = MODELS.build(cfg.model)
    options = cfg.optim_wrapper
    constructor = dict(
        type=options.pop('constructor'),
        paramwise_cfg=options.pop('paramwise_cfg'),
        optim_wrapper_cfg=options,
    )
    optimizer = OPTIM_WRAPPER_CONSTRUCTORS.build(constructor)(model).optimizer
    decayed, others = optimizer.param_groups
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
    assert len(decayed['params']) + len(without) == sum(
        p.requires_grad for p in model.parameters()
    )


def test_bfloat16_wrapper_runs_linear_layers_in_bfloat16():
    layer = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='BFloat16OptimWrapper', optimizer=optimizer)
    )
    with wrapper.optim_context(layer):
        assert layer(torch.ones(2, 4)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32


def test_another_loop_is_refused(tmp_path):
    options = ['train_cfg.type=EpochBasedTrainLoop', 'train_dataloader.batch_size=2']
    arguments = [TINY, '--work-dir', tmp_path, '--cfg-options', *options]
    with pytest.raises(TypeError, match='AccumulatingTrainLoop'):
        call('tools/train.py', *arguments)


def test_weights_that_are_not_finite_are_not_saved():
    state = dict(good=torch.ones(2), bad=torch.tensor([1.0, float('inf')]))
    with pytest.raises(FloatingPointError, match='1 tensors are not finite, .* bad'):
        SAIPHook().before_save_checkpoint(None, dict(state_dict=state))
    SAIPHook().before_save_checkpoint(None, dict(state_dict=dict(good=state['good'])))
