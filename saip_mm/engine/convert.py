"""Names of ViT weights in other projects, and where a checkpoint keeps them.

Everything here works on dicts in memory. Reading and writing files, and loading into
modules, is in :mod:`saip_mm.engine.checkpoint`.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor

Grid = tuple[int, int]
Table = tuple[tuple[str, str], ...]  # (regex, replacement), applied in this order

# timm's ViT, hence DeiT and the encoder of MAE -> SAIPViT
TIMM_TO_VIT: Table = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^norm\.', 'ln1.'),
    (r'^blocks\.', 'layers.'),
    (r'^(layers\.\d+)\.norm([12])\.', r'\1.ln\2.'),
    (r'^(layers\.\d+)\.mlp\.fc1\.', r'\1.ffn.layers.0.0.'),
    (r'^(layers\.\d+)\.mlp\.fc2\.', r'\1.ffn.layers.1.'),
)

# SAIPViT -> timm
VIT_TO_TIMM: Table = (
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^ln1\.', 'norm.'),
    (r'^layers\.', 'blocks.'),
    (r'^(blocks\.\d+)\.ln([12])\.', r'\1.norm\2.'),
    (r'^(blocks\.\d+)\.ffn\.layers\.0\.0\.', r'\1.mlp.fc1.'),
    (r'^(blocks\.\d+)\.ffn\.layers\.1\.', r'\1.mlp.fc2.'),
)

# the authors' SAIP -> SAIP
OFFICIAL_TO_SAIP: Table = (
    (r'^backbone\.inter_norm\.', 'middle_norm.'),
    (r'^backbone\.patch_embed\.proj\.', 'backbone.patch_embed.projection.'),
    (r'^backbone\.norm\.', 'backbone.ln1.'),
    (r'^backbone\.blocks\.', 'backbone.layers.'),
    (r'^csm_decoder\.mlp\.', 'matching.projector.mlp.'),
    (r'^csm_decoder\.last_layer\.weight_v$', 'matching.projector.prototypes'),
    (r'^csr_decoder\.decoder_pos_embed$', 'reconstruction.pos_embed'),
    (r'^csr_decoder\.decoder_pred\.', 'reconstruction.predict.'),
    (r'^csr_decoder\.decoder_(embed|blocks|norm)\.', r'reconstruction.\1.'),
    (r'^csr_decoder\.mask_token$', 'reconstruction.mask_token'),
    (r'^css_decoder\.q_decoder_embed\.', 'search.query_embed.'),
    (r'^css_decoder\.q_decoder_norm\.', 'search.query_norm.'),
    (r'^css_decoder\.kv_decoder_embed\.', 'search.scene_embed.'),
    (r'^css_decoder\.kv_decoder_norm\.', 'search.scene_norm.'),
    (r'^css_decoder\.self_atten_blocks\.', 'search.query_blocks.'),
    (r'^css_decoder\.cross_atten_block\.', 'search.cross_block.'),
    (r'^css_decoder\.kernel_pred\.', 'search.kernel.'),
    (r'^css_decoder\.mask_head\.', 'search.mask_branch.'),
    (r'((?:layers|blocks)\.\d+)\.norm([12])\.', r'\1.ln\2.'),
    (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
)

# a part of the student -> where the teacher keeps its average
STUDENT_TO_TEACHER: Table = (
    (r'^backbone\.', 'teacher.encoder.backbone.'),
    (r'^middle_norm\.', 'teacher.encoder.middle_norm.'),
    (r'^matching\.projector\.', 'teacher.projector.'),
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


def rename(names: Iterable[str], table: Table) -> dict[str, str]:
    """New names by old name: every rule of ``table`` in turn, on each name."""
    renamed = {}
    for name in names:
        renamed[name] = name
        for pattern, replacement in table:
            renamed[name] = re.sub(pattern, replacement, renamed[name])
    return renamed


def rename_tensors(tensors: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """The same tensors under the names that ``table`` gives them."""
    new_names = rename(tensors, table)
    return {new_names[name]: tensor for name, tensor in tensors.items()}


def with_metadata(
    tensors: Mapping[str, Tensor], prefix: str, grid: Grid | None, num_heads: int | None
) -> OrderedDict[str, Tensor]:
    """A state dict with every name under ``prefix``, which knows its patch grid."""
    state_dict = OrderedDict((prefix + name, t) for name, t in tensors.items())
    known = dict(grid=grid, num_heads=num_heads)
    known = {key: value for key, value in known.items() if value is not None}
    state_dict._metadata = OrderedDict({prefix[:-1]: known})
    return state_dict


def state_dict_of(checkpoint: Mapping) -> OrderedDict[str, Tensor]:
    """The tensors of a checkpoint: under ``state_dict``, under ``model``, or bare.

    The ``module.`` that a data-parallel wrapper leaves before names is removed.

    Raises:
        ValueError: If there are no tensors in any of these places.
    """
    for place in ('state_dict', 'model'):
        if isinstance(checkpoint.get(place), Mapping):
            checkpoint = checkpoint[place]
            break
    state_dict = OrderedDict(
        (re.sub(r'^module\.', '', name), tensor)
        for name, tensor in checkpoint.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    )
    if not state_dict:
        found = ', '.join(repr(key) for key in list(checkpoint)[:8]) or 'nothing'
        raise ValueError(f'holds no state dict (a dict of tensors); it has {found}')
    metadata = getattr(checkpoint, '_metadata', None)
    state_dict._metadata = OrderedDict(
        (re.sub(r'^module(\.|$)', '', name), known)
        for name, known in (metadata.items() if isinstance(metadata, Mapping) else ())
        if isinstance(name, str) and isinstance(known, Mapping)
    )
    return state_dict


def find_backbone(checkpoint: Mapping, prefix: str = '') -> Backbone:
    """Find the ViT in a checkpoint; timm's names are turned into SAIPViT's.

    Args:
        checkpoint: As :func:`~saip_mm.engine.checkpoint.read_checkpoint` returns it.
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


