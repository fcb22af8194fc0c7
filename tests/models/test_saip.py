"""SAIP against the plain method, and what it promises besides."""

import copy
import math
import signal
from types import SimpleNamespace

import pytest
import torch
from launch import ROOT, TINY
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS
from plain_step import names_of, views_of
from plain_training import Recipe, start, train_step
from tiny_views import tiny_views

from saip_mm.training.saving import STOP_SIGNALS

PLAIN = SimpleNamespace(heads=3, decoder_heads=4, middle=2, mask_ratio=0.75)


@HOOKS.register_module()
class FollowPlainly(Hook):
    """Lets the plain method take every step of a run, from the same start."""

    def before_train(self, runner):
        model = runner.model.double()
        state = model.state_dict()
        self.student, self.teacher = names_of(state)
        assert {name.partition('.')[0] for name in self.teacher} == {
            *('backbone', 'csm_decoder')
        }
        self.plain = start(
            {name: state[key] for name, key in self.student.items()},
            {name: state[key] for name, key in self.teacher.items()},
            model.matching.center[0].clone(),
        )
        self.losses, self.plain_losses, self.batches = [], [], []
        forward = model.data_preprocessor.forward

        def keep_views(*args, **kwargs):
            data = forward(*args, **kwargs)
            views = views_of(data['inputs'])
            noise = views.pop('csr_noise')
            views = {name: view.double() for name, view in views.items()}
            self.batches.append(views | dict(csr_noise=noise))
            return data

        model.data_preprocessor.forward = keep_views

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        recipe = Recipe(lr=2e-2 * 8 / 256, warmup=2, steps=6)
        self.losses.append(outputs)
        self.plain_losses.append(train_step(self.plain, self.batches, recipe, PLAIN))
        self.batches.clear()


@pytest.mark.parametrize(
    'micro_batches, recompute', [(1, False), (1, True), (2, False)]
)
def test_whole_training_steps_equal_the_plain_method(
    micro_batches, recompute, tmp_path
):
    cfg = Config.fromfile(TINY)
    cfg.model.recompute = recompute
    cfg.work_dir, cfg.experiment_name = str(tmp_path), tmp_path.name
    cfg.optim_wrapper.accumulative_counts = micro_batches
    cfg.custom_hooks = [dict(type='FollowPlainly')]
    runner = Runner.from_cfg(cfg)
    handlers = [signal.getsignal(number) for number in STOP_SIGNALS]
    runner.train()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == handlers
    follower = next(hook for hook in runner.hooks if isinstance(hook, FollowPlainly))

    assert len(follower.losses) == 6
    for ours, plain in zip(follower.losses, follower.plain_losses, strict=True):
        for name, value in plain.items():
            assert ours[name].item() == pytest.approx(value, rel=1e-6)
    state = runner.model.state_dict()
    plain = follower.plain
    for names, weights in (
        (follower.student, plain['student']),
        (follower.teacher, plain['teacher']),
    ):
        for name, key in names.items():
            torch.testing.assert_close(
                state[key], weights[name].detach(), rtol=1e-6, atol=1e-8, msg=key
            )
    torch.testing.assert_close(state['matching.center'][0], plain['center'])
    expected = {'matching.center', 'data_preprocessor.mean', 'data_preprocessor.std'}
    compared = {*follower.student.values(), *follower.teacher.values()}
    assert set(state) - compared == expected


def tiny_model(recompute: bool = False) -> torch.nn.Module:
    model = MODELS.build(dict(Config.fromfile(TINY).model, recompute=recompute))
    model.init_weights()
    return model.train()


def test_loss_changes_no_state():
    model, inputs = tiny_model(), tiny_views()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    first, second = model.loss(inputs), model.loss(inputs)
    assert all(torch.equal(first[name], second[name]) for name in first)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_recomputed_blocks_keep_less_memory():
    kept, inputs = [], tiny_views()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[-1] += tensor.nbytes
        return tensor

    for recompute in (False, True):
        model = copy.deepcopy(tiny_model(recompute))
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = model.loss(inputs)
        sum(loss for name, loss in losses.items() if 'loss' in name).backward()
        assert all(p.grad is not None for p in model.backbone.parameters())
    assert kept[1] < 0.7 * kept[0]


def test_a_copy_trains_its_own_student():
    model, inputs = tiny_model(), tiny_views()
    other = copy.deepcopy(model)
    assert other.student['encoder'].backbone is other.backbone is not model.backbone
    with torch.no_grad():
        for parameter in other.backbone.parameters():
            parameter.zero_()
    token = other.student['encoder'](inputs['roi']).image_token
    assert torch.equal(token, torch.zeros_like(token))
    assert model.student['encoder'](inputs['roi']).image_token.abs().min() > 0


