"""A teacher for tests/configs/tiny_star.py, with random weights."""

from pathlib import Path

import torch
from mmpretrain.registry import MODELS

from saip_mm.checkpoints.files import write_checkpoint


def write_teacher(path: Path, seed: int = 0) -> str:
    """Write a ViT of 48 channels and 6 heads for images of 64×32."""
    arch = dict(embed_dims=48, num_layers=2, num_heads=6, feedforward_channels=96)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        vit = MODELS.build(dict(type='SAIPViT', arch=arch, img_size=(64, 32)))
        vit.init_weights()
    write_checkpoint(path, vit.state_dict(), dict(grid=(4, 2), num_heads=6))
    return str(path)
