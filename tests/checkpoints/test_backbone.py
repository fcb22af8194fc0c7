"""ViTs of timm, by all ways to load them: the same function, or an error."""

import re
from functools import partial

import pytest
import timm
import torch
from launch import call
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from timm.layers import GluMlp, RmsNorm, SwiGLU
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import ParallelScalingBlock, ParallelThingsBlock

import saip_mm
from saip_mm.checkpoints.backbone import choose_backbone
from saip_mm.checkpoints.files import open_checkpoint
from saip_mm.evaluation.subject import load_subject
from saip_mm.models import SAIPViT

ARCH = dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=128)
SIZE = (64, 64)
IMAGES = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))

SAME = {
    'plain': dict(),
    'without classifier': dict(num_classes=0),
    'average after the norm': dict(global_pool='avg', fc_norm=False),
    'attention pooling': dict(global_pool='map'),
    'any image size': dict(dynamic_img_size=True, drop_path_rate=0.1),
}
OTHER = {
    'LayerScale (layers.0.ls1.gamma and 5 more)': dict(init_values=0.01),
    'register tokens (reg_token)': dict(reg_tokens=4),
    'normalized queries and keys (layers.0.attn.q_norm.weight and 11 more)': dict(
        qk_norm=True
    ),
    'a norm before the first block (norm_pre.weight': dict(pre_norm=True),
    '3 missing: layers.0.attn.qkv.bias, layers.1.attn.qkv.bias': dict(qkv_bias=False),
    'pooling before the final norm (fc_norm.weight': dict(global_pool='avg'),
    '2 missing: ln1.weight, ln1.bias': dict(final_norm=False),
    'attn.proj.bias': dict(proj_bias=False),
    'not a class token and a patch grid of 4×4': dict(no_embed_class=True),
    'it lacks cls_token': dict(class_token=False, global_pool='avg', fc_norm=False),
    'it lacks pos_embed': dict(pos_embed='none'),
    'a distillation token (dist_token)': dict(model=VisionTransformerDistilled),
    '6 unexpected: layers.0.attn.norm.weight': dict(scale_attn_norm=True),
    '6 unexpected: layers.0.mlp.norm.weight': dict(scale_mlp_norm=True),
    '2 unexpected: patch_embed.norm.weight': dict(
        embed_norm_layer=torch.nn.LayerNorm
    ),
    'gated linear units (layers.0.mlp.fc1_g.weight': dict(mlp_layer=SwiGLU),
    'layers.0.ffn.layers.1.weight is 32×64': dict(mlp_layer=GluMlp),
    '7 missing: layers.0.ln1.bias': dict(norm_layer=RmsNorm),
    'lacks patch_embed.projection.weight | names of neither': dict(
        block_fn=ParallelScalingBlock
    ),
    'LayerScale (blocks.0.attns.0.ls.gamma | names of neither': dict(
        block_fn=ParallelThingsBlock, init_values=0.01
    ),
    'patch_embed.projection.weight is 32×1×16×16': dict(in_chans=1),
    'register tokens (reg_token), normalized queries': dict(reg_tokens=1, qk_norm=True),
}  # fmt: skip


def vit(seed=0, model=timm.models.VisionTransformer, **options):
    """A ViT of timm whose parameters are all random."""
    options = dict(embed_dim=32, depth=3, num_heads=2) | options
    source = model(img_size=SIZE, num_classes=options.pop('num_classes', 10), **options)
    generator = torch.Generator().manual_seed(seed)
    for parameter in source.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) / 3
    return source.eval()


def save(path, weights, **more):
    """A file with metadata that tensors do not show."""
    meta = dict(grid=[4, 4], num_heads=2)
    torch.save(dict(state_dict=weights, meta=meta, **more), path)
    return path


def tokens(model):
    if isinstance(model, SAIPViT):
        model.out_type = 'raw'
    with torch.no_grad():
        outputs = model(IMAGES)
    return outputs[0] if isinstance(outputs, tuple) else outputs


def ours(path=None, **options):
    init_cfg = path and dict(type='Pretrained', checkpoint=str(path))
    model = SAIPViT(
        ARCH, SIZE, out_type='raw', middle_block=0, init_cfg=init_cfg, **options
    )
    model.init_weights()
    return model.eval()


