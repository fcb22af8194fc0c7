"""SAIPViT at other sizes, and its class token against blocks of MMPretrain."""

import copy

import pytest
import torch
from mmengine.runner import load_checkpoint, save_checkpoint
from mmengine.runner.checkpoint import get_state_dict
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn
from torch.nn.functional import interpolate

from saip_mm.models import SAIPViT
from saip_mm.models.attention import class_token

SMALL = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


def small(img_size=(64, 32), **kwargs) -> SAIPViT:
    torch.manual_seed(0)
    model = SAIPViT(SMALL, img_size, **dict(middle_block=1) | kwargs)
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize('size', [(64, 32), (32, 64), (96, 48), (16, 80)])
def test_encode_resizes_positions_for_any_rectangle(size):
    """Against a model that was built for the size, with positions resized by hand."""
    ours, there = small(), small(size)
    state = ours.state_dict()
    grid = (size[0] // 16, size[1] // 16)
    plane = ours.pos_embed[:, 1:].mT.unflatten(2, (4, 2))
    plane = interpolate(plane, grid, mode='bicubic', align_corners=False)
    state['pos_embed'] = torch.cat([ours.pos_embed[:, :1], plane.flatten(2).mT], 1)
    state._metadata['']['grid'] = grid
    there.load_state_dict(state)
    images = torch.randn(2, 3, *size)
    ours, there = ours.encode(images), there.encode(images)
    assert ours.middle_map.shape == (2, 24, *grid)
    for a, b in zip(ours[:3], there[:3], strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('stages', [-1, 0, 2, 3])
def test_frozen_stages_are_mmpretrains(stages):
    stock = VisionTransformer(SMALL, (64, 32), frozen_stages=stages)
    frozen = [
        {name for name, each in model.named_parameters() if not each.requires_grad}
        for model in (small(frozen_stages=stages), stock)
    ]
    assert frozen[0] == frozen[1] and bool(frozen[0]) == (stages > 0)


@pytest.mark.parametrize(
    'options',
    [
        dict(qkv_bias=False),
        dict(layer_scale_init_value=0.3, drop_path_rate=0.5),
        *(dict(drop_rate=1.0), dict(attn_drop_rate=1.0)),  # other rates are random
    ],
)
@pytest.mark.parametrize('training', [False, True])
def test_the_class_token_is_that_of_the_whole_block(options, training):
    """Values and gradients of the block."""
    layer = TransformerEncoderLayer(24, 3, 48, **options).double().train(training)
    layer.init_weights()
    tokens = torch.randn(5, 9, 24, dtype=torch.float64, requires_grad=True)
    leaves = [tokens, *layer.parameters()]
    weight = torch.randn(5, 24, dtype=torch.float64)
    found = []
    for token in (
        lambda: layer(tokens)[:, 0],
        lambda: class_token(layer, tokens, attention=training)[0],
    ):
        torch.manual_seed(0)  # of paths that are dropped
        out = token()
        found.append((out, *torch.autograd.grad((out * weight).sum(), leaves)))
    for expected, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize('through', ['torch', 'mmengine'])
def test_a_checkpoint_knows_its_grid(through, tmp_path):
    """Saved for 4×2 patches, loaded for 2×4: resized, never taken as it is."""
    ours, transposed = small(), small((32, 64))
    path = str(tmp_path / 'vit.pth')
    if through == 'torch':
        torch.save(ours.state_dict(), path)
        transposed.load_state_dict(torch.load(path, weights_only=True))
    else:
        save_checkpoint(dict(state_dict=get_state_dict(ours)), path)
        load_checkpoint(transposed, path)
    plane = ours.pos_embed[0, 1:].T.view(1, 24, 4, 2)
    plane = interpolate(plane, (2, 4), mode='bicubic', align_corners=False)
    torch.testing.assert_close(transposed.pos_embed[0, 1:].T, plane.view(24, 8))


def test_a_copy_is_independent_and_keeps_its_grid():
    ours = small()
    other = copy.deepcopy(ours)
    nn.init.zeros_(other.pos_embed)
    assert ours.pos_embed.abs().max() > 0
    assert other.state_dict()._metadata['']['grid'] == (4, 2)


@pytest.mark.parametrize('options', [dict(final_norm=False), dict(middle_block=2)])
@pytest.mark.parametrize('until', ['end', 'maps'])
def test_the_image_token_is_mmpretrains(options, until):
    vit, images = small(out_type='cls_token', **options), torch.randn(2, 3, 64, 32)
    token = vit.encode(images, until=until).image_token
    torch.testing.assert_close(token, vit(images)[0])


def test_the_middle_block_is_the_seventh_of_twelve():
    assert SAIPViT().middle_block == 6


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(middle_block=-1), 'middle_block=-1 is not one of the 3'),
        (dict(middle_block=3), 'middle_block=3 is not one of the 3'),
        (dict(with_cls_token=False), 'needs a class token'),
        (dict(frozen_stages=12), 'frozen_stages=12: the ViT has 3 blocks'),
    ],
)
def test_unsuitable_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SAIPViT(SMALL, (64, 32), **options)
