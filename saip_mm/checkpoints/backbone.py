"""The backbone in a checkpoint: weights, architecture and normalization."""

import importlib
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from logging import WARNING

import torch
from mmengine.logging import print_log
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.functional import interpolate

from ..models.weights import (
    Grid,
    LoadReport,
    compare_weights,
    format_size,
    load_weights,
)
from .files import state_dict_of
from .kept_config import parse_config
from .names import PREFIXES, TIMM_TO_VIT, VIT_TO_TIMM, renamed, under

# Backbones without a class token, by a tensor that only they have.
POOLED = {
    'patch_embed.seq.0.conv2d.weight': 'SAIPTinyViT',
    'stem.0.conv.weight': 'SAIPCSPNeXt',
}
PATCH_EMBEDDING = 'patch_embed.projection.weight'
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def backbone_class(kind: str) -> type[nn.Module]:
    """The class of a backbone; imports it if it needs another library.

    Raises:
        ValueError: If that library is missing, or no imported module defines it.
    """
    if kind == 'SAIPCSPNeXt':
        try:
            importlib.import_module('saip_mm.models.cspnext')
        except ImportError as error:
            raise ValueError(str(error)) from error
    if kind not in MODELS.module_dict:
        raise ValueError(f'is a {kind}: import the module that defines it first')
    return MODELS.module_dict[kind]


