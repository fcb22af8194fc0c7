"""Weights of other projects, through tools/convert_checkpoint.py."""

import argparse

import pytest
import timm
import torch
from launch import call
from reference_case import read_case

from saip_mm.checkpoints.files import read_checkpoint
from saip_mm.checkpoints.loading import load_pretrained
from saip_mm.checkpoints.names import from_official
from saip_mm.models import SAIPViT

SHAPES = read_case()['official_state_dict_shapes']
ARCH = dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=128)


def convert(source, out, *options):
    """Convert with the tool."""
    call('tools/convert_checkpoint.py', source, '--out', out, *options)


def official(seed=0, wrapped=False):
    """A student or teacher of the authors, of small numbers, gains of one."""
    generator = torch.Generator().manual_seed(seed)
    return {
        'module.' * wrapped + name: torch.ones(shape)
        if name.endswith('weight_g')
        else torch.randn(shape, generator=generator) / 50
        for name, shape in SHAPES.items()
    }


@pytest.fixture(scope='module', params=[False, True], ids=['plain', 'module.'])
def official_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp('official') / 'official.pth'
    checkpoint = dict(
        student=official(0, request.param),
        teacher=official(1, request.param),
        args=argparse.Namespace(epochs=300, output_dir='/somewhere'),
        optimizer=dict(state={}, param_groups=[]),
        epoch=12,
    )
    torch.save(checkpoint, path)
    return path


def timm_vit(img_size=(64, 64), **options):
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=img_size, embed_dim=32, depth=2, num_heads=2, **options
    )
    return model.eval()


def test_whole_official_training_state(official_file, tmp_path, capsys):
    convert(official_file, tmp_path / 'a.pth', '--full')
    assert '477 of 477 tensors matched' in capsys.readouterr().out
    state_dict = read_checkpoint(tmp_path / 'a.pth')['state_dict']
    student, teacher = official(0), official(1)
    for ours, theirs in (
        ('matching.projector.prototypes', student['csm_decoder.last_layer.weight_v']),
        ('teacher.encoder.backbone.pos_embed', teacher['backbone.pos_embed']),
    ):
        assert torch.equal(state_dict[ours], theirs)
    assert torch.equal(state_dict['matching.center'], torch.zeros(1, 4096))


@pytest.mark.parametrize('role, seed', [('teacher', 1), ('student', 0)])
def test_official_backbone(official_file, tmp_path, capsys, role, seed):
    convert(official_file, tmp_path / 'a.pth', '--role', role)
    said = capsys.readouterr().out
    assert '150 of 150 tensors matched' in said
    assert '2 unused: inter_norm.weight, inter_norm.bias' in said
    vit = SAIPViT()
    load_pretrained(vit, tmp_path / 'a.pth', prefix='backbone.')
    assert torch.equal(vit.pos_embed, official(seed)['backbone.pos_embed'])


def test_a_saved_center_is_used():
    center = torch.arange(4096.0)
    state_dict = from_official(official(), official(), center)
    assert torch.equal(state_dict['matching.center'], center[None])


def test_a_gain_other_than_one_is_rejected():
    teacher = official()
    teacher['csm_decoder.last_layer.weight_g'][5] = 0.5
    with pytest.raises(ValueError, match='teacher: csm_decoder.last_layer.weight_g'):
        from_official(official(), teacher)


def test_maes_decoder_is_left_out(tmp_path, capsys):
    weights = timm_vit(num_classes=0).state_dict()
    weights |= {'decoder_embed.weight': torch.ones(8, 32), 'mask_token': torch.ones(1)}
    torch.save(dict(model=weights, args=argparse.Namespace()), tmp_path / 'mae.pth')
    convert(tmp_path / 'mae.pth', tmp_path / 'a.pth', '--num-heads', 2)
    said = capsys.readouterr().out
    assert '30 of 30 tensors matched; 2 unused: decoder_embed.weight, mask' in said


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_positions_are_resized(tmp_path, capsys, suffix):
    torch.save(timm_vit().state_dict(), tmp_path / 'timm.pth')
    out = tmp_path / f'a{suffix}'
    options = '--num-heads', 2, '--img-size', 96, 48
    convert(tmp_path / 'timm.pth', out, *options)
    said = capsys.readouterr().out
    assert '30 of 30 tensors matched; 2 unused: head.weight, head.bias' in said
    assert '1 resized: pos_embed from 4×4 to 6×3' in said
    vit = SAIPViT(ARCH, (96, 48), middle_block=0)
    assert not load_pretrained(vit, out, prefix='backbone.').resized


