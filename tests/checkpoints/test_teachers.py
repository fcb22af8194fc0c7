"""Teachers of distillation against the libraries that they come from."""

from types import SimpleNamespace

import pytest
import timm
import torch
from launch import ROOT
from mmengine.config import Config
from mmpretrain.registry import MODELS
from random_models import write_teacher
from timm.data import create_transform, resolve_model_data_config
from torch import nn
from torchvision.transforms.v2 import functional as tvf

from saip_mm import load_backbone
from saip_mm.checkpoints.teachers import DistillationTeacher

DINOV2, DINOV3 = 'vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3'
MM_CONFIG = """
arch = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
backbone = dict(type='VisionTransformer', arch=arch, img_size=32, patch_size=8)
model = dict(type='ImageClassifier', backbone=backbone)
data_preprocessor = dict(mean=[127.5, 120, 110], std=[127.5, 60, 50], to_rgb=True)
"""


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(256, (2, 3, 128, 64)).float()


def student(patch_size: int) -> SimpleNamespace:
    """A student with a normalization of its own."""
    mean, std = torch.tensor([100.0, 90, 80]), torch.tensor([50.0, 60, 70])
    own = SimpleNamespace(mean=mean.view(3, 1, 1), std=std.view(3, 1, 1))
    backbone = SimpleNamespace(patch_size=patch_size)
    return SimpleNamespace(backbone=backbone, data_preprocessor=own)


def look(teacher: DistillationTeacher, images: torch.Tensor, patch_size: int = 16):
    model = student(patch_size)
    own = model.data_preprocessor
    return teacher(model, (images - own.mean) / own.std, attention=True)


