"""Loading checkpoints into modules, with a report of what fitted.

Nothing in a file is ever run (:mod:`saip_mm.checkpoints.checkpoint_file`); names of
other projects are the business of :mod:`saip_mm.checkpoints.convert`.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from mmengine.logging import print_log
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from .backbone import (
    HARMLESS,
    Backbone,
    architecture_of,
    find_backbone,
    other_functions,
    with_metadata,
)
from .checkpoint_file import read_checkpoint, resolve_checkpoint, write_checkpoint
from .convert import Grid

# New in the module: colors come from its config, `ln2` norms what a pooled readout
# trains.
_MAY_BE_MISSING = re.compile(r'data_preprocessor\.|ln2\.')

__all__ = [
    'LoadReport',
    'compare_weights',
    'fit_backbone',
    'load_pretrained',
    'load_weights',
    'read_checkpoint',
    'resize_positions',
    'resolve_checkpoint',
    'write_checkpoint',
]


@dataclass
class LoadReport:
    """What came of loading a state dict into a module; tensors by name.

    Attributes:
        resized: (name, source grid, target grid) of resized positions.
        mismatched: (name, shape in the file, shape in the module).
        left_out: Tensors that the module does not need.
        unexpected: Tensors without which this is another function.
    """

    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    resized: list[tuple[str, Grid, Grid]] = field(default_factory=list)
    mismatched: list[tuple[str, tuple, tuple]] = field(default_factory=list)

    def __str__(self) -> str:
        total = len(self.matched) + len(self.missing) + len(self.mismatched)
        parts = [f'{len(self.matched)} of {total} tensors matched']
        mismatched = [
            f'{name} is {_by(source)}, the model needs {_by(target)}'
            for name, source, target in self.mismatched
        ]
        resized = [
            f'{name} from {_by(source)} to {_by(target)}'
            for name, source, target in self.resized
        ]
        for word, names in (
            ('missing', self.missing),
            ('unexpected', self.unexpected),
            ('left out', self.left_out),
            ('resized', resized),
            ('of another shape', mismatched),
        ):
            if names:
                parts.append(f'{len(names)} {word}: {_some(names)}')
        return '; '.join(parts)


def _by(sizes: tuple) -> str:
    return '×'.join(map(str, sizes)) or 'a single number'


def _some(names: list[str], limit: int = 6) -> str:
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more


def resize_positions(pos_embed: Tensor, source: Grid, target: Grid) -> Tensor:
    """Resize position embeddings in two dimensions (bicubic, no antialiasing).

    Args:
        pos_embed: [1, 1 + h·w, C], the class token's position first.
        source: (h, w) grid of ``pos_embed``.
        target: (h, w) grid wanted.

    Returns:
        [1, 1 + h'·w', C]; the class token's position is unchanged.

    Raises:
        ValueError: If ``pos_embed`` does not have the positions of ``source``.
    """
    count = pos_embed.shape[1] - 1 if pos_embed.ndim == 3 else None
    if count != source[0] * source[1]:
        raise ValueError(
            f'pos_embed of shape {_by(tuple(pos_embed.shape))} is not a class token '
            f'and a patch grid of {_by(source)} (h×w): give the grid it was trained on'
        )
    return resize_pos_embed(pos_embed, source, target, 'bicubic', num_extra_tokens=1)


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor]) -> LoadReport:
    """Load a state dict into a module and report how it fitted.

    Positions of ViTs inside ``module`` are resized to their patch grids, from those
    that the state dict's metadata names. On an error ``module`` stays as it was.

    Raises:
        ValueError: As :func:`compare_weights`, and if the number of attention heads
            differs or the patch grid of the positions is unknown.
    """
    weights, report = fit_weights(module, state_dict)
    module.load_state_dict(weights, strict=False)
    return report


def fit_weights(
    module: nn.Module, state_dict: Mapping[str, Tensor]
) -> tuple[OrderedDict[str, Tensor], LoadReport]:
    """A state dict with positions for ``module``'s ViTs, and how it fits.

    Raises:
        ValueError: As :func:`load_weights`.
    """
    report = compare_weights(module, state_dict)
    weights, report.resized = _fit_positions(module, state_dict)
    return weights, report


def compare_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> LoadReport:
    """Judge whether weights make ``module`` the function that they were trained as.

    Tensors that are left over are refused unless they are known to be harmless. ViTs
    may differ in their number of positions, which can be resized.

    Raises:
        ValueError: If a tensor is missing, left over, of another shape or not finite.
    """
    wanted = module.state_dict()
    report = LoadReport()
    positions = {
        f'{prefix}.pos_embed'.lstrip('.')
        for prefix, vit in module.named_modules()
        if isinstance(vit, VisionTransformer)
    }
    for name, target in wanted.items():
        if name not in weights:
            report.missing.append(name)
            continue
        shapes = tuple(weights[name].shape), tuple(target.shape)
        resizable = name in positions and shapes[0][::2] == shapes[1][::2]
        if shapes[0] != shapes[1] and not resizable:
            report.mismatched.append((name, *shapes))
        else:
            report.matched.append(name)
    for name in weights:
        if name not in wanted:
            harmless = HARMLESS.match(name)
            (report.left_out if harmless else report.unexpected).append(name)
    kind = type(module).__name__
    if not report.matched:
        raise ValueError(f'nothing in it fits {kind}: {report}')
    missing = [name for name in report.missing if not _MAY_BE_MISSING.match(name)]
    if missing or report.unexpected or report.mismatched:
        others = other_functions(report.unexpected)
        raise ValueError(
            f'does not fit this {kind}'
            + (f', because it has {others}' if others else '')
            + f': {report}'
        )
    check_finite({name: weights[name] for name in report.matched})
    return report


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite.

    Raises:
        ValueError: If there are any; the tensors are named.
    """
    broken = [n for n, tensor in weights.items() if not tensor.float().isfinite().all()]
    if broken:
        raise ValueError(f'holds NaN or infinity in {_some(broken)}')


