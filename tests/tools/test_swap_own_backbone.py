"""A backbone of one's own in a stock config."""

import pytest
import torch
from launch import TINY
from mmengine.config import Config
from mmpretrain.registry import MODELS

from saip_mm.downstream.swap import Refusal, swap_backbone
from saip_mm.models.tinyvit import SAIPTinyViT


def test_a_backbone_with_maps_of_unknown_strides_is_refused(monkeypatch, tmp_path):
    cfg = Config.fromfile(TINY.with_name('tiny_tinyvit.py')).model.backbone
    weights = MODELS.build(cfg).state_dict()
    weights = {f'backbone.{name}': each for name, each in weights.items()}
    torch.save(dict(state_dict=weights), tmp_path / 'backbone.pth')
    monkeypatch.delattr(SAIPTinyViT, 'levels_of')
    resnet, out = 'mmpretrain::resnet/resnet18_8xb32_in1k.py', tmp_path / 'new.py'
    with pytest.raises(Refusal, match='SAIPTinyViT are unknown .it has no levels_of'):
        swap_backbone(resnet, str(tmp_path / 'backbone.pth'), out)
    assert not out.exists()
