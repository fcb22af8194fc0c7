"""The ViT in a checkpoint: where it is, and what is known about it."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor

from .convert import TIMM_TO_VIT, Grid, rename_tensors, state_dict_of

# tensors that show a ViT's sizes, and their number of dimensions
_TELLING = {
    'cls_token': 3,
    'pos_embed': 3,
    'patch_embed.projection.weight': 4,
    'layers.0.ffn.layers.0.0.weight': 2,
}
# where a training checkpoint keeps them
PREFIXES = dict(teacher='teacher.encoder.backbone.', student='backbone.')
_IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
_IN_LAYER = re.compile(r'layers\.\d{1,6}\.')
# Tensors that features do not depend on: classifiers, decoders, heads and averages of
# other trainings, SAIP's norm of middle tokens, and whole objectives that a model of
# SAIP may be built without. `ln1` is for models that are built with final_norm=False.
HARMLESS = re.compile(
    r'(head\w*|fc|pre_logits|attn_pool|projector|predictor|ln1|(middle|inter)_norm|'
    r'matching|reconstruction|search|teacher\.projector|data_preprocessor)\.'
    r'|decoder_|ema_|(mask_token|masked_embed)$'
)
# What makes another function of a ViT, by the names of its tensors.
_OTHER_FUNCTIONS = (
    ('LayerScale', r'\b(ls[12]?|gamma_?[12])\b|\.layer_scale'),
    ('register tokens', r'^(reg_token|register_tokens?|storage_tokens)$'),
    ('normalized queries and keys', r'\.[qk]_norm\.'),
    ('a norm before the first block', r'^(norm_pre|pre_norm|ln_pre)\.'),
    ('pooling before the final norm', r'^(fc_norm|ln2)\.'),
    ('a distillation token', r'^dist_token$'),
    ('gated linear units', r'\.(w12|w3|fc1_[gx])\.'),
    ('relative positions', r'rel(ative)?_pos|\brope\b'),
)


@dataclass
class Backbone:
    """Weights of a ViT under the names of SAIPViT.

    Attributes:
        tensors: Weights by name, without a prefix.
        grid: (h, w) patch grid of ``pos_embed``; None if the checkpoint does not say.
        num_heads: Attention heads; None if the checkpoint does not say.
        meta: What an exported file says about itself.
    """

    tensors: dict[str, Tensor]
    grid: Grid | None = None
    num_heads: int | None = None
    meta: dict = field(default_factory=dict)

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return self.tensors['patch_embed.projection.weight'].shape[-1]


def with_metadata(
    tensors: Mapping[str, Tensor], prefix: str, grid: Grid | None, num_heads: int | None
) -> OrderedDict[str, Tensor]:
    """A state dict with every name under ``prefix``, which knows its patch grid."""
    state_dict = OrderedDict((prefix + name, t) for name, t in tensors.items())
    known = dict(grid=grid, num_heads=num_heads)
    known = {key: value for key, value in known.items() if value is not None}
    state_dict._metadata = OrderedDict({prefix[:-1]: known})
    return state_dict


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
    return Backbone(
        tensors,
        grid=_checked_grid(known.get('grid')),
        num_heads=_checked_heads(known.get('num_heads')),
        meta=meta,
    )


def choose_backbone(
    checkpoint: Mapping, role: str | None = None
) -> tuple[Backbone, str]:
    """The backbone of the teacher or the student, or the only one there is.

    Args:
        checkpoint: What ``read_checkpoint`` returned.
        role: ``'teacher'`` or ``'student'``; None takes the teacher where there is one.

    Returns:
        The backbone, and whose it is.

    Raises:
        ValueError: If the checkpoint does not hold it.
    """
    if role not in (None, *PREFIXES):
        raise ValueError(f'role={role!r} is not one of {", ".join(PREFIXES)}')
    names = state_dict_of(checkpoint)
    if any(name.startswith(PREFIXES['teacher']) for name in names):
        role = role or 'teacher'
        return find_backbone(checkpoint, PREFIXES[role]), role
    backbone = find_backbone(checkpoint)
    own_role = backbone.meta.get('role', 'unknown')
    if role not in (None, own_role):
        raise ValueError(
            f'has no {role}, only one backbone (role: {own_role}): omit the role'
        )
    return backbone, own_role


def other_functions(names: Iterable[str]) -> str:
    """What the names of a ViT's tensors show that SAIPViT does not compute."""
    names = list(names)
    found = []
    for what, pattern in _OTHER_FUNCTIONS:
        named = [name for name in names if re.search(pattern, name)]
        more = f' and {len(named) - 1} more' if len(named) > 1 else ''
        found += [f'{what} ({named[0]}{more})'] if named else []
    return ', '.join(found)


