"""Loading weights into modules."""

import re

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from saip_mm.checkpoints.backbone import Backbone
from saip_mm.checkpoints.files import read_checkpoint, write_checkpoint
from saip_mm.checkpoints.loading import load_pretrained
from saip_mm.models import SAIPViT
from saip_mm.models.weights import load_weights

ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)


def vit(img_size=(64, 32), arch=ARCH, **options):
    torch.manual_seed(0)
    model = SAIPViT(arch=arch, img_size=img_size, middle_block=0, **options)
    model.init_weights()
    return model


def backbone_file(path, model, prefix='backbone.'):
    backbone = Backbone(model.state_dict(), model.patch_resolution, 2)
    grid = list(model.patch_resolution)
    write_checkpoint(path, backbone.state_dict(prefix), dict(grid=grid))
    return path


def test_files_without_weights(tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='contains a list instead of'):
        read_checkpoint(tmp_path / 'list.pth')
    torch.save(dict(epoch=3), tmp_path / 'epoch.pth')
    with pytest.raises(ValueError, match="epoch.pth: contains 'epoch' inst"):
        load_pretrained(vit(), tmp_path / 'epoch.pth')
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        read_checkpoint(tmp_path / 'nowhere.pth')


@pytest.mark.parametrize('side', [4, 14, 16])
def test_resized_patches_see_what_pillow_would_shrink(tmp_path, side, logged):
    source = vit((64, 32), patch_size=8)
    path = backbone_file(tmp_path / 'a.pth', source)
    resized = vit((8 * side, 4 * side), patch_size=side)
    said = logged('checkpoints.loading')
    load_pretrained(resized, path)
    assert f'resized patches from 8 to {side} pixels' in said[0]

    images = torch.randn(2, 3, 8 * side, 4 * side)
    shrunk = torch.empty(2, 3, 64, 32)
    for image, channel, row, column in np.ndindex(2, 3, 8, 4):
        patch = images[image, channel, row * side :, column * side :][:side, :side]
        patch = Image.fromarray(patch.numpy()).resize((8, 8), Image.BILINEAR)
        patch = torch.from_numpy(np.array(patch))
        shrunk[image, channel, row * 8 :, column * 8 :][:8, :8] = patch
    torch.testing.assert_close(resized(images), source(shrunk), rtol=1e-4, atol=1e-4)


def test_the_stated_learning_rate_fits_resized_patches(tmp_path, logged):
    source, resized = vit((64, 32), patch_size=8), vit((128, 64), patch_size=16)
    said = logged('checkpoints.loading')
    load_pretrained(resized, backbone_file(tmp_path / 'a.pth', source))
    (factor,) = re.findall(r'patch_embed.lr_mult=([\d.]+)\. ', said[0])
    colors = torch.randn(2, 3, 8, 4)  # of patches
    direction = torch.randn(2, source.embed_dims, 8, 4)
    after = []
    for model, rate in [(source, 1e-3), (resized, 1e-3 * float(factor))]:
        side = model.patch_size
        images = colors.repeat_interleave(side, 2).repeat_interleave(side, 3)
        weight = model.patch_embed.projection.weight
        optimizer = torch.optim.Adam([weight], lr=rate)
        (model(images)[0] * direction).sum().backward()
        optimizer.step()
        after.append(model(images))
    torch.testing.assert_close(*after, rtol=1e-4, atol=1e-4)


def test_only_patches_of_vits_can_be_resized():
    tiny_vit = Backbone({'patch_embed.seq.0.conv2d.weight': torch.ones(1)})
    with pytest.raises(ValueError, match='not a ViT, whose patch size'):
        tiny_vit.with_patch_size(8)
    with pytest.raises(ValueError, match='patch cannot have 0 pixels'):
        Backbone(vit().state_dict()).with_patch_size(0)


@pytest.mark.parametrize(
    'unusual', [torch.empty(3, 2, device='meta'), torch.ones(3, 2).to_sparse()]
)
def test_unusual_tensors_are_rejected(tmp_path, unusual):
    torch.save(dict(weight=unusual, cls_token=torch.ones(1)), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='has weight, which is not a dense'):
        load_pretrained(nn.Linear(2, 3), tmp_path / 'a.pth')


@pytest.mark.parametrize('target', [(9, 5), (3, 7), (8, 16), (16, 8)])
def test_positions_are_resized_like_opencv_does(target):
    source = vit((256, 128))
    torch.nn.init.normal_(source.pos_embed)
    resized = vit(tuple(16 * side for side in target))
    resized.load_state_dict(source.state_dict())
    grid = source.pos_embed[0, 1:].detach().unflatten(0, (16, 8)).numpy()
    expected = cv2.resize(grid, target[::-1], interpolation=cv2.INTER_CUBIC)
    assert torch.equal(resized.pos_embed[0, 0], source.pos_embed[0, 0])
    found = resized.pos_embed[0, 1:].detach().unflatten(0, target)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize('mean', [None, [127.5] * 3])
