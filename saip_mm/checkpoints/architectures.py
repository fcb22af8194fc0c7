"""Architectures of backbones without a class token, from their tensors."""

import importlib
import math
import re
from collections.abc import Mapping

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn


def tinyvit(tensors: Mapping[str, Tensor]) -> dict:
    """Config of the ``SAIPTinyViT`` with these tensors."""
    stages = range(1, _count(tensors, 'stages.'))
    first = [f'stages.{i}.blocks.0' for i in stages]
    biases = [tensors[f'{block}.attn.attention_biases'] for block in first]
    channels = [len(tensors[f'{block}.attn.norm.weight']) for block in first]
    stem = len(tensors['patch_embed.seq.2.conv2d.weight'])
    arch = dict(
        channels=[stem, *channels],
        num_heads=[1, *map(len, biases)],
        depths=[_count(tensors, f'stages.{i}.blocks.') for i in (0, *stages)],
    )
    hidden = len(tensors['stages.0.blocks.0.conv1.conv2d.weight'])
    return dict(
        type='SAIPTinyViT',
        arch=arch,
        window_size=[7, *(math.isqrt(each.shape[1]) for each in biases)],
        mlp_ratio=hidden / stem,
        neck_channels=len(tensors['neck.0.weight']),
    )


def cspnext(tensors: Mapping[str, Tensor]) -> dict:
    """Config of the ``SAIPCSPNeXt`` (P5, other settings default) with these tensors."""
    return dict(
        type='SAIPCSPNeXt',
        widen_factor=len(tensors['stage1.0.conv.weight']) / 128,
        deepen_factor=_count(tensors, 'stage2.1.blocks.') / 6,
        out_indices=(4,),
    )


def levels_of(config: dict) -> dict[int, tuple[int, int]]:
    """Index in ``out_indices`` and channels of a backbone's maps, by their stride.

    TinyViT has the stride of 32 with ``neck_stride=32``.
    """
    if config['type'] == 'SAIPTinyViT':
        first, second, _, fourth = config['arch']['channels']
        return {
            4: (0, first),
            8: (1, second),
            16: (3, fourth),
            32: (4, config['neck_channels']),
        }
    width = config['widen_factor']
    return {2 << i: (i, int(width * (64 << i))) for i in range(5)}


# By a tensor that only this architecture has.
ARCHITECTURES = {
    'patch_embed.seq.0.conv2d.weight': tinyvit,
    'stem.0.conv.weight': cspnext,
}


# Registered by importing their module, which needs another library.
_ON_DEMAND = dict(SAIPCSPNeXt='saip_mm.models.cspnext')


def require(kind: str) -> None:
    """Register a backbone that ``saip_mm`` does not import.

    Raises:
        ValueError: If its library is missing.
    """
    if kind in _ON_DEMAND:
        try:
            importlib.import_module(_ON_DEMAND[kind])
        except ImportError as error:
            raise ValueError(str(error)) from error


def build(config: dict) -> nn.Module:
    """Build a backbone, without changing the state of the random generator."""
    arguments = dict(config)
    kind = arguments.pop('type')
    require(kind)
    with torch.random.fork_rng(devices=[]):
        return MODELS.module_dict[kind](**arguments)  # in any default scope


def config_of(tensors: Mapping[str, Tensor]) -> dict | None:
    """Config of the backbone with these tensors; None for a ViT or another one.

    Raises:
        ValueError: If tensors are missing.
    """
    for telling, function in ARCHITECTURES.items():
        if telling in tensors:
            try:
                return function(tensors)
            except (KeyError, IndexError) as error:
                raise ValueError(
                    f'is not a complete {function.__name__} backbone: it lacks {error}'
                ) from error
    return None


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Number of modules named by numbers after a prefix."""
    numbered = re.compile(rf'{re.escape(prefix)}(\d{{1,4}})\.')
    return len({match[1] for name in tensors if (match := numbered.match(name))})