def colours(checkpoint: Mapping, backbone: Backbone) -> dict[str, list[float]]:
    """Mean and std that the backbone's images were normalised with (RGB, 0-255).

    Raises:
        ValueError: If the file says something else than three numbers each.
    """
    tensors = state_dict_of(checkpoint)
    found = dict(_IMAGENET)
    for name in found:
        tensor = tensors.get(f'data_preprocessor.{name}')
        if tensor is not None:
            found[name] = [round(value, 4) for value in tensor.flatten().tolist()]
        elif name in backbone.meta:
            found[name] = _checked_colour(name, backbone.meta[name])
    return found


def architecture_of(backbone: Backbone) -> dict:
    """Architecture of a ViT, read from its tensors.

    Attention heads cannot be seen in tensors: where ``backbone.num_heads`` is None they
    are those of MMPretrain's architecture of the same sizes.

    Returns:
        ``embed_dims``, ``num_layers``, ``num_heads``, ``feedforward_channels`` (what
        MMPretrain's ViT takes as ``arch``).

    Raises:
        ValueError: If a tensor that shows a size is missing, or the heads are unknown.
    """
    tensors = backbone.tensors
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
    heads = backbone.num_heads
    if heads is None:
        zoo = VisionTransformer.arch_zoo.values()
        alike = [known for known in zoo if arch.items() <= known.items()]
        if not alike:
            raise ValueError(
                f'does not say how many attention heads it has, and a ViT with {arch} '
                'is not a known one: give --num-heads'
            )
        heads = alike[0]['num_heads']
    if arch['embed_dims'] % heads:
        raise ValueError(
            f'cannot have {heads} attention heads: it has {arch["embed_dims"]} channels'
        )
    return dict(arch, num_heads=heads)


def describe(backbone: Backbone) -> dict:
    """Architecture, patch grid and image size (both (h, w)) as plain JSON."""
    patch = backbone.patch_size
    return dict(
        **architecture_of(backbone),
        patch_size=patch,
        grid=list(backbone.grid),
        img_size=[side * patch for side in backbone.grid],
    )


def _checked_grid(grid: object) -> Grid | None:
    """``grid`` as (h, w) if it is one; files from outside may hold anything."""
    if grid is None:
        return None
    if not (
        isinstance(grid, list | tuple)
        and len(grid) == 2
        and all(type(side) is int and side > 0 for side in grid)
    ):
        raise ValueError(f'says that its patch grid is {grid!r}, which is no (h, w)')
    return tuple(grid)


def _checked_heads(num_heads: object) -> int | None:
    if num_heads is not None and (type(num_heads) is not int or num_heads < 1):
        raise ValueError(f'says that it has {num_heads!r} attention heads')
    return num_heads


def _checked_colour(name: str, values: object) -> list[float]:
    if not (
        isinstance(values, list | tuple)
        and len(values) == 3
        and all(type(value) in (int, float) for value in values)
        and (name == 'mean' or min(values) > 0)
    ):
        raise ValueError(f'says that the {name} of its images is {values!r}')
    return list(values)
