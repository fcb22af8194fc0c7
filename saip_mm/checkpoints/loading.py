"""``init_cfg=dict(type='Pretrained', …)`` of SAIP's backbones."""

import os
from collections.abc import Callable
from functools import partial
from logging import WARNING
from pathlib import Path

from mmengine.logging import print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ..models.weights import LoadReport, format_size, load_weights
from .backbone import IMAGENET, PATCH_EMBEDDING, Backbone, choose_backbone
from .files import open_checkpoint


@WEIGHT_INITIALIZERS.register_module('PretrainedBackbone')
def pretrained_backbone(
    checkpoint: str | os.PathLike, prefix: str = '', map_location: str = 'cpu'
) -> Callable[[nn.Module], LoadReport]:
    """The function that MMEngine applies to the backbone.

    Arguments are those of MMEngine's ``PretrainedInit``; ``map_location`` has no effect
    because each tensor is copied into the module.
    """
    return partial(load_pretrained, checkpoint=checkpoint, prefix=prefix)


def load_pretrained(
    module: nn.Module, checkpoint: str | os.PathLike, prefix: str = ''
) -> LoadReport:
    """Load a backbone from a file and log what matched.

    Args:
        module: A backbone for SAIP; its ``source_grid`` is the (h, w) patch grid of the
            file's positions, if not stated there.
        checkpoint: A file, with our names or timm's, or a work directory.
        prefix: Prefix of the backbone in the file, such as ``'backbone.'`` for the
            student in a training checkpoint; by default the teacher, if there is one.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read safely or does not fit ``module``.
    """
    try:
        with open_checkpoint(checkpoint) as (file, content):
            backbone = choose_backbone(content, prefix=prefix)
            given = getattr(module, 'source_grid', None)
            given = given and tuple(given)
            if given and backbone.grid and given != backbone.grid:
                raise ValueError(
                    f'states that its patch grid is {format_size(backbone.grid)} '
                    f'(h×w), not source_grid={given}'
                )
            backbone.grid = backbone.grid or given
            if backbone.grid is None and 'pos_embed' in backbone.tensors:
                raise ValueError(
                    'does not state the patch grid of pos_embed, of shape '
                    f'{format_size(backbone.tensors["pos_embed"].shape)}: give '
                    'source_grid=(h, w), or convert it with '
                    'tools/convert_checkpoint.py --grid'
                )
            backbone = _with_patches_of(module, backbone, file)
            report = load_weights(module, backbone.state_dict(prefix=''))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. The backbone's init_cfg needs it: create it with "
            'tools/export_backbone.py or tools/convert_checkpoint.py, or set '
            'init_cfg=None to start from scratch'
        ) from None
    role = '' if backbone.role == 'unknown' else f'{backbone.role}, '
    print_log(f'{file}: {role}{report}', logger='current')
    if (backbone.mean, backbone.std) != (IMAGENET['mean'], IMAGENET['std']):
        print_log(
            f'{file}: trained on images with mean {backbone.mean} and std '
            f"{backbone.std}, not ImageNet's: set them in model.data_preprocessor",
            logger='current',
            level=WARNING,
        )
    return report


def _with_patches_of(module: nn.Module, backbone: Backbone, file: Path) -> Backbone:
    """The backbone of ``file``, with patches of the module's size if both are ViTs."""
    if PATCH_EMBEDDING not in backbone.tensors.keys() & module.state_dict():
        return backbone
    before, side = backbone.tensors[PATCH_EMBEDDING].shape[-1], module.patch_size
    if before == side:
        return backbone
    # A step changes each weight by as much as before, and a patch has more of them.
    factor = (before / side) ** 2
    print_log(
        f'{file}: resized patches from {before} to {side} pixels: features are those '
        f'of images scaled by {before / side:.3g} before. To fine-tune without layer '
        f'decay, set optim_wrapper.paramwise_cfg.custom_keys.patch_embed.lr_mult='
        f'{factor:.3g}. To keep the patches, set model.backbone.patch_size={before}.',
        logger='current',
    )
    return backbone.with_patch_size(side)
