"""Backbones without a class token, against plain loops and the stock classes."""

import copy
import re
from types import SimpleNamespace

import plain_saip as plain
import pytest
import timm
import torch
import torch.nn.functional as F
from launch import ROOT
from mmengine.config import Config
from mmpretrain.models.backbones import MobileNetV3, ResNet
from mmpretrain.registry import MODELS
from plain_step import names_of
from random_models import ARCH
from tiny_views import tiny_views

from saip_mm.models import PooledBackbone, SAIPTinyViT
from saip_mm.models.encoder import channels_of

PLAIN = SimpleNamespace(decoder_heads=4)


@MODELS.register_module(force=True)
class SAIPMobileNetV3(PooledBackbone, MobileNetV3):
    """The whole adapter of another backbone."""

    middle_step = 8  # the last of stride 16


def build(name: str):
    """SAIP on a small backbone with random statistics, and its two maps' indices."""
    other = 'tinyvit' if name == 'mobilenet' else name
    if name == 'cspnext':
        pytest.importorskip('mmdet')
    cfg = Config.fromfile(ROOT / f'tests/configs/tiny_{other}.py').model
    if name == 'mobilenet':
        cfg.backbone = dict(type='SAIPMobileNetV3', img_size=(64, 32))
        cfg.matching.in_channels = 576
        cfg.reconstruction.in_channels = cfg.search.in_channels = 48
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.ndim == 1 and len(tensor) > 3:
            tensor.data += 0.3 * torch.rand_like(tensor)
    outputs = dict(tinyvit=(3, 4), cspnext=(3, 4), mobilenet=(8, 12))[name]
    for each in (model.backbone, model.teacher['encoder'].backbone):
        each.out_indices = outputs
    return model


BACKBONES = pytest.mark.parametrize('name', ['tinyvit', 'cspnext', 'mobilenet'])


def plain_losses(model, views: dict) -> dict:
    """The method with one stock ``forward`` per view and its maps' means as tokens."""
    state = model.state_dict()
    p = {name: state[key] for name, key in names_of(state)[0].items()}

    def look(role, image, shown=1.0):
        middle, last = role.backbone(image)
        norm = dict(
            weight=role.middle_norm.weight, bias=role.middle_norm.bias, eps=1e-6
        )
        shown = torch.ones_like(middle[:, :1]) * shown
        token = (middle * shown).sum((2, 3)) / shown.sum((2, 3))
        x = torch.cat([token[:, None], middle.flatten(2).mT], 1)
        return last.mean((2, 3)), F.layer_norm(x, x.shape[2:], **norm)

    def logits(projector, x):
        for layer in projector.mlp:
            x = layer(x)
        return F.normalize(x) @ F.normalize(projector.prototypes).T

    student, teacher = model.student['encoder'], model.teacher['encoder']
    taught = [look(teacher, views['globals'][:, i])[0] for i in range(2)]
    seen = [
        look(student, view)
        for view in (
            *views['globals'].unbind(1),
            *views['locals'].unbind(1),
            *(views['roi'], views['inst']),
        )
    ]
    anchor, roi = seen[0][1], seen[-2][1]
    loss = dict(
        loss_csm=plain.matching(
            [logits(model.teacher['projector'], each) for each in taught],
            [logits(model.matching.projector, each) for each, _ in seen],
            model.matching.center,
        )
    )
    scene = look(teacher, views['scene'])[1][:, 1:]
    size = views['scene_masks'].shape[2:]
    branch = plain.mask_branch(p, scene.mT.unflatten(2, size))
    for i, (which, query) in enumerate((('inst', anchor), ('roi', roi))):
        found = plain.search(p, query, scene, branch, PLAIN)
        loss[f'loss_css_{which}'] = F.binary_cross_entropy_with_logits(
            found, views['scene_masks'][:, i].float()
        )
    loss['loss_csr'] = plain_reconstruction(model, p, views, anchor, look)
    return loss


