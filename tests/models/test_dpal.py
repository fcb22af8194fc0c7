"""DPAL against plain loops over images, crops, tokens and experts."""

import pytest
import torch
import torch.nn.functional as F
from launch import ROOT
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS
from random_models import write_teacher
from sklearn.decomposition import PCA
from torch import nn
from torch._subclasses import FakeTensorMode

from saip_mm.models.dpal import person_mask

TINY_DPAL = ROOT / 'tests/configs/tiny_dpal.py'


@pytest.fixture
def model(tmp_path) -> nn.Module:
    cfg = Config.fromfile(TINY_DPAL).model
    teacher = write_teacher(tmp_path / 'teacher.pth')
    cfg.teacher.update(checkpoint=teacher, dtype='float64')
    torch.manual_seed(1)
    model = MODELS.build(cfg)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or 'tokens' in name:
            nn.init.normal_(parameter, 1 if 'norm' in name else 0, 0.3)
    return model.double().train()


@pytest.fixture
def inputs() -> dict:
    sizes = dict(globals=(2, 3, 64, 32), locals=(1, 3, 32, 32), roi=(3, 32, 32))
    sizes['scene'] = (3, 64, 64)
    return {name: torch.randn(3, *size).double() for name, size in sizes.items()}


def plain_cross(block: nn.Module, query, tokens):
    """Cross attention and MLP for one image, head by head."""
    attn, heads, normed = block.attn, [], block.norm1(query)
    size = query.shape[1] // attn.num_heads
    weights, biases = attn.in_proj_weight.chunk(3), attn.in_proj_bias.chunk(3)
    q, k, v = (
        F.linear(x, w, b)
        for x, w, b in zip((normed, tokens, tokens), weights, biases, strict=True)
    )
    for i in range(attn.num_heads):
        part = slice(i * size, (i + 1) * size)
        scores = q[:, part] @ k[:, part].T / size**0.5
        heads.append(scores.softmax(1) @ v[:, part])
    query = query + attn.out_proj(torch.cat(heads, 1))
    first, second = block.ffn.layers[0][0], block.ffn.layers[1]
    return query + second(F.gelu(first(block.norm2(query))))


def plain_adapter(a: nn.Module, tokens):
    """Tokens [N, d] of one image → tokens [N, D], 3 logits, squared norm."""
    logits = a.gate(plain_cross(a.gate_block, a.gate_token[0], tokens))[0]
    experts = a.expert_self_block(a.expert_tokens)[0]
    experts = plain_cross(a.expert_block, experts, tokens)
    matrix = 0
    for share, expert in zip(logits.softmax(0), experts, strict=True):
        proposed = a.matrix(F.gelu(a.hidden(expert)))
        matrix = matrix + share * proposed.view(24, 48) / 256
    rows = [a.norm(F.gelu(token @ matrix)) for token in tokens]
    return torch.stack(rows), logits, (matrix**2).sum()


def plain_losses(model: nn.Module, inputs: dict) -> dict:
    person, vit, teacher = inputs['globals'][:, 0], model.backbone, model.teacher
    taught, taught_scene = teacher(model, person), teacher(model, inputs['scene'])
    flat = taught.patch_map.permute(0, 2, 3, 1).reshape(-1, 48)
    score = torch.from_numpy(PCA(1).fit_transform(flat.numpy())).view(3, 4, 2)
    score = -score if score[:, 1:3].mean() < 0 else score  # a fourth of 2 is no column
    mask = (score - score.min()) / (score.max() - score.min())
    errors = dict(loss_global=[], loss_local=[], loss_relation=[])
    gates, norms = ([], [], []), ([], [], [])

    def adapt(pattern, tokens):
        found, logits, norm = plain_adapter(model.adapter, tokens)
        gates[pattern].append(-logits.log_softmax(0)[pattern])
        norms[pattern].append(norm)
        return found

    for image in range(3):
        for crop in (person, inputs['locals'][:, 0], inputs['roi']):
            token = vit.encode(crop[image][None]).image_token
            difference = adapt(0, token)[0] - taught.image_token[image]
            errors['loss_global'].append((difference**2).mean())
        last = vit.encode(person[image][None], until='maps').last_map[0]
        guess = adapt(1, last.flatten(1).T)
        for place, patch in enumerate(guess):
            row, column = divmod(place, 2)
            difference = patch - taught.patch_map[image, :, row, column]
            share = mask[image, row, column]
            errors['loss_local'].append(share * (difference**2).mean())
        last = vit.encode(inputs['scene'][image][None], until='maps').last_map[0]
        guess = adapt(2, last.flatten(1).T)
        target = taught_scene.patch_map[image].flatten(1).T
        for ours, theirs in zip(guess, target, strict=True):
            p = torch.stack([theirs @ other / 48**0.5 for other in target]).softmax(0)
            q = torch.stack([ours @ other / 48**0.5 for other in guess]).softmax(0)
            errors['loss_relation'].append((p * (p / q).log()).sum())
    found = {name: torch.stack(each).mean() for name, each in errors.items()}
    means = [[torch.stack(each).mean() for each in x] for x in (gates, norms)]
    return found | dict(
        loss_gate=0.1 * sum(means[0]) / 3, loss_norm=0.025 * sum(means[1]) / 3
    )


