"""Configs with a SAIP backbone, compared with the stock configs that they inherit."""

import pytest
import torch
from launch import ROOT, TINY, call, python
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, DefaultScope
from mmpretrain.registry import MODELS as PRETRAINING
from mmpretrain.structures import DataSample
from random_models import MEAN

from saip_mm import load_backbone
from saip_mm.downstream.pyramid import ViTPyramid
from saip_mm.downstream.swap import swap_backbone
from saip_mm.downstream.swap.stock import read_stock

FASTER = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
RESNET = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
# Strides of the used levels by stock config; other levels keep the ViT's stride.
STRIDES = {
    FASTER: {0: 4, 1: 8, 2: 16, 3: 32},
    'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py': {0: 8, 1: 16, 2: 32},
    'mmdet::detr/detr_r18_8xb2-500e_coco.py': {0: 32},
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_mobilenetv2_8xb64-210e_coco-256x192.py': {0: 32},
    'mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024.py': {2: 8, 3: 8},
    'mmseg::upernet/upernet_r18_4xb4-80k_ade20k-512x512.py': {0: 4, 1: 8, 2: 16, 3: 32},
}


def build(cfg):
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.init_weights()
    model.eval()  # returns None of some backbones
    return model


def sizes(maps):
    return [tuple(each.shape[-2:]) for each in maps]


@pytest.mark.parametrize(
    'kind, name, indices',
    [
        ('tinyvit', 'mmseg::upernet/upernet_r18_4xb4-80k_ade20k-512x512.py',
         [0, 1, 3, 4]),
        ('cspnext', 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py', [2, 3, 4]),
        ('tinyvit', 'mmpretrain::vision_transformer/vit-base-p16_64xb64_in1k.py', [4]),
    ],
)  # fmt: skip
def test_hierarchical_backbones_use_their_own_levels(kind, name, indices, tmp_path):
    for library in (name.partition('::')[0], 'mmdet'):
        pytest.importorskip(library)
    cfg = Config.fromfile(TINY.with_name(f'tiny_{kind}.py')).model.backbone
    ours = PRETRAINING.build(cfg)
    weights = {f'backbone.{key}': x for key, x in ours.state_dict().items()}
    torch.save(dict(state_dict=weights), tmp_path / 'backbone.pth')
    out = tmp_path / 'new.py'
    swapped = swap_backbone(name, str(tmp_path / 'backbone.pth'), out)
    assert swapped.adapted and not swapped.report.missing
    backbone = build(Config.fromfile(out)).backbone
    assert list(backbone.out_indices) == indices
    for level, map_ in zip(
        swapped.levels, backbone(torch.zeros(1, 3, 128, 64)), strict=True
    ):
        assert level.stride == (128 / map_.shape[2] if len(indices) > 1 else None)


def test_resized_patches_need_no_pyramid(tmp_path):
    pytest.importorskip('mmpose')
    name = (
        'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
        'td-hm_ViTPose-small_8xb64-210e_coco-256x192.py'
    )
    out = tmp_path / 'new.py'
    swapped = swap_backbone(name, 'saip-small', out, patch_size=16)
    assert swapped.adapted and not swapped.report.missing
    new = build(Config.fromfile(out))
    assert new.backbone.patch_size == 16
    assert not any(isinstance(module, ViTPyramid) for module in new.modules())
    colors = torch.randn(1, 3, 16, 12)  # of patches
    original = load_backbone('saip-small').backbone
    with torch.no_grad():
        (resized,), (expected,) = (
            vit(colors.repeat_interleave(side, 2).repeat_interleave(side, 3))
            for vit, side in [(new.backbone, 16), (original, 8)]
        )
    # The file is in float16.
    torch.testing.assert_close(resized, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    'name',
    [
        'mae/benchmarks/vit-base-p16_8xb2048-linear-coslr-90e_in1k.py',
        'mocov3/benchmarks/resnet50_8xb128-linear-coslr-90e_in1k.py',
    ],
)
def test_linear_evaluations_train_the_head_alone_as_before(
    name, backbone, tmp_path, capsys
):
    out, name = tmp_path / 'new.py', f'mmpretrain::{name}'
    call('tools/swap_backbone.py', name, '--checkpoint', backbone, '--out', out)
    printed = capsys.readouterr().out
    assert 'stays frozen: 150 of 150' in printed
    for each in ('optim_wrapper', 'param_scheduler'):  # both are inherited
        assert each not in printed and each not in out.read_text()
    model = build(Config.fromfile(out))
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in model.named_parameters() if n.startswith('head.')}
    images, samples = torch.zeros(2, 3, 224, 224), [DataSample().set_gt_label(0)] * 2
    model.train()
    assert model(images, samples, mode='loss')['loss'].isfinite()


