"""Export a pretrained backbone for other libraries.

python tools/export_backbone.py work_dirs/saip --out backbone.pth
python tools/export_backbone.py work_dirs/saip --out backbone.safetensors
python tools/export_backbone.py work_dirs/saip --out pose.pth --img-size 256 192

A .pth holds the names of OpenMMLab under 'backbone.', a .safetensors those of timm,
unless --format says otherwise. Both say what they are: architecture, patch grid, image
size (h, w), mean and std (RGB, 0-255), and the checkpoint that they come from.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from saip_mm import __version__
from saip_mm.engine.backbone import (
    Backbone,
    architecture_of,
    describe,
    find_backbone,
    with_metadata,
)
from saip_mm.engine.checkpoint import (
    fit_backbone,
    read_checkpoint,
    resolve_checkpoint,
    write_checkpoint,
)
from saip_mm.engine.convert import VIT_TO_TIMM, rename_tensors, state_dict_of

PREFIXES = dict(teacher='teacher.encoder.backbone.', student='backbone.')
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='a checkpoint or a work directory')
    parser.add_argument('--out', required=True, type=Path, help='.pth or .safetensors')
    parser.add_argument(
        '--role',
        choices=list(PREFIXES),
        help='whose backbone (default: the teacher, or the only one there is)',
    )
    parser.add_argument(
        '--img-size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='resize the positions for images of this size in pixels',
    )
    parser.add_argument(
        '--format',
        choices=['mm', 'timm'],
        help='names of tensors (default: mm in .pth, timm in .safetensors)',
    )
    args = parser.parse_args()
    if args.out.suffix not in ('.pth', '.safetensors'):
        parser.error(f'--out {args.out} ends neither in .pth nor in .safetensors')
    args.format = args.format or ('mm' if args.out.suffix == '.pth' else 'timm')
    return args


def choose_backbone(checkpoint: dict, role: str | None) -> tuple[Backbone, str]:
    """The backbone asked for, and whose it is.

    Raises:
        ValueError: If the checkpoint does not hold it.
    """
    names = state_dict_of(checkpoint)
    if any(name.startswith(PREFIXES['teacher']) for name in names):
        role = role or 'teacher'
        return find_backbone(checkpoint, PREFIXES[role]), role
    backbone = find_backbone(checkpoint)
    own_role = backbone.meta.get('role', 'unknown')
    if role not in (None, own_role):
        raise ValueError(
            f'has no {role}, only one backbone (role: {own_role}): omit --role'
        )
    return backbone, own_role


def colours(checkpoint: dict, backbone: Backbone) -> dict:
    """Mean and std that the backbone's images were normalised with (RGB, 0-255)."""
    tensors = state_dict_of(checkpoint)
    found = dict(IMAGENET)
    for name in found:
        tensor = tensors.get(f'data_preprocessor.{name}')
        if tensor is not None:
            found[name] = [round(value, 4) for value in tensor.flatten().tolist()]
        elif name in backbone.meta:
            found[name] = backbone.meta[name]
    return found


def export(path: Path, checkpoint: dict, args: argparse.Namespace) -> None:
    """Write the backbone of ``checkpoint``, which was read from ``path``.

    Raises:
        ValueError: If the checkpoint does not hold a whole backbone.
    """
    backbone, role = choose_backbone(checkpoint, args.role)
    architecture_of(backbone)  # complains where this is not a ViT at all
    if backbone.grid is None:
        raise ValueError(
            'does not say on which patch grid its positions are: pass it through '
            'tools/convert_checkpoint.py with --grid H W'
        )
    backbone, report = fit_backbone(backbone, args.img_size)
    print(f'{path}, {role}: {report}')
    if report.missing:
        raise ValueError(f'lacks {", ".join(report.missing)}')
    meta = dict(
        **describe(backbone),
        **colours(checkpoint, backbone),
        role=role,
        source=path.name,
        source_sha256=sha256(path),
        saip_mm=__version__,
    )
    tensors, prefix = backbone.tensors, 'backbone.'
    if args.format == 'timm':
        tensors, prefix = rename_tensors(tensors, VIT_TO_TIMM), ''
    state_dict = with_metadata(tensors, prefix, backbone.grid, backbone.num_heads)
    write_checkpoint(args.out, state_dict, meta)
    height, width = meta['img_size']
    print(f"wrote {args.out}: the {role}'s backbone for {height}×{width} (h×w) images")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main() -> int:
    args = parse_args()
    try:
        path = resolve_checkpoint(args.checkpoint)
        checkpoint = read_checkpoint(path)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    try:
        export(path, checkpoint, args)
    except (OSError, ValueError) as error:
        print(f'error: {path}: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