def from_official(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    center: Tensor | None = None,
    grid: Grid | None = None,
) -> OrderedDict[str, Tensor]:
    """A SAIP training state dict from the authors' student and teacher.

    Args:
        student: The authors' whole student, with or without ``module.``.
        teacher: Theirs likewise; its backbone and matching decoder are used.
        center: [1, out] centre of the matching loss; zeros if not given.
        grid: (h, w) patch grid of the positions, kept in the state dict's metadata.

    Raises:
        ValueError: If a gain of the weight-normalised last layer is not one.
    """
    ours = _official_names(student, 'student')
    theirs = rename_tensors(_official_names(teacher, 'teacher'), STUDENT_TO_TEACHER)
    state_dict = OrderedDict(ours)
    for name, tensor in theirs.items():
        if name.startswith('teacher.'):
            state_dict[name] = tensor
    prototypes = ours.get('matching.projector.prototypes')
    if center is None and prototypes is not None:
        center = torch.zeros(1, len(prototypes))
    if center is not None:
        state_dict['matching.center'] = center.reshape(1, -1)
    known = {} if grid is None else dict(grid=tuple(grid))
    state_dict._metadata = OrderedDict(
        {'backbone': dict(known), 'teacher.encoder.backbone': dict(known)}
    )
    return state_dict


def _official_names(official: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    """The authors' tensors under our names, without those that have no effect."""
    tensors = {}
    for name, tensor in state_dict_of(official).items():
        if name.startswith('csm_decoder.decoder_norm.'):
            continue  # a layer that the authors' model never calls
        if name == 'csm_decoder.last_layer.weight_g':
            if not bool((tensor == 1).all()):
                raise ValueError(
                    f'{role}: {name} is not one everywhere (it ranges from '
                    f'{tensor.min():.6g} to {tensor.max():.6g}); prototypes without a '
                    'gain cannot express it'
                )
            continue
        tensors[name] = tensor
    return rename_tensors(tensors, OFFICIAL_TO_SAIP)


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
    for name in ('cls_token', 'pos_embed', 'patch_embed.projection.weight'):
        if name not in tensors:
            raise ValueError(f'is not a ViT with a class token: it has no {name!r}')
    layers = {
        int(m[1]) for m in map(re.compile(r'layers\.(\d+)\.').match, tensors) if m
    }
    hidden = tensors.get('layers.0.ffn.layers.0.0.weight')
    if hidden is None:
        raise ValueError("is not a ViT: it has no 'layers.0.ffn.layers.0.0.weight'")
    arch = dict(
        embed_dims=tensors['cls_token'].shape[-1],
        num_layers=max(layers) + 1,
        feedforward_channels=hidden.shape[0],
    )
    heads = backbone.num_heads
    if heads is None:
        alike = [
            a for a in VisionTransformer.arch_zoo.values() if arch.items() <= a.items()
        ]
        if not alike:
            raise ValueError(
                f'does not say how many attention heads it has, and a ViT with {arch} '
                'is not a known one: give --num-heads'
            )
        heads = alike[0]['num_heads']
    return dict(arch, num_heads=heads)


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