@pytest.mark.parametrize('name', STRIDES)
def test_levels_are_those_of_the_stock_backbone(name, backbone, tmp_path):
    pytest.importorskip(name.partition('::')[0])
    out = tmp_path / 'new.py'
    swapped = swap_backbone(name, str(backbone), out)
    assert swapped.loss > 0
    assert len(swapped.report.matched) == 150 and not swapped.report.missing

    new = build(Config.fromfile(out))
    trained = torch.load(backbone, weights_only=True)['state_dict']
    for tensor_name, tensor in new.backbone.state_dict().items():
        if tensor_name != 'pos_embed':
            assert torch.equal(tensor, trained[f'backbone.{tensor_name}'])
    assert new.data_preprocessor.mean.flatten().tolist() == [*MEAN]

    stock = read_stock(name, out)
    stock.model.backbone.init_cfg = stock.model.pretrained = None
    old = build(Config(dict(model=stock.model.backbone, default_scope=stock.library)))
    images = torch.randn(2, 3, 128, 64)
    pyramid = next(m for m in new.modules() if isinstance(m, ViTPyramid))
    with torch.no_grad():
        ours, theirs = sizes(pyramid(new.backbone(images))), sizes(old(images))
    assert len(ours) == len(theirs)
    for level, stride in STRIDES[name].items():
        assert ours[level] == theirs[level] == (128 // stride, 64 // stride)
    unused = set(range(len(ours))) - STRIDES[name].keys()
    assert all(ours[level] == (8, 4) for level in unused)

    cfg = Config.fromfile(out)
    wrapper = build_optim_wrapper(new, cfg.optim_wrapper)
    last = dict(cfg.param_scheduler[-1], begin=0, end=100)
    last |= dict(T_max=100) if 'T_max' in last else {}
    last.pop('convert_to_iter_based', None)
    scheduler = PARAM_SCHEDULERS.build(last, default_args=dict(optimizer=wrapper))
    rates = scheduler.get_last_value()
    for _ in range(100):
        wrapper.optimizer.step()
        scheduler.step()
    for start, end in zip(rates, scheduler.get_last_value(), strict=True):
        assert end <= start


def test_channels_are_projected_for_heads_that_cannot_be_adapted(backbone, tmp_path):
    """The neck concatenates four maps; the head states the total only."""
    name = (
        'mmpose::face_2d_keypoint/topdown_heatmap/cofw/'
        'td-hm_hrnetv2-w18_8xb64-60e_cofw-256x256.py'
    )
    pytest.importorskip(name.partition('::')[0])
    swapped = swap_backbone(name, str(backbone), tmp_path / 'new.py')
    assert not swapped.adapted and swapped.loss > 0
    new, old = Config.fromfile(tmp_path / 'new.py').model, read_stock(name, tmp_path)
    assert new.neck.out_channels == [18, 36, 72, 144]
    assert new.neck.neck == old.model.neck and new.head == old.model.head


def test_a_base_that_sets_its_neck_to_none(backbone, tmp_path):
    pytest.importorskip('mmseg')
    config, out = ROOT / 'configs/transfer/parsing_saip-small.py', tmp_path / 'new.py'
    assert swap_backbone(str(config), str(backbone), out).loss > 0
    assert Config.fromfile(out).model.neck.type == 'mmpretrain.ViTPyramid'


@pytest.mark.parametrize(
    ('name', 'out_type', 'channels'),
    [
        (RESNET, None, 512),
        ('mmpretrain::deit/deit-tiny_4xb256_in1k.py', 'cls_token', 192),
    ],
)
def test_classifiers_need_no_pyramid(name, out_type, channels, backbone, tmp_path):
    assert read_stock(name, tmp_path).model.head.in_channels == channels
    swapped = swap_backbone(name, str(backbone), tmp_path / 'new.py')
    assert swapped.adapted and swapped.loss > 0
    cfg = Config.fromfile(tmp_path / 'new.py')
    assert cfg.model.backbone.get('out_type') == out_type
    assert cfg.model.head.in_channels == 192
    model = build(cfg)
    assert not any(isinstance(each, ViTPyramid) for each in model.modules())
    assert model(torch.randn(2, 3, 224, 224)).shape == (2, 1000)


def test_only_differences_are_written(backbone, tmp_path, capsys):
    out = tmp_path / 'a new.py'
    arguments = 'tools/swap_backbone.py', RESNET, '--checkpoint', backbone
    assert call(*arguments, '--out', out) is None
    assert 'backbone: 150 of 150 tensors matched' in capsys.readouterr().out
    text = out.read_text()
    assert f"python tools/train.py '{out}'\n" in text
    assert f'_base_ = {RESNET!r}' in text and max(map(len, text.splitlines())) < 120
    assert list(tmp_path.iterdir()) == [out]
    (tmp_path / 'old.py').write_text(f'_base_ = {RESNET!r}')
    cfg, stock = Config.fromfile(out), Config.fromfile(tmp_path / 'old.py')
    new, old = cfg.to_dict(), stock.to_dict()
    changed = {key for key in new if new[key] != old.get(key)}
    assert changed == {'custom_imports', 'data_preprocessor', 'model', 'optim_wrapper'}
    assert cfg.model.neck == stock.model.neck
    assert cfg.optim_wrapper.constructor == 'mmpretrain.LayerDecay'
    # The config imports all it needs of saip_mm, in a process that has not.
    code = (
        'from mmengine.config import Config; from mmengine.registry import MODELS; '
        f'cfg = Config.fromfile({str(out)!r}); print(MODELS.build(cfg.model).backbone)'
    )
    done = python('-c', code)
    assert 'SAIPViT' in done.stdout, done.stderr


def test_inapplicable_settings_are_dropped_and_listed(backbone, tmp_path, capsys):
    own = tmp_path / 'own.py'
    own.write_text(
        f"""_base_ = {RESNET!r}
optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0, custom_keys={{
    'head.fc': dict(lr_mult=10.0), 'backbone': dict(lr_mult=0.1),
    'head': dict(fix_lr=True)}}))
"""
    )
    out = tmp_path / 'new.py'
    arguments = 'tools/swap_backbone.py', own, '--checkpoint', backbone
    assert call(*arguments, '--out', out) is None
    printed = capsys.readouterr().out
    for dropped in (
        'model.backbone (ResNet)',
        'optim_wrapper.optimizer (SGD)',
        'optim_wrapper.paramwise_cfg.norm_decay_mult',
        "custom_keys['backbone']",
        "custom_keys['head']",
    ):
        assert dropped in printed.split('replaced or dropped: ')[1]
    cfg = Config.fromfile(out)
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys == {'head.fc': dict(lr_mult=10)}
    model = build(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    lr = cfg.optim_wrapper.optimizer.lr
    assert rates[id(model.head.fc.weight)] == pytest.approx(10 * lr)
    assert rates[id(model.backbone.ln1.weight)] == pytest.approx(lr)


@pytest.mark.parametrize(
    ('name', 'size'),
    [
        ('mmdet::ssd/ssd300_coco.py', (300, 300)),
        (
            'mmdet::reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20.py',
            (256, 128),
        ),
    ],
)
def test_detectors_and_reid_of_one_image_size_keep_it(name, size, backbone, tmp_path):
    pytest.importorskip('mmdet')
    swapped = swap_backbone(name, str(backbone), tmp_path / 'new.py')
    assert swapped.loss > 0
    cfg = Config.fromfile(tmp_path / 'new.py')
    assert tuple(cfg.model.backbone.img_size) == size


def test_imports_of_the_config_are_kept_also_as_a_string(backbone, tmp_path):
    own, out = tmp_path / 'own.py', tmp_path / 'new.py'
    imports = "dict(imports='mmpretrain.models')"
    own.write_text(f'_base_ = {RESNET!r}\ncustom_imports = {imports}\n')
    swap_backbone(str(own), str(backbone), out)
    assert Config.fromfile(out).custom_imports.imports[:2] == [
        'mmpretrain.models',
        'saip_mm',
    ]


def test_an_own_config_may_inherit_from_mmsegmentation(tmp_path, monkeypatch):
    pytest.importorskip('mmseg')
    monkeypatch.setitem(MODULE2PACKAGE, 'mmseg', 'mmsegmentation')
    own, base = tmp_path / 'own.py', 'mmseg::fcn/fcn_r50-d8_4xb4-80k_ade20k-512x512.py'
    own.write_text(f'_base_ = {base!r}\n')
    assert read_stock(str(own), tmp_path / 'new.py').library == 'mmseg'


def test_the_new_config_may_lie_behind_a_link(backbone, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a/b').mkdir(parents=True)
    (tmp_path / 'link').symlink_to('a/b')
    (tmp_path / 'own.py').write_text(f'_base_ = {RESNET!r}\n')
    swap_backbone('own.py', str(backbone), 'link/new.py')
    assert Config.fromfile('link/new.py').model.backbone.type == 'mmpretrain.SAIPViT'
