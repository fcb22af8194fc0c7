"""Export a pretrained backbone for other libraries.

python tools/export_backbone.py work_dirs/saip --out backbone.pth
python tools/export_backbone.py work_dirs/saip --out backbone.safetensors
python tools/export_backbone.py work_dirs/saip --out pose.pth --img-size 256 192
python tools/export_backbone.py work_dirs/saip --out backbone.onnx

By default, .pth files have OpenMMLab's names with the prefix 'backbone.'; .safetensors
files have timm's names for ViTs, and OpenMMLab's without a prefix for other backbones.
ONNX networks take any number of images of one size: `images` (float32 [batch, 3, h, w],
RGB, 0-255, normalized inside) gives `image` [batch, C] and `patches`
[batch, C, h', w']. All files contain metadata: architecture, patch grid, image size
(h, w), mean and std (RGB, 0-255), and the source checkpoint.
"""

import argparse
from pathlib import Path

from saip_mm import __version__
from saip_mm.apis import PretrainedBackbone
from saip_mm.checkpoints.backbone import choose_backbone
from saip_mm.checkpoints.files import open_checkpoint, write_checkpoint
from saip_mm.checkpoints.names import PREFIXES
from saip_mm.checkpoints.onnx import write_onnx
from saip_mm.checkpoints.teachers import DISTILLED_FROM
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.files import check_writable, sha256


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('checkpoint', help='a checkpoint or a work directory')
    parser.add_argument(
        '--out', required=True, type=Path, help='.pth, .safetensors or .onnx file'
    )
    parser.add_argument(
        '--role',
        choices=list(PREFIXES),
        help='backbone to export (default: the teacher, or the only one)',
    )
    parser.add_argument(
        '--img-size',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='resize the position embeddings for this image size, in pixels',
    )
    parser.add_argument(
        '--patch-size',
        type=int,
        metavar='P',
        help='resize the patches of a ViT to P×P pixels, for images scaled likewise',
    )
    parser.add_argument(
        '--format',
        choices=['mm', 'timm'],
        help='tensor names (default: mm for .pth, timm for .safetensors of ViTs)',
    )
    args = parser.parse_args()
    if args.out.suffix not in ('.pth', '.safetensors', '.onnx'):
        parser.error(f'--out {args.out} does not end in .pth, .safetensors or .onnx')
    if args.format and args.out.suffix == '.onnx':
        parser.error('--format is for .pth and .safetensors')
    return args


def export(path: Path, checkpoint: dict, args: argparse.Namespace) -> None:
    """Write the backbone of ``checkpoint``, read from ``path``."""
    backbone = choose_backbone(checkpoint, args.role)
    if args.patch_size is not None:
        backbone = backbone.with_patch_size(args.patch_size)
    backbone, report = backbone.fitted(args.img_size)
    role = backbone.role
    print(f'{path}: {report}' if role == 'unknown' else f'{path}, {role}: {report}')
    meta = dict(
        **backbone.facts(),
        role=role,
        source=path.name,
        source_sha256=sha256(path),
        saip_mm=__version__,
    )
    if teacher := (checkpoint.get('meta') or {}).get(DISTILLED_FROM):
        meta[DISTILLED_FROM] = teacher
        print(f'it learned from {teacher["name"]}: see the license of these weights')
    if args.out.suffix == '.onnx':
        network = PretrainedBackbone(backbone.build(), backbone.mean, backbone.std)
        write_onnx(
            args.out,
            network.eval(),
            ('image', 'patches'),
            dict(meta, input='RGB, 0-255'),
        )
    else:
        is_pth = args.out.suffix == '.pth'
        names = args.format or ('mm' if is_pth or not backbone.is_vit else 'timm')
        prefix = 'backbone.' if names == 'mm' and (is_pth or args.format) else ''
        write_checkpoint(args.out, backbone.state_dict(prefix, names), meta)
    if isinstance(backbone.num_heads, list) and args.out.suffix != '.onnx':
        heads = ' and '.join(map(str, backbone.num_heads))
        print(
            f'its last block has another number of heads ({heads}), which timm and '
            'MMPretrain have to be told (docs/distillation.md)'
        )
    height, width = meta['img_size']
    whose = 'the' if role == 'unknown' else f"the {role}'s"
    print(f'wrote {args.out}: {whose} backbone for {height}×{width} (h×w) images')


def main() -> None:
    args = parse_args()
    check_writable(args.out)
    with open_checkpoint(args.checkpoint) as (path, checkpoint):
        export(path, checkpoint, args)


if __name__ == '__main__':
    with one_line_errors():
        main()
