"""Names of tensors, also in checkpoints of other projects: the authors' SAIP, DINO, MAE
and timm."""

import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from ..models.weights import Grid
from .files import holds_tensors, state_dict_of

# Prefixes in a training checkpoint.
PREFIXES = dict(teacher='teacher.encoder.backbone.', student='backbone.')

Table = Mapping[str, str]  # prefixes, the first that fits applies; # is any number

# timm's ViT, hence DeiT and the encoder of MAE -> SAIPViT
TIMM_BLOCK = {
    '#.norm1.': '#.ln1.',
    '#.norm2.': '#.ln2.',
    '#.mlp.fc1.': '#.ffn.layers.0.0.',
    '#.mlp.fc2.': '#.ffn.layers.1.',
    '': '',
}
TIMM_TO_VIT: Table = {
    'patch_embed.proj.': 'patch_embed.projection.',
    'norm.': 'ln1.',
    **{f'blocks.{old}': f'layers.{new}' for old, new in TIMM_BLOCK.items()},
}
VIT_TO_TIMM: Table = {new: old for old, new in TIMM_TO_VIT.items()}

# the authors' SAIP -> SAIP
OFFICIAL_TO_SAIP: Table = {
    'backbone.inter_norm.': 'middle_norm.',
    **{f'backbone.{old}': f'backbone.{new}' for old, new in TIMM_TO_VIT.items()},
    'csm_decoder.mlp.': 'matching.projector.mlp.',
    'csm_decoder.last_layer.weight_v': 'matching.projector.prototypes',
    **{
        f'csr_decoder.decoder_blocks.{old}': f'reconstruction.blocks.{new}'
        for old, new in TIMM_BLOCK.items()
    },
    'csr_decoder.decoder_pred.': 'reconstruction.predict.',
    'csr_decoder.decoder_': 'reconstruction.',
    'csr_decoder.': 'reconstruction.',
    'css_decoder.q_decoder_': 'search.query_',
    'css_decoder.kv_decoder_': 'search.scene_',
    **{
        f'css_decoder.self_atten_blocks.{old}': f'search.query_blocks.{new}'
        for old, new in TIMM_BLOCK.items()
    },
    'css_decoder.cross_atten_block.mlp.fc1.': 'search.cross_block.ffn.layers.0.0.',
    'css_decoder.cross_atten_block.mlp.fc2.': 'search.cross_block.ffn.layers.1.',
    'css_decoder.cross_atten_block.': 'search.cross_block.',
    'css_decoder.kernel_pred.': 'search.kernel.',
    'css_decoder.mask_head.': 'search.mask_branch.',
}

# student -> its average in the teacher
STUDENT_TO_TEACHER: Table = {
    'backbone.': 'teacher.encoder.backbone.',
    'middle_norm.': 'teacher.encoder.middle_norm.',
    'matching.projector.': 'teacher.projector.',
}

_OF_SAIP = re.compile(r'cs[mrs]_decoder\.|backbone\.inter_norm\.')


def renamed(name: str, table: Table) -> str:
    """A tensor's new name according to ``table``."""
    for old, new in table.items():
        if match := re.match(re.escape(old).replace(r'\#', r'(\d+)'), name):
            return match.expand(new.replace('#', r'\1')) + name[match.end() :]
    return name


def from_official(
    student: Mapping[str, Tensor],
    teacher: Mapping[str, Tensor],
    center: Tensor | None = None,
    grid: Grid | None = None,
) -> OrderedDict[str, Tensor]:
    """SAIP's state dict from the authors' student and teacher.

    Args:
        student: The authors' whole student.
        teacher: The authors' teacher; its backbone and matching decoder are used.
        center: [1, out] center of the matching loss; zeros if not given.
        grid: (h, w) patch grid of the positions, for the state dict's metadata.

    Raises:
        ValueError: If a gain of the weight-normalized last layer is not 1.
    """
    state_dict = OrderedDict(_official_names(student, 'student'))
    theirs = _official_names(teacher, 'teacher')
    averaged = {renamed(name, STUDENT_TO_TEACHER): t for name, t in theirs.items()}
    state_dict |= {k: v for k, v in averaged.items() if k.startswith('teacher.')}
    prototypes = state_dict.get('matching.projector.prototypes')
    if center is None and prototypes is not None:
        center = torch.zeros(len(prototypes))
    if center is not None:
        state_dict['matching.center'] = center.reshape(1, -1)
    known = {} if grid is None else dict(grid=tuple(grid))
    state_dict._metadata = OrderedDict(
        {'backbone': dict(known), 'teacher.encoder.backbone': dict(known)}
    )
    return state_dict


