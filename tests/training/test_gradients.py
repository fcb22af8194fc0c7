"""Gradients of the objectives on shared parameters."""

import pytest
import torch
from launch import ROOT, TINY
from mmengine.config import Config
from mmengine.runner import Runner
from short_runs import assert_same_end, scalars_of, train

from saip_mm.training.gradients import compare_gradients, shared_gradients


@pytest.fixture(scope='module')
def setting(tmp_path_factory):
    """A model and one batch, in double precision."""
    cfg = Config.fromfile(TINY)
    cfg.work_dir = str(tmp_path_factory.mktemp('work_dir'))
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    batch, model = next(iter(runner.train_dataloader)), runner.model.double()
    batch['scales'] = model.data_preprocessor.draw_scales(0, 0)
    return model, model.data_preprocessor(batch, True)


def test_gradients_are_those_of_each_loss_by_itself(setting):
    """A pass of its own per objective; what has no gradient in one is not shared."""
    model, data = setting
    found = compare_gradients(shared_gradients(model, model.loss(**data)))
    groups = dict(
        matching=('loss_csm', 'loss_attn'),
        reconstruction=('loss_csr',),
        search=('loss_css_inst', 'loss_css_roi'),
    )
    gradients = {}
    for name, group in groups.items():
        model.zero_grad()
        losses = model.loss(**data)
        for each in group:
            losses[each].backward(retain_graph=True)
        gradients[name] = {
            key: parameter.grad.clone()
            for key, parameter in model.named_parameters()
            if parameter.grad is not None
        }
    model.zero_grad()
    shared = set.intersection(*map(set, gradients.values()))
    last = f'backbone.layers.{len(model.backbone.layers) - 1}.attn.qkv.weight'
    assert 'backbone.layers.0.attn.qkv.weight' in shared and last not in shared
    flat = {
        name: torch.cat([each[key].ravel() for key in sorted(shared)])
        for name, each in gradients.items()
    }
    for name, gradient in flat.items():
        assert gradient.norm() > 1e-3
        assert found[f'gradient/{name}'] == pytest.approx(gradient.norm().item())
    a, b = flat['matching'], flat['search']
    cosine = (a @ b / (a.norm() * b.norm())).item()
    assert found['gradient/cos_matching_search'] == pytest.approx(cosine)
    assert len(found) == 6


def test_another_algorithm_is_refused(tmp_path):
    config, hook = ROOT / 'tests/configs/tiny_hap.py', dict(type='ObjectiveGradients')
    with pytest.raises(TypeError, match='which a HAP does not have: remove it from'):
        train(tmp_path, f'custom_hooks=[{hook}]', config=config)


def test_training_is_the_same_to_the_bit(tiny_run, tmp_path):
    hook = dict(type='ObjectiveGradients', interval=2)
    train(tmp_path / 'logged', f'custom_hooks=[{hook}]')
    assert_same_end(tmp_path / 'logged', tiny_run)
    lines = scalars_of(tmp_path / 'logged')
    steps = [line['step'] for line in lines if 'gradient/matching' in line]
    assert steps == [0, 2, 4]