@dataclass
class Backbone:
    """Weights of a backbone with SAIP's names, and their metadata."""

    tensors: dict[str, Tensor]  # by name, without a prefix
    # Patches of `pos_embed`, or of the training images; None if unknown.
    grid: Grid | None = None  # (h, w)
    # Of all blocks, or [of all but the last, of the last]; None if unknown, or no ViT.
    num_heads: int | list[int] | None = None
    role: str = 'unknown'  # or 'teacher', 'student'
    prefix: str = ''  # that selects it in its checkpoint; empty for the only backbone
    # Normalization of its training images, RGB, 0–255.
    mean: list[float] = field(default_factory=IMAGENET['mean'].copy)
    std: list[float] = field(default_factory=IMAGENET['std'].copy)

    @cached_property
    def config(self) -> dict:
        """``type`` and arguments, except for ``img_size``, from the tensors.

        Raises:
            ValueError: If the tensors are not those of a complete backbone.
        """
        found = (POOLED[name] for name in POOLED if name in self.tensors)
        kind = next(found, 'SAIPViT')
        owner = backbone_class(kind)
        try:
            config = owner.config_of(self.tensors, self.num_heads)
        except (KeyError, IndexError) as error:
            raise ValueError(f'is not a complete {kind}: it lacks {error}') from error
        return dict(type=kind, **config)

    @property
    def is_vit(self) -> bool:
        return self.config['type'] == 'SAIPViT'

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.config.get('patch_size', 16)

    def with_patch_size(self, side: int) -> 'Backbone':
        """The same ViT for patches of another size.

        It computes what the original one would if each patch were resized (bilinear,
        antialiased). The patch grid stays as it is, and the image size changes.

        Raises:
            ValueError: If this is not a ViT, or ``side`` is not positive.
        """
        weight = self.tensors.get(PATCH_EMBEDDING)
        if weight is None or weight.ndim != 4:
            raise ValueError('is not a ViT, whose patch size could change')
        if side < 1:
            raise ValueError(f'a patch cannot have {side} pixels')
        # Resizing is linear, and its gradient applies the transposed matrix.
        patches = torch.zeros(*weight.shape[:2], side, side, requires_grad=True)
        with torch.enable_grad():
            seen = interpolate(
                patches, weight.shape[2:], mode='bilinear', antialias=True
            )
            (resized,) = torch.autograd.grad(seen, patches, weight.float())
        changed = {PATCH_EMBEDDING: resized.to(weight.dtype)}
        return replace(self, tensors=self.tensors | changed)

    def state_dict(
        self, prefix: str = 'backbone.', names: str = 'mm'
    ) -> OrderedDict[str, Tensor]:
        """State dict with the patch grid in its metadata.

        Names are OpenMMLab's (``'mm'``) or timm's (``'timm'``), after the prefix.
        """
        if names == 'timm' and not self.is_vit:
            kind = self.config['type']
            raise ValueError(f'timm has no {kind}: export with --format mm')
        table = VIT_TO_TIMM if names == 'timm' else {}
        state_dict = OrderedDict(
            (prefix + renamed(name, table), tensor)
            for name, tensor in self.tensors.items()
        )
        known = dict(grid=self.grid, num_heads=self.num_heads)
        known = {key: value for key, value in known.items() if value is not None}
        state_dict._metadata = OrderedDict({prefix[:-1]: known})
        return state_dict

    def facts(self) -> dict:
        """Architecture, sizes (h, w) and normalization of a :meth:`fitted` backbone."""
        return dict(
            **(self.config['arch'] if self.is_vit else self.config),
            patch_size=self.patch_size,
            grid=list(self.grid),
            img_size=[side * self.patch_size for side in self.grid],
            mean=self.mean,
            std=self.std,
        )

    def build(self, img_size: tuple[int, int] | None = None) -> nn.Module:
        """Build a backbone with these weights, for images of another size if given.

        The size is (h, w) in pixels. The random generator does not change.

        Raises:
            ValueError: If tensors are inconsistent, the patch grid is unknown, or
                ``img_size`` is not a whole number of patches.
        """
        config, patch = dict(self.config), self.patch_size
        if self.grid is None and self.is_vit:
            raise ValueError(
                'does not state the patch grid of its positions: convert it with '
                'tools/convert_checkpoint.py --grid H W'
            )
        config['img_size'] = tuple(
            img_size or (side * patch for side in self.grid or (16, 8))
        )
        if any(side % patch or side < patch for side in config['img_size']):
            size = format_size(config['img_size'])
            raise ValueError(f'image size {size} is not a multiple of {patch}')
        with torch.random.fork_rng(devices=[]):
            # Not MODELS.build, which looks in the default scope.
            module = MODELS.module_dict[config.pop('type')](**config)
        load_weights(module, self.state_dict(prefix=''))
        return module

    def fitted(
        self, img_size: tuple[int, int] | None = None
    ) -> tuple['Backbone', LoadReport]:
        """The backbone without unused tensors, resized to an image size if given."""
        module = self.build(img_size)
        report = compare_weights(module, self.state_dict(prefix=''))
        tensors = {name: each.detach() for name, each in module.state_dict().items()}
        heads = self.config['arch']['num_heads'] if self.is_vit else None
        grid = tuple(module.patch_resolution)
        return replace(self, tensors=tensors, grid=grid, num_heads=heads), report


def choose_backbone(
    checkpoint: Mapping, role: str | None = None, prefix: str = ''
) -> Backbone:
    """The backbone in a checkpoint; timm's ViTs get SAIPViT's names.

    Args:
        checkpoint: From ``read_checkpoint``.
        role: ``'teacher'`` or ``'student'`` of a training checkpoint; by default the
            teacher.
        prefix: Prefix of its names, such as ``'backbone.'`` for the student, instead of
            a role; ignored for a file that contains only a backbone.

    Raises:
        ValueError: If there is no such backbone, or the file states impossible facts.
    """
    if role not in (None, *PREFIXES):
        raise ValueError(f'role={role!r} is not one of {", ".join(PREFIXES)}')
    state_dict = state_dict_of(checkpoint)
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    known_role = meta.get('role', 'unknown')
    if not prefix and any(name.startswith(PREFIXES['teacher']) for name in state_dict):
        known_role = role or 'teacher'
        prefix = PREFIXES[known_role]
    elif role not in (None, known_role):
        raise ValueError(
            f'has no {role}, only one backbone (role: {known_role}): omit the role'
        )
    start = prefix.removesuffix('.') + '.' if prefix else 'backbone.'
    tensors = under(start, state_dict)
    if not tensors:
        if prefix and not any(name in state_dict for name in ('cls_token', *POOLED)):
            parts = sorted({name.split('.')[0] for name in state_dict})
            raise ValueError(
                f'has no weights under {start!r}; its names begin with '
                f'{", ".join(parts)}'
            )
        start, tensors = '', dict(state_dict)
    if 'blocks.0.norm1.weight' in tensors:
        tensors = {renamed(name, TIMM_TO_VIT): each for name, each in tensors.items()}
    facts = _facts(state_dict, meta, start[:-1])
    return Backbone(tensors, role=known_role, prefix=prefix, **facts)


