"""The ViT in a checkpoint: where it is, and what is known about it."""

import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor

from ..models import SAIPViT
from ..models.weights import Grid, LoadReport, by, compare_weights, other_functions
from .files import read_checkpoint, resolve_checkpoint
from .names import (
    TIMM_TO_VIT,
    VIT_TO_TIMM,
    rename_tensors,
    state_dict_of,
    with_metadata,
)

# Tensors that show a ViT's sizes, and their number of dimensions.
_TELLING = {'cls_token': 3, 'pos_embed': 3, 'patch_embed.projection.weight': 4}
_TELLING |= {'layers.0.ffn.layers.0.0.weight': 2}
# Where a training checkpoint has them.
PREFIXES = dict(teacher='teacher.encoder.backbone.', student='backbone.')
_IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
_IN_LAYER = re.compile(r'layers\.\d{1,6}\.')


@dataclass
class Backbone:
    """Weights of a ViT under the names of SAIPViT, and what is known about them.

    Attributes:
        tensors: Weights by name, without a prefix.
        grid: (h, w) patch grid of ``pos_embed``; None if the checkpoint does not say.
        num_heads: Attention heads; None if the checkpoint does not say.
        meta: Metadata of an exported file.
        role: ``'teacher'``, ``'student'`` or ``'unknown'``.
        prefix: Where it was in the checkpoint.
        mean, std: Of the images that it was trained on (RGB, 0–255).
        path: The file or work directory that it was read from, as it was named.
    """

    tensors: dict[str, Tensor]
    grid: Grid | None = None
    num_heads: int | None = None
    meta: dict = field(default_factory=dict)
    role: str = 'unknown'
    prefix: str = ''
    mean: list[float] = field(default_factory=_IMAGENET['mean'].copy)
    std: list[float] = field(default_factory=_IMAGENET['std'].copy)
    path: str = ''

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.tensors['patch_embed.projection.weight'].shape[-1]

    @property
    def img_size(self) -> tuple[int, int]:
        """(h, w) in pixels of the images that its positions belong to."""
        return tuple(side * self.patch_size for side in self.grid)

    @cached_property
    def arch(self) -> dict:
        """``embed_dims``, ``num_layers``, ``num_heads``, ``feedforward_channels``.

        Attention heads cannot be seen in tensors: if ``num_heads`` is None, they are
        those of MMPretrain's architecture of the same sizes.

        Raises:
            ValueError: If a tensor that shows a size is missing, or the heads are
                unknown.
        """
        tensors = self.tensors
        if others := other_functions(tensors):
            raise ValueError(f'is not a plain ViT: it has {others}')
        for name, ndim in _TELLING.items():
            if name not in tensors or tensors[name].ndim != ndim:
                raise ValueError(f'is not a ViT with a class token: it lacks {name}')
        layers = {int(name.split('.')[1]) for name in tensors if _IN_LAYER.match(name)}
        if layers != set(range(len(layers))):
            raise ValueError(f'lacks whole blocks: it has {sorted(layers)}')
        arch = dict(
            embed_dims=tensors['cls_token'].shape[-1],
            num_layers=len(layers),
            feedforward_channels=tensors['layers.0.ffn.layers.0.0.weight'].shape[0],
        )
        return dict(arch, num_heads=self.num_heads or _known_heads(arch))

    def state_dict(
        self, prefix: str = 'backbone.', names: str = 'mm'
    ) -> OrderedDict[str, Tensor]:
        """A state dict that knows its patch grid.

        Args:
            prefix: Of all names.
            names: ``'mm'`` for OpenMMLab's, ``'timm'`` for timm's.
        """
        tensors = self.tensors
        if names == 'timm':
            tensors = rename_tensors(tensors, VIT_TO_TIMM)
        return with_metadata(tensors, prefix, self.grid, self.arch['num_heads'])

    def facts(self) -> dict:
        """Architecture, sizes (h, w) and normalization as plain JSON."""
        return dict(
            **self.arch,
            patch_size=self.patch_size,
            grid=list(self.grid),
            img_size=list(self.img_size),
            mean=self.mean,
            std=self.std,
        )

    @cached_property
    def vit(self) -> SAIPViT:
        """The ViT, for images of its own size; see :meth:`build`."""
        return self.build()

    def build(self, img_size: tuple[int, int] | None = None) -> SAIPViT:
        """A ViT with these weights, which returns all tokens (``out_type='raw'``).

        Args:
            img_size: (h, w) in pixels to resize positions for; None keeps them.

        Raises:
            ValueError: If tensors do not fit together, the patch grid is unknown, or
                ``img_size`` is not a whole number of patches.
        """
        arch, patch = self.arch, self.patch_size
        if self.grid is None:
            raise ValueError(
                'does not say on which patch grid its positions are: pass it through '
                'tools/convert_checkpoint.py with --grid H W'
            )
        img_size = tuple(img_size or self.img_size)
        if any(side % patch or side < patch for side in img_size):
            raise ValueError(f'image size {by(img_size)} is no multiple of {patch}')
        middle = min(arch['num_layers'] // 2, arch['num_layers'] - 2)
        with torch.device('meta'):
            vit = SAIPViT(arch, img_size, middle, 'raw', patch_size=patch)
        vit.load_state_dict(self.state_dict(prefix=''), strict=False, assign=True)
        return vit.float()  # files may be in half precision

    def fitted(
        self, img_size: tuple[int, int] | None = None
    ) -> tuple['Backbone', LoadReport]:
        """The backbone without superfluous tensors, for another image size if given.

        Raises:
            ValueError: See :meth:`build`.
        """
        vit = self.build(img_size)
        report = compare_weights(vit, self.tensors)
        grid = tuple(vit.patch_resolution)
        if grid != self.grid:
            report.resized.append(('pos_embed', self.grid, grid))
        tensors = {name: tensor.detach() for name, tensor in vit.state_dict().items()}
        heads = self.arch['num_heads']
        return replace(self, tensors=tensors, grid=grid, num_heads=heads), report


def read_backbone(path: str | os.PathLike, role: str | None = None) -> Backbone:
    """Read the backbone in a file or work directory; nothing in it is run.

    Args:
        path: An exported or converted backbone (.pth or .safetensors), a training
            checkpoint, or a work directory, which means its latest checkpoint.
        role: ``'teacher'`` or ``'student'``; None takes the teacher where there is one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read safely, or has no whole backbone.
    """
    file = resolve_checkpoint(path)
    checkpoint = read_checkpoint(file)
    try:
        backbone = replace(choose_backbone(checkpoint, role), path=str(path))
        backbone.vit  # noqa: B018  (or an error)
        return backbone
    except ValueError as error:
        raise ValueError(f'{file}: {error}') from error


def choose_backbone(checkpoint: Mapping, role: str | None = None) -> Backbone:
    """The backbone of the teacher or the student, or the only one there is.

    Args:
        checkpoint: What ``read_checkpoint`` returned.
        role: ``'teacher'`` or ``'student'``; None takes the teacher where there is one.

    Raises:
        ValueError: If the checkpoint does not hold it.
    """
    if role not in (None, *PREFIXES):
        raise ValueError(f'role={role!r} is not one of {", ".join(PREFIXES)}')
    if any(name.startswith(PREFIXES['teacher']) for name in state_dict_of(checkpoint)):
        role = role or 'teacher'
        return replace(find_backbone(checkpoint, PREFIXES[role]), role=role)
    backbone = find_backbone(checkpoint)
    if role not in (None, backbone.role):
        raise ValueError(
            f'has no {role}, only one backbone (role: {backbone.role}): omit the role'
        )
    return replace(backbone, prefix='')


def find_backbone(checkpoint: Mapping, prefix: str = '') -> Backbone:
    """Find the ViT in a checkpoint; timm's names are turned into SAIPViT's.

    Args:
        checkpoint: What ``read_checkpoint`` returned.
        prefix: Where to look, such as ``'teacher.encoder.backbone.'``. A file that
            holds nothing but a backbone needs no prefix and takes any. Without a
            prefix, ``'backbone.'`` is taken if it is there: in a training checkpoint
            that is the student's.

    Raises:
        ValueError: If there is nothing under ``prefix``; says what there is.
    """
    state_dict = state_dict_of(checkpoint)
    bare = 'cls_token' in state_dict
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    if bare and not any(name.startswith(prefix or 'backbone.') for name in state_dict):
        prefix = ''
    elif not prefix and any(name.startswith('backbone.') for name in state_dict):
        prefix = 'backbone.'
    tensors = {
        name[len(prefix) :]: tensor
        for name, tensor in state_dict.items()
        if name.startswith(prefix)
    }
    if not tensors:
        parts = sorted({name.split('.')[0] for name in state_dict})
        raise ValueError(
            f'has no weights under {prefix!r}; its names begin with {", ".join(parts)}'
        )
    meta = checkpoint.get('meta')
    meta = dict(meta) if isinstance(meta, Mapping) else {}
    known = {**meta, **state_dict._metadata.get(prefix[:-1], {})}
    if 'blocks.0.norm1.weight' in tensors:
        tensors = rename_tensors(tensors, TIMM_TO_VIT)
    num_heads = known.get('num_heads')
    if num_heads is not None and (type(num_heads) is not int or num_heads < 1):
        raise ValueError(f'says that it has {num_heads!r} attention heads')
    mean, std = (_normalization(name, state_dict, meta) for name in ('mean', 'std'))
    return Backbone(
        tensors,
        grid=_checked_grid(known.get('grid')),
        num_heads=num_heads,
        meta=meta,
        role=meta.get('role', 'unknown'),
        prefix=prefix,
        mean=mean,
        std=std,
    )


def _checked_grid(grid: object) -> Grid | None:
    """``grid`` as (h, w) if it is one; files from outside may hold anything."""
    if grid is None:
        return None
    pair = isinstance(grid, list | tuple) and len(grid) == 2
    if not pair or any(type(side) is not int or side < 1 for side in grid):
        raise ValueError(f'says that its patch grid is {grid!r}, which is no (h, w)')
    return tuple(grid)


def _normalization(name: str, state_dict: Mapping, meta: Mapping) -> list[float]:
    """Mean or std of a checkpoint's images (RGB, 0–255); ImageNet's by default."""
    buffer = state_dict.get(f'data_preprocessor.{name}')
    if buffer is not None:
        return [round(value, 4) for value in buffer.flatten().tolist()]
    values = meta.get(name, _IMAGENET[name])
    if not (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(type(value) in (int, float) for value in values)
        and (name == 'mean' or min(values) > 0)
    ):
        raise ValueError(f'says that the {name} of its images is {values!r}')
    return list(values)


def _known_heads(arch: dict) -> int:
    """Attention heads of MMPretrain's architecture of the same sizes."""
    for known in VisionTransformer.arch_zoo.values():
        if arch.items() <= known.items():
            return known['num_heads']
    raise ValueError(
        f'does not say how many attention heads it has, and a ViT with {arch} is not a '
        'known one: give --num-heads'
    )