def _official_names(official: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    """The authors' tensors with our names, without those that have no effect."""
    tensors = state_dict_of(official)
    gain = tensors.pop('csm_decoder.last_layer.weight_g', torch.ones(1))
    if not bool((gain == 1).all()):
        raise ValueError(
            f'{role}: csm_decoder.last_layer.weight_g is not 1 everywhere (it ranges '
            f'from {gain.min():.6g} to {gain.max():.6g}); prototypes without a gain '
            'cannot express it'
        )
    for parameter in ('weight', 'bias'):  # of a norm that the authors never apply
        tensors.pop(f'csm_decoder.decoder_norm.{parameter}', None)
    return {renamed(name, OFFICIAL_TO_SAIP): t for name, t in tensors.items()}


def roles_of(checkpoint: Mapping) -> dict[str, OrderedDict[str, Tensor]]:
    """State dicts of student and teacher, by role, in a checkpoint of SAIP or DINO.

    Raises:
        ValueError: If there is neither, or none is a ViT.
    """
    roles = {
        role: state_dict_of(checkpoint[role])
        for role in PREFIXES
        if holds_tensors(checkpoint.get(role))
    }
    if not any('blocks.' in name for names in roles.values() for name in names):
        raise ValueError('has no student or teacher with a ViT')
    return roles


def under(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``start``, without it."""
    return {n[len(start) :]: t for n, t in tensors.items() if n.startswith(start)}


def select(checkpoint: Mapping, prefix: str) -> dict[str, dict[str, Tensor]]:
    """The tensors of a checkpoint under a prefix, without the prefix.

    Raises:
        ValueError: If there are none.
    """
    start = prefix.removeprefix('module.').removesuffix('.') + '.'  # of DDP
    tensors = under(start, state_dict_of(checkpoint))
    if not tensors:
        raise ValueError(f'has no tensors under {start}')
    return dict(state_dict=tensors)


def center_of(checkpoint: Mapping) -> Tensor | None:
    """The center of the matching loss in the authors' checkpoint, if saved."""
    for kept in (checkpoint, *checkpoint.values()):
        if isinstance(kept, Mapping) and isinstance(kept.get('center'), Tensor):
            return kept['center']
    return None


def source_of(checkpoint: Mapping) -> str:
    """Project whose names are used: ``saip``, ``dino``, ``mae``, ``timm`` or ``mm``.

    Raises:
        ValueError: If the names are others, or there are two backbones of saip_mm.
    """
    if any(holds_tensors(checkpoint.get(role)) for role in PREFIXES):
        names = [name for tensors in roles_of(checkpoint).values() for name in tensors]
        return 'saip' if any(_OF_SAIP.match(name) for name in names) else 'dino'
    names = list(state_dict_of(checkpoint))
    if any(name.startswith(PREFIXES['teacher']) for name in names):
        raise ValueError(
            'is a training checkpoint of saip_mm, with two backbones: export one with '
            'tools/export_backbone.py'
        )
    names = [name.removeprefix('backbone.') for name in names]
    for source, telling in dict(
        mae='decoder_embed.weight',
        timm='blocks.0.norm1.weight',
        mm='layers.0.ln1.weight',
    ).items():
        if telling in names:
            return source
    first = r'(.+\.)(blocks\.0\.norm1|layers\.0\.ln1)\.weight'
    nested = [match[1] for name in names if (match := re.fullmatch(first, name))]
    remedy = f'. There is a ViT under a prefix: give --prefix {" or ".join(nested)}'
    raise ValueError(
        "has the names of neither the authors' SAIP, DINO, timm (DeiT), MAE nor "
        'MMPretrain; '
        f'they begin with {", ".join(sorted({n.split(".")[0] for n in names})[:8])}'
        f'{remedy if nested else ""}'
    )