def _facts(state_dict: Mapping, meta: Mapping, owner: str) -> dict:
    """Patch grid, heads and normalization (ImageNet's by default) that a file states.

    The metadata of its state dict are those of modules; the backbone is ``owner``.
    """
    known = _facts_in_config(meta['cfg']) if 'cfg' in meta else {}
    known = {**known, **meta, **state_dict._metadata.get(owner, {})}
    grid, num_heads = known.get('grid'), known.get('num_heads')
    if grid is not None and not _are_numbers(grid, 2, int, above=0):
        raise ValueError(f'states the patch grid {grid!r}, which is not (h, w)')
    heads = [num_heads] * 2 if type(num_heads) is int else num_heads
    if heads is not None and not _are_numbers(heads, 2, int, above=0):
        raise ValueError(f'states {num_heads!r} as its number of attention heads')
    facts = dict(
        grid=grid and tuple(grid),
        num_heads=list(heads) if isinstance(num_heads, tuple) else num_heads,
    )
    for name, usual in IMAGENET.items():
        values = usual if known.get(name) is None else known[name]
        # `mean` and `std` alone are those of PretrainedBackbone.
        buffer = state_dict.get(f'data_preprocessor.{name}', state_dict.get(name))
        if buffer is not None:
            values = [round(value, 4) for value in buffer.flatten().tolist()]
        if not _are_numbers(values, 3, int, float, above=0 if name == 'std' else -1e9):
            raise ValueError(f'states {values!r} as the {name} of its images')
        facts[name] = list(values)
    return facts


def _facts_in_config(text: str) -> dict:
    """``num_heads``, ``mean`` and ``std`` that a saved config states.

    MMPretrain's checkpoints keep them nowhere else.
    """
    config, model, heads = {}, {}, None
    with suppress(AttributeError, KeyError, TypeError, ValueError):  # states none
        config = parse_config(text, 'cfg')
        model = dict(config['model'])
        backbone = model['backbone']
        arch = backbone['arch']
        if isinstance(arch, str):
            zoo = dict.fromkeys(('mocov3-s', 'mocov3-small'), dict(num_heads=12))
            # MMPretrain adds these to its zoo when it builds one.
            arch = (zoo | MODELS.get(str(backbone['type'])).arch_zoo)[arch]
        heads = arch['num_heads']
    own = model.get('data_preprocessor') or config.get('data_preprocessor')
    own = own if isinstance(own, dict) else {}
    if False in (own.get('to_rgb'), own.get('bgr_to_rgb')):
        text = (
            'the backbone was trained on BGR images: its features of RGB images are '
            'wrong, unless you swap the input channels of its first layer'
        )
        print_log(text, logger='current', level=WARNING)
    facts = {name: own.get(name) for name in IMAGENET}
    if type(heads) is int or _are_numbers(heads, 2, int):  # not those of stages
        facts['num_heads'] = heads
    return facts


def _are_numbers(values: object, count: int, *types: type, above: float = -1e9) -> bool:
    """Whether ``values``, from an external file, are ``count`` finite numbers."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return False
    return all(type(value) in types and above < value < 1e9 for value in values)
