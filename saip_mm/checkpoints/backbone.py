"""The backbone in a checkpoint: weights, architecture and normalization."""

import os
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor, nn

from ..models import SAIPViT
from ..models.weights import Grid, LoadReport, by, compare_weights, other_functions
from .architectures import ARCHITECTURES, build, config_of
from .files import read_checkpoint, resolve_checkpoint
from .names import (
    TIMM_TO_VIT,
    VIT_TO_TIMM,
    rename_tensors,
    state_dict_of,
    with_metadata,
)

# Tensors that determine a ViT's sizes, and their number of dimensions.
_TELLING = {'cls_token': 3, 'pos_embed': 3, 'patch_embed.projection.weight': 4}
_TELLING |= {'layers.0.ffn.layers.0.0.weight': 2}
# Prefixes in a training checkpoint.
PREFIXES = dict(teacher='teacher.encoder.backbone.', student='backbone.')
_IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
_IN_LAYER = re.compile(r'layers\.(\d{1,6})\.')


@dataclass
class Backbone:
    """Weights of a backbone with SAIP's names, and their metadata.

    Attributes:
        tensors: Weights by name, without a prefix.
        grid: (h, w) patch grid of ``pos_embed``, or of the training images; None if
            unknown.
        num_heads: Of all blocks, or [of the others, of the last block]; None if
            unknown, or not a ViT.
        role: ``'teacher'``, ``'student'`` or ``'unknown'``.
        prefix: Prefix in the checkpoint.
        mean, std: Normalization of its training images (RGB, 0–255).
        path: File or work directory that it was read from, as given.
    """

    tensors: dict[str, Tensor]
    grid: Grid | None = None
    num_heads: int | list[int] | None = None
    role: str = 'unknown'
    prefix: str = ''
    mean: list[float] = field(default_factory=_IMAGENET['mean'].copy)
    std: list[float] = field(default_factory=_IMAGENET['std'].copy)
    path: str = ''

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        if self.config:
            return 16
        return self.tensors['patch_embed.projection.weight'].shape[-1]

    @property
    def img_size(self) -> tuple[int, int]:
        """(h, w) in pixels of the position embeddings, or of the training images."""
        grid = self.grid or ((16, 8) if self.config else None)
        return tuple(side * self.patch_size for side in grid)

    @cached_property
    def config(self) -> dict | None:
        """Config of a backbone without a class token; None for a ViT."""
        return config_of(self.tensors)

    @cached_property
    def arch(self) -> dict:
        """A ViT's ``embed_dims``, ``num_layers``, ``num_heads`` and hidden channels.

        Tensors do not show the number of attention heads: if ``num_heads`` is None, it
        is that of MMPretrain's architecture of the same sizes.
        """
        tensors = self.tensors
        if others := other_functions(tensors):
            raise ValueError(f'is not a plain ViT: it has {others}')
        for name, ndim in _TELLING.items():
            if name not in tensors or tensors[name].ndim != ndim:
                raise ValueError(f'is not a ViT with a class token: it lacks {name}')
        layers = {int(match[1]) for name in tensors if (match := _IN_LAYER.match(name))}
        if layers != set(range(len(layers))):
            raise ValueError(f'lacks whole blocks: it has {sorted(layers)}')
        arch = dict(
            embed_dims=tensors['cls_token'].shape[-1],
            num_layers=len(layers),
            feedforward_channels=tensors['layers.0.ffn.layers.0.0.weight'].shape[0],
        )
        if self.num_heads:
            return dict(arch, num_heads=self.num_heads)
        for known in VisionTransformer.arch_zoo.values():
            if arch.items() <= known.items():
                return dict(arch, num_heads=known['num_heads'])
        raise ValueError(
            f'does not state its number of attention heads, and {arch} is not a known '
            'ViT: give --num-heads'
        )

    def state_dict(
        self, prefix: str = 'backbone.', names: str = 'mm'
    ) -> OrderedDict[str, Tensor]:
        """State dict with the patch grid in its metadata.

        Args:
            prefix: Prefix of all names.
            names: ``'mm'`` for OpenMMLab's, ``'timm'`` for timm's.
        """
        tensors = self.tensors
        if self.config is not None:
            if names == 'timm':
                kind = self.config['type']
                raise ValueError(f'timm has no {kind}: export with --format mm')
            return with_metadata(tensors, prefix, self.grid, None)
        if names == 'timm':
            tensors = rename_tensors(tensors, VIT_TO_TIMM)
        return with_metadata(tensors, prefix, self.grid, self.arch['num_heads'])

    def facts(self) -> dict:
        """Architecture, sizes (h, w) and normalization as plain JSON."""
        return dict(
            **(self.config or self.arch),
            patch_size=self.patch_size,
            grid=[side // self.patch_size for side in self.img_size],
            img_size=list(self.img_size),
            mean=self.mean,
            std=self.std,
        )

    @cached_property
    def module(self) -> nn.Module:
        """The backbone for its own image size; see :meth:`build`."""
        return self.build()

    def build(self, img_size: tuple[int, int] | None = None) -> nn.Module:
        """Build a backbone with these weights.

        Args:
            img_size: (h, w) in pixels to resize positions to; None keeps them.

        Raises:
            ValueError: If tensors are inconsistent, the patch grid is unknown, or
                ``img_size`` is not a whole number of patches.
        """
        is_vit = not self.config and bool(self.arch)  # checks the tensors
        patch = self.patch_size
        if is_vit and self.grid is None:
            raise ValueError(
                'does not state the patch grid of its positions: convert it with '
                'tools/convert_checkpoint.py --grid H W'
            )
        img_size = tuple(img_size or self.img_size)
        if any(side % patch or side < patch for side in img_size):
            raise ValueError(f'image size {by(img_size)} is not a multiple of {patch}')
        module = self._empty(img_size)
        module.load_state_dict(self.state_dict(prefix=''), strict=False, assign=True)
        return module.float()  # files may be in half precision

    def _empty(self, img_size: tuple[int, int]) -> nn.Module:
        if self.config:
            return build(dict(self.config, img_size=img_size))
        layers = self.arch['num_layers']
        middle = min(layers // 2, layers - 2)
        with torch.device('meta'):
            return SAIPViT(
                self.arch, img_size, middle, 'raw', patch_size=self.patch_size
            )

    def fitted(
        self, img_size: tuple[int, int] | None = None
    ) -> tuple['Backbone', LoadReport]:
        """The backbone without unused tensors, resized to an image size if given."""
        module = self.build(img_size)
        report = compare_weights(module, self.tensors)
        grid = tuple(module.patch_resolution)
        if grid != self.grid and self.config is None:
            report.resized.append(('pos_embed', self.grid, grid))
        tensors = {name: each.detach() for name, each in module.state_dict().items()}
        heads = None if self.config else self.arch['num_heads']
        return replace(self, tensors=tensors, grid=grid, num_heads=heads), report


def read_backbone(path: str | os.PathLike, role: str | None = None) -> Backbone:
    """Read the backbone in a file or work directory, without executing anything.

    Args:
        path: An exported or converted backbone (.pth or .safetensors), a training
            checkpoint, or a work directory, for its latest checkpoint.
        role: ``'teacher'`` or ``'student'``; None selects the teacher if there is one.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file cannot be read safely or has no complete backbone.
    """
    file = resolve_checkpoint(path)
    checkpoint = read_checkpoint(file)
    try:
        backbone = replace(choose_backbone(checkpoint, role), path=str(path))
        backbone.module  # noqa: B018  (validate)
        return backbone
    except ValueError as error:
        raise ValueError(f'{file}: {error}') from error


def choose_backbone(checkpoint: Mapping, role: str | None = None) -> Backbone:
    """The backbone of teacher or student, or the only one.

    Args:
        checkpoint: From ``read_checkpoint``.
        role: ``'teacher'`` or ``'student'``; None selects the teacher if there is one.
    """
    if role not in (None, *PREFIXES):
        raise ValueError(f'role={role!r} is not one of {", ".join(PREFIXES)}')
    weights = state_dict_of(checkpoint)
    checkpoint = dict(state_dict=weights, meta=checkpoint.get('meta'))
    if any(name.startswith(PREFIXES['teacher']) for name in weights):
        role = role or 'teacher'
        return replace(find_backbone(checkpoint, PREFIXES[role]), role=role)
    backbone = find_backbone(checkpoint)
    if role not in (None, backbone.role):
        raise ValueError(
            f'has no {role}, only one backbone (role: {backbone.role}): omit the role'
        )
    return replace(backbone, prefix='')


def find_backbone(checkpoint: Mapping, prefix: str = '') -> Backbone:
    """Find the backbone in a checkpoint; timm's ViTs get SAIPViT's names.

    Args:
        checkpoint: From ``read_checkpoint``.
        prefix: Prefix of its names, such as ``'teacher.encoder.backbone.'``; ignored
            for a file that contains only a backbone. By default ``'backbone.'`` if
            there are such names: in a training checkpoint these are the student's.

    Raises:
        ValueError: If no name has the prefix; lists those found.
    """
    state_dict = state_dict_of(checkpoint)
    wanted = prefix.removesuffix('.') + '.' if prefix else 'backbone.'
    found = any(name.startswith(wanted) for name in state_dict)
    bare = any(name in state_dict for name in ('cls_token', *ARCHITECTURES))
    if prefix and not found and not bare:
        parts = sorted({name.split('.')[0] for name in state_dict})
        raise ValueError(
            f'has no weights under {wanted!r}; its names begin with {", ".join(parts)}'
        )
    prefix = wanted if found else ''
    tensors = {
        name[len(prefix) :]: tensor
        for name, tensor in state_dict.items()
        if name.startswith(prefix)
    }
    if 'blocks.0.norm1.weight' in tensors:
        tensors = rename_tensors(tensors, TIMM_TO_VIT)
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    known = {**meta, **state_dict._metadata.get(prefix[:-1], {})}
    grid, num_heads = known.get('grid'), known.get('num_heads')
    if grid is not None and not (_are_numbers(grid, 2, int) and min(grid) > 0):
        raise ValueError(f'states the patch grid {grid!r}, which is not (h, w)')
    heads = [num_heads] * 2 if type(num_heads) is int else num_heads
    if heads is not None and not (_are_numbers(heads, 2, int) and min(heads) > 0):
        raise ValueError(f'states {num_heads!r} as its number of attention heads')
    return Backbone(
        tensors,
        grid=grid and tuple(grid),
        num_heads=list(heads) if isinstance(num_heads, tuple) else num_heads,
        role=meta.get('role', 'unknown'),
        prefix=prefix,
        mean=_normalization('mean', state_dict, meta),
        std=_normalization('std', state_dict, meta),
    )


def _normalization(name: str, state_dict: Mapping, meta: Mapping) -> list[float]:
    """Mean or std of a checkpoint's images (RGB, 0–255); ImageNet's by default."""
    buffer = state_dict.get(f'data_preprocessor.{name}')
    if buffer is not None:
        return [round(value, 4) for value in buffer.flatten().tolist()]
    values = meta.get(name, _IMAGENET[name])
    if not _are_numbers(values, 3, int, float) or (name == 'std' and min(values) <= 0):
        raise ValueError(f'states {values!r} as the {name} of its images')
    return list(values)


def _are_numbers(values: object, count: int, *types: type) -> bool:
    """Whether ``values``, from an external file, are ``count`` numbers."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return False
    return all(type(value) in types for value in values)