def through_tool(script, path):
    out = path.with_name('out.pth')
    try:
        call(f'tools/{script}.py', path, '--out', out)
    except ValueError:
        assert not out.exists()
        raise
    return saip_mm.load_backbone(out).backbone


def through_swap(path):
    with open_checkpoint(path) as (_, checkpoint):
        backbone = choose_backbone(checkpoint)
        backbone.build()
    assert backbone.config['arch'] == ARCH
    return ours(path)


def through_load_from(path):
    """MMEngine's loading, from OpenMMLab's names."""
    model = ours()
    content = torch.load(path, weights_only=True)
    renamed = {}
    for name, tensor in content['state_dict'].items():
        name = re.sub('^norm', 'ln1', name.replace('blocks.', 'layers.'))
        name = re.sub(r'(layers\.\d+\.)norm', r'\1ln', name)
        name = name.replace('mlp.fc1.', 'ffn.layers.0.0.')
        name = name.replace('mlp.fc2.', 'ffn.layers.1.')
        renamed[name.replace('patch_embed.proj.', 'patch_embed.projection.')] = tensor
    torch.save(renamed, path)
    load_checkpoint(model, str(path), strict=False)
    return model


WAYS = dict(
    convert=partial(through_tool, 'convert_checkpoint'),
    export=partial(through_tool, 'export_backbone'),
    init_cfg=ours,
    load_backbone=lambda path: saip_mm.load_backbone(path).backbone,
    probe=lambda path: load_subject(str(path)).features.backbone,
    swap=through_swap,
    load_from=through_load_from,
)


# All variants are loaded in two ways, from a file alone and into a given model. The
# other ways share this code, so that a few variants suffice.
ALL_VARIANTS = ('load_backbone', 'load_from')
FEW_VARIANTS = {
    'without classifier',
    'LayerScale (layers.0.ls1.gamma and 5 more)',
    '2 missing: ln1.weight, ln1.bias',
    'a distillation token (dist_token)',
}


def variants(kinds):
    return [
        (way, name)
        for way in WAYS
        for name in kinds
        if way in ALL_VARIANTS or name in FEW_VARIANTS
    ]


