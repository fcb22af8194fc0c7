"""Weight names of ViT and SAIP in other projects."""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from logging import WARNING

import torch
from mmengine.logging import print_log
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

# student -> its average in the teacher
STUDENT_TO_TEACHER: Table = (
    (r'^backbone\.', 'teacher.encoder.backbone.'),
    (r'^middle_norm\.', 'teacher.encoder.middle_norm.'),
    (r'^matching\.projector\.', 'teacher.projector.'),
)

# Keys of weights in a file. Averages (EMA) come first, as in timm: they are the
# evaluated weights. MMEngine saves its average as `state_dict`.
_PLACES = ('state_dict_ema', 'model_ema', 'state_dict', 'model', 'ema_state_dict')
_OF_SAIP = re.compile(r'cs[mrs]_decoder\.|backbone\.inter_norm\.')


def rename(names: Iterable[str], table: Table) -> dict[str, str]:
    """New names by old name: all rules of ``table`` applied in order."""
    renamed = {}
    for name in names:
        renamed[name] = name
        for pattern, replacement in table:
            renamed[name] = re.sub(pattern, replacement, renamed[name])
    return renamed


def rename_tensors(tensors: Mapping[str, Tensor], table: Table) -> dict[str, Tensor]:
    """The same tensors, renamed according to ``table``."""
    new_names = rename(tensors, table)
    return {new_names[name]: tensor for name, tensor in tensors.items()}


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
        print_log(
            f'using the weights in {places[0]!r}, not in '
            + ', '.join(map(repr, places[1:])),
            'current',
            WARNING,
        )
    if places:
        checkpoint = checkpoint[places[0]]
    state_dict = OrderedDict(
        (re.sub(r'^module\.', '', name), tensor)
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
        student: The authors' whole student, with or without ``module.``.
        teacher: The authors' teacher; its backbone and matching decoder are used.
        center: [1, out] center of the matching loss; zeros if not given.
        grid: (h, w) patch grid of the positions, for the state dict's metadata.

    Raises:
        ValueError: If a gain of the weight-normalized last layer is not 1.
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


def roles_of(checkpoint: Mapping) -> dict[str, OrderedDict[str, Tensor]]:
    """The state dicts of student and teacher, by role, in a checkpoint of SAIP or DINO.

    Raises:
        ValueError: If it has neither, or they contain no ViT.
    """
    roles = {
        role: state_dict_of(checkpoint[role])
        for role in ('student', 'teacher')
        if _holds_tensors(checkpoint.get(role))
    }
    if not any('blocks.' in name for names in roles.values() for name in names):
        raise ValueError('has no student or teacher with a ViT')
    return roles


def center_of(checkpoint: Mapping) -> Tensor | None:
    """The center of the matching loss in the authors' checkpoint, if saved."""
    centers = [
        kept['center']
        for kept in (checkpoint, *checkpoint.values())
        if isinstance(kept, Mapping) and isinstance(kept.get('center'), Tensor)
    ]
    return centers[0] if centers else None


def source_of(checkpoint: Mapping) -> str:
    """Whose names a checkpoint uses: ``saip``, ``dino``, ``mae``, ``timm`` or ``mm``.

    Raises:
        ValueError: If it is none of them.
    """
    if any(_holds_tensors(checkpoint.get(role)) for role in ('student', 'teacher')):
        roles = roles_of(checkpoint).values()
        saip = any(_OF_SAIP.match(name) for names in roles for name in names)
        return 'saip' if saip else 'dino'
    names = [re.sub(r'^backbone\.', '', name) for name in state_dict_of(checkpoint)]
    if 'decoder_embed.weight' in names:
        return 'mae'
    if 'blocks.0.norm1.weight' in names:
        return 'timm'
    if 'layers.0.ln1.weight' in names:
        return 'mm'
    raise ValueError(
        "has the names of neither the authors' SAIP, DINO, timm (DeiT), MAE nor "
        'MMPretrain; '
        f'they begin with {", ".join(sorted({n.split(".")[0] for n in names})[:8])}'
    )


def _holds_tensors(part: object) -> bool:
    return isinstance(part, Mapping) and any(
        isinstance(each, Tensor) for each in part.values()
    )


def _official_names(official: Mapping[str, Tensor], role: str) -> dict[str, Tensor]:
    """The authors' tensors with our names, without those that have no effect."""
    tensors = {}
    for name, tensor in state_dict_of(official).items():
        if name.startswith('csm_decoder.decoder_norm.'):
            continue  # a layer that the authors' model never calls
        if name == 'csm_decoder.last_layer.weight_g':
            if not bool((tensor == 1).all()):
                raise ValueError(
                    f'{role}: {name} is not 1 everywhere (it ranges from '
                    f'{tensor.min():.6g} to {tensor.max():.6g}); prototypes without a '
                    'gain cannot express it'
                )
            continue
        tensors[name] = tensor
    return rename_tensors(tensors, OFFICIAL_TO_SAIP)