def test_another_normalization_is_reported(mean, tmp_path, logged):
    backbone = Backbone(vit().state_dict(), (4, 2), 2)
    meta = dict(grid=[4, 2]) | (dict(mean=mean, std=mean) if mean else {})
    write_checkpoint(tmp_path / 'a.pth', backbone.state_dict(), meta)
    said = logged('checkpoints.loading')
    load_pretrained(vit(), tmp_path / 'a.pth')
    assert len(said) == 1 + bool(mean)
    assert not mean or 'mean [127.5, 127.5, 127.5] and std [127' in said[1]


def test_reports_and_errors():
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    before = target.weight.clone()
    state_dict = dict(weight=source.weight.detach(), scale=torch.ones(1))
    counted = '1 of 2 tensors matched; 1 missing: bias; 1 unexpected: scale'
    with pytest.raises(ValueError, match=f'does not fit this Linear: {counted}'):
        load_weights(target, state_dict)
    with pytest.raises(ValueError, match='weight is 5×2, the model needs 3×2'):
        load_weights(target, dict(weight=torch.ones(5, 2), bias=torch.ones(3)))
    with pytest.raises(ValueError, match='no tensor fits Linear: 0 of 2 tensors'):
        load_weights(target, dict(kernel=torch.ones(3, 2)))
    assert torch.equal(target.weight, before)
    state_dict = {**source.state_dict(), 'head.weight': torch.ones(1)}
    report = load_weights(target, state_dict)
    assert str(report) == '2 of 2 tensors matched; 1 unused: head.weight'
    assert torch.equal(target.weight, source.weight)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_backbone_from_init_cfg(tmp_path, suffix):
    """Which may be a list, as in MMEngine."""
    source = vit()
    path = backbone_file(tmp_path / f'a{suffix}', source)
    weights = dict(type='Pretrained', checkpoint=str(path), prefix='backbone.')
    weights |= dict(map_location='cpu')  # as MMEngine's initializer
    constant = dict(type='Constant', layer='Linear', val=3.0)
    for init_cfg in (weights, [weights, constant]):
        found = dict(vit(init_cfg=init_cfg).state_dict())
        torch.testing.assert_close(found, dict(source.state_dict()))
    for only in (constant, [constant]):
        assert (vit(init_cfg=only).layers[0].attn.qkv.weight == 3).all()
    other = backbone_file(tmp_path / 'other.pth', source, 'neck.')
    with pytest.raises(ValueError, match="no weights under 'backbone.'.* with neck"):
        vit(init_cfg=dict(weights, checkpoint=str(other)))


def test_the_teacher_of_a_training_is_loaded_unless_a_prefix_is_given(tmp_path):
    weights = vit().state_dict()
    state = {
        f'{prefix}{name}': torch.full_like(tensor, value)
        for prefix, value in (('backbone.', 1), ('teacher.encoder.backbone.', 2))
        for name, tensor in weights.items()
    }
    meta = dict(grid=[4, 2], num_heads=2)
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'epoch_1.pth')
    for prefix, value in (('', 2), ('backbone.', 1)):
        model = vit()
        load_pretrained(model, tmp_path / 'epoch_1.pth', prefix)
        assert (model.cls_token == value).all()


def test_the_grid_is_required_and_not_overridden(tmp_path):
    source = vit()
    torch.save(dict(source.state_dict()), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match=r'bare.pth: .* the patch grid of '):
        load_pretrained(vit(), tmp_path / 'bare.pth')
    for grid in ((4, 2), [4, 2]):
        target = vit((32, 64), source_grid=grid)
        report = load_pretrained(target, tmp_path / 'bare.pth')
        assert 'resized: pos_embed from 4×2 to 2×4' in str(report)
    assert not torch.equal(target.pos_embed, source.pos_embed)
    torch.save(source.state_dict(), tmp_path / 'knows.pth')
    with pytest.raises(ValueError, match=r'grid is 4×2 .* not source_grid=\(2, 4\)'):
        load_pretrained(vit(source_grid=(2, 4)), tmp_path / 'knows.pth')


def test_other_architectures_are_rejected(tmp_path):
    path = backbone_file(tmp_path / 'a.pth', vit())
    wide = dict(ARCH, feedforward_channels=96)
    with pytest.raises(ValueError, match=r'layers.0.ffn.layers.0.0.weight is 64×32'):
        load_pretrained(vit(arch=wide), path)
    with pytest.raises(ValueError, match='has 2 attention heads, the model has 4'):
        load_pretrained(vit(arch=dict(ARCH, num_heads=4)), path)
