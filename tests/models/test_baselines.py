"""MAE and DINO, as configs of SAIP, against MMPretrain's MAE and a plain DINO."""

import pytest
import torch
from launch import ROOT
from mmpretrain.registry import MODELS
from plain_saip import matching
from random_models import ARCH
from tiny_views import tiny_views
from torch.utils.data import default_collate

from saip_mm.data import SyntheticPeople
from saip_mm.training.config import load_config

BASELINES = ROOT / 'configs/pretrain/baselines'
SIDE = 64


def mae() -> torch.nn.Module:
    """The MAE of the config, small and square."""
    cfg = load_config(str(BASELINES / 'mae_vit-tiny.py')).model
    cfg.backbone.update(arch=ARCH, img_size=SIDE, middle_block=3)
    cfg.reconstruction.update(
        dict(in_channels=24, embed_dims=32, num_blocks=2, num_heads=4),
        img_size=(SIDE, SIDE),
    )
    model = MODELS.build(cfg)
    model.init_weights()
    torch.nn.init.normal_(model.middle_norm.weight)
    return model


def stock_mae(ours: torch.nn.Module) -> torch.nn.Module:
    """MMPretrain's MAE with the same weights."""
    decoder = dict(embed_dim=24, decoder_embed_dim=32, decoder_depth=2)
    model = MODELS.build(
        dict(
            type='MAE',
            backbone=dict(type='MAEViT', arch=ARCH, img_size=SIDE),
            neck=dict(
                type='MAEPretrainDecoder',
                num_patches=(SIDE // 16) ** 2,
                decoder_num_heads=4,
                **decoder,
            ),
            head=dict(
                type='MAEPretrainHead',
                norm_pix=True,
                loss=dict(type='PixelReconstructionLoss', criterion='L2'),
            ),
        )
    )
    names = dict(embed='decoder_embed', mask_token='mask_token', norm='ln1')
    names |= dict(blocks='decoder_blocks', pos_embed='decoder_pos_embed')
    names |= dict(predict='decoder_pred')
    state = {
        f'backbone.{name}': tensor
        for name, tensor in ours.backbone.state_dict().items()
        if not name.startswith('ln1.')
    }
    for name, tensor in ours.middle_norm.state_dict().items():
        state[f'backbone.ln1.{name}'] = tensor
    for name, tensor in ours.reconstruction.state_dict().items():
        first, *rest = name.split('.')
        state['.'.join(['neck', names[first], *rest])] = tensor
    model.load_state_dict(state)
    return model


def test_mae_is_that_of_mmpretrain():
    ours = mae().train()
    stock = stock_mae(ours)
    images = torch.randn(3, 3, SIDE, SIDE)
    torch.manual_seed(5)
    noise = torch.rand(3, 16)  # what MMPretrain draws
    torch.manual_seed(5)
    expected = stock.loss(images, None)['loss']
    inputs = dict(csr=images, csr_noise=noise.unflatten(1, (4, 4)))
    found = ours.loss(inputs)
    assert found.keys() == {'loss_csr'}
    torch.testing.assert_close(found['loss_csr'], expected)
    found['loss_csr'].backward()
    expected.backward()
    for name in ('patch_embed.projection.weight', 'layers.3.attn.qkv.weight'):
        torch.testing.assert_close(
            ours.backbone.get_parameter(name).grad,
            stock.backbone.get_parameter(name).grad,
        )
    without = {name for name, p in ours.named_parameters() if p.grad is None}
    assert without - {n for n in without if n.startswith('teacher')} == {
        'backbone.ln1.weight',
        'backbone.ln1.bias',
    }


def test_dino_is_plain_dino():
    cfg = load_config(str(BASELINES / 'dino_vit-tiny.py')).model
    cfg.backbone.update(arch=ARCH, img_size=(64, 32), middle_block=1)
    cfg.matching.update(in_channels=24, out_channels=16)
    model = MODELS.build(cfg)
    model.init_weights()
    for parameter in model.teacher.parameters():  # not the student's
        parameter.mul_(1.5)
    torch.nn.init.normal_(model.matching.center)

    inputs = tiny_views()
    inputs = {name: inputs[name] for name in ('globals', 'locals', 'roi', 'inst')}
    found = model.train().loss(inputs)
    assert {name for name in found if 'loss' in name} == {'loss_csm'}

    crops = [*inputs['globals'].unbind(1), *inputs['locals'].unbind(1)]
    crops += [inputs['roi'], inputs['inst']]
    teacher, student = model.teacher, model.matching.projector
    taught = [
        teacher['projector'](teacher['encoder'](x).image_token) for x in crops[:2]
    ]
    seen = [student(model.student['encoder'](crop).image_token) for crop in crops]
    expected = matching(taught, seen, model.matching.center)
    torch.testing.assert_close(found['loss_csm'], expected)


@pytest.mark.parametrize('pack', [False, True])
@pytest.mark.parametrize(
    'name, made',
    [
        ('mae_small', {'globals', 'csr', 'csr_noise'}),
        ('dino_small', {'globals', 'locals', 'roi', 'inst', 'csr_noise'}),
    ],
)
def test_only_views_that_are_used_are_made(name, made, pack):
    def inputs(name: str) -> dict[str, torch.Tensor]:
        cfg = load_config(str(BASELINES / f'{name}.py'))
        draw, last = cfg.train_dataloader.dataset.pipeline
        last = dict(type='PackViews', canvas=(128, 64)) if pack else last
        people = SyntheticPeople(3, 1, size=(128, 64), pipeline=[draw, last])
        data = default_collate([people[7, 1, i] for i in range(3)])
        data['scales'] = (1.0, 1.0)
        return MODELS.build(cfg.model.data_preprocessor)(data)['inputs']

    found, of_saip = inputs(name), inputs('../saip_small')
    assert found.keys() == made
    if name == 'dino_small':
        for view in made - {'csr_noise'}:
            assert torch.equal(found[view], of_saip[view])


@pytest.mark.parametrize(
    'name',
    [
        *('ablations/saip_small_csm', 'ablations/saip_small_csr'),
        *('ablations/saip_small_css', 'ablations/saip_small_csm_csr'),
        *('baselines/dino_small', 'baselines/mae_small', 'distillation/cosine_small'),
    ],
)
def test_parameters_without_gradient_are_announced(name):
    """Otherwise, distributed training fails in its second step."""
    cfg = load_config(str(BASELINES.parent / f'{name}.py'))
    model = MODELS.build(cfg.model)
    model.init_weights()
    patch, pixels = model.backbone.patch_size, torch.randn(2, 4, 3, 160, 112)
    inputs = dict(
        globals=pixels[:, :2, :, :128, :64],
        locals=pixels[..., :64, :32],
        roi=pixels[:, 0, :, :48, :32],
        inst=pixels[:, 0, :, :80, :48],
        csr=pixels[:, 0, :, :, :80],
        csr_noise=torch.rand(2, 8, 4),
        scene=pixels[:, 0, :, :112],
        scene_masks=torch.ones(2, 2, 112 // patch, 112 // patch),
    )
    losses = model.train().loss(inputs)
    sum(loss for name, loss in losses.items() if 'loss' in name).backward()
    trained = [each for each in model.parameters() if each.requires_grad]
    unused = any(each.grad is None for each in trained)
    assert unused == cfg.get('find_unused_parameters', False)
