"""Every downstream config builds, in the scope of its library, and takes an image."""

import pytest
import torch
from launch import ROOT
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from saip_mm.engine.config import load_config

CONFIGS = sorted((ROOT / 'configs' / 'downstream').rglob('*.py'))
LIBRARIES = dict(detection='mmdet', parsing='mmseg', pose='mmpose')


@pytest.mark.parametrize('path', CONFIGS, ids=[path.stem for path in CONFIGS])
def test_builds(path):
    if library := LIBRARIES.get(path.parent.name):
        pytest.importorskip(library)
    cfg = load_config(str(path), {})
    assert cfg.model.backbone.init_cfg.checkpoint == 'backbone.pth'
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = MODELS.build(cfg.model)
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    updated = {id(p) for group in optimizer.param_groups for p in group['params']}
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert updated == trained
    maps = model.backbone(torch.zeros(1, 3, 128, 64))
    if model.with_neck:
        sizes = [each.shape[-2:] for each in model.neck(maps)][:4]
        assert sizes == [(32, 16), (16, 8), (8, 4), (4, 2)]