def fit_backbone(
    backbone: Backbone, img_size: tuple[int, int] | None = None
) -> tuple[Backbone, LoadReport]:
    """Check a backbone against its own architecture; resize its positions if asked.

    Args:
        backbone: Weights and what is known of them.
        img_size: (h, w) in pixels to resize positions for; None leaves them.

    Returns:
        The backbone that fits, without what a ViT does not have, and the report.

    Raises:
        ValueError: If tensors do not fit together, the patch grid is unknown, or
            ``img_size`` is not a whole number of patches.
    """
    arch = architecture_of(backbone)
    if backbone.grid is None:
        raise ValueError(
            'does not say on which patch grid its positions are: pass it through '
            'tools/convert_checkpoint.py with --grid H W'
        )
    patch = backbone.patch_size
    img_size = img_size or tuple(side * patch for side in backbone.grid)
    if any(side % patch or side < patch for side in img_size):
        raise ValueError(f'image size {_by(img_size)} is no multiple of patch {patch}')
    with torch.device('meta'):
        vit = VisionTransformer(arch, img_size, patch)
    weights = with_metadata(backbone.tensors, '', backbone.grid, arch['num_heads'])
    weights, report = fit_weights(vit, weights)
    fitting = {name: weights[name] for name in report.matched}
    grid = tuple(vit.patch_resolution)
    return Backbone(fitting, grid, arch['num_heads'], backbone.meta), report


def _fit_positions(
    module: nn.Module, state_dict: Mapping[str, Tensor]
) -> tuple[OrderedDict[str, Tensor], list[tuple[str, Grid, Grid]]]:
    """The state dict with positions for ``module``'s ViTs, and what was resized."""
    weights = OrderedDict(state_dict)
    metadata = OrderedDict(getattr(state_dict, '_metadata', {}))
    resized = []
    for prefix, vit in module.named_modules():
        name = f'{prefix}.pos_embed'.lstrip('.')
        if not isinstance(vit, VisionTransformer) or name not in weights:
            continue
        known = metadata.get(prefix, {})
        heads = vit.arch_settings['num_heads']
        if known.get('num_heads', heads) != heads:
            raise ValueError(
                f'has {known["num_heads"]} attention heads, the model has {heads}'
            )
        source, target = known.get('grid'), tuple(vit.patch_resolution)
        if source is None:
            raise ValueError(
                f'does not say on which patch grid {name}, of shape '
                f'{_by(tuple(weights[name].shape))}, was trained: give source_grid='
                '(h, w), or pass it through tools/convert_checkpoint.py with --grid'
            )
        source = tuple(source)
        weights[name] = resize_positions(weights[name], source, target)
        if source != target:
            resized.append((name, source, target))
        metadata[prefix] = dict(known, grid=target)
    weights._metadata = metadata
    return weights, resized


def load_pretrained(
    module: nn.Module,
    checkpoint: str | os.PathLike,
    prefix: str = '',
    source_grid: Grid | None = None,
) -> LoadReport:
    """Load a backbone from a file and log what matched.

    Args:
        module: A SAIPViT, or MMPretrain's ViT.
        checkpoint: A ``.pth`` or ``.safetensors`` file, with our names or timm's, or a
            work directory, which means its latest checkpoint.
        prefix: Where the backbone is in the file; see
            :func:`~saip_mm.checkpoints.backbone.find_backbone`.
        source_grid: (h, w) patch grid of the file's positions, if it does not say.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read safely, or does not fit ``module``.
    """
    try:
        path = resolve_checkpoint(checkpoint)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}. It is named by the backbone's init_cfg: make it with "
            'tools/export_backbone.py or tools/convert_checkpoint.py, or set '
            'init_cfg=None to start from scratch'
        ) from None
    content = read_checkpoint(path)
    try:
        backbone = find_backbone(content, prefix)
        grid = backbone.grid or source_grid
        if source_grid is not None and tuple(source_grid) != grid:
            raise ValueError(
                f'was trained on a patch grid of {_by(grid)} (h×w), as it says itself, '
                f'not on source_grid={tuple(source_grid)}'
            )
        report = load_weights(
            module, with_metadata(backbone.tensors, '', grid, backbone.num_heads)
        )
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    print_log(f'{path}: {report}', logger='current')
    return report
