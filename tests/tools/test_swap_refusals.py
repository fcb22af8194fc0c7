"""Configs that no SAIP backbone is put into, and why."""

import pytest
import torch
from launch import TINY, call
from mmengine.config import Config
from mmpretrain.registry import MODELS

from saip_mm.downstream.swap import Refusal, swap_backbone
from saip_mm.downstream.swap.stock import LIBRARIES, read_stock
from saip_mm.models import SAIPTinyViT

RESNET = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'


def test_a_failed_step_names_the_size_and_compares_the_own_backbone(backbone, tmp_path):
    own = tmp_path / 'own.py'
    head = 'dict(in_channels=77)'
    own.write_text(f'_base_ = {RESNET!r}\nmodel = dict(head={head})\n')
    arguments = 'tools/swap_backbone.py', own, '--checkpoint', backbone
    printed = call(*arguments, '--out', tmp_path / 'new.py')
    assert 'step on random images of 224×224 pixels (h×w) fails with its own' in printed


@pytest.mark.parametrize(
    ('name', 'why'),
    [
        ('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_cocoa.py', 'did you mean'),
        ('mmdet::glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365.py', 'language'),
        ('mmdet::ld/ld_r18-gflv1-r101_fpn_1x_coco.py', 'learns from a trained teacher'),
        ('mmdet::tridentnet/tridentnet_r50-caffe_1x_coco.py', 'neither maps'),
        ('mmdet::bytetrack/bytetrack_yolox_x_8xb4-80e_crowdhuman-mot17halftrain_'
         'test-mot17halfval.py', 'needs more than images: it has a tracker'),
        ('mmpose::body_3d_keypoint/video_pose_lift/h36m/video-pose-lift_tcn-27frm-'
         'supv_8xb128-160e_h36m.py', 'fails on images'),
        ('mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py', 'takes ma'),
        ('mmpretrain::conformer/conformer-tiny-p16_8xb128_in1k.py', 'returns nested'),
        ('mmfoo::a.py', "'mmfoo' is not one of mmpose, mmdet, mmseg, mmpretrain"),
        ('nowhere.py', 'no such file'),
    ],
)  # fmt: skip
def test_refusals_are_one_line_and_write_no_file(name, why, backbone, tmp_path):
    if name.partition('::')[0] in LIBRARIES:
        pytest.importorskip(name.partition('::')[0])
    arguments = 'tools/swap_backbone.py', name, '--checkpoint', backbone
    (printed,) = call(*arguments, '--out', tmp_path / 'new.py').splitlines()
    assert printed.startswith(f'error: {name}: ') and why in printed
    assert not list(tmp_path.iterdir())


def test_the_inherited_config_is_not_replaced(backbone, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(text := f'_base_ = {RESNET!r}\n')
    arguments = 'tools/swap_backbone.py', own, '--checkpoint', backbone
    printed = call(*arguments, '--out', tmp_path / 'a' / '..' / 'own.py')
    assert 'choose another file for --out' in printed and own.read_text() == text
    printed = call(*arguments, '--out', own / 'new.py')
    assert 'own.py/new.py: cannot be written' in printed


def test_missing_libraries_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr('saip_mm.downstream.swap.stock.find_spec', lambda name: None)
    with pytest.raises(Refusal, match=r'MMPose \(mmpose\) is not installed: `make'):
        read_stock('mmpose::a/b.py', tmp_path / 'new.py')


def test_configs_that_cannot_be_inherited(backbone, tmp_path):
    own, out = tmp_path / 'own.py', tmp_path / 'new.py'
    for text, why in (
        ('from mmengine.config import read_base\nwith read_base():\n    pass\n',
         "inherit one of the library's text configs"),
        ("model = dict(type='EncoderDecoder')\n", "has default_scope='', not one of"),
        (f"_base_ = {RESNET!r}\ncustom_imports = dict(imports='own_package')\n",
         'cannot be read here: ImportError'),
    ):  # fmt: skip
        own.write_text(text)
        with pytest.raises(Refusal, match=why):
            swap_backbone(str(own), str(backbone), out)


@pytest.fixture
def tinyvit(tmp_path):
    cfg = Config.fromfile(TINY.with_name('tiny_tinyvit.py')).model.backbone
    weights = MODELS.build(cfg).state_dict()
    weights = {f'backbone.{name}': each for name, each in weights.items()}
    torch.save(dict(state_dict=weights), tmp_path / 'backbone.pth')
    return str(tmp_path / 'backbone.pth')


def test_a_backbone_with_maps_of_unknown_strides_is_refused(
    tinyvit, monkeypatch, tmp_path
):
    monkeypatch.delattr(SAIPTinyViT, 'levels_of')
    out = tmp_path / 'new.py'
    with pytest.raises(Refusal, match='SAIPTinyViT are unknown .it has no levels_of'):
        swap_backbone(RESNET, tinyvit, out)
    assert not out.exists()


def test_only_vits_stay_frozen(tinyvit, tmp_path):
    name = 'mmpretrain::mocov2/benchmarks/resnet50_8xb32-linear-steplr-100e_in1k.py'
    with pytest.raises(Refusal, match='nothing of its backbone .*only a ViT'):
        swap_backbone(name, tinyvit, tmp_path / 'new.py')
    assert not (tmp_path / 'new.py').exists()