def random(model: nn.Module, path) -> nn.Module:
    """Let weights be random, tokens and norms included, and save them."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.05)
    torch.save(model.state_dict(), path)
    return model.eval()


@pytest.mark.parametrize('name', [DINOV2, DINOV3, 'test_vit'])
def test_features_and_attention_are_those_of_timm(name, images, tmp_path):
    """Registers, patches of 14 pixels, rotary positions, another mean."""
    model = timm.create_model(name, num_classes=0, dynamic_img_size=True)
    random(model, tmp_path / 'weights.pth')
    found = look(DistillationTeacher(tmp_path / 'weights.pth', name), images)
    side = model.patch_embed.patch_size[0]
    theirs = create_transform(**resolve_model_data_config(model)).transforms[-1]
    pixels = tvf.resize(images, [8 * side, 4 * side], tvf.InterpolationMode.BICUBIC)
    model.blocks[-1].attn.fused_attn, maps = False, []
    model.blocks[-1].attn.attn_drop.register_forward_hook(
        lambda module, args, output: maps.append(output)
    )
    with torch.no_grad():
        tokens = model.forward_features(theirs(pixels / 255))
    prefix = model.num_prefix_tokens
    patches = tokens[:, prefix:].mT.reshape(2, -1, 8, 4)
    torch.testing.assert_close(found.image_token, tokens[:, 0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.patch_map, patches, rtol=1e-5, atol=1e-5)
    kept = [0, *range(prefix, tokens.shape[1])]
    expected = maps[0][:, :, kept][..., kept]
    expected = expected / expected.sum(-1, keepdim=True)
    torch.testing.assert_close(found.attention.query_key, expected)


def test_features_are_those_of_mmpretrain(images, tmp_path):
    config = tmp_path / 'vit.py'
    config.write_text(MM_CONFIG)
    arch = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
    model = MODELS.build(
        dict(type='VisionTransformer', arch=arch, img_size=32, patch_size=8)
    )
    random(model, tmp_path / 'weights.pth')
    teacher = DistillationTeacher(tmp_path / 'weights.pth', str(config))
    found = look(teacher, images)
    pixels = tvf.resize(images, [64, 32], tvf.InterpolationMode.BICUBIC)
    normalized = tvf.normalize(pixels, [127.5, 120, 110], [127.5, 60, 50])
    values, attn = [], model.layers[-1].attn
    attn.qkv.register_forward_hook(lambda *args: values.append(args[2].chunk(3, 2)[2]))
    with torch.no_grad():
        for out_type, ours in (
            ('cls_token', found.image_token),
            ('featmap', found.patch_map),
        ):
            model.out_type = out_type
            torch.testing.assert_close(ours, model(normalized)[0], rtol=0, atol=1e-5)
    value = values[0].unflatten(2, (3, 8)).transpose(1, 2)
    expected = (value @ value.mT / 8**0.5).softmax(-1)
    torch.testing.assert_close(found.attention.value_value, expected)
    config.write_text(MM_CONFIG.replace('to_rgb=True', 'to_rgb=False'))
    with pytest.raises(ValueError, match='weights.pth .*to_rgb=True'):
        look(DistillationTeacher(tmp_path / 'weights.pth', str(config)), images)


@pytest.mark.parametrize('dtype, atol', [('float32', 1e-5), ('bfloat16', 0.2)])
def test_features_are_those_of_saip(dtype, atol, images):
    found = look(DistillationTeacher('saip-small', dtype=dtype), images, patch_size=8)
    with torch.no_grad():
        expected = load_backbone('saip-small')(images)
    for ours, theirs in zip(found[:2], expected, strict=True):
        assert ours.dtype == torch.float32 and not ours.requires_grad
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


@pytest.mark.parametrize(
    'model, weights, text',
    [
        (None, None, 'there is no checkpoint'),
        (None, 'test_vit2', 'is not a plain ViT: .*register tokens'),
        ('test_vit', 'test_vit3', '(Missing key|size mismatch)(.|\n)*give weights of'),
        ('test_vit2', 'test_vit2', 'no class token'),
        ('test_resnet', 'test_resnet', 'as the teacher test_resnet: .*dynamic'),
        ('vit_nothing', 'test_vit', 'timm has no such model'),
        ('vit.py', 'test_vit', 'no tensor fits VisionTransformer'),
        ('swin.py', 'test_vit', 'SwinTransformer is not a ViT with a class token'),
        ('mae.py', 'test_vit', "MAEViT hides patches .*set model.backbone.type='Visi"),
        ('other.py', 'test_vit', 'SwimTransformer is not a ViT with a class token'),
    ],
)
def test_unsuitable_teachers(model, weights, text, images, tmp_path):
    (tmp_path / 'vit.py').write_text(MM_CONFIG)
    swin = "model = dict(backbone=dict(type='SwinTransformer', arch='tiny'))"
    (tmp_path / 'swin.py').write_text(swin)
    (tmp_path / 'mae.py').write_text("model = dict(backbone=dict(type='MAEViT'))")
    (tmp_path / 'other.py').write_text(swin.replace('Swin', 'Swim'))
    path = tmp_path / 'weights.pth'
    if weights:
        torch.save(timm.create_model(weights, num_classes=0).state_dict(), path)
    if model and model.endswith('.py'):
        model = str(tmp_path / model)
    with pytest.raises((ValueError, FileNotFoundError), match=text) as raised:
        look(DistillationTeacher(path, model), images)
    assert 'weights.pth' in str(raised.value)


@pytest.mark.parametrize('classes', [0, 7, None])
def test_weights_of_timm_with_a_classifier(classes, tmp_path):
    """timm ignores names that do not fit if the number of classes differs."""
    options = {} if classes is None else dict(num_classes=classes)
    model = timm.create_model('vit_tiny_patch16_224', **options)
    weights = random(model, tmp_path / 'vit.pth').state_dict()
    found = DistillationTeacher(tmp_path / 'vit.pth', 'vit_tiny_patch16_224').network
    assert torch.equal(found.module.cls_token, weights['cls_token'])
    path = tmp_path / 'others.pth'
    torch.save({f'encoder.{name}': each for name, each in weights.items()}, path)
    with pytest.raises(ValueError, match='Missing key'):
        _ = DistillationTeacher(path, 'vit_tiny_patch16_224').network


@pytest.mark.parametrize('dtype', ['bf16', 'int8'])
def test_an_unknown_precision(dtype):
    message = f"teacher.dtype='{dtype}' is not one of float32,"
    with pytest.raises(ValueError, match=message):
        DistillationTeacher('saip-small', dtype=dtype)


def test_views_in_whole_patches(images):
    with pytest.raises(ValueError, match='128×63 pixels .* of 8'):
        look(DistillationTeacher('saip-small'), images[..., :63], patch_size=8)


@pytest.mark.parametrize(
    'config, text',
    [('cspnext', 'not make a token per patch'), ('tinyvit', 'attention_weight=0')],
)
def test_teachers_without_a_class_token(config, text, images, tmp_path):
    cfg = Config.fromfile(ROOT / f'tests/configs/tiny_{config}.py').model
    path = tmp_path / 'weights.pth'
    torch.save(MODELS.build(cfg.backbone).state_dict(), path)
    with pytest.raises(ValueError, match=f'weights.pth .*{text}'):
        look(DistillationTeacher(path), images)


class Counted(DistillationTeacher):
    """Notes of how many images it computes the outputs, pass by pass."""

    def _look(self, images, **options):
        self.passes = [*getattr(self, 'passes', []), len(images)]
        return super()._look(images, **options)


def assert_equal(ours, theirs, **tolerance):
    torch.testing.assert_close(tuple(ours), tuple(theirs), **tolerance)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_cached_outputs_are_those_of_the_teacher(dtype, images, tmp_path):
    """Bit for bit, for another teacher and other outputs not at all."""
    path = write_teacher(tmp_path / 'teacher.pth')
    plain = DistillationTeacher(path, dtype=dtype)
    first = Counted(path, dtype=dtype, cache=tmp_path / 'cache')
    assert_equal(look(first, images), look(plain, images), rtol=0, atol=0)
    assert_equal(look(first, images), look(plain, images), rtol=0, atol=0)
    assert first.passes == [2]
    again = Counted(path, dtype=dtype, cache=tmp_path / 'cache')
    more = torch.cat([255 - images, images.flip(0), images])
    assert_equal(look(again, more), look(plain, more), rtol=1e-5, atol=1e-5)
    assert again.passes == [2]
    look(again, images.transpose(2, 3))
    look(again, images, patch_size=8)
    assert again.passes == [2, 2, 2]
    token = again(student(16), images, patches=False)
    assert token.patch_map is None and again.passes == [2, 2, 2, 2]

    other_path = write_teacher(tmp_path / 'other.pth', seed=1)
    other = Counted(other_path, dtype=dtype, cache=tmp_path / 'cache')
    expected = look(DistillationTeacher(other_path, dtype=dtype), images)
    assert_equal(look(other, images), expected, rtol=0, atol=0)
