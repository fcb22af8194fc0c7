"""HAP against the plain method, with one forward pass per image and mask."""

import copy

import pytest
import torch
import torch.nn.functional as F
from launch import ROOT
from mmengine.config import Config
from mmpretrain.models.utils import resize_pos_embed
from mmpretrain.registry import MODELS
from plain_saip import blocks, linear, norm, tokens
from plain_step import names_of

from saip_mm.models import hap

TINY_HAP = ROOT / 'tests/configs/tiny_hap.py'
GRID = (4, 2)


@pytest.fixture
def model() -> torch.nn.Module:
    cfg = Config.fromfile(TINY_HAP).model
    cfg.backbone.patch_size = cfg.decoder.patch_size = 16
    model = MODELS.build(cfg)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if 'ln' in name or 'norm' in name:  # otherwise ones and zeros
            torch.nn.init.normal_(parameter)
    return model.double()


@pytest.fixture
def inputs() -> dict:
    torch.manual_seed(0)
    visible = torch.rand(5, 2, 8).argsort(dim=2)[..., :4]
    return dict(image=torch.randn(5, 3, 64, 32).double(), visible=visible)


def plain_losses(p: dict, inputs: dict) -> tuple[torch.Tensor, torch.Tensor]:
    """Reconstruction and alignment; `p` by the names of plain_saip.py."""
    errors, classes = [], ([], [])
    for image, two in zip(inputs['image'], inputs['visible'], strict=True):
        patches = F.unfold(image[None], 16, stride=16)[0].T
        for mask, visible in enumerate(two):
            x = tokens(p, image[None], GRID)
            x = torch.cat([x[:, :1], x[:, 1 + visible]], 1)
            x = norm(p, 'backbone.norm', blocks(p, 'backbone.blocks', x, 3)[0])
            classes[mask].append(F.normalize(x[0, 0], dim=0))
            x = linear(p, 'csr_decoder.decoder_embed', x)[0]
            canvas = [p['csr_decoder.mask_token'][0, 0]] * 8
            for place, token in zip(visible, x[1:], strict=True):
                canvas[place] = token
            x = torch.stack([x[0], *canvas])[None] + p['csr_decoder.decoder_pos_embed']
            x, _ = blocks(p, 'csr_decoder.decoder_blocks', x, 4)
            x = norm(p, 'csr_decoder.decoder_norm', x)
            pixels = linear(p, 'csr_decoder.decoder_pred', x)[0, 1:]
            for patch in set(range(8)) - set(visible.tolist()):
                target = patches[patch]
                target = (target - target.mean()) / (target.var() + 1e-6).sqrt()
                target = target.view(3, 256).T.flatten()
                errors.append((pixels[patch] - target).square().mean())
    align = 0
    for queries, keys in (classes, classes[::-1]):
        for i, query in enumerate(queries):
            scores = torch.stack([query @ key.detach() for key in keys]) / 0.2
            align -= scores.log_softmax(0)[i] / len(queries)
    return torch.stack(errors).mean(), 0.05 * 2 * 0.2 * align


def test_losses_and_gradients_equal_the_plain_method(model, inputs):
    ours = {
        name.replace('decoder.', 'reconstruction.', 1): parameter
        for name, parameter in model.named_parameters()
    }
    p = {name: ours[key] for name, key in names_of(ours)[0].items()}
    assert len(p) == len(ours)
    losses = model.loss(inputs)
    expected = plain_losses(p, inputs)
    torch.testing.assert_close(losses['loss_rec'], expected[0])
    torch.testing.assert_close(losses['loss_align'], expected[1])
    trained = [each for each in p.values() if each.requires_grad]
    gradients = torch.autograd.grad(losses['loss_rec'] + losses['loss_align'], trained)
    torch.testing.assert_close(gradients, torch.autograd.grad(sum(expected), trained))
    assert len(p) - len(trained) == 2  # positions


def test_images_of_another_size(model, inputs):
    """Positions of the decoder are resized, also for a grid of as many patches."""
    wide = copy.deepcopy(model)
    wide.decoder.grid = GRID[::-1]
    resized = resize_pos_embed(model.decoder.pos_embed, GRID, GRID[::-1])
    wide.decoder.pos_embed.data = resized
    inputs['image'] = inputs['image'].mT
    loss, expected = (each.loss(inputs)['loss_rec'] for each in (model, wide))
    torch.testing.assert_close(loss, expected)


def test_keys_come_from_all_processes(model, monkeypatch):
    """Two processes of half the batch have the mean loss and gradient of one."""
    first, second = torch.randn(2, 6, 24).double()

    def gather(keys):  # [3, C] of one process
        both = F.normalize(torch.stack([first, second]), dim=2)
        (own,) = (each for each in both if (each == keys[0]).all(1).any())
        return list(own.split(3))

    def losses(tokens):
        for rank in (0, 1):
            monkeypatch.setattr(hap, 'get_rank', lambda rank=rank: rank)
            yield model.align(*tokens[:, 3 * rank : 3 * rank + 3])

    tokens = torch.stack([first, second]).requires_grad_()
    whole = model.align(*tokens)
    (expected,) = torch.autograd.grad(whole, tokens)
    monkeypatch.setattr(hap, 'all_gather', gather)
    mean = sum(losses(tokens)) / 2
    torch.testing.assert_close(mean, whole)
    torch.testing.assert_close(*torch.autograd.grad(mean, tokens), expected)


def test_positions_are_sines_of_columns_and_rows(model):
    for embed, channels in (
        (model.backbone.pos_embed, 24),
        (model.decoder.pos_embed, 32),
    ):
        assert not embed.requires_grad and (embed[0, 0] == 0).all()
        quarter = channels // 4
        for row in range(4):
            for column in range(2):
                found = embed[0, 1 + 2 * row + column].view(2, 2, quarter)
                for half, place in enumerate((column, row)):
                    angle = place / 10000 ** (torch.arange(quarter) / quarter)
                    expected = torch.stack([angle.sin(), angle.cos()]).double()
                    torch.testing.assert_close(found[half], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    'part, option', [('backbone', dict(middle_block=1)), ('decoder', dict(anchor=True))]
)
def test_unsuitable_parts(part, option):
    cfg = Config.fromfile(TINY_HAP).model
    cfg[part].update(option)
    with pytest.raises(ValueError, match=r'middle_block=2 and model\.decoder\.anchor='):
        MODELS.build(cfg)
