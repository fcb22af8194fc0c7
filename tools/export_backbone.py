"""Export a pretrained backbone for other libraries.

python tools/export_backbone.py work_dirs/saip --out backbone.pth
python tools/export_backbone.py work_dirs/saip --out backbone.safetensors
python tools/export_backbone.py work_dirs/saip --out pose.pth --img-size 256 192
python tools/export_backbone.py work_dirs/saip --out backbone.onnx

A .pth holds the names of OpenMMLab under 'backbone.', a .safetensors those of timm,
unless --format says otherwise. An .onnx is a network for any number of images of one
size: from `images` (float32 [batch, 3, h, w], RGB, 0-255, normalised inside) to `image`
[batch, C] and `patches` [batch, C, h', w']. All say what they are: architecture, patch
grid, image size (h, w), mean and std (RGB, 0-255), and the checkpoint that they come
from.
"""

import argparse
import sys
from pathlib import Path

from saip_mm import __version__
from saip_mm.apis import PretrainedBackbone, build_vit
from saip_mm.checkpoints.backbone import (
    PREFIXES,
    Backbone,
    choose_backbone,
    colours,
    describe,
    with_metadata,
)
from saip_mm.checkpoints.checkpoint import (
    fit_backbone,
    read_checkpoint,
    resolve_checkpoint,
    write_checkpoint,
)
from saip_mm.checkpoints.convert import VIT_TO_TIMM, rename_tensors
from saip_mm.checkpoints.onnx import write_onnx
from saip_mm.files import sha256
from saip_mm.training.teacher import MUCH, START_SHARE, saved_start_share


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='a checkpoint or a work directory')
    parser.add_argument(
        '--out', required=True, type=Path, help='.pth, .safetensors or .onnx'
    )
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
    if args.out.suffix not in ('.pth', '.safetensors', '.onnx'):
        parser.error(f'--out {args.out} does not end in .pth, .safetensors or .onnx')
    if args.format and args.out.suffix == '.onnx':
        parser.error('--format is for .pth and .safetensors')
    args.format = args.format or ('mm' if args.out.suffix == '.pth' else 'timm')
    return args


def export(path: Path, checkpoint: dict, args: argparse.Namespace) -> None:
    """Write the backbone of ``checkpoint``, which was read from ``path``.

    Raises:
        ValueError: If the checkpoint does not hold a whole backbone.
    """
    backbone, role = choose_backbone(checkpoint, args.role)
    backbone, report = fit_backbone(backbone, args.img_size)
    print(f'{path}, {role}: {report}')
    meta = dict(
        **describe(backbone),
        **colours(checkpoint, backbone),
        role=role,
        source=path.name,
        source_sha256=sha256(path),
        saip_mm=__version__,
    )
    share = saved_start_share(checkpoint) if role == 'teacher' else None
    if share is not None:
        meta[START_SHARE] = share
    if share is not None and share > MUCH:
        print(
            f"warning: {share:.0%} of the teacher's initial weights are left in it; "
            'train for longer or with a lower teacher momentum, or take --role student'
        )
    if args.out.suffix == '.onnx':
        network = PretrainedBackbone(build_vit(backbone), meta['mean'], meta['std'])
        write_onnx(args.out, network.eval(), meta)
    else:
        write_weights(args.out, backbone, args.format, meta)
    height, width = meta['img_size']
    print(f"wrote {args.out}: the {role}'s backbone for {height}×{width} (h×w) images")


def write_weights(path: Path, backbone: Backbone, names: str, meta: dict) -> None:
    tensors, prefix = backbone.tensors, 'backbone.'
    if names == 'timm':
        tensors, prefix = rename_tensors(tensors, VIT_TO_TIMM), ''
    state_dict = with_metadata(tensors, prefix, backbone.grid, backbone.num_heads)
    write_checkpoint(path, state_dict, meta)


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