@pytest.mark.parametrize('way, name', variants(SAME))
def test_the_function_is_the_same(tmp_path, name, way):
    source = vit(**SAME[name])
    model = WAYS[way](save(tmp_path / 'timm.pth', source.state_dict()))
    expected = tokens(source.forward_features)
    torch.testing.assert_close(tokens(model), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0.1


@pytest.mark.parametrize('way, message', variants(OTHER))
def test_another_function_is_rejected(tmp_path, message, way):
    path = save(tmp_path / 'timm.pth', vit(**OTHER[message]).state_dict())
    with pytest.raises(ValueError) as error:
        WAYS[way](path)
    said = str(error.value)
    if way not in ('load_from', 'init_cfg'):  # which compare with a given model
        assert 'timm.pth: ' in said and any(m in said for m in message.split(' | '))


def test_dinos_files(tmp_path, capsys):
    """Student and teacher with DINO's heads, on a square grid: not SAIP."""
    sources = dict(student=vit(1), teacher=vit(2))
    content = {
        role: {f'backbone.{name}': t for name, t in source.state_dict().items()}
        | {f'head.{part}': torch.ones(2) for part in ('mlp.0.bias', 'last_layer')}
        for role, source in sources.items()
    }
    for role, wrapper in dict(student='module', teacher='module._orig_mod').items():
        content[role] = {f'{wrapper}.{k}': v for k, v in content[role].items()}
    torch.save(content | dict(epoch=3), tmp_path / 'dino.pth')
    script, out = 'tools/convert_checkpoint.py', tmp_path / 'out.pth'
    for role, options in dict(teacher=[], student=['--role', 'student']).items():
        options += ['--num-heads', 2, '--out', out]
        call(script, tmp_path / 'dino.pth', *options)
        said = capsys.readouterr().out
        assert 'names of dino' in said and f"taking the {role}'s backbone" in said
        assert 'patch grid: 4×4' in said
        loaded = saip_mm.load_backbone(out).backbone
        expected = tokens(sources[role].forward_features)
        torch.testing.assert_close(tokens(loaded), expected, rtol=1e-5, atol=1e-5)
        with pytest.raises(ValueError, match=f'has no .*role: {role}'):
            saip_mm.load_backbone(out, 'student' if role == 'teacher' else 'teacher')


@pytest.mark.parametrize(
    'places', [('state_dict', 'state_dict_ema'), ('model', 'model_ema')]
)
def test_the_average_of_weights_is_used_and_logged(tmp_path, logged, places):
    weights, average = vit(1), vit(2)
    plain, ema = places
    content = {plain: weights.state_dict(), ema: average.state_dict()}
    torch.save(content | dict(meta=dict(grid=[4, 4], num_heads=2)), tmp_path / 'a.pth')
    said = logged('checkpoints.files')
    model = ours(tmp_path / 'a.pth')
    assert said == [f"using the weights in '{ema}', not in '{plain}'"]
    expected = tokens(average.forward_features)
    torch.testing.assert_close(tokens(model), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('way', WAYS)
def test_non_finite_and_unknown_weights_are_rejected(tmp_path, way):
    weights = vit().state_dict() | {'blocks.2.adapter.weight': torch.ones(2)}
    with pytest.raises(ValueError, match='1 unexpected: layers.2.adapter.weight'):
        WAYS[way](save(tmp_path / 'timm.pth', weights))
    del weights['blocks.2.adapter.weight']
    value = float('inf' if way == 'convert' else 'nan')
    weights['blocks.1.attn.proj.bias'][3] = value
    with pytest.raises(ValueError, match='NaN or infinity in layers.1.attn.proj.bias'):
        WAYS[way](save(tmp_path / 'timm.pth', weights))


def test_layer_scale_loads_into_layer_scale(tmp_path):
    source = ours(layer_scale_init_value=0.1)
    torch.save(source.state_dict(), tmp_path / 'a.pth')
    model = ours(tmp_path / 'a.pth', layer_scale_init_value=0.2)
    assert torch.equal(tokens(model), tokens(source))
    with pytest.raises(ValueError, match='has LayerScale .layers.0.attn.gamma1.weight'):
        ours(tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='has LayerScale .layers.0.attn.gamma1.weight'):
        saip_mm.load_backbone(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('backbone', 'heads'),
    [
        (dict(type='VisionTransformer', arch=dict(num_heads=4)), 4),
        (dict(type='MoCoV3ViT', arch='mocov3-small'), 12),
        (dict(type='VisionTransformer', arch='deit-small'), 6),
        (dict(type='SAIPTinyViT', arch=dict(num_heads=[2, 4, 5, 10])), None),
    ],
)
def test_a_config_states_the_number_of_heads(backbone, heads):
    cfg = Config(dict(model=dict(type='MAE', backbone=backbone))).pretty_text
    state = dict(SAIPViT(arch=ARCH).state_dict())
    found = choose_backbone(dict(state_dict=state, meta=dict(cfg=cfg)))
    assert found.num_heads == heads


def test_backbones_for_bgr_images_are_reported(logged):
    said = logged('checkpoints.backbone')
    for rgb in (True, False):
        model = dict(type='RTMDet', data_preprocessor=dict(bgr_to_rgb=rgb))
        cfg = Config(dict(model=model)).pretty_text
        state = dict(SAIPViT(arch=ARCH).state_dict())
        choose_backbone(dict(state_dict=state, meta=dict(cfg=cfg)))
        assert bool(said) != rgb


def test_conversion_with_given_heads_and_normalization(tmp_path):
    torch.save(vit().state_dict(), tmp_path / 'timm.pth')
    options = ['--num-heads', 2, 4, '--mean', 127.5, 127.5, 127.5, '--std', 50, 51, 52]
    out = tmp_path / 'out.pth'
    call('tools/convert_checkpoint.py', tmp_path / 'timm.pth', '--out', out, *options)
    loaded = saip_mm.load_backbone(out)
    assert [layer.attn.num_heads for layer in loaded.backbone.layers] == [2, 2, 4]
    assert loaded.mean.flatten().tolist() == [127.5] * 3
    assert loaded.std.flatten().tolist() == [50, 51, 52]
