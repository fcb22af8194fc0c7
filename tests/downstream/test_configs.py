"""Downstream configs build and match the authors' protocol."""

import pytest
import torch
from launch import ROOT
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from saip_mm.training.config import load_config
from saip_mm.zoo import read_models

CONFIGS = sorted((ROOT / 'configs' / 'downstream').rglob('*.py'))
METADATA = {model['Config']: model['Metadata'] for model in read_models(ROOT)}
LIBRARIES = dict(detection='mmdet', parsing='mmseg', pose='mmpose')
LIBRARIES['part_attributes'] = 'mmdet'


@pytest.mark.parametrize('path', CONFIGS, ids=[path.stem for path in CONFIGS])
def test_builds(path, monkeypatch):
    for name in ('normal_', 'kaiming_uniform_'):  # nobody needs the random weights
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    if library := LIBRARIES.get(path.parent.name):
        pytest.importorskip(library)
    if 'cspnext' in path.stem:
        pytest.importorskip('mmdet')
    cfg = load_config(str(path), {})
    assert cfg.model.backbone.init_cfg.checkpoint == 'backbone.pth'
    cfg.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
        optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    updated = {id(p) for group in optimizer.param_groups for p in group['params']}
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert updated == trained
    entry = METADATA[str(path.relative_to(ROOT))]
    assert entry['Parameters'] == sum(p.numel() for p in model.parameters())
    (speed,) = entry['inference time (ms/im)']
    assert speed['resolution'] == str(tuple(cfg.model.backbone.img_size))
    maps = model.backbone(torch.zeros(1, 3, 128, 64))
    if path.parent.name in ('detection', 'parsing', 'part_attributes'):
        if model.with_neck:
            maps = model.neck(maps)
        sizes = [each.shape[-2:] for each in maps][:4]
        assert sizes == [(32, 16), (16, 8), (8, 4), (4, 2)][-len(sizes) :]


# Optimizer, learning rate, weight decay, layer decay, epochs, and milestones as
# stated by the authors; None if not stated.
PROTOCOL = {
    'pose/coco': ('AdamW', 5e-4, 0.1, 0.75, 210, [170, 200]),
    'detection/crowdhuman': ('AdamW', 2e-4, 1e-4, None, 30, [24, 27]),
    'parsing/lip': ('AdamW', 7e-4, None, None, 150, None),
    'reid/market1501': ('SGD', None, None, None, 120, None),
    'reid/msmt17': ('SGD', None, None, None, 120, None),
    'attributes/pa100k': ('AdamW', 1e-4, None, None, 30, None),
    'attributes/peta-zs': ('AdamW', 1e-4, None, None, 22, None),
    'text_retrieval/cuhk-pedes': ('Adam', 1e-4, 4e-5, None, 60, None),
    'text_retrieval/icfg-pedes': ('Adam', 1e-4, 4e-5, None, 60, None),
    'part_attributes/fashionpedia_ke-rcnn': ('AdamW', 1e-4, 0.05, None, 32, [26, 30]),
}


@pytest.mark.parametrize('task', PROTOCOL)
def test_protocol_of_the_authors(task):
    folder, name = task.split('/')
    if library := LIBRARIES.get(folder):
        pytest.importorskip(library)
    (path,) = (ROOT / 'configs/downstream' / folder).glob(f'{name}_*saip-vit-tiny*.py')
    cfg = load_config(str(path), {})
    kind, lr, weight_decay, layer_decay, epochs, steps = PROTOCOL[task]
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == kind
    assert lr in (None, optimizer.lr)
    assert weight_decay in (None, optimizer.weight_decay)
    decay = cfg.optim_wrapper.get('paramwise_cfg', {}).get('decay_rate')
    assert decay == layer_decay
    assert cfg.train_cfg.max_epochs == epochs
    assert steps in (None, cfg.param_scheduler[-1].get('milestones'))