def test_losses_and_gradients_equal_plain_loops(model, inputs):
    losses, expected = model.loss(inputs), plain_losses(model, inputs)
    assert losses.pop('feature_std') > 0
    torch.testing.assert_close(losses, expected, rtol=1e-6, atol=1e-8)
    trained = list(model.parameters())  # student and adapter: the teacher has none
    gradients = torch.autograd.grad(sum(losses.values()), trained)
    plain = torch.autograd.grad(sum(expected.values()), trained)
    torch.testing.assert_close(gradients, plain, rtol=1e-5, atol=1e-8)
    kept = {name.split('.')[0] for name in model.state_dict()}
    assert {'backbone', 'adapter'} <= kept and 'teacher' not in kept


def test_supervision_teaches_the_gate(model, inputs):
    """Alone, it makes each pattern choose its own expert; later, it weighs less."""
    optimizer = torch.optim.Adam(model.adapter.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model.loss(inputs)['loss_gate']
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * 0.05
    hub = MessageHub.get_current_instance()
    hub.update_info('epoch', 19)
    early = model.loss(inputs)['loss_gate']
    hub.update_info('epoch', 20)
    later = model.loss(inputs)['loss_gate']
    hub.update_info('epoch', 0)
    torch.testing.assert_close(later, early / 10)


def test_bfloat16_gives_nearly_the_same_losses(model, inputs):
    model.float()
    inputs = {name: view.float() for name, view in inputs.items()}
    with torch.no_grad():
        full = model.loss(inputs)
        with torch.autocast('cpu', torch.bfloat16):
            half = model.loss(inputs)
    for name in full:
        assert half[name].dtype == full[name].dtype, name
        torch.testing.assert_close(half[name], full[name], rtol=0.05, atol=1e-2)


@pytest.mark.parametrize('seed', range(4))
def test_the_mask_is_the_principal_component_of_svd(seed):
    torch.manual_seed(seed)
    person = torch.zeros(16, 8)
    person[4:12, 2:6] = 1
    person = person + 0.3 * torch.rand(5, 16, 8)
    patches = person.flatten(1)[..., None] * torch.randn(64) + torch.randn(5, 128, 64)
    flat = patches.flatten(0, 1) - patches.flatten(0, 1).mean(0)
    component = torch.linalg.svd(flat, full_matrices=False).Vh[0]
    score = (flat @ component).view(5, 16, 8)
    score = score if score[:, 4:12, 2:6].mean() > 0 else -score
    expected = (score - score.min()) / (score.max() - score.min())
    found = person_mask(patches, (16, 8)).view(5, 16, 8)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert found[:, 4:12, 2:6].mean() > found.mean()
    assert person_mask(torch.ones(5, 128, 64), (16, 8)).isfinite().all()
    with FakeTensorMode():  # in which no number can be read on the host
        person_mask(torch.empty(5, 128, 64), (16, 8))


def test_unsuitable_channels(model, inputs):
    model.adapter.out_channels = 47
    with pytest.raises(ValueError, match=r'set model\.adapter\.out_channels=48'):
        model.loss(inputs)
    cfg = Config.fromfile(TINY_DPAL).model
    cfg.adapter.in_channels = 20
    with pytest.raises(ValueError, match=r'adapter\.in_channels=20'):
        MODELS.build(cfg)


class TokenNorm(nn.BatchNorm1d):
    """A batch norm over tokens [B, N, C]."""

    def forward(self, tokens):
        return super().forward(tokens.flatten(0, 1)).view_as(tokens)


def test_batch_norms_describe_whole_images(model, inputs):
    """Neither crops nor scenes, into which crops are pasted."""
    model.backbone.pre_norm = norm = TokenNorm(24).double()
    model.loss(inputs)
    assert norm.num_batches_tracked == 1 and norm.training
    expected = TokenNorm(24).double()
    model.backbone.pre_norm = expected
    model.backbone.encode(inputs['globals'][:, 0])
    torch.testing.assert_close(norm.running_mean, expected.running_mean)
