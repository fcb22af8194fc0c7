"""The plain training step against torch's AdamW and MMEngine's schedulers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR
from plain_saip import losses
from plain_training import (
    Recipe,
    learning_rate,
    start,
    teacher_momentum,
    train_step,
)
from torch import nn

SMALL = SimpleNamespace(heads=2, decoder_heads=4, middle=2, mask_ratio=0.6)
FROZEN = {
    'csm_decoder.last_layer.weight_g',
    'csm_decoder.decoder_norm.weight',
    'csm_decoder.decoder_norm.bias',
}


def layer(name: str, out: int, size: int, *kernel: int) -> dict[str, tuple]:
    return {f'{name}.weight': (out, size, *kernel), f'{name}.bias': (out,)}


def norm(name: str, width: int) -> dict[str, tuple]:
    return {f'{name}.weight': (width,), f'{name}.bias': (width,)}


def block(name: str, c: int, attention: tuple[str, str]) -> dict[str, tuple]:
    inward, outward = attention
    return {
        **norm(f'{name}.norm1', c),
        f'{name}.attn.{inward}weight': (3 * c, c),
        f'{name}.attn.{inward}bias': (3 * c,),
        **layer(f'{name}.attn.{outward}', c, c),
        **norm(f'{name}.norm2', c),
        **layer(f'{name}.mlp.fc1', 2 * c, c),
        **layer(f'{name}.mlp.fc2', c, 2 * c),
    }


def small_shapes() -> dict[str, tuple]:
    """A SAIP of 3 blocks, 8 channels and 12 outputs on a 4×2 grid, official names."""
    c, d, itself = 8, 16, ('qkv.', 'proj')
    shapes = {'backbone.cls_token': (1, 1, c), 'backbone.pos_embed': (1, 9, c)}
    shapes |= layer('backbone.patch_embed.proj', c, 3, 16, 16)
    for i in range(3):
        shapes |= block(f'backbone.blocks.{i}', c, itself)
    shapes |= norm('backbone.norm', c) | norm('backbone.inter_norm', c)
    shapes |= {'csr_decoder.mask_token': (1, 1, d)}
    shapes |= {'csr_decoder.decoder_pos_embed': (1, 9, d)}
    shapes |= layer('csr_decoder.decoder_embed', d, c)
    shapes |= block('csr_decoder.decoder_blocks.0', d, itself)
    shapes |= norm('csr_decoder.decoder_norm', d)
    shapes |= layer('csr_decoder.decoder_pred', 768, d)
    shapes |= norm('csm_decoder.decoder_norm', c) | layer('csm_decoder.mlp.0', 20, c)
    shapes |= layer('csm_decoder.mlp.2', 20, 20) | layer('csm_decoder.mlp.4', 10, 20)
    shapes |= {'csm_decoder.last_layer.weight_g': (12, 1)}
    shapes |= {'csm_decoder.last_layer.weight_v': (12, 10)}
    shapes |= layer('css_decoder.q_decoder_embed', d, c)
    shapes |= layer('css_decoder.kv_decoder_embed', d, c)
    shapes |= block('css_decoder.self_atten_blocks.0', d, itself)
    shapes |= block('css_decoder.cross_atten_block', d, ('in_proj_', 'out_proj'))
    shapes |= norm('css_decoder.kv_decoder_norm', d)
    shapes |= norm('css_decoder.q_decoder_norm', d)
    shapes |= layer('css_decoder.kernel_pred', d, d)
    for i, (size, k) in {0: (c, 1), 2: (d, 3), 4: (d, 3), 6: (d, 3)}.items():
        shapes |= layer(f'css_decoder.mask_head.{i}', d, size, k, k)
    return shapes


def draw(seed: int, shapes: dict[str, tuple]) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return {
        name: torch.from_numpy(rng.normal(scale=0.2, size=shape))
        for name, shape in shapes.items()
    }


def draw_views(seed: int, batch: int) -> dict[str, torch.Tensor]:
    sizes = {'global_0': (64, 32), 'global_1': (64, 32), 'local_0': (32, 16)}
    sizes |= {'local_1': (32, 16), 'roi': (16, 16), 'inst': (48, 16)}
    sizes |= {'csr': (80, 48), 'scene': (64, 48)}
    shapes = {name: (batch, 3, *size) for name, size in sizes.items()}
    shapes |= {'csr_noise': (batch, 4, 2)}
    shapes |= {'inst_mask': (batch, 4, 3), 'roi_mask': (batch, 4, 3)}
    views = draw(seed, shapes)
    return {name: x > 0 if 'mask' in name else x for name, x in views.items()}


@pytest.fixture
def state() -> dict:
    student, teacher = draw(1, small_shapes()), draw(2, small_shapes())
    return start(student, teacher, torch.zeros(12).double())


@pytest.mark.parametrize('warmup, steps', [(2, 9), (5, 30), (40, 41)])
def test_learning_rate_is_mmengines(warmup, steps):
    recipe = Recipe(lr=0.3, start_factor=0.01, warmup=warmup, steps=steps)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    schedulers = [
        LinearLR(optimizer, start_factor=recipe.start_factor, end=warmup),
        CosineAnnealingLR(optimizer, T_max=steps - warmup, begin=warmup, end=steps),
    ]
    for t in range(steps):
        rate = optimizer.param_groups[0]['lr']
        assert learning_rate(t, recipe) == pytest.approx(rate, rel=1e-9), t
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_teacher_momentum_rises_to_one():
    recipe = Recipe(momentum=0.9, steps=10)
    momentum = [teacher_momentum(t, recipe) for t in (0, 5, 10)]
    assert momentum == pytest.approx([0.9, 0.95, 1])


def torch_adamw(parameters: dict[str, nn.Parameter], decay: float):
    """The method's two groups: norms, biases, positions and tokens do not decay."""
    exempt = {k for k in parameters if 'norm' in k}
    exempt |= {k for k in parameters if k.endswith(('bias', 'token', 'pos_embed'))}
    groups = [
        {'params': [w for k, w in parameters.items() if k not in exempt | FROZEN]},
        {'params': [parameters[k] for k in exempt - FROZEN], 'weight_decay': 0},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=decay)


