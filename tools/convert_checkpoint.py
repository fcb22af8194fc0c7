"""Convert weights from the authors' SAIP, DINO, timm (DeiT), MAE or MMPretrain.

python tools/convert_checkpoint.py deit_tiny_patch16_224-a1311bcf.pth --out deit.pth
python tools/convert_checkpoint.py official_saip.pth --out teacher.pth
python tools/convert_checkpoint.py official_saip.pth --out saip.pth --full
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch
from mmpretrain.registry import MODELS

from saip_mm import __version__
from saip_mm.checkpoints.backbone import Backbone, choose_backbone
from saip_mm.checkpoints.files import open_checkpoint, write_checkpoint
from saip_mm.checkpoints.names import (
    center_of,
    from_official,
    roles_of,
    select,
    source_of,
)
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.files import check_writable
from saip_mm.models.weights import Grid, LoadReport, compare_weights

WITH_ROLES = ('saip', 'dino')


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('checkpoint', help='.pth or .safetensors file; never executed')
    parser.add_argument('--out', required=True, type=Path, help='file to write')
    parser.add_argument(
        '--role',
        choices=['teacher', 'student'],
        default='teacher',
        help='backbone of SAIP or DINO to convert (default: teacher)',
    )
    parser.add_argument(
        '--prefix',
        help='start of the names of the ViT, such as base_encoder in MoCo v3',
    )
    parser.add_argument(
        '--full',
        action='store_true',
        help='convert the whole SAIP model, for load_from, not just a backbone',
    )
    parser.add_argument(
        '--grid',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='patch grid of the position embeddings, if the file does not state it',
    )
    parser.add_argument(
        '--img-size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='resize the position embeddings for this image size, in pixels',
    )
    add_facts(parser)
    args = parser.parse_args()
    only_backbones = args.img_size, args.num_heads, args.mean, args.std
    if args.full and (args.role != 'teacher' or any(only_backbones)):
        parser.error('--full converts both roles unchanged: it takes only --grid')
    if args.num_heads and len(args.num_heads) > 2:
        parser.error('--num-heads takes one or two numbers')
    if args.std and min(args.std) <= 0:
        parser.error('--std must be positive')
    return args


def add_facts(parser: argparse.ArgumentParser) -> None:
    """Options for what a file does not state."""
    parser.add_argument(
        '--num-heads',
        nargs='+',
        type=int,
        metavar='N',
        help='attention heads of an uncommon ViT: one number for all blocks, or one '
        'for all but the last block and one for the last block',
    )
    for name in ('mean', 'std'):
        parser.add_argument(
            f'--{name}',
            nargs=3,
            type=float,
            metavar=('R', 'G', 'B'),
            help=f'{name} of the training images in 0-255, if the file does not state '
            "it (default: ImageNet's)",
        )


def find_grid(backbone: Backbone, source: str, given: Grid | None) -> Grid:
    """The patch grid of the positions: from the file, ``given``, or the usual one."""
    if given and backbone.grid and tuple(given) != backbone.grid:
        raise ValueError(f'states the patch grid {backbone.grid}: omit --grid')
    if given or backbone.grid:
        return tuple(given or backbone.grid)
    count = backbone.tensors['pos_embed'].shape[1] - 1
    # timm and MAE pretrain on squares, the authors of SAIP on images twice as high as
    # wide.
    width = math.isqrt(count // 2 if source == 'saip' else count)
    height = 2 * width if source == 'saip' else width
    if source == 'mm' or height * width != count:
        bare = math.isqrt(count + 1) ** 2 == count + 1  # timm's no_embed_class
        raise ValueError(
            f'has {count} positions and does not state the patch grid: give --grid '
            'H W (in patches, not pixels)'
            f'{"; or its class token has no position, which SAIPViT needs" * bare}'
        )
    print(f'patch grid: {height}×{width} (h×w), as usual for {source}')
    return height, width


def convert_backbone(
    checkpoint: dict, source: str, args: argparse.Namespace
) -> tuple[dict, dict, LoadReport]:
    """State dict, meta and report of one backbone."""
    if source in WITH_ROLES:
        roles = roles_of(checkpoint)
        if args.role not in roles:
            raise ValueError(f'has no {args.role}, only a {"".join(roles)}')
        print(f"taking the {args.role}'s backbone")
        checkpoint = roles[args.role]
    backbone = choose_backbone(checkpoint)
    heads = args.num_heads
    heads = heads[0] if heads and len(heads) == 1 else heads
    backbone = replace(
        backbone,
        num_heads=heads or backbone.num_heads,
        mean=args.mean or backbone.mean,
        std=args.std or backbone.std,
    )
    heads = backbone.config['arch']['num_heads']
    if not backbone.num_heads:
        print(f'attention heads: {heads}, as usual for a ViT of these sizes')
    backbone.grid = find_grid(backbone, source, args.grid)
    print(
        f'normalization (RGB, 0-255): mean {backbone.mean}, std {backbone.std}; '
        "ImageNet's, unless the file states its own"
    )
    backbone, report = backbone.fitted(args.img_size)
    role = dict(role=args.role) if source in WITH_ROLES else {}
    return backbone.state_dict(), backbone.facts() | role, report


def convert_saip(checkpoint: dict, grid: Grid | None) -> tuple[dict, dict, LoadReport]:
    """State dict, meta and report of the whole SAIP model."""
    roles = roles_of(checkpoint)
    if len(roles) < 2:
        raise ValueError(f'has only a {"".join(roles)}: --full needs both roles')
    grid = find_grid(choose_backbone(roles['student']), 'saip', grid)
    state_dict = from_official(
        roles['student'], roles['teacher'], center_of(checkpoint), grid
    )
    outputs = len(state_dict.get('matching.projector.prototypes', []))
    size = tuple(16 * side for side in grid)
    config = dict(
        type='SAIP',
        backbone=dict(type='SAIPViT', img_size=size),
        matching=dict(type='CrossScaleMatchingHead', out_channels=outputs),
        reconstruction=dict(type='CrossScaleReconstructionHead', img_size=size),
        search=dict(type='CrossScaleSearchHead'),
    )
    with torch.device('meta'):
        model = MODELS.build(config)
    return state_dict, {}, compare_weights(model, state_dict)


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    with open_checkpoint(args.checkpoint) as (path, checkpoint):
        if args.prefix:
            checkpoint = select(checkpoint, args.prefix)
        source = source_of(checkpoint)
        print(f'{path}: names of {source}')
        if args.full and source != 'saip':
            raise ValueError("is not the authors' SAIP: there is only a backbone")
        if args.full:
            state_dict, meta, report = convert_saip(checkpoint, args.grid)
        else:
            state_dict, meta, report = convert_backbone(checkpoint, source, args)
    print(report)
    meta.update(source=path.name, saip_mm=__version__)
    write_checkpoint(args.out, state_dict, meta)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    with one_line_errors():
        main()
