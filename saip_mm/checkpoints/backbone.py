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

from ..models.weights import Grid, LoadReport, format_size, load_weights
from .files import state_dict_of
from .kept_config import parse_config
from .names import PREFIXES, TIMM_TO_VIT, VIT_TO_TIMM, renamed

# Backbones without a class token, by a tensor that only they have.
POOLED = {
    'patch_embed.seq.0.conv2d.weight': 'SAIPTinyViT',
    'stem.0.conv.weight': 'SAIPCSPNeXt',
}
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
    """Weights of a backbone with SAIP's names, and their metadata.

    Attributes:
        tensors: Weights by name, without a prefix.
        grid: (h, w) patch grid of ``pos_embed``, or of the training images; None if
            unknown.
        num_heads: Heads of all blocks, or [of all but the last, of the last]; None if
            unknown, or not a ViT.
        role: ``'teacher'``, ``'student'`` or ``'unknown'``.
        prefix: Prefix that selects it in its checkpoint; empty for the only backbone.
        mean, std: Normalization of its training images (RGB, 0–255).
    """

    tensors: dict[str, Tensor]
    grid: Grid | None = None
    num_heads: int | list[int] | None = None
    role: str = 'unknown'
    prefix: str = ''
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

    def state_dict(
        self, prefix: str = 'backbone.', names: str = 'mm'
    ) -> OrderedDict[str, Tensor]:
        """State dict with the patch grid in its metadata.

        Args:
            prefix: Prefix of all names.
            names: ``'mm'`` for OpenMMLab's, ``'timm'`` for timm's.
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

    def build(
        self, img_size: tuple[int, int] | None = None
    ) -> tuple[nn.Module, LoadReport]:
        """Build a backbone with these weights; the random generator does not change.

        Args:
            img_size: (h, w) in pixels to resize positions to; None keeps them.

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
        return module, load_weights(module, self.state_dict(prefix=''))

    def fitted(
        self, img_size: tuple[int, int] | None = None
    ) -> tuple['Backbone', LoadReport]:
        """The backbone without unused tensors, resized to an image size if given."""
        module, report = self.build(img_size)
        tensors = {name: each.detach() for name, each in module.state_dict().items()}
        heads = self.config['arch']['num_heads'] if self.is_vit else None
        grid = tuple(module.patch_resolution)
        return replace(self, tensors=tensors, grid=grid, num_heads=heads), report


def choose_backbone(checkpoint: Mapping, role: str | None = None) -> Backbone:
    """The backbone of teacher or student, or the only one.

    Args:
        checkpoint: From ``read_checkpoint``.
        role: ``'teacher'`` or ``'student'``; None selects the teacher if there is one.

    Raises:
        ValueError: If there is no such backbone.
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
        ValueError: If no name has the prefix, or the file states impossible facts.
    """
    state_dict = state_dict_of(checkpoint)
    wanted = prefix.removesuffix('.') + '.' if prefix else 'backbone.'
    found = any(name.startswith(wanted) for name in state_dict)
    bare = any(name in state_dict for name in ('cls_token', *POOLED))
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
        tensors = {renamed(name, TIMM_TO_VIT): each for name, each in tensors.items()}
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, Mapping) else {}
    config = {}
    with suppress(KeyError, ValueError):  # there is none, or it cannot be read
        config = parse_config(meta['cfg'], 'cfg')
    known = {**_heads(config), **meta, **state_dict._metadata.get(prefix[:-1], {})}
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
        **_normalization(state_dict, meta, config),
    )


def _normalization(
    state_dict: Mapping, meta: Mapping, config: dict
) -> dict[str, list[float]]:
    """Mean and std of a checkpoint's images (RGB, 0–255); ImageNet's by default."""
    # MMPretrain's checkpoints keep their normalization in their config only.
    own = _part(config, 'data_preprocessor') or config.get('data_preprocessor')
    own = own if isinstance(own, dict) else {}
    if False in (own.get('to_rgb'), own.get('bgr_to_rgb')):
        text = (
            'the backbone was trained on BGR images: its features of RGB images are '
            'wrong, unless you swap the input channels of its first layer'
        )
        print_log(text, logger='current', level=WARNING)
    found, meta = {}, {**own, **meta}
    for name, usual in IMAGENET.items():
        values = usual if meta.get(name) is None else meta[name]
        # `mean` and `std` alone are those of PretrainedBackbone.
        buffer = state_dict.get(f'data_preprocessor.{name}', state_dict.get(name))
        if buffer is not None:
            values = [round(value, 4) for value in buffer.flatten().tolist()]
        if not _are_numbers(values, 3, int, float) or (
            name == 'std' and min(values) <= 0
        ):
            raise ValueError(f'states {values!r} as the {name} of its images')
        found[name] = list(values)
    return found


def _part(config: dict, name: str) -> dict:
    """A part of the model of a config."""
    model = config.get('model')
    part = model.get(name) if isinstance(model, dict) else None
    return part if isinstance(part, dict) else {}


def _heads(config: dict) -> dict[str, int]:
    """``num_heads`` of the ViT of a config, if it states them."""
    backbone = _part(config, 'backbone')
    arch = backbone.get('arch')
    if isinstance(arch, str):
        kind = MODELS.get(str(backbone.get('type')))
        zoo = dict.fromkeys(('mocov3-s', 'mocov3-small'), dict(num_heads=12))
        # MMPretrain adds these to its zoo when it builds one.
        arch = (zoo | getattr(kind, 'arch_zoo', {})).get(arch)
    heads = arch.get('num_heads') if isinstance(arch, dict) else None
    known = type(heads) is int or _are_numbers(heads, 2, int)  # not those of stages
    return dict(num_heads=heads) if known else {}


def _are_numbers(values: object, count: int, *types: type) -> bool:
    """Whether ``values``, from an external file, are ``count`` finite numbers."""
    if not isinstance(values, list | tuple) or len(values) != count:
        return False
    return all(type(value) in types and abs(value) < 1e9 for value in values)