def test_the_student_compiles_to_one_graph():
    model = tiny_model()
    explained = torch._dynamo.explain(model.student['encoder'])(tiny_views()['roi'])
    assert explained.graph_count == 1


def test_the_teacher_starts_as_the_student_whatever_memory_held():
    model = MODELS.build(Config.fromfile(TINY).model)
    for parameter in model.teacher.parameters():
        parameter.fill_(float('nan'))
    model.init_weights()
    for name, value in model.teacher.named_parameters():
        assert torch.equal(value, model.student.get_parameter(name)), name


@pytest.mark.parametrize(
    'left_out, losses',
    [
        ('matching', {'loss_csr', 'loss_css_inst', 'loss_css_roi'}),
        ('reconstruction', {'loss_csm', 'loss_attn', 'loss_css_inst', 'loss_css_roi'}),
        ('search', {'loss_csm', 'loss_attn', 'loss_csr'}),
    ],
)
def test_a_head_left_out_leaves_out_its_objective(left_out, losses):
    cfg = Config.fromfile(TINY).model
    cfg[left_out] = None
    model = MODELS.build(cfg)
    model.init_weights()
    found = model.train().loss(tiny_views())
    assert {name for name in found if name.startswith('loss')} == losses
    model.update_teacher(0.99)


def test_a_model_without_any_head_is_refused():
    with pytest.raises(ValueError, match='matching, reconstruction, search or'):
        MODELS.build(dict(type='SAIP', backbone=Config.fromfile(TINY).model.backbone))


def test_weights_multiply_the_losses_of_their_objective():
    cfg, inputs = Config.fromfile(TINY).model, tiny_views()
    plain = tiny_model()
    weighted = MODELS.build(dict(cfg, loss_weights=dict(search=2.0, matching=0.5)))
    weighted.load_state_dict(plain.state_dict())
    found, expected = weighted.train().loss(inputs), plain.loss(inputs)
    factors = dict(loss_csm=0.5, loss_attn=0.5, loss_csr=1)
    for name, factor in dict(factors, loss_css_inst=2, loss_css_roi=2).items():
        assert found[name] == factor * expected[name]
    with pytest.raises(ValueError, match='loss_weights.match=0.5'):
        MODELS.build(dict(cfg, loss_weights=dict(match=0.5)))


@pytest.mark.parametrize('weight', [-1, math.nan, math.inf, None, '1'])
def test_weights_of_losses_are_numbers(weight):
    cfg = dict(Config.fromfile(TINY).model, loss_weights=dict(search=weight))
    with pytest.raises(ValueError, match='loss_weights.search=.* at least 0'):
        MODELS.build(cfg)


def test_objectives_on_every_nth_image():
    cfg, inputs = Config.fromfile(TINY).model, tiny_views()
    inputs = {name: torch.cat([each, each.flip(-1)]) for name, each in inputs.items()}
    plain = tiny_model()
    some = MODELS.build(dict(cfg, every_nth=dict(reconstruction=2, search=3)))
    some.load_state_dict(plain.state_dict())
    found, expected = some.train().loss(inputs), plain.loss(inputs)
    for names, n in ((('csr',), 2), (('css_inst', 'css_roi'), 3)):
        alone = plain.loss({name: each[::n] for name, each in inputs.items()})
        for name in names:
            torch.testing.assert_close(found[f'loss_{name}'], alone[f'loss_{name}'])
            assert found[f'loss_{name}'] != expected[f'loss_{name}']
    assert found['loss_csm'] == expected['loss_csm']


@pytest.mark.parametrize(
    'given', [dict(matching=2), dict(search=0), dict(search=1.5), dict(search=None)]
)
def test_every_nth_image_is_a_whole_number(given):
    with pytest.raises(ValueError, match='every_nth.*whole numbers of at least 1'):
        MODELS.build(dict(Config.fromfile(TINY).model, every_nth=given))


def test_bfloat16_gives_nearly_the_same_losses():
    model, inputs = tiny_model(), tiny_views()
    with torch.no_grad():
        full = model.loss(inputs)
        with torch.autocast('cpu', torch.bfloat16):
            half = model.loss(inputs)
    for name in full:
        assert half[name].dtype == torch.float32
        torch.testing.assert_close(half[name], full[name], rtol=0.05, atol=1e-2)


def test_heads_that_do_not_suit():
    cfg = Config.fromfile(ROOT / 'tests/configs/tiny_tinyvit.py').model
    cfg.search.in_channels = 12
    with pytest.raises(ValueError, match='search.in_channels=12, .* tokens of 24 ch'):
        MODELS.build(cfg)
    # Batch norms would never see a whole image.
    cfg.matching, cfg.search, cfg.reconstruction.anchor = None, None, False
    with pytest.raises(ValueError, match='running statistics of SAIPTinyViT need'):
        MODELS.build(cfg)