def plain_reconstruction(model, p, views, anchor, look):
    image, head = views['csr'].clone(), model.reconstruction
    grid = [side // 16 for side in image.shape[2:]]
    noise = F.interpolate(views['csr_noise'][:, None], grid, mode='nearest')
    shown = torch.zeros(len(image), 1, *grid)
    for b in range(len(image)):
        kept = noise[b].flatten().argsort(stable=True)[: int(noise[b].numel() * 0.25)]
        shown[b].view(-1)[kept] = 1
        for row in range(grid[0]):
            for column in range(grid[1]):
                if not shown[b, 0, row, column]:
                    patch = image[b, :, 16 * row :, 16 * column :][:, :16, :16]
                    patch[:] = model.mask_color.color[:, None, None]
    model.backbone.train()  # masked images are normalized by their own statistics
    x = look(model.student['encoder'], image, shown)[1]
    x = plain.linear(p, 'csr_decoder.decoder_embed', torch.cat([anchor[:, :1], x], 1))
    canvas = torch.where(
        shown.flatten(1)[..., None] > 0, x[:, 2:], p['csr_decoder.mask_token']
    )
    embed = plain.positions(p['csr_decoder.decoder_pos_embed'], head.grid, grid)
    x = torch.cat([x[:, :2] + embed[:, :1], canvas + embed[:, 1:]], 1)
    x, _ = plain.blocks(p, 'csr_decoder.decoder_blocks', x, PLAIN.decoder_heads)
    x = plain.norm(p, 'csr_decoder.decoder_norm', x[:, 2:])
    prediction = plain.linear(p, 'csr_decoder.decoder_pred', x)
    return head.loss(prediction, views['csr'], 1 - shown[:, 0])


@BACKBONES
def test_a_plain_loop_over_views_gives_the_same_losses(name):
    model = build(name).eval()  # in training, views would share batch statistics
    model.mask_color.color.data.normal_()
    views = tiny_views()
    with torch.no_grad():
        ours, expected = model.loss(views), plain_losses(model, views)
    assert {key for key in ours if key.startswith('loss')} == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-4, atol=1e-5, msg=key)


@BACKBONES
def test_a_training_step(name):
    """Every parameter learns but the teacher's; batch statistics follow the globals."""
    model, views = build(name).train(), tiny_views()
    running = {k: x.clone() for k, x in model.named_buffers() if 'running' in k}
    whole = copy.deepcopy(model.backbone)
    whole(views['globals'].transpose(0, 1).flatten(0, 1))
    losses = model.loss(views)
    sum(loss for key, loss in losses.items() if 'loss' in key).backward()
    without = {key for key, p in model.named_parameters() if p.grad is None}
    assert without == {k for k, _ in model.named_parameters() if k[:7] == 'teacher'}
    now = dict(model.named_buffers())
    assert all(
        (k[:7] == 'teacher') == torch.equal(now[k], x) for k, x in running.items()
    )
    student = {
        k: x.clone() for k, x in model.backbone.named_buffers() if 'running' in k
    }
    model.update_teacher(0.75)
    for key, x in student.items():
        torch.testing.assert_close(whole.state_dict()[key], x)
        assert torch.equal(now[f'teacher.encoder.backbone.{key}'], x)


@BACKBONES
@pytest.mark.parametrize('mode', [True, False])
def test_hidden_pixels_leak_nowhere(name, mode):
    """Neither through convolutions nor through batch statistics, which stay."""
    model, views = build(name).train(mode), tiny_views()
    _, mask = model.reconstruction.draw_mask(views['csr_noise'], (5, 3))
    hidden = F.interpolate(mask[:, None], scale_factor=16).bool()
    other = torch.where(hidden, torch.full_like(views['csr'], torch.nan), views['csr'])
    running = [x.clone() for x in model.buffers()]
    anchor = torch.randn(2, model.reconstruction.in_channels)
    encode = model.student['encoder']
    found = [
        model.reconstruct(encode, anchor, views | dict(csr=images))[0]
        for images in (views['csr'], other)
    ]
    assert torch.equal(*found)
    assert all(torch.equal(a, b) for a, b in zip(running, model.buffers(), strict=True))
    seen = torch.where(hidden, views['csr'], torch.randn_like(views['csr']))
    changed = model.reconstruct(encode, anchor, views | dict(csr=seen))[0]
    assert not torch.allclose(found[0], changed)


