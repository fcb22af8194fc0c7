"""Put a backbone into a config of MMPose, MMDetection, MMSegmentation or MMPretrain.

python tools/swap_backbone.py mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py \\
    --checkpoint backbone.pth --out configs/mine.py

The new config inherits the given one and contains only the differences. Before writing,
the tool builds the model, loads the weights and trains one step on random images.
"""

import argparse
import sys
from pathlib import Path

from mmengine.logging import MMLogger

from saip_mm.downstream.swap import Refusal, Swapped, swap_backbone
from saip_mm.errors import script_parser


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    parser.add_argument('config', help='LIBRARY::PATH of a stock config, or a file')
    parser.add_argument(
        '--checkpoint',
        required=True,
        help='saip-small, saip-vit-tiny, an exported backbone, a training checkpoint, '
        'or a work directory',
    )
    parser.add_argument('--out', required=True, type=Path, help='config to write, .py')
    parser.add_argument(
        '--patch-size',
        type=int,
        metavar='P',
        help='resize the patches of a ViT to P×P pixels: with 16 instead of 8, the '
        'backbone costs a quarter',
    )
    args = parser.parse_args()
    if args.out.suffix != '.py':
        parser.error(f'--out {args.out} does not end in .py')
    return args


def summary(swapped: Swapped) -> str:
    """Summary of the changes, for the terminal."""
    strides = (level.stride for level in swapped.levels)
    levels = ['a vector' if s is None else f'stride {s}' for s in strides]
    for index in swapped.unused:
        levels[index] = 'one that is not used'
    levels = ', '.join(levels)
    frozen = ', which stays frozen' if swapped.frozen else ''
    how = 'adapted to the new' if swapped.adapted else 'projected to the previous'
    step = 'built, but not trained: the model has an operator that needs a GPU'
    if swapped.loss is not None:
        step = f'one step on random images: loss {swapped.loss:.4g}'
    return (
        f'backbone{frozen}: {swapped.report}\n'
        f'levels unchanged ({levels}); features {how} number of channels\n'
        f'{step}\nreplaced or dropped: {", ".join(swapped.dropped)}'
    )


def main() -> None:
    args = parse_args()
    # Without a log file, MMEngine would print a line per initialized parameter.
    MMLogger.get_current_instance().setLevel('WARNING')
    try:
        swapped = swap_backbone(args.config, args.checkpoint, args.out, args.patch_size)
    except (OSError, ValueError) as error:
        about = f'{args.config}: ' if isinstance(error, Refusal) else ''
        sys.exit(f'error: {about}{error}')
    print(f'{summary(swapped)}\nwrote {args.out}')


if __name__ == '__main__':
    main()
