"""Loading weights into modules, with a report of matches."""

import os
from collections.abc import Callable, Mapping
from functools import partial

from mmengine.logging import print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from ..models import SAIPViT
from ..models.weights import Grid, LoadReport, by, compare_weights
from .backbone import find_backbone
from .files import read_checkpoint, resolve_checkpoint
from .names import with_metadata


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor]) -> LoadReport:
    """Load a state dict into a module and report matches.

    Positions of each SAIPViT in ``module`` are resized from the patch grid in the state
    dict's metadata.

    Raises:
        ValueError: If the weights do not fit; ``module`` is unchanged.
    """
    report = compare_weights(module, state_dict)
    metadata = getattr(state_dict, '_metadata', {})
    for prefix, vit in module.named_modules():
        name = f'{prefix}.pos_embed'.lstrip('.')
        if isinstance(vit, SAIPViT) and name in state_dict:
            known = metadata.get(prefix, {})
            source = vit.grid_of(state_dict[name], known, name)
            if source != tuple(vit.patch_resolution):
                report.resized.append((name, source, tuple(vit.patch_resolution)))
    module.load_state_dict(state_dict, strict=False)
    return report


@WEIGHT_INITIALIZERS.register_module('PretrainedBackbone')
def pretrained_backbone(
    checkpoint: str | os.PathLike, prefix: str = '', source_grid: Grid | None = None
) -> Callable[[nn.Module], LoadReport]:
    """Implements ``init_cfg=dict(type='Pretrained', …)`` of SAIPViT."""
    return partial(
        load_pretrained, checkpoint=checkpoint, prefix=prefix, source_grid=source_grid
    )


def load_pretrained(
    module: nn.Module,
    checkpoint: str | os.PathLike,
    prefix: str = '',
    source_grid: Grid | None = None,
) -> LoadReport:
    """Load a backbone from a file and log matches.

    Args:
        module: A SAIPViT.
        checkpoint: A ``.pth`` or ``.safetensors`` file, with our names or timm's, or a
            work directory, for its latest checkpoint.
        prefix: Prefix of the backbone in the file; see
            :func:`~saip_mm.checkpoints.backbone.find_backbone`.
        source_grid: (h, w) patch grid of the file's positions, if not stated there.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read safely or does not fit ``module``.
    """
    try:
        path = resolve_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. The backbone's init_cfg needs it: create it with "
            'tools/export_backbone.py or tools/convert_checkpoint.py, or set '
            'init_cfg=None to start from scratch'
        ) from None
    content = read_checkpoint(path)
    try:
        backbone = find_backbone(content, prefix)
        grid = backbone.grid or source_grid
        if source_grid is not None and tuple(source_grid) != grid:
            raise ValueError(
                f'states that its patch grid is {by(grid)} (h×w), not '
                f'source_grid={tuple(source_grid)}'
            )
        if grid is None and 'pos_embed' in backbone.tensors:
            raise ValueError(
                'does not state the patch grid of pos_embed, of shape '
                f'{by(backbone.tensors["pos_embed"].shape)}: give '
                'source_grid=(h, w), or convert it with tools/convert_checkpoint.py '
                '--grid'
            )
        state_dict = with_metadata(backbone.tensors, '', grid, backbone.num_heads)
        report = load_weights(module, state_dict)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    print_log(f'{path}: {report}', logger='current')
    return report