def test_evaluation_waits_for_no_other_process(monkeypatch):
    """Probes run in one of several; on a CPU, synchronizing is an error."""
    model, views = build('tinyvit').eval(), tiny_views()
    anchor = torch.randn(2, model.reconstruction.in_channels)
    expected, _ = model.reconstruct(model.student['encoder'], anchor, views)
    model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    found, _ = model.reconstruct(model.student['encoder'], anchor, views)
    assert torch.equal(found, expected)


@BACKBONES
@pytest.mark.parametrize('size', [(16, 48), (112, 64), (320, 160), (144, 80)])
def test_any_rectangle(name, size):
    backbone = build(name).backbone.eval()
    found = backbone.encode(torch.randn(2, 3, *size))
    middle = backbone.encode(torch.randn(2, 3, *size), until='middle')
    assert found.middle_map.shape[2:] == (size[0] // 16, size[1] // 16)
    assert middle.image_token is None and found.attention is None
    assert found.middle_token.shape == middle.middle_map.shape[:2]


def to_timm(name: str) -> str:
    name = name.replace('conv2d', 'conv').replace('bn2d', 'bn')
    name = name.replace('embed.seq.0', 'embed.conv1').replace(
        'embed.seq.2', 'embed.conv2'
    )
    return re.sub(
        r'stages\.(\d)\.downsample',
        lambda found: f'stages.{int(found[1]) + 1}.downsample',
        name,
    )


@pytest.mark.parametrize('size', [(224, 224), (256, 128), (96, 48)])
def test_tinyvit_is_timms_with_a_last_stride_of_16(size):
    torch.manual_seed(0)
    ours = SAIPTinyViT(out_indices=(0, 1, 2, 3))
    for tensor in (*ours.parameters(), *ours.buffers()):
        if tensor.is_floating_point():
            tensor.data += 0.1 * torch.rand_like(tensor)
    theirs = timm.create_model('tiny_vit_5m_224', num_classes=0)
    theirs.stages[3].downsample.conv2.conv.stride = (1, 1)
    state = {to_timm(k): x for k, x in ours.state_dict().items() if k[:4] != 'neck'}
    found = theirs.load_state_dict(state, strict=False)
    assert not found.unexpected_keys and all('head' in k for k in found.missing_keys)
    ours.eval().double(), theirs.eval().double()
    images = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        maps = ours(images)
        expected = theirs.forward_features(images)
        torch.testing.assert_close(maps[3], expected)
        encoded = ours.encode(images, until='maps')
        torch.testing.assert_close(encoded.middle_map, maps[3])
        torch.testing.assert_close(ours.neck(maps[3]), encoded.last_map)
    assert [x.shape[1] for x in maps] == [64, 128, 160, 320]
    strides = [size[0] // x.shape[2] for x in maps]
    assert strides == [4, 8, 16, 16] and encoded.image_token.shape[1] == 256


def test_position_biases_are_never_stale():
    """MMPretrain's attention would keep those of the last ``eval()``."""
    model = SAIPTinyViT().eval()
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        before = model.encode(images).middle_token
        for name, parameter in model.named_parameters():
            if 'attention_biases' in name:
                parameter.normal_()
        assert not torch.allclose(model.encode(images).middle_token, before)


@MODELS.register_module(force=True)
class Coarse(SAIPMobileNetV3):
    middle_step = 12


@pytest.mark.parametrize(
    'backbone, message',
    [
        (ResNet(18), 'ResNet has no encode method or patch_size'),
        (Coarse(), r'48×80 image is 2×3, not 3×5: its stride has to be patch_size=16'),
        (MODELS.get('SwinTransformer')(), 'has no encode method'),
        (
            MODELS.get('SAIPViT')(arch=dict(ARCH, num_heads=5)),
            r'cannot encode images of 48×80 \(h×w\).*RuntimeError: shape',
        ),
    ],
)
def test_a_backbone_without_the_contract(backbone, message):
    with pytest.raises((TypeError, ValueError), match=message):
        channels_of(backbone)


def test_weights_of_another_architecture():
    model, other = SAIPTinyViT(), SAIPMobileNetV3()
    with pytest.raises(ValueError, match='no tensor fits SAIPTinyViT'):
        model.load_state_dict(other.state_dict(), strict=False)
    part = model.state_dict()
    del part['neck.0.weight']
    with pytest.raises(ValueError, match='1 missing: neck.0.weight'):
        model.load_state_dict(part, strict=False)
