"""Write drawn people in the layout of a data set.

    python tools/make_synthetic.py coco data/coco --num 2000 --seed 0

Formats: coco, coco-wholebody, crowdhuman, lip, cihp, market1501, msmt17, pa100k, peta,
cuhk-pedes, icfg-pedes, fashionpedia; docs/synthetic.md describes them. Annotations are
written last; rerun an interrupted command to continue.
"""

import argparse

from saip_mm.drawn import WRITERS
from saip_mm.errors import one_line_errors, script_parser
from saip_mm.processes import add_processes_option


def parse_args() -> argparse.Namespace:
    parser = script_parser(__doc__)
    add = parser.add_argument
    add('format', metavar='FORMAT', choices=WRITERS, help='one of the formats above')
    add('out', metavar='OUT', help='new or empty folder')
    add(
        '--num',
        type=int,
        required=True,
        help='training images; validation and test each have a quarter as many',
    )
    add('--seed', type=int, default=0, help='seed of the people')
    add('--size', type=int, nargs=2, metavar=('H', 'W'), help='image size in pixels')
    add_processes_option(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    writer = WRITERS[args.format](args.out, args.num, args.seed, args.size)
    count = writer.write(args.processes)
    print(f'{count} images and their labels written to {args.out}')


if __name__ == '__main__':
    with one_line_errors():
        main()