def test_what_files_do_not_state_is_assumed_and_said(tmp_path, capsys):
    torch.save(timm.create_model('deit_small_patch16_224').state_dict(), tmp_path / 's')
    convert(tmp_path / 's', tmp_path / 'a.pth')
    said = capsys.readouterr().out
    assert 'mean [123.675, 116.28, 103.53], std [58.395, 57.12, 57.375]' in said
    assert read_checkpoint(tmp_path / 'a.pth')['meta']['num_heads'] == 6


@pytest.mark.parametrize(
    'without, size, message',
    [
        ('cls_token', 64, 'it lacks cls_token'),
        ('norm.bias', 64, '29 of 30 tensors matched; 1 missing: ln1.bias'),
        (None, 32, 'has 8 positions .* give --grid H W'),
        ('.0.', 64, 'begin with blocks, cls_token'),
        ('', 64, 'instead of a state dict'),
    ],
)
def test_unfit_weights_are_rejected(tmp_path, without, size, message):
    weights = timm_vit((64, size), num_classes=0).state_dict()
    for name in [*weights] if without is not None else []:
        if without in name:
            del weights[name]
    torch.save(weights, tmp_path / 'timm.pth')
    out = tmp_path / 'a.pth'
    with pytest.raises(ValueError, match=f'timm.pth: .*{message}'):
        convert(tmp_path / 'timm.pth', out, '--num-heads', 2)
    assert not out.exists()


@pytest.mark.parametrize(
    'added, message',
    [
        ('patch_embed.conv.0.weight', r'has a convolutional stem \(patch_embed.conv.0'),
        ('part_token1', r'has part tokens \(part_token1\)'),
    ],
)
def test_other_vits_for_people_are_named(added, message, tmp_path):
    weights = timm_vit().state_dict() | {added: torch.ones(1)}
    torch.save(dict(teacher=weights), tmp_path / 'lup.pth')
    with pytest.raises(ValueError, match=message):
        convert(tmp_path / 'lup.pth', tmp_path / 'a.pth', '--num-heads', 2)


@pytest.mark.parametrize('given', ['momentum_encoder', 'module.momentum_encoder.'])
def test_vits_under_other_prefixes(given, tmp_path):
    vit = timm_vit().state_dict()
    weights = {f'module.base_encoder.{name}': x + 1 for name, x in vit.items()}
    weights |= {f'module.momentum_encoder.{name}': x for name, x in vit.items()}
    torch.save(dict(state_dict=weights), tmp_path / 'moco.pth')
    files = tmp_path / 'moco.pth', tmp_path / 'a.pth'
    message = 'There is a ViT under a prefix: give --prefix base_enc.* or momentum_enc'
    with pytest.raises(ValueError, match=message):
        convert(*files)
    with pytest.raises(ValueError, match='moco.pth: has no tensors under encoder.'):
        convert(*files, '--prefix', 'encoder')
    convert(*files, '--prefix', given, '--num-heads', 2)
    ours = SAIPViT(ARCH, (64, 64), middle_block=0)
    load_pretrained(ours, tmp_path / 'a.pth')
    assert torch.equal(ours.pos_embed, vit['pos_embed'])
    assert torch.equal(ours.ln1.weight, vit['norm.weight'])


def test_own_training_checkpoints_are_rejected(tmp_path):
    """Their first backbone is the student's, whatever the role."""
    prefixes = 'backbone.', 'teacher.encoder.backbone.'
    names = [f'{prefix}layers.0.ln1.weight' for prefix in prefixes]
    torch.save(dict.fromkeys(names, torch.ones(1)), tmp_path / 'epoch_1.pth')
    with pytest.raises(ValueError, match='epoch_1.pth: .*tools/export_backbone.py'):
        convert(tmp_path / 'epoch_1.pth', tmp_path / 'a.pth')


def test_given_grid_is_used(tmp_path):
    torch.save(timm_vit((64, 32)).state_dict(), tmp_path / 'timm.pth')
    options = '--num-heads', 2, '--grid', 4, 2
    convert(tmp_path / 'timm.pth', tmp_path / 'a.pth', *options)
    vit = SAIPViT(ARCH, (32, 64), middle_block=0)
    report = load_pretrained(vit, tmp_path / 'a.pth')
    assert report.resized == [('pos_embed', (4, 2), (2, 4))]
    options = '--grid', 2, 4
    with pytest.raises(ValueError, match='states the patch grid .*omit --grid'):
        convert(tmp_path / 'a.pth', tmp_path / 'b.pth', *options)