def test_student_follows_torchs_adamw(state):
    recipe = Recipe(lr=0.01, warmup=2, steps=5, weight_decay=0.3)
    theirs = {k: nn.Parameter(w.detach().clone()) for k, w in state['student'].items()}
    optimizer = torch_adamw(theirs, decay=0.3)
    for step in range(3):
        views = draw_views(step, batch=2)
        loss, _ = losses(theirs, state['teacher'], state['center'], views, SMALL)
        optimizer.zero_grad()
        sum(loss.values()).backward()
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step, recipe)
        optimizer.step()
        ours = train_step(state, [views], recipe, SMALL)
        assert ours == pytest.approx({k: x.item() for k, x in loss.items()})
        for name, w in theirs.items():
            torch.testing.assert_close(state['student'][name], w, msg=name)


def test_teacher_and_center_follow(state):
    recipe = Recipe(lr=0.01, warmup=2, steps=5, momentum=0.9)
    before, views = dict(state['teacher']), draw_views(0, batch=2)
    _, raw = losses(state['student'], before, state['center'], views, SMALL)
    train_step(state, [views], recipe, SMALL)
    for name, w in before.items():
        if name.startswith(('backbone.', 'csm_')) and name not in FROZEN:
            w = 0.9 * w + 0.1 * state['student'][name].detach()
        torch.testing.assert_close(state['teacher'][name], w, msg=name)
    # From zero, one tenth of the mean over both views and all images.
    expected = sum(view.sum(0) for view in raw['teacher']) / 4 * 0.1
    torch.testing.assert_close(state['center'], expected)


def test_what_the_method_never_reads_stays(state):
    before = {k: w.detach().clone() for k, w in state['student'].items()}
    train_step(state, [draw_views(0, batch=2)], Recipe(), SMALL)
    same = {k for k, w in before.items() if torch.equal(state['student'][k], w)}
    assert same == FROZEN


def test_two_micro_batches_are_one_of_twice_the_size(state):
    whole = start(state['student'], state['teacher'], state['center'])
    for step in range(3):
        views = draw_views(step, batch=4)
        halves = zip(*(x.chunk(2) for x in views.values()), strict=True)
        halves = [dict(zip(views, half, strict=True)) for half in halves]
        halved = train_step(state, halves, Recipe(lr=0.01), SMALL)
        assert train_step(whole, [views], Recipe(lr=0.01), SMALL) == pytest.approx(
            halved
        )
    for part in ('student', 'teacher'):
        for name, w in whole[part].items():
            torch.testing.assert_close(state[part][name], w, msg=f'{part} {name}')
    torch.testing.assert_close(state['center'], whole['center'])
