"""Write drawn people in the layout of a data set.

    python tools/make_synthetic.py coco data/coco --num 2000 --seed 0

Formats: coco, coco-wholebody, crowdhuman, lip, cihp, market1501, msmt17, pa100k, peta,
cuhk-pedes, icfg-pedes, fashionpedia; docs/synthetic.md describes them. Annotations are
written last; rerun an interrupted command to continue.
"""

import argparse
import sys

from rich.progress import track

from saip_mm.drawn import WRITERS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('format', metavar='FORMAT', help='one of the formats above')
    parser.add_argument('out', metavar='OUT', help='new or empty folder')
    parser.add_argument(
        '--num',
        type=int,
        required=True,
        help='training images; validation and test have a quarter as many each',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the people')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), help='image size in pixels'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.format not in WRITERS:
        sys.exit(f'error: FORMAT is {args.format}; give one of {", ".join(WRITERS)}')
    try:
        writer = WRITERS[args.format](args.out, args.num, args.seed, args.size)
        count = writer.write(progress=lambda images: track(images, 'Images'))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(f'{count} images and their labels written to {args.out}')


if __name__ == '__main__':
    main()
