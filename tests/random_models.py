"""Checkpoints of models with random weights."""

from pathlib import Path

import torch
from mmengine import registry
from mmengine.runner import save_checkpoint
from mmengine.utils import import_modules_from_strings
from mmpretrain.registry import MODELS
from torch import nn

from saip_mm.checkpoints.files import write_checkpoint
from saip_mm.models import SAIPViT
from saip_mm.training.config import load_config

MEAN, STD = (120.0, 110.0, 100.0), (50.0, 60.0, 70.0)
ARCH = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=96)


def write_saip(work_dir: Path, std: float, **backbone: object) -> nn.Module:
    """Write a checkpoint of a SAIP whose parameters deviate by ``std`` from zero."""
    torch.manual_seed(0)
    backbone = dict(type='SAIPViT', **backbone)
    saip = MODELS.build(
        dict(
            type='SAIP',
            backbone=backbone,
            search=dict(
                type='CrossScaleSearchHead',
                in_channels=MODELS.build(backbone).embed_dims,
                embed_dims=32,
                num_heads=4,
            ),
            data_preprocessor=dict(type='SAIPDataPreprocessor', mean=MEAN, std=STD),
        )
    )
    for parameter in saip.parameters():
        nn.init.normal_(parameter.data, std=std)
    path = work_dir / 'iter_1.pth'
    save_checkpoint(dict(state_dict=saip.state_dict()), str(path))
    (work_dir / 'last_checkpoint').write_text(str(path))
    return saip


def write_model(path: Path, config: Path, **meta: object) -> Path:
    """Write a model of a config, as a training saves it."""
    cfg = load_config(str(config), {'model.backbone.init_cfg': None})
    import_modules_from_strings(**cfg.custom_imports)
    torch.manual_seed(0)
    with registry.DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = registry.MODELS.build(cfg.model)
    write_checkpoint(path, model.state_dict(), dict(dataset_meta=meta))
    return path


def write_backbone(path: Path, **meta: object) -> dict[str, torch.Tensor]:
    """Write a ViT-Tiny as tools/export_backbone.py does; returns its weights."""
    torch.manual_seed(0)
    vit = SAIPViT()
    vit.init_weights()
    weights = vit.state_dict()
    state_dict = {f'backbone.{name}': tensor for name, tensor in weights.items()}
    write_checkpoint(path, state_dict, dict(grid=(16, 8), num_heads=3) | meta)
    return weights


def write_teacher(path: Path, seed: int = 0) -> str:
    """Write a ViT of 48 channels and 6 heads for images of 64×32."""
    arch = dict(embed_dims=48, num_layers=2, num_heads=6, feedforward_channels=96)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vit = SAIPViT(arch, (64, 32))
        vit.init_weights()
    write_checkpoint(path, vit.state_dict(), dict(grid=(4, 2), num_heads=6))
    return str(path)
