"""Weight names of ViT and SAIP in other projects."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from logging import WARNING

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..models.weights import Grid

Table = Mapping[str, str]  # prefixes, the first that fits applies; # is any number

# timm's ViT, hence DeiT and the encoder of MAE -> SAIPViT
_BLOCK = {
    '#.norm1.': '#.ln1.',
    '#.norm2.': '#.ln2.',
    '#.mlp.fc1.': '#.ffn.layers.0.0.',
    '#.mlp.fc2.': '#.ffn.layers.1.',
    '': '',
}
TIMM_TO_VIT: Table = {
    'patch_embed.proj.': 'patch_embed.projection.',
    'norm.': 'ln1.',
    **{f'blocks.{old}': f'layers.{new}' for old, new in _BLOCK.items()},
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
        for old, new in _BLOCK.items()
    },
    'csr_decoder.decoder_pred.': 'reconstruction.predict.',
    'csr_decoder.decoder_': 'reconstruction.',
    'csr_decoder.': 'reconstruction.',
    'css_decoder.q_decoder_': 'search.query_',
    'css_decoder.kv_decoder_': 'search.scene_',
    **{
        f'css_decoder.self_atten_blocks.{old}': f'search.query_blocks.{new}'
        for old, new in _BLOCK.items()
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

# Keys of weights in a file. Averages (EMA) come first, as in timm: they are the
# evaluated weights. MMEngine saves its average as `state_dict`.
_PLACES = ('state_dict_ema', 'model_ema', 'state_dict', 'model', 'ema_state_dict')
_ROLES = ('student', 'teacher')
_OF_SAIP = re.compile(r'cs[mrs]_decoder\.|backbone\.inter_norm\.')


def rename(names: Iterable[str], table: Table) -> dict[str, str]:
    """New names by old name."""
    rules = [
        (re.compile(re.escape(old).replace(r'\#', r'(\d+)')), new.replace('#', r'\1'))
        for old, new in table.items()
    ]
    renamed = {}
    for name in names:
        found = ((match, new) for rule, new in rules if (match := rule.match(name)))
        match, new = next(found, (None, ''))
        renamed[name] = match.expand(new) + name[match.end() :] if match else name
    return renamed


def rename_tensors(tensors: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """The same tensors, renamed according to ``table``."""
    return {new: tensors[old] for old, new in rename(tensors, table).items()}


def state_dict_of(checkpoint: Mapping) -> OrderedDict[str, Tensor]:
    """The tensors of a checkpoint: under ``state_dict``, under ``model``, or bare.

    If there is an exponential moving average as well (``state_dict_ema``,
    ``model_ema``), it is used, and the choice is logged. The prefix ``module.`` of
    data-parallel wrappers is removed.

    Raises:
        ValueError: If there are no tensors, or a tensor is not dense.
    """
    places = [place for place in _PLACES if _holds_tensors(checkpoint.get(place))]
    if len(places) > 1:
        others = ', '.join(map(repr, places[1:]))
        text = f'using the weights in {places[0]!r}, not in {others}'
        print_log(text, 'current', WARNING)
    if places:
        checkpoint = checkpoint[places[0]]
    state_dict = OrderedDict(
        (name.removeprefix('module.'), tensor)
        for name, tensor in checkpoint.items()
        if isinstance(name, str) and isinstance(tensor, Tensor)
    )
    if not state_dict:
        found = ', '.join(repr(key) for key in list(checkpoint)[:8]) or 'nothing'
        raise ValueError(
            f'contains {found} instead of a state dict (a dict of tensors); convert '
            'weights of other projects with tools/convert_checkpoint.py first'
        )
    for name, tensor in state_dict.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
            raise ValueError(f'has {name}, which is not a dense tensor')
    metadata = getattr(checkpoint, '_metadata', None)
    state_dict._metadata = OrderedDict(
        (re.sub(r'^module(\.|$)', '', name), known)
        for name, known in (metadata.items() if isinstance(metadata, Mapping) else ())
        if isinstance(name, str) and isinstance(known, Mapping)
    )
    return state_dict


def with_metadata(
    tensors: Mapping[str, Tensor], prefix: str, grid: Grid | None, num_heads: int | None
) -> OrderedDict[str, Tensor]:
    """A state dict with ``prefix`` and the patch grid in its metadata."""
    state_dict = OrderedDict((prefix + name, t) for name, t in tensors.items())
    known = dict(grid=grid, num_heads=num_heads)
    known = {key: value for key, value in known.items() if value is not None}
    state_dict._metadata = OrderedDict({prefix[:-1]: known})
    return state_dict


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
    theirs = rename_tensors(_official_names(teacher, 'teacher'), STUDENT_TO_TEACHER)
    state_dict |= {k: v for k, v in theirs.items() if k.startswith('teacher.')}
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
    return rename_tensors(tensors, OFFICIAL_TO_SAIP)


def roles_of(checkpoint: Mapping) -> dict[str, OrderedDict[str, Tensor]]:
    """State dicts of student and teacher, by role, in a checkpoint of SAIP or DINO."""
    roles = {
        role: state_dict_of(checkpoint[role])
        for role in _ROLES
        if _holds_tensors(checkpoint.get(role))
    }
    if not any('blocks.' in name for names in roles.values() for name in names):
        raise ValueError('has no student or teacher with a ViT')
    return roles


def center_of(checkpoint: Mapping) -> Tensor | None:
    """The center of the matching loss in the authors' checkpoint, if saved."""
    for kept in (checkpoint, *checkpoint.values()):
        if isinstance(kept, Mapping) and isinstance(kept.get('center'), Tensor):
            return kept['center']
    return None


def source_of(checkpoint: Mapping) -> str:
    """Project whose names are used: ``saip``, ``dino``, ``mae``, ``timm`` or ``mm``."""
    if any(_holds_tensors(checkpoint.get(role)) for role in _ROLES):
        names = [name for tensors in roles_of(checkpoint).values() for name in tensors]
        return 'saip' if any(_OF_SAIP.match(name) for name in names) else 'dino'
    names = [name.removeprefix('backbone.') for name in state_dict_of(checkpoint)]
    for source, telling in dict(
        mae='decoder_embed.weight',
        timm='blocks.0.norm1.weight',
        mm='layers.0.ln1.weight',
    ).items():
        if telling in names:
            return source
    raise ValueError(
        "has the names of neither the authors' SAIP, DINO, timm (DeiT), MAE nor "
        'MMPretrain; '
        f'they begin with {", ".join(sorted({n.split(".")[0] for n in names})[:8])}'
    )


def _holds_tensors(part: object) -> bool:
    return isinstance(part, Mapping) and any(
        isinstance(each, Tensor) for each in part.values()
    )
